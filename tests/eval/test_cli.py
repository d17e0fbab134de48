import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from eval.cli import run
from eval.metrics import registry
from eval.networks import feature_shards, features
from records.errors import UserError
from tests.eval.conftest import QUICK_SPEC

ROOT = Path(__file__).parents[2]


def test_from_digits_to_numbers(digits_zip, samples_path, tmp_path, capsys):
    """The whole way as jobs take it: network, reference, ceiling, grade."""
    spec, network = tmp_path / "spec.json", tmp_path / "net.safetensors"
    reference, out = tmp_path / "ref.npz", tmp_path / "out.json"
    spec.write_text(json.dumps({**QUICK_SPEC, "iterations": 20}))
    weights = ["--weights", str(network)]
    assert run(["network", str(digits_zip), "--spec", str(spec), "--out", str(network)]) == 0
    assert capsys.readouterr().out.startswith("Held-out accuracy: 0.")
    command = ["reference", str(digits_zip), *weights, "--num-images", "500", "--seed", "0"]
    assert run([*command, "--out", str(reference)]) == 0
    named = ["--name", "real-digits", "--digest", "abc", "--json", str(out)]
    assert run(["ceiling", str(digits_zip), *weights, *named]) == 0
    assert json.loads(out.read_text())["name"] == "real-digits"
    capsys.readouterr()
    command = [str(reference), str(samples_path), *weights, "--batch-size", "100"]
    assert run([*command, "--intervals", "--json", str(out)]) == 0
    lines = capsys.readouterr().out.splitlines()
    titles = ["Inception Score", "FID", "sFID", "Precision", "Recall"]
    assert [line.split(":")[0] for line in lines] == titles
    assert all("95 % interval" in line for line in lines)
    result = json.loads(out.read_text())
    assert (result["name"], result["digest"]) == ("noisy", None)
    assert result["counts"]["reference_precision_recall"] == 500
    assert list(result["metrics"]) == ["fid", "is", "precision", "recall", "sfid"]
    first = out.read_bytes()
    assert run([*command, "--intervals", "--json", str(out)]) == 0
    assert out.read_bytes() == first


def test_features_stay_until_the_results_are_written(
    reference_path, samples_path, network_path, tmp_path, monkeypatch
):
    """A grading that is killed behind its pass runs the network over no image again."""
    folder = tmp_path / "shards"
    monkeypatch.setattr(feature_shards, "SHARD_IMAGES", 100)
    command = [str(reference_path), str(samples_path), "--weights", str(network_path)]
    with monkeypatch.context() as patched:
        patched.setattr(registry, "compute_moments", lambda _: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            run([*command, "--metrics", "fid", "--shards", str(folder)])
    kept = sorted(path.name for path in folder.iterdir())
    assert len(kept) > 1
    with monkeypatch.context() as patched:
        patched.setattr(features, "iterate_features", refuse_images)
        run([*command, "--metrics", "fid", "--shards", str(folder)])
    assert not folder.exists()


def refuse_images(image_set, network, **options):
    assert image_set.num_images == 0
    return iter(())


@pytest.mark.parametrize(
    ("called", "shown"),
    [("/opt/bin/adm-eval", "adm-eval"), ("/work/eval/__main__.py", "python -m eval")],
)
def test_help_shows_the_name_that_the_command_was_called_by(called, shown):
    for command in ("", "ceiling", "network", "audit", "weights"):
        arguments = [called, *command.split(), "--help"]
        program = f"import sys; sys.argv = {arguments!r}; from eval.cli import run; run()"
        done = subprocess.run(
            [sys.executable, "-c", program], cwd=ROOT, check=True, capture_output=True, text=True
        )
        assert done.stdout.startswith(f"usage: {shown} {command} [-h]".replace("  ", " "))


def test_as_a_process(reference_path, samples_path, network_path):
    command = [sys.executable, "-m", "eval", str(reference_path), str(samples_path)]
    done = subprocess.run(
        [*command, "--weights", str(network_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith("Inception Score: ") and "interval" not in done.stdout
    assert done.stderr == ""


def test_a_users_error_is_one_line_and_exit_code_2(reference_path, network_path, tmp_path):
    command = [sys.executable, "-m", "eval", str(reference_path), str(tmp_path / "none.npz")]
    done = subprocess.run(
        [*command, "--weights", str(network_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.startswith("error: ") and "no such file" in done.stderr
    assert done.stderr.count("\n") == 1


def test_nothing_is_written_when_grading_fails(reference_path, network_path, tmp_path, capsys):
    (tmp_path / "bad.npz").write_bytes(b"no zip")
    command = [str(reference_path), str(tmp_path / "bad.npz"), "--weights", str(network_path)]
    assert run([*command, "--json", str(tmp_path / "out.json")]) == 2
    assert "bad.npz" in capsys.readouterr().err
    assert not (tmp_path / "out.json").exists()


def test_a_damaged_file_that_the_workflow_fetched_is_told_how_to_forget(
    reference_path, samples_path, network_path, tmp_path, capsys
):
    bad = tmp_path / "bad.npz"
    bad.write_bytes(b"x")
    bad.with_suffix(".json").write_text('{"source": "published by the authors"}')
    advice = f"`python -m workflow forget {bad}`"
    for pair in ((bad, samples_path), (reference_path, bad)):
        assert run([*map(str, pair), "--weights", str(network_path)]) == 2
        assert advice in capsys.readouterr().err
    bad.with_suffix(".json").unlink()
    assert run([str(bad), str(samples_path), "--weights", str(network_path)]) == 2
    assert "forget" not in capsys.readouterr().err


def test_a_wrong_spec_is_told(digits_zip, tmp_path, capsys):
    spec = tmp_path / "spec.json"
    spec.write_text("{}")
    command = ["network", str(digits_zip), "--spec", str(spec), "--out", str(tmp_path / "n")]
    assert run(command) == 2
    assert "network spec: has []; exactly" in capsys.readouterr().err


def test_starting_loads_neither_torch_nor_numpy():
    program = "import sys, eval.__main__; print('torch' in sys.modules, 'numpy' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout == "False False\n"


def test_metrics_are_chosen_by_name(reference_path, samples_path, network_path, capsys):
    command = [str(reference_path), str(samples_path), "--weights", str(network_path)]
    assert run([*command, "--metrics", "recall, memorised,kid"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines] == ["Recall", "Memorised", "KID"]
    assert run([*command, "--metrics", "fid,fud"]) == 2
    assert "--metrics fid,fud: 'fud' is not a metric; choose out of is, fid" in (
        capsys.readouterr().err
    )


def test_metrics_are_named_in_any_case(reference_path, samples_path, network_path, capsys):
    command = [str(reference_path), str(samples_path), "--weights", str(network_path)]
    assert run([*command, "--metrics", "FID,Recall"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines] == ["FID", "Recall"]


def test_json_goes_to_standard_output(
    reference_path, samples_path, network_path, tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.iterdir())
    command = [str(reference_path), str(samples_path), "--weights", str(network_path)]
    assert run([*command, "--metrics", "fid", "--json", "out.json"]) == 0
    capsys.readouterr()
    written = (tmp_path / "out.json").read_text()
    for path in ("out.json", "out.manifest.json"):
        (tmp_path / path).unlink(missing_ok=True)
    assert run([*command, "--metrics", "fid", "--json", "-"]) == 0
    assert capsys.readouterr().out == written
    assert run(["audit", str(samples_path), "--json", "-"]) == 0
    assert json.loads(capsys.readouterr().out)["num_images"] == 300
    assert sorted(tmp_path.iterdir()) == before


def test_the_version_is_shown():
    done = subprocess.run(
        [sys.executable, "-m", "eval", "--version"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    assert re.fullmatch(r"adm-eval \d+\.\d+\.\d+\S* \(commit .*; torch .*\)\n", done.stdout)


def test_warnings_are_told_before_the_samples_are_graded(
    reference_path, samples_path, network_path, capsys, monkeypatch
):
    def stop(*arguments, **options):
        raise UserError("stopped")

    monkeypatch.setattr("eval.grade.compute_sample_features", stop)
    command = [str(samples_path), str(reference_path), "--weights", str(network_path)]
    assert run([*command, "--metrics", "is"]) == 2
    warning, error = capsys.readouterr().err.splitlines()
    assert warning.startswith(f"warning: {reference_path}: holds statistics")
    assert error == "error: stopped"


def test_a_ceiling_takes_jpegs_where_they_are_allowed(digits, network_path, tmp_path, capsys):
    folder = tmp_path / "jpegs"
    folder.mkdir()
    for index, image in enumerate(digits[0][:40]):
        Image.fromarray(image).save(folder / f"{index:02d}.jpg")
    command = ["ceiling", str(folder), "--weights", str(network_path), "--json", "-"]
    assert run(command) == 2
    assert "or take JPEGs as they are with --allow-jpeg" in capsys.readouterr().err
    assert run([*command, "--allow-jpeg"]) == 0
    assert json.loads(capsys.readouterr().out)["counts"]["samples"] == 20


def test_a_device_that_is_not_there_is_told(reference_path, samples_path, network_path, capsys):
    pair, weights = [str(reference_path), str(samples_path)], ["--weights", str(network_path)]
    for command in (pair, ["selftest"]):
        assert run([*command, *weights, "--device", "cuda:77"]) == 2
        printed = capsys.readouterr()
        assert printed.err.startswith("error: device cuda:77: cannot be used (")
        assert printed.err.count("\n") == 1 and printed.out == ""


def test_a_small_network_runs_with_torch_alone(reference_path, samples_path, network_path, capsys):
    command = [str(reference_path), str(samples_path), "--weights", str(network_path)]
    assert run([*command, "--backend", "tensorflow"]) == 2
    assert "a small feature network runs with torch; got backend tensorflow" in (
        capsys.readouterr().err
    )


@pytest.mark.parametrize(("found", "words"), [("a" * 64, "spec aaaaaaaaaaaa"), (None, "no manif")])
def test_samples_of_another_spec_are_refused(
    reference_path, samples_path, network_path, capsys, found, words
):
    beside = Path(samples_path).with_suffix(".json")
    beside.write_text(json.dumps({"digest": found}))
    command = [str(reference_path), str(samples_path), "--weights", str(network_path)]
    assert run([*command, "--metrics", "fid", "--samples-digest", "b" * 64]) == 2
    told = capsys.readouterr()
    assert words in told.err and "bbbbbbbbbbbb is needed: draw the samples again" in told.err
    assert "FID" not in told.out
    beside.write_text(json.dumps({"digest": "b" * 64}))
    assert run([*command, "--metrics", "fid", "--samples-digest", "b" * 64]) == 0


def test_a_reference_is_an_npz(digits_zip, network_path, capsys):
    command = ["reference", str(digits_zip), "--weights", str(network_path)]
    assert run([*command, "--out", "ref.zip"]) == 2
    assert "--out ref.zip: a reference batch is an .npz" in capsys.readouterr().err


def test_an_audit_is_printed_and_written(samples_path, tmp_path, capsys):
    assert run(["audit", str(samples_path), "--json", str(tmp_path / "a.json")]) == 0
    assert "300" in capsys.readouterr().out
    assert json.loads((tmp_path / "a.json").read_text())["odd"]


def test_a_self_test_takes_a_backend_and_no_seed(network_path, capsys):
    command = ["selftest", "--weights", str(network_path)]
    with pytest.raises(SystemExit, match="2"):
        run([*command, "--seed", "1"])
    assert "unrecognized arguments: --seed 1" in capsys.readouterr().err
    assert run([*command, "--backend", "tensorflow"]) == 1
    assert "runs with torch; got backend tensorflow" in capsys.readouterr().out


@pytest.fixture
def no_network(tmp_path, monkeypatch):
    """No graph in the cache, and none available: whoever asks for it is refused."""
    monkeypatch.delenv("ADM_INCEPTION", raising=False)
    monkeypatch.setenv("ADM_OFFLINE", "1")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (["{ref}", "{samples}", "--metrics", "fud"], "--metrics fud: 'fud' is not a metric"),
        (["gone.npz", "{samples}"], "gone.npz: no such file or folder; needed is one of"),
        (["{ref}", "gone.npz"], "gone.npz: no such file or folder; needed is one of"),
        (["{ref}", "{samples}", "--json", "{folder}"], "choose another name: a folder has this"),
        (["{ref}", "{samples}", "--json", "{folder}/" + 250 * "x"], "choose a shorter name"),
        (["{ref}", "{samples}", "--json", "{samples}"], "is an input of the same command"),
        (["{ref}", "{samples}", "--json", "{folder}/noisy.json"], "is where the manifest of "),
        (
            ["ceiling", "{samples}", "--json", "{samples}/a"],
            "choose another place: there is a file",
        ),
        (["ceiling", "{samples}", "--json", "{folder}/noisy.json"], "is where the manifest of "),
        (["ceiling", "gone.zip", "--json", "{folder}/a"], "gone.zip: no such file or folder"),
        (["ceiling", "{samples}", "--json", "{folder}/a", "--metrics", ""], "'' is not a metric"),
        (["reference", "{samples}", "--out", "{samples}"], "is an input of the same command"),
        (
            ["reference", "{samples}", "--out", "{samples}/a.npz"],
            "choose another place: there is a file",
        ),
        (["reference", "gone", "--out", "{folder}/a.npz"], "gone: no such file or folder"),
        (["network", "gone", "--spec", "s", "--out", "{folder}/a"], "gone: no such file or folder"),
        (
            ["network", "{samples}", "--spec", "s", "--out", "{folder}"],
            "choose another name: a fol",
        ),
        (["weights", "--out", "{samples}/a.pb"], "choose another place: there is a file where"),
        (["audit", "{samples}", "--json", "{samples}"], "is an input of the same command"),
        (["audit", "{samples}", "--json", "{folder}/noisy.json"], "is where the manifest of "),
        (["audit", "{samples}", "--json", "{folder}"], "choose another name: a folder has this"),
        (["{ref}", "{samples}", "--json", "{folder}/a"], "ADM_OFFLINE is set, so nothing is down"),
    ],
)
def test_what_is_given_is_checked_before_the_network_is_fetched(
    reference_path, samples_path, no_network, tmp_path, capsys, command, words
):
    """The last case shows that fetching is what comes next."""
    kept = {path: path.read_bytes() for path in tmp_path.iterdir()}
    places = {"ref": reference_path, "samples": samples_path, "folder": tmp_path}
    assert run([part.format(**places) for part in command]) == 2
    printed = capsys.readouterr()
    assert printed.err.startswith("error: ") and printed.err.count("\n") == 1
    assert words in printed.err and printed.out == ""
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == kept


def test_numbers_are_printed_even_when_they_cannot_be_written(
    reference_path, samples_path, network_path, tmp_path, capsys, monkeypatch
):
    """The disk fills up while the samples are graded."""

    def refuse(path, result):
        raise UserError(f"{path}: cannot be written")

    monkeypatch.setattr("eval.cli.write_json", refuse)
    monkeypatch.setattr("eval.result.write_json", refuse)
    command = [str(reference_path), str(samples_path), "--weights", str(network_path)]
    out = ["--json", str(tmp_path / "out.json")]
    assert run([*command, "--metrics", "is", *out]) == 2
    printed = capsys.readouterr()
    assert printed.out.startswith("Inception Score: ") and "cannot be written" in printed.err
    assert run(["audit", str(samples_path), *out]) == 2
    printed = capsys.readouterr()
    assert printed.out.startswith("file: ") and "cannot be written" in printed.err
