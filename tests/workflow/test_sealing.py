"""Results handed to DVC: of what they are, and what a refusal leaves behind."""

import re
import shutil

import pytest
import yaml

from tests.workflow.dvc_case import SEALED, choose, commit, dvc, lock, make_sealed, make_second, run

pytest.importorskip("dvc")
pytestmark = pytest.mark.slow
NEW = "results/mini/retrain/{}/new/file"


@pytest.fixture(scope="module")
def sealed(tmp_path_factory):
    """A clone whose results are sealed, committed and pushed to a folder of it."""
    folder = make_sealed(tmp_path_factory.mktemp("sealed") / "project")
    dvc(folder, "push")
    return folder


@pytest.fixture
def project(sealed, tmp_path):
    """A copy of it."""
    shutil.copytree(sealed, tmp_path / "project", symlinks=True)
    return tmp_path / "project"


def seal(folder, *options, code=0, **environment):
    return run(folder, "python", "-m", "workflow", "seal", *options, code=code, **environment)


def write(path):
    path.parent.mkdir(parents=True)
    path.write_text("new")


def list_outs(path):
    return [out["path"] for out in yaml.safe_load(path.read_text())["outs"]]


def remove_all(folder):
    shutil.rmtree(folder / "results")
    shutil.rmtree(folder / "artefacts")


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (
            remove_all,
            "error: results/mini: no results yet; run some jobs first, such as `make table3`",
        ),
        (
            lambda folder: shutil.rmtree(folder / "results"),
            "error: artefacts/mini/shared.dvc: lists data, not found in results/mini; bring back "
            "what was sealed with `dvc pull artefacts/mini/shared.dvc`, or delete ",
        ),
        (
            lambda folder: shutil.rmtree(folder / ".dvc"),
            "error: DVC refused (ERROR: you are not inside of a DVC repository",
        ),
        (lock, "is making results here; wait until it has ended"),
    ],
)
def test_what_cannot_be_sealed_is_said_in_a_line(project, wrong, words):
    wrong(project)
    output = seal(project, code=2)
    assert words in output and "Traceback" not in output and len(output.splitlines()) == 1


def test_a_refusal_of_dvc_leaves_its_files_as_they_were(project):
    from zc.lockfile import LockFile

    new, kept = (project / name for name in SEALED[:2])
    new.unlink()
    before = kept.read_bytes()
    held = LockFile(str(project / ".dvc/tmp/lock"))
    try:
        # Python's warnings come before DVC's own words.
        output = seal(project, code=2, PYTHONDEVMODE="1")
    finally:
        held.close()
    assert "Unable to acquire lock" in output.splitlines()[-1]
    assert output.splitlines()[-1].startswith("error: DVC refused (ERROR: ")
    assert kept.read_bytes() == before and not new.exists()
    seal(project)
    assert kept.read_bytes() == before and new.exists()


def test_what_was_not_pulled_is_not_dropped(project):
    clone = make_second(project, project / "dvc-store")
    write(clone / NEW.format("models"))
    for name in ("shared", "retrain", "report"):
        output = seal(clone, code=2)
        assert output.startswith(f"error: artefacts/mini/{name}.dvc: lists ")
        dvc(clone, *re.search(r"`dvc (pull [^`]*)`", output)[1].split())
    seal(clone)
    assert list_outs(clone / "artefacts/mini/retrain.dvc") == ["models", "samples"]


def test_new_files_do_not_take_the_place_of_those_that_were_not_pulled(project):
    clone = make_second(project, project / "dvc-store")
    dvc(clone, "pull", *(name for name in SEALED if "retrain" not in name))
    write(clone / NEW.format("samples"))
    output = seal(clone, code=2)
    where = "results/mini/retrain/samples"
    words = f"error: artefacts/mini/retrain.dvc: lists 2 files in {where}, where 1 are now; type `"
    assert output.startswith(words)
    run(clone, "sh", "-c", re.search("`([^`]*)`", output)[1])
    seal(clone)
    files = {path.name for path in (clone / where).rglob("*") if path.is_file()}
    assert files == {"file", "samples.npz", "samples.json"}


def test_what_was_removed_on_purpose_can_be_sealed(project):
    shutil.rmtree(project / "results/mini/data")
    output = seal(project, code=2)
    (project / re.search("or delete ([^ ]+) if", output)[1]).unlink()
    assert "shared.dvc" not in seal(project)


def test_the_run_named_in_params_is_sealed_and_what_to_commit_is_named(project):
    (project / "metrics").mkdir(exist_ok=True)
    for name in ("metrics/table3.json", "dvc.lock"):
        (project / name).write_text("{}")
    assert seal(project).splitlines()[-1] == "  git add metrics dvc.lock && git commit && dvc push"
    commit(project)
    assert seal(project).splitlines()[-1] == "  dvc push"
    choose(project, "paper", "rescore")
    write(project / "results/paper/rescore/metrics/t4_64_adm.json")
    assert "git add artefacts/paper/rescore.dvc && " in seal(project)
    choose(project, "digits", "retrain")
    assert "error: results/digits: no results yet" in seal(project, code=2)
    assert "dvc push" in seal(project, "--scale", "mini")
