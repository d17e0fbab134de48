"""Which commit made a number, and whether the code was that commit's."""

import os
import subprocess
from pathlib import Path

import pytest

from records import provenance
from records.provenance import describe_checkout

NO_SETTINGS = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
PERSON = ("-c", "user.name=A Person", "-c", "user.email=person@example.org")


def git(folder, *arguments):
    """Run git in a folder and return what it prints."""
    done = subprocess.run(
        ["git", *PERSON, *arguments],
        cwd=folder,
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, **NO_SETTINGS},
    )
    return done.stdout.strip()


@pytest.fixture
def checkout(tmp_path):
    """A committed checkout with a tag, and its commit."""
    files = ["adm/training/loop.py", "params/tables.yaml", "Snakefile", "README.md", "dvc.lock"]
    files += ["metrics/digits/retrain/table3.json", "tests/test_training.py"]
    for name in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("one\n")
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", "--all")
    git(tmp_path, "commit", "--quiet", "--message", "all")
    git(tmp_path, "tag", "--annotate", "v1", "--message", "first")
    return tmp_path, git(tmp_path, "rev-parse", "HEAD")


def test_a_clean_checkout_is_its_commit_whatever_its_tags_are(checkout):
    root, commit = checkout
    assert len(commit) == 40
    assert describe_checkout(root) == commit


@pytest.mark.parametrize(
    "name",
    ["dvc.lock", "metrics/digits/retrain/table3.json", "README.md", "tests/test_training.py"],
)
def test_what_stages_write_and_people_read_makes_no_commit_dirty(checkout, name):
    root, commit = checkout
    (root / name).write_text("two\n")
    assert describe_checkout(root) == commit


def test_neither_new_times_nor_untracked_files_make_it_dirty(checkout):
    root, commit = checkout
    os.utime(root / "adm/training/loop.py", (1, 1))
    (root / "adm/notes.txt").write_text("new\n")
    assert describe_checkout(root) == commit


@pytest.mark.parametrize("name", ["adm/training/loop.py", "params/tables.yaml", "Snakefile"])
def test_a_changed_file_that_decides_numbers_makes_it_dirty(checkout, name):
    root, commit = checkout
    (root / name).write_text("two\n")
    assert describe_checkout(root) == f"{commit}-dirty"
    git(root, "add", "--all")
    assert describe_checkout(root) == f"{commit}-dirty"
    git(root, "commit", "--quiet", "--message", "changed")
    assert describe_checkout(root) == git(root, "rev-parse", "HEAD") != commit
    (root / name).unlink()
    assert describe_checkout(root).endswith("-dirty")


def test_without_commit_or_git_the_commit_is_unknown(checkout, tmp_path_factory, monkeypatch):
    empty = tmp_path_factory.mktemp("empty")
    assert describe_checkout(empty) == "unknown"
    git(empty, "init", "--quiet")
    assert describe_checkout(empty) == "unknown"
    monkeypatch.setenv("PATH", str(empty))
    assert describe_checkout(checkout[0]) == "unknown"


def test_all_that_decides_numbers_is_there():
    root = Path(provenance.__file__).resolve().parents[1]
    assert [name for name in provenance.DECIDING if not (root / name).exists()] == []
