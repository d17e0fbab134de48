"""Whether a number is the published one, by source."""

import json

import pytest

from records.errors import UserError
from reports.agreement import judge_agreement
from reports.render import render_table
from specs.page import Agreement
from tests.reports.conftest import evaluate, read_page

COMPARED = Agreement(reference_images=1000)


@pytest.mark.parametrize(
    ("source", "metric", "value", "published", "verdict"),
    [
        ("rescore", "fid", (4.5949, 0.1), 4.59, "agrees"),
        ("rescore", "fid", (4.5851, 0.1), 4.59, "agrees"),
        ("rescore", "fid", (4.596, 0.1), 4.59, "differs"),
        ("rescore", "precision", (0.685, None), 0.69, "agrees"),
        ("resample", "fid", (4.7, 0.05), 4.59, "agrees"),
        ("resample", "fid", (4.735, 0.05), 4.59, "agrees"),
        ("resample", "fid", (4.745, 0.05), 4.59, "differs"),
        ("resample", "precision", (0.68, 0.01), 0.69, "agrees"),
        ("resample", "precision", (0.66, 0.01), 0.69, "differs"),
        ("retrain", "fid", (4.72, None), 4.59, "agrees"),
        ("retrain", "fid", (4.73, None), 4.59, "differs"),
        ("retrain", "fid", (4.45, None), 4.59, "differs"),
    ],
)
def test_each_source_has_its_rule(make_metrics, source, metric, value, published, verdict):
    content = make_metrics(**{metric: value})
    assert judge_agreement(COMPARED, source, content, metric, published)["verdict"] == verdict


def test_without_an_interval_new_samples_cannot_be_judged(make_metrics):
    found = judge_agreement(COMPARED, "resample", make_metrics(fid=(4.6, None)), "fid", 4.59)
    assert found == {"verdict": None, "words": "no interval"}


def test_few_reference_images_make_precision_and_recall_no_verdict(make_metrics):
    content = make_metrics(precision=0.8, fid=4.59, num_reference=1000)
    agreement = Agreement(reference_images=10_000)
    found = judge_agreement(agreement, "rescore", content, "precision", 0.8)
    assert found == {"verdict": None, "words": "1,000 reference images"}
    assert judge_agreement(agreement, "rescore", content, "fid", 4.59)["verdict"] == "agrees"


def test_like_is_compared_with_like(make_metrics):
    """Published precision and recall are of float16 distances, which move both by up to 0.02."""
    for distances, found in (
        ("exact", {"verdict": None, "words": "exact distances"}),
        ("float16", {"verdict": "differs", "words": ""}),
    ):
        content = make_metrics(precision=0.794, fid=4.59)
        protocol = content.protocol.model_copy(update={"distances": distances})
        content = content.model_copy(update={"protocol": protocol})
        assert judge_agreement(COMPARED, "rescore", content, "precision", 0.81) == found
        assert judge_agreement(COMPARED, "rescore", content, "fid", 4.59)["verdict"] == "agrees"


def test_what_does_not_compare_is_not_judged(make_metrics):
    assert judge_agreement(None, "retrain", make_metrics(), "fid", 10.0) is None
    assert judge_agreement(COMPARED, "rescore", make_metrics(), "fid", None) is None
    assert judge_agreement(COMPARED, "rescore", None, "fid", 10.0) is None


def written(path, digest="d" * 64):
    return {"path": path, "digest": digest}


@pytest.fixture
def spec(project, make_spec, make_row):
    row = make_row("a", project.write_metrics("a", fid=5.001, num_reference=100))
    row["cells"]["final"]["others"] = {
        "resample": written(project.write_metrics("b", fid=(5.3, 0.01))),
        "retrain": written("not_run.json"),
    }
    absent = make_row("b", reason="no samples of this row were published")
    absent["cells"]["final"]["others"] = {
        "resample": written(project.write_metrics("c", fid=(5.02, 0.01)))
    }
    manifest = {"licence": "for all", "sha256": "abc", "num_bytes": 5, "retrieved": "2026-01-02"}
    (project.folder / "file.json").write_text(json.dumps({"format": 1, **manifest}))
    file = {"url": "https://a.example/x.npz", "licence": "for research", "sha256": None}
    return make_spec(
        [row, absent],
        source="rescore",
        agreement=COMPARED.content(),
        artefacts=[
            {**file, "used_for": ["a", "b"], "manifest": "file.json"},
            {**file, "used_for": ["c"], "manifest": "none.json"},
        ],
    )


def test_sources_stand_side_by_side(spec):
    table = evaluate(spec)
    first, second = (row["cells"][0] for row in table["groups"][0]["rows"])
    assert first["agreement"]["verdict"] == "agrees"
    assert [other["source"] for other in first["others"]] == ["resample"]
    assert first["others"][0]["agreement"]["verdict"] == "differs"
    assert (second["status"], second["measured"]) == ("not available", None)
    assert second["others"][0]["agreement"]["verdict"] == "agrees"
    assert table["agreements"] == {"agrees": 1, "differs": 0}
    page = render_table(table, [], [])
    assert '<span class="agreement agrees">agrees</span>' in page
    assert "resample <b>5.300</b></span>" in page and "<span>5.280 to 5.320</span>" in page
    assert "100 reference images" in page and "other settings" not in page
    assert "no samples of this row were published" in page


def test_a_number_of_older_settings_is_not_shown(spec, project):
    spec["rows"][0]["cells"]["final"]["others"]["resample"]["digest"] = "e" * 64
    table = evaluate(spec)
    other = table["groups"][0]["rows"][0]["cells"][0]["others"][0]
    assert (other["status"], other["measured"], other["agreement"]) == (
        "other settings", None, None,
    )  # fmt: skip
    assert (table["other_sources"], table["other_sources_left_out"]) == (["resample"], ["resample"])
    page = render_table(table, [], [])
    assert "resample: other settings" in page and "5.30" not in page
    assert "source=resample makes it again" in page


def test_published_files_are_listed_with_hash_and_licence(spec):
    table = evaluate(spec)
    assert [file["sha256"] for file in table["artefacts"]] == ["abc", None]
    page = render_table(table, [], [])
    assert "https://a.example/x.npz" in page and "for research" in page and "2026-01-02" in page
    assert "for all" in page and "not fetched yet" in page


def test_a_broken_manifest_is_named(spec, project):
    (project.folder / "file.json").write_text("[]")
    table = evaluate(spec)
    assert table["flags"][0] == (
        "file.json: not a manifest of a published file: got []; a mapping is needed; delete it and "
        "fetch again"
    )
    assert [file["retrieved"] for file in table["artefacts"]] == [None, None]


def test_an_unknown_source_cannot_be_compared(spec):
    with pytest.raises(UserError, match="source: got 'guess'"):
        read_page({**spec, "source": "guess"})
