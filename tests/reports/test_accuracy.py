"""Accuracy of the guiding classifiers: files, intervals, the page's section."""

import pytest
from scipy.stats import binomtest

from records.errors import UserError
from reports.accuracy import (
    collect_ranges,
    compute_share_interval,
    make_accuracy_plot,
    make_classifiers,
)
from reports.render import render_table
from specs.results import read_accuracy
from tests.reports.conftest import evaluate, read_page
from tests.reports.test_render import HOSTILE, Page


@pytest.mark.parametrize(("num_correct", "num_images"), [(90, 100), (0, 10), (10, 10), (1, 1797)])
def test_interval_of_a_share_is_wilson_s(num_correct, num_images):
    known = binomtest(num_correct, num_images).proportion_ci(method="wilson")
    got = compute_share_interval(num_correct, num_images)
    assert got == pytest.approx((known.low, known.high), rel=1e-6, abs=1e-12)


def test_shares_and_chance_of_each_range(project, make_spec, make_row, make_classifier):
    spec = make_spec([make_row("a")], classifiers=[make_classifier(project.write_accuracy())])
    (entry,) = make_classifiers(read_page(spec).classifiers, [])
    assert [(one["first"], one["share"]) for one in entry["ranges"]] == [(0, 0.75), (500, 0.1)]
    assert all(one["low"] < one["share"] < one["high"] for one in entry["ranges"])
    assert entry["measured"]["num_images"] == 200
    assert evaluate(spec)["classifiers"] == [entry]


def test_ranges_of_several_classifiers_stand_in_one_table(
    project, make_spec, make_row, make_classifier
):
    other = project.write_accuracy(
        "b.json", num_timesteps=500, ranges=[{"first": 0, "last": 499, "num_correct": 1}]
    )
    spec = make_spec(
        [make_row("a")],
        classifiers=[make_classifier(project.write_accuracy()), make_classifier(other, name="b")],
    )
    first, second = collect_ranges(make_classifiers(read_page(spec).classifiers, []))
    assert (first["first"], first["last"]) == (0, 499)
    assert [cell["share"] for cell in first["cells"]] == [0.75, 0.005]
    assert second["first"] == 500 and second["cells"][1] is None


def test_plot_falls_from_left_to_right_and_marks_chance(
    project, make_spec, make_row, make_classifier
):
    spec = make_spec([make_row("a")], classifiers=[make_classifier(project.write_accuracy())])
    plot = make_accuracy_plot(make_classifiers(read_page(spec).classifiers, [])[0])
    (x0, y0), (x1, y1) = (map(float, point.split(",")) for point in plot["curve"].split())
    assert plot["left_px"] < x0 < x1 < plot["right_px"]
    assert y0 < y1 == float(plot["chance_px"])  # the second range is read at chance
    assert len(plot["band"].split()) == 4


def test_page_says_whom_it_guides_and_what_was_measured(
    project, make_spec, make_row, make_classifier
):
    rows = [{"task": "imagenet_256", "label": HOSTILE}, {"task": "other", "label": "stack"}]
    classifier = make_classifier(project.write_accuracy(), name=HOSTILE, rows=rows)
    spec = make_spec([make_row("a")], classifiers=[classifier])
    html = render_table(evaluate(spec), [], [])
    page = Page(html)
    text = " ".join(page.text.split())
    assert html.count("<script>") == 1 and HOSTILE in text  # the page's own
    for words in (
        "after 400 iterations guides",
        "“stack” (other)",
        "200 images of imagenet_256 (8x8 digits)",
        "the images that it was trained on",
        "chance is 10.0 %",
        "75.0 %",
        "500 to 999",
    ):
        assert words in text
    (svg,) = [one for tag, one in page.tags if tag == "svg" and "aria-label" in one]
    assert svg["role"] == "img" and "75.0 % at the least noise" in svg["aria-label"]
    assert "classifiers" in page.ids


def test_page_keeps_apart_what_is_held_out_and_what_is_absent(
    project, make_spec, make_row, make_classifier
):
    held_out = project.write_accuracy(trained_on_these_images=False)
    classifiers = [make_classifier(held_out), make_classifier("nowhere.json", name="later")]
    spec = make_spec([make_row("a")], classifiers=classifiers)
    text = " ".join(Page(render_table(evaluate(spec), [], [])).text.split())
    assert "a set other than the one it was trained on" in text
    assert "the images that it was trained on" not in text
    assert "Its accuracy was not measured." in text
    none = make_spec([make_row("a")])
    assert "How well the guiding" not in render_table(evaluate(none), [], [])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": 2}, r"format: got 2 \(int\); .* should be 1"),
        ({"num_images": 0}, "num_images: got 0 .* greater than 0"),
        ({"num_classes": True}, "num_classes: got True .* valid integer"),
        ({"trained_on_these_images": "yes"}, "got 'yes' .* valid boolean"),
        ({"ranges": []}, "ranges: got .* at least 1 item"),
        ({"ranges": [{"first": 0, "last": 9, "num_correct": 201}]}, "num_correct of 0 to 200"),
        ({"ranges": [{"first": 5, "last": 2, "num_correct": 1}]}, "ranges: 0: got .*'first': 5"),
        ({"ranges": [{"first": 0, "last": 1000, "num_correct": 1}]}, "first <= last < 1000"),
        ({"ranges": [{"first": 0, "last": 9, "num_correct": -1}]}, "num_correct: got -1"),
        ({"ranges": ["half"]}, "ranges: 0: got 'half'"),
    ],
)
def test_a_broken_file_is_named(project, changes, message):
    again = "; delete it and run the workflow again$"
    with pytest.raises(UserError, match=rf"^accuracy\.json: .*{message}.*{again}"):
        read_accuracy(project.write_accuracy(**changes))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (None, None),
        ({"ranges": []}, "accuracy.json: not a file of accuracies: ranges: got []"),
        ({"digest": "e" * 64}, "accuracy.json: made for another row or scale, or with other"),
    ],
)
def test_what_cannot_be_shown_is_not_measured_and_named(
    project, make_spec, make_row, make_classifier, changes, words
):
    path = "nowhere.json" if changes is None else project.write_accuracy(**changes)
    table = evaluate(make_spec([make_row("a")], classifiers=[make_classifier(path)]))
    assert table["classifiers"][0]["measured"] is None
    assert words is None if table["flags"] == [] else table["flags"][0].startswith(words)
