from reports.protocol import find_facts, find_mixtures, flatten, make_headline
from specs.results import MetricsFile
from specs.strict import validated


def test_flatten_is_sorted_and_complete():
    nested = {"b": {"y": None, "x": [1, 2]}, "a": [{"k": True}], "c": {}}
    assert flatten(nested) == [
        ("a[0].k", "true"),
        ("b.x", "1, 2"),
        ("b.y", "none"),
        ("c", "empty"),
    ]


def test_facts_are_found_at_any_depth(make_metrics):
    assert find_facts(flatten(make_metrics(recipe=7).protocol.content()), "recipe") == {
        "network.recipe": "1",
        "recipe": "1",
        "samples.spec.recipe": "7",
    }


def test_headline_holds_what_must_be_published(make_metrics):
    headline = dict(make_headline(make_metrics()))
    assert headline["reference"].endswith("sha256 " + "a" * 64)
    assert headline["samples"] == "1,000 images, sha256 " + "b" * 64
    assert headline["labels"] == "random"
    assert headline["sampler"] == "method ancestral, respacing 50, eta 0"
    assert headline["guidance scale"] == "none"
    assert headline["number format"] == "float32"
    assert headline["feature network"] == "digits, sha256 " + "e" * 64
    assert headline["seeds"] == "samples.spec.seed 3, seed 0"
    assert headline["versions"] == "numpy 2.3, torch 2.13"
    assert headline["code"] == "c0ffee"


def test_missing_facts_are_said_and_flagged(metrics):
    content = metrics()
    content["protocol"]["samples"] = {}
    content = validated(MetricsFile, content, "row.json")
    headline = dict(make_headline(content))
    assert headline["labels"] == "not recorded"
    assert headline["sampler"] == "not recorded"
    assert find_mixtures([("a", "t", content)]) == [
        "Not recorded for “a”: samples, labels, sampler, guidance scale."
    ]
