"""Which points stand in the figure of precision against recall, and what is said of them."""

import pytest

from reports.render import render_table
from reports.tradeoff import make_tradeoffs
from tests.reports.conftest import evaluate
from tests.reports.test_render import Page


def values(line):
    return [(one["recall"]["value"], one["precision"]["value"]) for one in line["points"]]


def test_a_line_joins_the_rows_of_a_model_by_guidance(guided_spec):
    (tradeoff,) = make_tradeoffs(evaluate(guided_spec()))
    here, paper = tradeoff["panels"]
    assert [(line["name"], line["kind"]) for line in here["lines"]] == [
        ("uncond", "measured"), ("cond", "measured"),
    ]  # fmt: skip
    assert values(here["lines"][1]) == [(0.88, 0.85), (0.84, 0.87), (0.72, 0.89)]
    words = [point["words"] for point in here["lines"][1]["points"]]
    assert words == ["no guidance", "scale 1.0", "scale 10.0"]
    recall = here["lines"][0]["points"][0]["recall"]
    assert recall == pytest.approx({"value": 0.93, "low": 0.91, "high": 0.95})
    assert values(paper["lines"][0]) == [(0.63, 0.61), (0.44, 0.76)]
    assert tradeoff["left_out"] == []


def test_guidance_that_trades_recall_leads_up_and_to_the_left(guided_spec):
    for panel in make_tradeoffs(evaluate(guided_spec()))[0]["panels"]:
        for line in panel["lines"]:
            (x0, y0), *_, (x1, y1) = values(line)
            assert x1 < x0 and y1 > y0


def test_captions_say_what_one_sees(guided_spec, project):
    here, paper = make_tradeoffs(evaluate(guided_spec()))[0]["panels"]
    (caption,) = here["captions"]
    assert caption["whole"] == "from least to most guidance, every line leads up and to the left."
    assert caption["lines"][1] == (
        "“cond”, no guidance to scale 10.0: precision rises from 0.850 to 0.890 (intervals "
        "overlap); recall falls from 0.880 to 0.720."
    )
    assert paper["captions"][0]["lines"][0] == (
        "“uncond”, no guidance to scale 10.0: precision rises from 0.61 to 0.76; recall falls from "
        "0.63 to 0.44."
    )
    spec = guided_spec()
    project.write_metrics("cond_10", precision=0.8, recall=0.88)
    (caption,) = make_tradeoffs(evaluate(spec))[0]["panels"][0]["captions"]
    assert "1 of 2 lines lead up" in caption["whole"]
    assert "precision falls from 0.850 to 0.800; recall stays" in caption["lines"][1]


def test_published_values_are_in_the_same_panel_only_where_they_compare(guided_spec):
    agreement = {"reference_images": 1000}
    (panel,) = make_tradeoffs(evaluate(guided_spec(agreement=agreement)))[0]["panels"]
    assert panel["title"] == "here and in the paper"
    kinds = [(line["place"], line["kind"]) for line in panel["lines"]]
    assert kinds == [(0, "measured"), (1, "measured"), (0, "published"), (1, "published")]
    few_images = {"reference_images": 10_000}  # of which precision and recall were measured on 1797
    assert len(make_tradeoffs(evaluate(guided_spec(agreement=few_images)))[0]["panels"]) == 2


def test_what_was_not_measured_is_left_out_and_said(guided_spec):
    spec = guided_spec(absent=["cond", "uncond_10"])
    spec["rows"][1]["reason"] = "no samples were published"
    table = evaluate(spec)
    (tradeoff,) = make_tradeoffs(table)
    assert [len(line["points"]) for line in tradeoff["panels"][0]["lines"]] == [1, 2]
    assert tradeoff["left_out"] == [("uncond_10", "not available"), ("cond", "not run")]
    assert tradeoff["panels"][0]["lines"][1]["name"] == "cond"  # the model, not its first point
    text = " ".join(Page(render_table(table, [], [])).text.split())
    assert "Left out of the measured points: “uncond_10” (not available), “cond” (not run)." in text


def test_a_value_that_is_no_share_is_left_out(guided_spec, project):
    spec = guided_spec()
    project.write_metrics("cond", precision=1e300, recall=0.9)
    spec["rows"][0]["published"]["final"]["recall"] = -1
    (tradeoff,) = make_tradeoffs(evaluate(spec))
    assert tradeoff["left_out"] == [("cond", "broken file")]
    assert [len(line["points"]) for line in tradeoff["panels"][1]["lines"]] == [1, 3]


def test_in_a_table_of_differences_the_points_are_values(guided_spec):
    (tradeoff,) = make_tradeoffs(evaluate(guided_spec(layout="deltas")))
    assert values(tradeoff["panels"][0]["lines"][0]) == [(0.93, 0.71), (0.84, 0.84)]


def test_marks_and_tasks_are_lines_and_figures_of_their_own(guided_spec, project):
    spec = guided_spec()
    spec["table"]["marks"] = ["early", "final"]
    spec["table"]["after"] = {"early": " after 9 iterations", "final": ""}
    for row in spec["rows"]:
        row["cells"]["early"] = {**row["cells"]["final"], "metrics": None, "seeds": []}
    spec["rows"][0]["cells"]["early"] = spec["rows"][0]["cells"]["final"]
    (tradeoff,) = make_tradeoffs(evaluate(spec))
    names = [line["name"] for line in tradeoff["panels"][0]["lines"]]
    assert names == ["uncond after 9 iterations", "uncond", "cond"]
    for row in spec["rows"][:2]:
        row["task"] = "other"
    assert [one["task"] for one in make_tradeoffs(evaluate(spec))] == ["other", "imagenet_256"]


@pytest.mark.parametrize(
    "change",
    [
        lambda spec: spec["table"].update(settings=["conditional", "guidance"]),
        lambda spec: spec["table"].update(metrics=["fid", "precision"]),
        lambda spec: [row["settings"].update(guidance_scale=1.0) for row in spec["rows"]],
        lambda spec: spec["rows"][0]["settings"].update(guidance_scale="much"),
        lambda spec: spec["rows"][0]["settings"].update(guidance_scale=[1]),
        lambda spec: spec["rows"][0]["settings"].update(guidance_scale=True),
    ],
)
def test_a_table_without_growing_guidance_has_no_figure(guided_spec, change):
    spec = guided_spec()
    change(spec)
    table = evaluate(spec)
    assert make_tradeoffs(table) == []
    assert 'class="tradeoff"' not in render_table(table, [], [])


def test_a_page_without_a_measured_row_has_no_figure(guided_spec):
    spec = guided_spec(absent=["uncond", "uncond_10", "cond", "cond_1", "cond_10"])
    page = render_table(evaluate(spec), [], [])
    assert 'class="tradeoff"' not in page and "Precision against recall" not in page
