"""The paper's values as a revision of git, beside which DVC puts those measured here."""

import json
import shutil

import pytest

from records.errors import UserError
from tests.workflow.conftest import ROOT, write_params
from tests.workflow.dvc_case import commit, dvc, git
from workflow.cli import run
from workflow.paper_revision import make_paper_revision
from workflow.settings import load_plan

NUMBERS = "metrics/digits/retrain/table3.json"
MEASURED = {
    "t3_cond.fid": 4.8,
    "t3_cond-seed1.fid": 5.0,
    "t3_cond.other": 1.0,
    "gone.fid": 1.0,
    "claim.t3_x.effect": 0.03,
    "claim.t3_x.verdict": 1,
}
CLAIM = {
    "id": "t3_x",
    "verdict": "supported",
    "deciding": 0,
    "comparisons": [{"published_effect": 0.13}],
}


@pytest.fixture
def clone(tmp_path, monkeypatch):
    """A clone with measured numbers of two tables, one of which prints differences."""
    folder = tmp_path / "project"
    for name, content in (
        (NUMBERS, MEASURED),
        ("metrics/digits/retrain/table1.json", {"t1_heads-700K.fid": 20.0}),
        ("results/digits/report/table3.json", {"claims": [CLAIM]}),
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(json.dumps(content))
    for name in ("dvc.yaml", "params/run.yaml", ".gitignore", ".dvc/config", ".dvc/.gitignore"):
        (folder / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    git(folder, "init", "--quiet", "--initial-branch", "master")
    commit(folder)
    monkeypatch.chdir(folder)
    return folder


def test_the_revision_has_what_the_paper_prints_and_touches_nothing(clone):
    (clone / "staged").write_text("staged")
    git(clone, "add", "staged")
    (clone / NUMBERS).write_text(json.dumps({**MEASURED, "t3_uncond.fid": 10.0}))
    before = git(clone, "status", "--porcelain")
    made = make_paper_revision(load_plan({}))
    assert git(clone, "status", "--porcelain") == before and len(before.splitlines()) == 2
    assert git(clone, "rev-parse", "paper") == made
    assert git(clone, "rev-parse", "paper~1") == git(clone, "rev-parse", "HEAD")
    printed = json.loads(git(clone, "show", f"paper:{NUMBERS}"))
    assert printed == {
        "t3_cond.fid": 10.94,
        "t3_cond-seed1.fid": 10.94,
        "t3_uncond.fid": 26.21,
        "claim.t3_x.effect": 0.13,
    }
    assert json.loads(git(clone, "show", "paper:metrics/digits/retrain/table1.json")) == {}
    assert git(clone, "diff", "--name-only", "HEAD", "paper").split() == [
        "metrics/digits/retrain/table1.json",
        NUMBERS,
    ]
    assert make_paper_revision(load_plan({})) == made  # the same commit again


def test_the_run_named_in_params_is_compared(clone):
    run(["paper"])
    assert "t3_cond.fid" in git(clone, "show", f"paper:{NUMBERS}")
    write_params(clone / "params", run={"scale": "paper", "source": "rescore"})
    with pytest.raises(UserError, match="metrics/paper/rescore: no numbers to compare"):
        run(["paper"])
    run(["paper", "--scale", "digits", "--source", "retrain"])


def test_a_branch_of_the_users_is_left_alone(clone):
    made = make_paper_revision(load_plan({}))
    git(clone, "switch", "--quiet", "paper")
    words = f"branch paper: checked out in {clone}, so it cannot be replaced; go to another branch"
    with pytest.raises(UserError, match=words):
        make_paper_revision(load_plan({}))
    git(clone, "commit", "--quiet", "--amend", "--message", "a person's words")
    for branch in ("paper", "master"):
        git(clone, "switch", "--quiet", branch)
        with pytest.raises(UserError, match=r"branch paper: .* \(git branch -m paper NAME\)$"):
            make_paper_revision(load_plan({}))
    git(clone, "branch", "-m", "paper", "mine")
    assert make_paper_revision(load_plan({})) == made
    assert git(clone, "log", "-1", "--format=%s", "mine") == "a person's words"


@pytest.mark.slow
def test_dvc_puts_both_side_by_side(clone):
    pytest.importorskip("dvc")
    make_paper_revision(load_plan({}))
    lines = dvc(clone, "metrics", "diff", "paper", "--targets", NUMBERS).splitlines()
    rows = {words[1]: words[2:] for line in lines[1:] if (words := line.split())}
    assert rows["t3_cond.fid"] == ["10.94", "4.8", "-6.14"]
    assert rows["claim.t3_x.effect"] == ["0.13", "0.03", "-0.1"]
    assert rows["claim.t3_x.verdict"] == ["-", "1", "-"]


def test_what_is_missing_is_told(clone):
    shutil.rmtree(clone / ".git")
    with pytest.raises(UserError, match=r"git for-each-ref: .*; run this in a git clone"):
        make_paper_revision(load_plan({}))
    shutil.rmtree(clone / "metrics")
    with pytest.raises(UserError, match="metrics/digits/retrain: no numbers to compare; run"):
        make_paper_revision(load_plan({}))
