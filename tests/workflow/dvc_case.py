"""A clone of the project at a miniature scale, in which `dvc repro` runs for real."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import yaml

from tests.workflow.conftest import ROOT, copy_project, cut_tables, mini_scale, write_params
from workflow.run_owner import write_owner

# One or two cheap rows of each table; Tables 2 and 6 share theirs.
ROWS = {
    "table1": ["t1_heads"],
    "table2": ["t2_head_channels_64"],
    "table3": ["t3_uncond", "t3_uncond_guided_10"],
    "table4": ["t4_64_biggandeep", "t4_horse_adm_dropout"],
    "table5": ["t5_256_adm"],
    "table6": ["t6_adagn"],
}
FILES = ("dvc.yaml", ".dvcignore", ".gitignore", "constraints.txt", "pyproject.toml")
# Finished results, to seal.
RESULTS = {
    "results/mini/data/imagenet_64.zip": b"images",
    "results/mini/retrain/samples/t3_cond/samples.npz": b"samples",
    "results/mini/retrain/samples/t3_cond/samples.json": b"a manifest",
    "results/mini/report/index.html": b"a page",
}
SEALED = tuple(f"artefacts/mini/{name}.dvc" for name in ("report", "retrain", "shared"))
PERSON = ("-c", "user.name=A Person", "-c", "user.email=person@example.org")


def make_clone(folder):
    """Make a repository of the project's own files, with the miniature's parameters."""
    folder.mkdir()
    copy_project(folder)
    for name in FILES:
        shutil.copy(ROOT / name, folder)
    (folder / ".dvc").mkdir()
    for name in ("config", ".gitignore"):
        shutil.copy(ROOT / ".dvc" / name, folder / ".dvc")
    write_params(folder / "params", tables=cut_tables(ROWS), figures={})
    write_params(folder / "params" / "scales", mini=mini_scale())
    choose(folder, "mini", "retrain")
    git(folder, "init", "--quiet")
    commit(folder)
    return folder


def make_sealed(folder):
    """Make a clone whose results are sealed and committed, not pushed."""
    make_clone(folder)
    for name, content in RESULTS.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    run(folder, "python", "-m", "workflow", "seal")
    commit(folder)
    return folder


def make_second(project, url):
    """Clone a project and say where its results are."""
    clone = project.parent / "second"
    git(project.parent, "clone", "--quiet", str(project), str(clone))
    dvc(clone, "remote", "modify", "--local", "store", "url", str(url))
    return clone


def choose(folder, scale, source):
    """Say what `dvc repro` computes."""
    run = {"scale": scale, "source": source, "overrides": {}}
    write_params(folder / "params", run=run)


def change(path, edit):
    """Change the content of a YAML file in place."""
    content = yaml.safe_load(path.read_text())
    edit(content)
    path.write_text(yaml.safe_dump(content, sort_keys=False))


def lock(folder):
    """Let this process hold Snakemake's locks."""
    (folder / ".snakemake/locks").mkdir(parents=True, exist_ok=True)
    write_owner(folder / ".snakemake/locks")


def git(folder, *arguments):
    """Run git in a folder and return what it prints."""
    done = subprocess.run(
        ["git", *PERSON, *arguments],
        cwd=folder,
        env=make_environment(folder),
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout.strip()


def commit(folder):
    """Commit everything that git does not ignore; return the commit."""
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "all")
    return git(folder, "rev-parse", "HEAD")


def make_environment(folder):
    """Return variables without anybody's own settings of git, DVC and Snakemake."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("DVC_", "GIT_", "SNAKEMAKE_", "PYTHONPATH"))
    }
    settings = folder.parent / "settings"
    folders = ("DVC_SITE_CACHE_DIR", "DVC_GLOBAL_CONFIG_DIR", "DVC_SYSTEM_CONFIG_DIR")
    return {
        **kept,
        **{name: str(settings / name.lower()) for name in folders},
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_SYSTEM": os.devnull,
        "SHELL": "/bin/sh",
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
    }


def dvc(folder, *arguments, code=0, **environment):
    """Run DVC as one types it; return all that it and its stages print."""
    return run(folder, "dvc", *arguments, code=code, **environment)


def run(folder, *command, code=0, **environment):
    """Run a command in a folder; return all that it prints."""
    done = subprocess.run(
        command,
        cwd=folder,
        env={**make_environment(folder), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=500,
        check=False,
    )
    assert (done.returncode != 0) == (code != 0), done.stdout
    return done.stdout
