"""A revision `paper` of git whose metrics are the paper's, for `dvc metrics diff paper`.

It is made by git's plumbing in an index of its own, so that neither the work tree nor the user's
index is touched.
"""

import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from records.errors import UserError
from records.files import format_json, read_json
from workflow.job_events import find_published
from workflow.plan import Plan
from workflow.resolve import STAGES
from workflow.stage import read_claims

BRANCH = "paper"
EMAIL = "paper@localhost"
# Its commit is the same for the same numbers and parent, whoever makes it and when.
AUTHOR = {
    f"GIT_{who}_{what}": value
    for who in ("AUTHOR", "COMMITTER")
    for what, value in (("NAME", BRANCH), ("EMAIL", EMAIL), ("DATE", "@0 +0000"))
}


def make_paper_revision(plan: Plan) -> str:
    """Make or replace the branch `paper`.

    Args:
        plan: of the scale and source whose numbers are compared.

    Returns:
        The commit.

    Raises:
        UserError: no numbers yet, no git repository, or a branch `paper` that is the user's own or
            is checked out.
    """
    contents = {
        path: format_json(_translate(plan, read_json(path, "table's numbers"), name))
        for name in STAGES
        if os.path.exists(path := plan.layout.numbers(name))
    }
    if not contents:
        raise UserError(
            f"metrics/{plan.scale.name}/{plan.source}: no numbers to compare; run `dvc repro` first"
        )
    _check_branch()
    with tempfile.TemporaryDirectory() as folder:
        index = {"GIT_INDEX_FILE": str(Path(folder, "index"))}
        _git("read-tree", "HEAD", **index)
        for path, text in contents.items():
            blob = _git("hash-object", "-w", "--stdin", said=text)
            _git("update-index", "--add", "--cacheinfo", f"100644,{blob},{path}", **index)
        tree = _git("write-tree", **index)
    message = f"The paper's values for scale {plan.scale.name}, source {plan.source}"
    commit = _git("commit-tree", tree, "-p", "HEAD", "-m", message, **AUTHOR)
    _git("branch", "--force", BRANCH, commit)
    return commit


def _check_branch() -> None:
    """Demand that the branch can be replaced without loss.

    Raises:
        UserError: its last commit was not made here, or it is checked out.
    """
    shown = "%(authoremail)%(committeremail)%(worktreepath)"
    found = _git("for-each-ref", f"--format={shown}", f"refs/heads/{BRANCH}")
    ours = f"<{EMAIL}>" * 2
    if found and not found.startswith(ours):
        raise UserError(
            f"branch {BRANCH}: its last commit is not one of this command's, which would replace "
            f"it; give yours another name (git branch -m {BRANCH} NAME)"
        )
    if place := found.removeprefix(ours):
        raise UserError(
            f"branch {BRANCH}: checked out in {place}, so it cannot be replaced; go to another "
            "branch there (git switch NAME)"
        )


def _translate(plan: Plan, numbers: dict[str, Any], table: str) -> dict[str, float]:
    """Return what the paper prints in place of numbers; what it does not print is left out."""
    published, found = find_published(plan), dict[str, float]()
    effects = {
        f"{name}.effect": comparison["published_effect"]
        for name, _, comparison in read_claims(plan.layout.page(table, "json"))
    }
    for key in numbers:
        cell, _, metric = key.rpartition(".")
        value = published.get(plan.cells.get(cell, ""), {}).get(metric, effects.get(key))
        if value is not None:
            found[key] = value
    return found


def _git(*arguments: str, said: str | None = None, **environment: str) -> str:
    """Run a command of git and return what it prints.

    Raises:
        UserError: git is missing, or refuses.
    """
    try:
        done = subprocess.run(
            ["git", *arguments],
            input=said,
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, **environment},
        )
    except FileNotFoundError:
        raise UserError("git is not installed; the revision `paper` needs it") from None
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["no reason given"]
        raise UserError(f"git {arguments[0]}: {lines[0]}; run this in a git clone with a commit")
    return done.stdout.strip()
