import importlib.util
from dataclasses import replace

import numpy as np
import pytest

from eval.grade import grade
from eval.networks.feature_network import INCEPTION_NAME
from eval.networks.weights import INCEPTION_SHA256
from eval.selftest import Check, format_checks, run_selftest
from eval.selftest_metrics import DATA, FEATURE_SETS
from eval.selftest_network import KNOWN, NotCheckedError, check_backends, check_known_result

METRICS_ALONE = ("stored features", "batch against itself", "wrong pair")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.delenv("ADM_INCEPTION", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "adm-tables"


def run(**options):
    """Outcome and words of each check."""
    return {check.name: (check.outcome, check.words) for check in run_selftest(**options)}


def test_the_stored_data_are_the_authors(metrics_reference):
    assert DATA.stat().st_size < 150_000
    with np.load(DATA, allow_pickle=False) as stored:
        for name in FEATURE_SETS:
            for part in ("reference", "samples"):
                kept = stored[f"{name}.{part}"]
                np.testing.assert_array_equal(kept, metrics_reference.arrays[f"{name}.{part}"])
            results = metrics_reference.results[name]
            for metric in ("fid", "precision_exact", "recall_exact", "precision_reference"):
                assert stored[f"{name}.{metric}"] == results[metric]
        softmax = metrics_reference.arrays["inception_score.softmax"]
        np.testing.assert_array_equal(stored["inception_score.softmax"], softmax)
        scores = metrics_reference.results["inception_score"]["scores"]
        for split_size in ("5000", "100"):
            assert stored[f"inception_score.{split_size}"] == scores[split_size]["reference"]


def test_without_a_network_the_metrics_are_checked_and_the_rest_says_why_not(cache):
    checks = run_selftest()
    outcomes = {check.name: check.outcome for check in checks}
    assert {name for name, outcome in outcomes.items() if outcome == "passed"} == {*METRICS_ALONE}
    assert set(outcomes.values()) == {"passed", "not checked"}
    words = next(check.words for check in checks if check.name == "feature network")
    assert words.startswith(f"{cache}/classify_image_graph_def.pb is not there; any grading with")
    assert "https://openaipublic.blob.core.windows.net/" in words and "give --weights" in words
    assert format_checks(checks).splitlines()[-1] == (
        "selftest: 3 passed, 0 failed, 5 not checked; all that ran passed"
    )


def test_a_small_network_is_checked_as_far_as_it_can_be(network_path):
    found = run(weights=network_path)
    passed = {*METRICS_ALONE, "feature network", "batch sizes", "images against themselves"}
    assert {name for name, (outcome, _) in found.items() if outcome == "passed"} == passed
    assert "runs with torch alone" in found["torch against tensorflow"][1]
    assert "known for the published Inception, not" in found["known result"][1]
    assert "precision 1, recall 1" in found["images against themselves"][1]


def test_a_named_network_that_is_missing_or_wrong_is_a_failure(tmp_path):
    outcome, words = run(weights=tmp_path / "gone.pb")["feature network"]
    assert outcome == "failed" and "gone.pb: no such file" in words
    (tmp_path / "other.pb").write_bytes(b"other")
    outcome, words = run(weights=tmp_path / "other.pb")["feature network"]
    assert outcome == "failed" and INCEPTION_SHA256 in words


# ---- sabotage ---------------------------------------------------------------------------------


def test_a_distance_that_is_slightly_wrong_fails(monkeypatch):
    from eval.metrics.fid import compute_frechet_distance

    monkeypatch.setattr(
        "eval.selftest_metrics.compute_frechet_distance",
        lambda *moments: compute_frechet_distance(*moments) * (1 + 2e-6),
    )
    outcome, words = run()["stored features"]
    assert outcome == "failed"
    assert words == "dead_dims: fid is 1.10665402, needed is 1.10665167 within 1e-06"


@pytest.mark.parametrize("constant", [0.0, 1.1066516678213807, float("nan")])
def test_a_distance_that_answers_the_same_to_everything_fails(monkeypatch, constant):
    monkeypatch.setattr("eval.selftest_metrics.compute_frechet_distance", lambda *_: constant)
    checks = run_selftest()
    assert any(check.outcome == "failed" for check in checks)
    assert format_checks(checks).endswith("find out why before this machine's numbers are trusted")


def test_a_checker_that_accepts_everything_fails(monkeypatch):
    monkeypatch.setattr("eval.selftest_metrics.demand", lambda *_, **__: "fine")
    outcome, words = run()["wrong pair"]
    assert outcome == "failed"
    assert "another batch in the place of itself was accepted (fine); the checks above" in words


def test_neighbours_that_count_themselves_twice_fail(monkeypatch):
    from eval.metrics.precision_recall import compute_precision_recall

    monkeypatch.setattr(
        "eval.selftest_metrics.compute_precision_recall",
        lambda reference, samples, **options: compute_precision_recall(
            reference, samples, 2, **options
        ),
    )
    assert run()["stored features"][0] == "failed"


def test_a_library_that_breaks_is_a_failure_with_its_words(monkeypatch):
    def broken(*_):
        raise RuntimeError("no BLAS here")

    monkeypatch.setattr("eval.selftest_metrics.compute_moments", broken)
    assert run()["batch against itself"] == ("failed", "RuntimeError: no BLAS here")


def test_a_network_that_depends_on_the_batch_fails(network, monkeypatch):
    def run_by_batch(images):
        return tuple(output * (1 + 0.001 * len(images)) for output in network.run(images))

    bad = replace(network, run=run_by_batch)
    monkeypatch.setattr("eval.selftest_network.load_network", lambda *_, **__: bad)
    found = run(weights="any.safetensors")
    assert found["batch sizes"][0] == found["images against themselves"][0] == "failed"
    assert "pool is 0.0069, needed is 0 within 0.0001" in found["batch sizes"][1]
    assert (
        "sum of softmax is 1.00800011, needed is 1 within" in found["images against themselves"][1]
    )


# ---- the known result --------------------------------------------------------------------------


def test_the_known_result_says_what_is_missing(network, cache, tmp_path):
    published = replace(network, sha256=INCEPTION_SHA256)
    with pytest.raises(NotCheckedError, match=r"256_labeled\.npz is not there; get "):
        check_known_result(published, None, None, "cpu", 64)
    cache.mkdir(parents=True)
    (cache / "VIRTUAL_imagenet256_labeled.npz").touch()
    with pytest.raises(NotCheckedError, match="put it there or give --samples PATH"):
        check_known_result(published, None, None, "cpu", 64)


def test_the_known_result_is_graded_and_compared(network, digits_zip, samples_path, monkeypatch):
    """The published files are not at hand: digits and their own result stand for them."""
    found = grade(digits_zip, samples_path, network, name="x", half_distances=True)
    values = {name: found.values[name] for name in KNOWN}
    published = replace(network, sha256=INCEPTION_SHA256)
    files = (digits_zip, samples_path, "cpu", 64)
    with pytest.raises(Exception, match=r"is .*, needed is 215\.837 within .*needed is 3\.942557"):
        check_known_result(published, *files)
    tolerances = {name: (values[name] + KNOWN[name][1] / 2, KNOWN[name][1]) for name in KNOWN}
    monkeypatch.setattr("eval.selftest_network.KNOWN", tolerances)
    assert check_known_result(published, *files).startswith(f"is {values['is']:.7g}, fid ")


# ---- Inception ---------------------------------------------------------------------------------


def test_tensorflow_is_said_to_be_missing(network, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(NotCheckedError, match="tensorflow is not installed; it is needed for this"):
        check_backends(replace(network, name=INCEPTION_NAME), None)


@pytest.mark.slow
def test_both_backends_of_a_graph_with_other_weights_agree(tmp_path):
    from tests.eval.inception_graph import write_graph

    if importlib.util.find_spec("tensorflow") is None:
        pytest.skip("tensorflow is not installed")
    found = run(weights=write_graph(tmp_path / "graph.pb"), any_weights=True)
    passed = {*METRICS_ALONE, "batch sizes", "images against themselves"}
    passed.add("torch against tensorflow")
    assert {name for name, (outcome, _) in found.items() if outcome == "passed"} == passed, found
    assert "taken because of --any-weights" in found["feature network"][1]


@pytest.mark.slow
def test_tensorflow_can_be_what_is_checked(tmp_path, monkeypatch):
    """The backend that is asked for runs the checks; the other is what it is compared with."""
    from eval.networks.load import load_network
    from tests.eval.inception_graph import write_graph

    if importlib.util.find_spec("tensorflow") is None:
        pytest.skip("tensorflow is not installed")
    loaded = []

    def load_and_note(*args, **options):
        loaded.append(options["backend"])
        return load_network(*args, **options)

    monkeypatch.setattr("eval.selftest_network.load_network", load_and_note)
    path = write_graph(tmp_path / "graph.pb")
    found = run(weights=path, any_weights=True, backend="tensorflow")
    assert found["torch against tensorflow"][0] == "passed", found
    assert loaded == ["tensorflow", "torch"]


def test_a_backend_that_the_network_lacks_is_a_failure(network_path):
    outcome, words = run(weights=network_path, backend="tensorflow")["feature network"]
    assert outcome == "failed" and "runs with torch; got backend tensorflow" in words


def test_lines_are_aligned():
    text = format_checks([Check("a", "passed", "1"), Check("long", "not checked", "2")])
    assert text.splitlines()[:2] == ["passed       a     1", "not checked  long  2"]
