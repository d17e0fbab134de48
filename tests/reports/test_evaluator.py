"""The evaluator held against the numbers that the authors printed in full for one batch."""

import html
import json

import pytest

from records.errors import UserError
from reports.evaluator import TOLERANCES
from reports.export import render_markdown
from reports.render import render_index, render_table
from tests.reports.conftest import evaluate, read_page

AUTHORS = {
    "is": 215.8370361328125,
    "fid": 3.9425574129223264,
    "sfid": 6.140433703346162,
    "precision": 0.8265,
    "recall": 0.5309,
}


@pytest.fixture
def make_graded(project, make_spec, make_row):
    """Return a table of two rows whose second was graded with some differences to the authors."""

    def make(differences, distances=None, **options):
        values = {name: value + differences.get(name, 0.0) for name, value in AUTHORS.items()}
        both = project.write_metrics("both", distances=distances, **values)
        rows = [
            make_row("first", project.write_metrics("first")),
            make_row("both", both, label="ADM-G, ADM-U"),
        ]
        known = {"row": "both", "values": AUTHORS}
        spec = make_spec(rows, source="rescore", **{"known_evaluation": known, **options})
        return evaluate(spec)

    return make


def read_html(table):
    return html.unescape(render_table(table, [], []))


def test_tolerances_are_those_of_two_right_evaluators():
    assert TOLERANCES == {
        "fid": 0.001, "sfid": 0.001, "is": 0.01, "precision": 0.001, "recall": 0.003,
    }  # fmt: skip


def test_an_evaluator_within_tolerance_is_said_to_agree(make_graded):
    table = make_graded({name: 0.9 * limit for name, limit in TOLERANCES.items()})
    assert [line["exceeded"] for line in table["evaluator"]] == [False] * 5
    assert table["flags"] == []
    page = read_html(table)
    words = (
        "FID of “ADM-G, ADM-U”: evaluator: here 3.9435, authors' README 3.9426, difference +0.0009 "
        '(within 0.001): <span class="agreement agrees">agrees</span>'
    )
    assert words in page and page.count("evaluator: here") == 5
    assert "Check before using these numbers" not in page
    assert json.loads(json.dumps(table))["evaluator"] == table["evaluator"]


def test_other_arithmetic_says_nothing_of_the_evaluator(make_graded, project):
    """The values of a public port in float32, which are right."""
    table = make_graded({"precision": -0.00102, "recall": -0.0024}, distances="exact")
    assert [line["metric"] for line in table["evaluator"]] == ["fid", "sfid", "is"]
    assert table["flags"] == []
    table = make_graded({"precision": -0.00102, "recall": -0.0024}, distances="float16")
    assert [line["metric"] for line in table["evaluator"]] == list(TOLERANCES)
    assert len(table["flags"]) == 1


@pytest.mark.parametrize("metric", TOLERANCES)
@pytest.mark.parametrize("sign", [1, -1])
def test_a_difference_that_is_too_large_is_flagged(make_graded, metric, sign):
    table = make_graded({metric: sign * 1.1 * TOLERANCES[metric]})
    exceeded = {line["metric"]: line["exceeded"] for line in table["evaluator"]}
    assert exceeded == {**dict.fromkeys(TOLERANCES, False), metric: True}
    (flag,) = table["flags"]
    assert f"(more than {TOLERANCES[metric]:g})" in flag and "evaluator: here" in flag
    page = read_html(table)
    assert "Check before using these numbers" in page and f"<li>{flag}</li>" in page
    assert page.count('<span class="agreement differs">differs</span>') == 1
    assert "1 thing to check" in render_index([table], None)
    assert "**check:**" in render_markdown(table)


def test_without_a_known_evaluation_or_a_measurement_there_is_no_line(make_graded, make_row):
    assert make_graded({}, known_evaluation=None)["evaluator"] == []
    unmeasured = make_graded({}, known_evaluation={"row": "first", "values": AUTHORS})
    assert [line["metric"] for line in unmeasured["evaluator"]] == ["fid", "precision"]
    table = make_graded({}, known_evaluation=None)
    assert "evaluator: here" not in read_html(table)


def test_a_row_that_is_not_run_has_no_line(make_spec, make_row):
    known = {"row": "both", "values": AUTHORS}
    table = evaluate(make_spec([make_row("both", "later.json")], known_evaluation=known))
    assert table["evaluator"] == [] and table["flags"] == []


@pytest.mark.parametrize(
    ("known", "words"),
    [
        ({"row": "none", "values": {}}, "known_evaluation: row: got 'none'; one of a is needed"),
        ({"row": "a", "values": {"kid": 1.0}}, "known_evaluation: values: got the name 'kid'"),
        ({"row": "a", "values": {"fid": None}}, "known_evaluation: values: fid: got None"),
        ({"row": "a"}, "known_evaluation: values: missing"),
    ],
)
def test_what_is_wrong_is_named(make_spec, make_row, known, words):
    with pytest.raises(UserError) as error:
        read_page(make_spec([make_row("a")], known_evaluation=known))
    assert words in str(error.value)
