"""Verdicts are withdrawn where cells differ in more than their claim is about."""

import copy
import json
import math

import pytest

from reports.claims import CONTRADICTED, INCONCLUSIVE, NOT_RUN, SUPPORTED
from reports.comparable import FACTS, explain_incomparable
from tests.reports.conftest import evaluate, metrics_content

TOPICS = ("model", "guidance", "steps", "base")
EXTRA = {"k": 3, "distances": "exact", "inception_split_size": 5000, "backend": "torch"}


def content_of(name, fid):
    """A metrics file that records everything that is compared."""
    content = metrics_content(name, fid=fid)
    protocol, spec = content["protocol"], content["protocol"]["samples"]["spec"]
    protocol.update(EXTRA)
    protocol["network"]["precision"] = "float32"
    spec["sampler"].update(schedule="cosine", num_timesteps=1000)
    spec.update(model={"name": "m", "digest": "5" * 64}, classifier=None, low_res=None)
    return content


def judge(project, make_spec, make_row, make_claim, contents, varies):
    for name, content in contents.items():
        (project.folder / f"{name}.json").write_text(json.dumps(content))
    rows = [make_row(name, f"{name}.json") for name in contents]
    claim = make_claim("fid", "a", "less", "b", varies=varies)
    return evaluate(make_spec(rows, claims=[claim]))["claims"][0]


def put(content, place, value):
    for key in place[:-1]:
        content = content[key]
    content[place[-1]] = value


@pytest.mark.parametrize("fact", FACTS, ids=[words for words, _, _ in FACTS])
def test_each_fact_is_compared_unless_the_claim_is_about_it(
    project, make_spec, make_row, make_claim, fact
):
    words, place, topic = fact
    contents = {"a": content_of("a", 9.0), "b": content_of("b", 12.0)}
    others = [one for one in TOPICS if one != topic]
    claim = judge(project, make_spec, make_row, make_claim, contents, TOPICS)
    assert claim["verdict"] == SUPPORTED
    put(contents["b"]["protocol"], place, "another")
    claim = judge(project, make_spec, make_row, make_claim, contents, others)
    assert claim["verdict"] == INCONCLUSIVE and f"its cells differ in {words} (" in claim["reason"]
    assert "another in “b”), which the claim is not about" in claim["reason"]
    assert claim["comparisons"][0]["effect"] == pytest.approx(math.log(12 / 9))  # still shown
    if topic is not None:
        claim = judge(project, make_spec, make_row, make_claim, contents, [topic])
        assert claim["verdict"] == SUPPORTED


@pytest.mark.parametrize(
    ("place", "words"),
    [
        (("counts", "samples"), "number of samples"),
        (("counts", "reference"), "number of reference images"),
        (("counts", "reference_precision_recall"), "reference images of precision and recall"),
        (("protocol", "recipe"), "recipe (recipe)"),
        (("protocol", "network", "recipe"), "recipe (network.recipe)"),
        (("protocol", "samples", "spec", "recipe"), "recipe (samples.spec.recipe)"),
    ],
)
def test_counts_and_recipes_are_compared_whatever_the_claim(
    project, make_spec, make_row, make_claim, place, words
):
    contents = {"a": content_of("a", 12.0), "b": content_of("b", 9.0)}
    put(contents["b"], place, 7)
    claim = judge(project, make_spec, make_row, make_claim, contents, TOPICS)
    assert claim["verdict"] == INCONCLUSIVE and f"its cells differ in {words} (" in claim["reason"]
    put(contents["a"], place, 7)
    claim = judge(project, make_spec, make_row, make_claim, contents, TOPICS)
    assert claim["verdict"] == CONTRADICTED


@pytest.mark.parametrize("network", ["model", "classifier"])
def test_a_trained_network_has_a_recipe_of_its_own(
    project, make_spec, make_row, make_claim, network
):
    """Only models with dropout have the recipe of its masks; claims compare them with others."""
    contents = {"a": content_of("a", 9.0), "b": content_of("b", 12.0)}
    for name, recipe in (("a", 2), ("b", 1)):
        put(contents[name], ("protocol", "samples", network), {"recipe": recipe})
    claim = judge(project, make_spec, make_row, make_claim, contents, ["model"])
    assert claim["verdict"] == SUPPORTED


def test_versions_commit_and_machine_are_not_compared(project, make_spec, make_row, make_claim):
    contents = {"a": content_of("a", 9.0), "b": content_of("b", 12.0)}
    for key, value in (("versions", {"numpy": "3"}), ("git_commit", "1"), ("platform", "x")):
        contents["b"]["protocol"][key] = value
    claim = judge(project, make_spec, make_row, make_claim, contents, ["model"])
    assert claim["verdict"] == SUPPORTED


def test_what_is_not_recorded_or_not_run_is_not_held_against_it(
    project, make_spec, make_row, make_claim, make_metrics
):
    contents = {"a": content_of("a", 9.0), "b": content_of("b", 12.0)}
    del contents["b"]["protocol"]["samples"]["spec"]["sampler"]["method"]
    claim = judge(project, make_spec, make_row, make_claim, contents, ["model"])
    assert claim["verdict"] == SUPPORTED
    assert explain_incomparable({"a": make_metrics()}, ["model"]) is None
    absent = copy.deepcopy(contents)
    (project.folder / "a.json").unlink()
    del absent["a"]
    rows = [make_row(name, f"{name}.json") for name in "ab"]
    claim = evaluate(make_spec(rows, claims=[make_claim("fid", "a", "less", "b")]))["claims"][0]
    assert claim["verdict"] == NOT_RUN
