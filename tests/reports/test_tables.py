import math

import numpy as np
import pytest
from scipy.stats import t as student

from reports.claims import CONTRADICTED, INCONCLUSIVE, NOT_RUN, PUBLISHED_ONLY, SUPPORTED
from tests.reports.conftest import evaluate
from workflow.availability import QUOTED


def rows_of(table):
    return {row["id"]: row for group in table["groups"] for row in group["rows"]}


def test_plain_cells_show_published_measured_and_the_file_s_interval(project, make_spec, make_row):
    row = make_row("a", project.write_metrics("a", fid=(12.0, 0.5)))
    cell = rows_of(evaluate(make_spec([row])))["a"]["cells"][0]
    assert (cell["published"], cell["measured"]) == (5.0, 12.0)
    assert (cell["low"], cell["high"]) == (11.0, 13.0)
    assert cell["status"] == "measured"


def test_absent_metrics_are_not_run_and_say_the_command(project, make_spec, make_row):
    table = evaluate(make_spec([make_row("a", "nowhere.json")]))
    assert rows_of(table)["a"]["cells"][0]["status"] == "not run"
    assert table["footnotes"][0]["command"] == "snakemake --cores all reproduce_table3"
    assert table["num_measured"] == 0


def test_command_names_scale_and_source_and_keeps_the_target_apart(project, make_spec, make_row):
    spec = make_spec([make_row("a")], scale="paper", source="rescore")
    command = "snakemake --cores all --config scale=paper source=rescore -- reproduce_table3"
    assert evaluate(spec)["command"] == command


def test_baselines_and_unavailable_rows_give_their_reason(project, make_spec, make_row):
    gan = make_row("gan", kind="baseline", reason="quoted from elsewhere", notes=["quoted"])
    lost = make_row("lost", reason="its classifier was never released")
    table = evaluate(make_spec([gan, lost]))
    rows = rows_of(table)
    assert rows["gan"]["cells"][0]["status"] == "published value"
    assert rows["lost"]["cells"][0]["status"] == "not available"
    notes = {note["mark"]: note["text"] for note in table["footnotes"]}
    assert [notes[mark] for mark in rows["gan"]["footnotes"]] == [
        "quoted by the authors from an earlier paper",
        "quoted from elsewhere",
    ]
    assert [notes[mark] for mark in rows["lost"]["footnotes"]] == [lost["reason"]]


def test_a_note_that_the_reason_repeats_is_left_out(project, make_spec, make_row):
    gan = make_row("gan", kind="baseline", reason=QUOTED, notes=["quoted"])
    graded = make_row("graded", project.write_metrics("graded"), reason=QUOTED, notes=["quoted"])
    table = evaluate(make_spec([gan, graded]))
    notes = {note["mark"]: note["text"] for note in table["footnotes"]}
    texts = [[notes[mark] for mark in row["footnotes"]] for row in rows_of(table).values()]
    assert texts == [[QUOTED], ["quoted by the authors from an earlier paper"]]


def test_deltas_are_differences_with_both_errors(project, make_spec, make_row):
    rows = [
        make_row("first", project.write_metrics("first", fid=(15.0, 0.3))),
        make_row("second", project.write_metrics("second", fid=(14.0, 0.4))),
    ]
    first, second = rows_of(evaluate(make_spec(rows, layout="deltas"))).values()
    assert first["cells"][0]["measured"] == 15.0
    cell = second["cells"][0]
    assert cell["is_difference"] and cell["measured"] == -1.0
    ratio = 1 + cell["high"] / 15  # its error if it were true reaches to the measured one
    half = student.ppf(0.975, 999) * math.hypot(0.4, 0.3 * ratio) / ((14 + 15 * ratio) / 2)
    assert math.log(ratio * 15 / 14) == pytest.approx(half, rel=1e-6)
    assert cell["absolute"]["measured"] == 14.0


def test_rows_with_seeds_show_means_and_paired_intervals(project, make_spec, make_row):
    paths = {
        name: [
            project.write_metrics(f"{name}{seed}", fid=(fid, 0.0), seed=seed)
            for seed, fid in enumerate(values)
        ]
        for name, values in {"first": (10.0, 12.0, 14.0), "b": (20.2, 23.8, 28.0)}.items()
    }
    rows = [make_row(name, first, seeds=others) for name, (first, *others) in paths.items()]
    table = evaluate(make_spec(rows, layout="deltas"))
    first, second = [row["cells"][0] for row in rows_of(table).values()]
    assert first["measured"] == 12.0 and second["absolute"]["measured"] == 24.0
    # The ratio of the values is 2.02, 1.983 and 2 with the three seeds: seeds drop out.
    ratios = np.log([2.02, 23.8 / 12, 2.0])
    half = student.ppf(0.975, 2) * ratios.std(ddof=1) / math.sqrt(3)
    assert second["measured"] == 12.0
    assert second["high"] == pytest.approx(12 * math.expm1(ratios.mean() + half))
    # A value alone moves with the seeds.
    assert first["high"] > 12 + 2
    entry = table["seeds"][0]
    assert entry["relative"] and entry["spreads"][0]["dof"] == 2
    assert entry["spreads"][0]["size"] == pytest.approx(ratios.std(ddof=1))
    assert entry["rows"][0]["values"] == [10.0, 12.0, 14.0]


def test_deltas_without_a_first_row_have_only_absolute_values(project, make_spec, make_row):
    rows = [make_row("first"), make_row("b", project.write_metrics("b", fid=20.0))]
    cell = rows_of(evaluate(make_spec(rows, layout="deltas")))["b"]["cells"][0]
    assert cell["measured"] is None and cell["absolute"]["measured"] == 20.0


def test_verdicts_judge_the_values_never_the_differences(project, make_spec, make_row):
    """The paper prints 15.00 and +0.25; here 15.25 and 15.05: the value agrees, not the step."""
    rows = [
        make_row("first", project.write_metrics("a", fid=15.25), published={"final": {"fid": 15}}),
        make_row("b", project.write_metrics("b", fid=15.05), published={"final": {"fid": 0.25}}),
    ]
    rows[1]["cells"]["final"]["others"] = {
        "rescore": {"path": project.write_metrics("c", fid=15.25), "digest": "d" * 64}
    }
    spec = make_spec(rows, layout="deltas", agreement={"reference_images": 1000})
    table = evaluate(spec)
    cell = rows_of(table)["b"]["cells"][0]
    assert (cell["published"], cell["agreement"], cell["others"]) == (0.25, None, [])
    own = cell["absolute"]
    assert (own["published"], own["measured"], own["is_difference"]) == (15.25, 15.05, False)
    assert own["agreement"]["verdict"] == "agrees"
    assert [other["agreement"]["verdict"] for other in own["others"]] == ["agrees"]
    assert table["agreements"] == {"agrees": 2, "differs": 0}


def test_seeds_of_different_counts_are_named_and_left_out(project, make_spec, make_row):
    paths = [project.write_metrics("a"), project.write_metrics("b", num_samples=300)]
    table = evaluate(make_spec([make_row("a", paths[0], seeds=paths[1:])]))
    assert "a.json: the training seeds of this cell were scored on [300, 1000]" in table["flags"][0]
    assert rows_of(table)["a"]["cells"][0]["measured"] is None and table["seeds"][0]["rows"] == []


def test_ceiling_belongs_to_the_task_and_says_when_it_is_tiny(project, make_spec, make_row):
    row = make_row("a", project.write_metrics("a"))
    path = project.write_metrics("real", fid=0.3, memorised=0.55, num_samples=89, num_reference=90)
    table = evaluate(make_spec([row], ceilings={"imagenet_256": path}))
    ceiling = table["groups"][0]["ceiling"]
    assert ceiling["cells"][0]["measured"] == 0.3
    assert (ceiling["num_samples"], ceiling["num_reference"]) == (89, 90)
    assert ceiling["tiny"] and not ceiling["same_count"]
    assert ceiling["memorised"] == 0.55


def test_the_images_that_there_were_are_counted_where_numbers_do_not_compare(
    project, make_spec, make_row
):
    rows = [make_row(name, project.write_metrics(name, num_reference=4321)) for name in "ab"]
    (line,) = evaluate(make_spec(rows))["differences"]
    assert line["here"] == "4,321 (8x8 digits)"
    assert evaluate(make_spec([make_row("a")]))["differences"] == []
    assert evaluate(make_spec(rows, agreement={"reference_images": 5}))["differences"] == []


def test_tasks_are_grouped_in_their_order(project, make_spec, make_row):
    rows = [make_row("b", task="z"), make_row("a", task="y"), make_row("c", task="z")]
    groups = evaluate(make_spec(rows, layout="by_task"))["groups"]
    assert [(g["task"], [r["id"] for r in g["rows"]]) for g in groups] == [
        ("z", ["b", "c"]),
        ("y", ["a"]),
    ]


def claim_of(project, make_spec, make_row, claim, fid_a, fid_b, **options):
    rows = [
        make_row("a", project.write_metrics("a", fid=fid_a, **options)),
        make_row("b", project.write_metrics("b", fid=fid_b)),
    ]
    return evaluate(make_spec(rows, claims=[claim]))["claims"][0]


def test_claims_are_judged_here_and_in_the_paper(project, make_spec, make_row, make_claim):
    claim = make_claim("fid", "a", "less", "b")
    judged = claim_of(project, make_spec, make_row, claim, 9.0, 12.0)
    assert judged["verdict"] == SUPPORTED
    assert judged["holds_in_paper"] is False  # both rows are published at 5.0
    assert claim_of(project, make_spec, make_row, claim, 12.0, 9.0)["verdict"] == CONTRADICTED


def test_claim_over_different_counts_is_not_judged(project, make_spec, make_row, make_claim):
    claim = make_claim("fid", "a", "less", "b")
    judged = claim_of(project, make_spec, make_row, claim, 1.0, 9.0, num_samples=300)
    assert judged["verdict"] == INCONCLUSIVE
    words = "its cells differ in number of samples (300 in “a”; 1,000 in “b”), which the claim is"
    assert judged["reason"].startswith(words)


def test_claim_of_another_source_is_published_only(project, make_spec, make_row, make_claim):
    claim = make_claim("fid", "a", "less", "b", sources=["rescore"])
    assert claim_of(project, make_spec, make_row, claim, 9.0, 12.0)["verdict"] == PUBLISHED_ONLY


def test_claim_without_cells_is_not_run(project, make_spec, make_row, make_claim):
    claim = make_claim("fid", "a", "less", "b")
    table = evaluate(make_spec([make_row("a"), make_row("b")], claims=[claim]))
    assert table["claims"][0]["verdict"] == NOT_RUN


def test_published_differences_are_added_up_for_claims(project, make_spec, make_row, make_claim):
    rows = [
        make_row("a", published={"final": {"fid": 15.0}}),
        make_row("b", published={"final": {"fid": -0.5}}),
        make_row("c", published={"final": {"fid": 0.2}}),
    ]
    claims = [make_claim("fid", "b", "less", "a"), make_claim("fid", "c", "less", "a")]
    table = evaluate(make_spec(rows, layout="deltas", claims=claims))
    assert [claim["holds_in_paper"] for claim in table["claims"]] == [True, False]
    assert table["claims"][0]["comparisons"][0]["cells"][0]["published"] == 14.5


def test_mixed_recipes_networks_and_counts_are_flagged(project, make_spec, make_row):
    rows = [
        make_row("a", project.write_metrics("a")),
        make_row("b", project.write_metrics("b", recipe=2, network="f", num_samples=300)),
    ]
    flags = " ".join(evaluate(make_spec(rows))["flags"])
    assert "Mixed recipes (samples.spec.recipe): 1 in “a”; 2 in “b”." in flags
    assert "Mixed feature networks" in flags
    assert "Mixed numbers of samples for imagenet_256: 1,000 in “a”; 300 in “b”." in flags


def test_equal_rows_raise_no_flag(project, make_spec, make_row):
    rows = [make_row(name, project.write_metrics(name)) for name in "ab"]
    assert evaluate(make_spec(rows))["flags"] == []
