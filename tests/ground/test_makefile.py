"""What `make` does, with stand-ins for Python, pip and nvidia-smi: nothing is installed."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PINNED = re.search(r"^torch==(\S+)$", (ROOT / "constraints.txt").read_text(), re.M)[1]
TARGETS = ["help", "env", "constraints", "reproduce", "decide", "table1 .. table6", "figures"]
TARGETS += [
    "site",
    "pdf",
    "reviewer",
    "crate",
    "screenshots",
    "ui",
    "bench",
    "bench-eval",
    "test",
    "test-all",
    "check",
    "format",
    "clean",
    "clean-results",
]

EVERYTHING = ".[crate,dev,s3,tensorflow,tracking,versioning]"

# Stands for a Python: makes a "venv" that holds itself, writes down what pip is asked to do, and
# reports a wheel. OFFLINE=1: PyTorch's own index cannot be reached. CUDA=1: the wheel needs CUDA.
FAKE_PYTHON = r"""#!/usr/bin/env bash
set -u
printf '%s\n' "$*" | head -n 1 >> "$CALLS"
case "$*" in
    *"version_info[:2]"*) echo "${FAKE_VERSION:-3.11}" ;;
    "-m venv"*) mkdir -p "$3/bin" && cp "$0" "$3/bin/python" ;;
    *"pip "*--version) [[ $0 == */bin/python ]] ;;
    *download_info*) exec "$REAL_PYTHON" "$@" ;;
    *torch.__version__*) exit 1 ;;
    *--dry-run*)
        [[ ${OFFLINE:-} && $* == *--index-url* ]] && exit 1
        [[ ${NOWHERE:-} ]] && exit 1
        while [ "$1" != --report ]; do shift; done
        needs=$([[ ${CUDA:-} ]] && echo '"nvidia-cudnn-cu13"')
        echo '{"install": [{"download_info": {"url": "file://'"$WHEEL"'"},' \
            '"metadata": {"requires_dist": ['"$needs"']}}]}' > "$2" ;;
esac
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with the Makefile and what it reads, and stand-ins for the programs it calls."""
    folder = tmp_path / "project"
    (folder / "bin").mkdir(parents=True)
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, folder)
    fake = folder / "bin/python3.11"
    fake.write_text(FAKE_PYTHON)
    fake.chmod(0o755)
    wheel = folder / f"torch-{PINNED}+cpu-cp311.whl"
    wheel.write_bytes(bytes(3_000_000))
    return folder


def make(project: Path, *args: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run make there, with only the stand-ins and the system's basic tools within reach."""
    inherited = {"MAKEFLAGS", "MFLAGS", "MAKELEVEL", "VENV", "TORCH", "PYTHON", "ARGS", "CORES"}
    environment = {key: value for key, value in os.environ.items() if key not in inherited}
    environment |= {
        "PATH": f"{project / 'bin'}:/usr/bin:/bin",
        "CALLS": str(project / "calls"),
        "WHEEL": str(project / f"torch-{PINNED}+cpu-cp311.whl"),
        "REAL_PYTHON": shutil.which("python3") or "python3",
        **variables,
    }
    return subprocess.run(
        ["make", *args], cwd=project, env=environment, capture_output=True, text=True
    )


def pip_calls(project: Path) -> list[str]:
    calls = (project / "calls").read_text().splitlines()
    return [call.split("pip-version-check ")[1] for call in calls if "pip-version-check " in call]


def add_nvidia_smi(project: Path, status: int) -> None:
    (project / "bin/nvidia-smi").write_text(f"#!/bin/sh\nexit {status}\n")
    (project / "bin/nvidia-smi").chmod(0o755)


def test_make_alone_lists_every_target(project: Path) -> None:
    listed = make(project).stdout
    for target in TARGETS:
        assert re.search(rf"^  {re.escape(target)} +\S", listed, re.M), target
    phony = re.findall(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.M)
    assert len(phony) == len(TARGETS), "a target is missing here or in the list of `make help`"


def test_env_makes_a_venv_and_installs_torch_before_the_rest(project: Path) -> None:
    done = make(project, "env", "TORCH=cpu")
    assert done.returncode == 0, done.stderr
    assert f"torch-{PINNED}+cpu-cp311.whl, 3 MB" in done.stderr
    installs = [call for call in pip_calls(project) if call.startswith("install")]
    assert installs[-2].startswith(
        f"install --no-compile --no-deps --force-reinstall --no-index --find-links=file://{project}"
    )
    assert installs[-2].endswith(f" torch=={PINNED}")
    assert installs[-1] == f"install --no-compile -c constraints.txt -e {EVERYTHING}"
    assert not (project / ".venv/torch.json").exists()


def test_env_is_made_once_whatever_the_dates_of_its_files(project: Path) -> None:
    assert make(project, "env").returncode == 0
    (project / "pyproject.toml").touch()
    again = make(project, "env")
    assert "Nothing to be done" in again.stdout

    with (project / "constraints.txt").open("a") as file:
        file.write("zzz==1\n")
    assert "is ready" in make(project, "env").stdout
    assert len(list((project / ".venv").glob(".installed-*"))) == 1


def test_tables_install_only_what_they_use(project: Path) -> None:
    snakemake = project / ".venv/bin/snakemake"
    snakemake.parent.mkdir(parents=True)
    snakemake.write_text("#!/bin/sh\n")
    snakemake.chmod(0o755)
    done = make(project, "table3", "TORCH=cpu")
    assert done.returncode == 0, done.stderr
    assert pip_calls(project)[-1] == "install --no-compile -c constraints.txt -e ."
    assert "about 150 MB" in done.stdout
    installs = len(pip_calls(project))
    assert make(project, "table4").returncode == 0 and len(pip_calls(project)) == installs

    done = make(project, "env")
    assert "about 600 MB" in done.stdout
    assert pip_calls(project)[-1].endswith(f" -e {EVERYTHING}")
    installs = len(pip_calls(project))
    assert make(project, "table3", "env").returncode == 0 and len(pip_calls(project)) == installs
    assert len(list((project / ".venv").glob(".installed-*"))) == 1


def test_what_is_installed_is_compiled(project: Path) -> None:
    assert make(project, "env").returncode == 0
    calls = (project / "calls").read_text().splitlines()
    assert any(call.startswith("-m compileall -q -j 0 ") for call in calls)


def test_cpu_build_is_sought_at_pytorch_and_then_where_pip_looks(project: Path) -> None:
    make(project, "env", "TORCH=cpu")
    asked = [call for call in pip_calls(project) if "--dry-run" in call]
    assert len(asked) == 1 and "--index-url=https://download.pytorch.org/whl/cpu" in asked[0]
    shutil.rmtree(project / ".venv")
    (project / "calls").unlink()

    done = make(project, "env", "TORCH=cpu", OFFLINE="1", CUDA="1")
    asked = [call for call in pip_calls(project) if "--dry-run" in call]
    assert done.returncode == 0 and len(asked) == 2 and "--index-url" not in asked[1]
    assert "about 3 GB in all (the CPU build cannot be reached from here)" in done.stderr


def test_torch_that_is_nowhere_to_be_had_is_one_clear_error(project: Path) -> None:
    done = make(project, "env", "TORCH=cpu", NOWHERE="1")
    assert done.returncode != 0
    assert (
        f"error: torch=={PINNED} could not be downloaded from https://download.pytorch.org"
        in done.stderr
    )
    assert "make env TORCH_INDEX=URL" in done.stderr
    assert not any(" -c constraints.txt" in call for call in pip_calls(project))


@pytest.mark.parametrize(("status", "build"), [(0, "cuda"), (9, "cpu")])
def test_nvidia_smi_decides_the_build_of_a_new_environment(
    project: Path, status: int, build: str
) -> None:
    add_nvidia_smi(project, status)
    assert make(project, "env").returncode == 0
    assert list((project / ".venv").glob(f".installed-{build}-*"))
    add_nvidia_smi(project, 9 - status)  # a node with, or without, a GPU shares the folder
    assert "Nothing to be done" in make(project, "env").stdout


def test_a_misspelt_build_is_refused(project: Path) -> None:
    done = make(project, "env", "TORCH=gpu")
    assert done.returncode != 0
    assert "TORCH is 'gpu'; give TORCH=cpu or TORCH=cuda" in done.stderr


@pytest.mark.parametrize(
    ("python", "version", "words"),
    [
        ("python3.11", "3.9", "error: 'python3.11' is Python 3.9, needed is 3.11 or newer"),
        ("python9", "3.11", "error: 'python9' does not run; name a Python 3.11 or newer"),
        ("", "3.11", "error: found no Python 3.11 or newer (tried python3.11"),
    ],
)
def test_a_python_that_will_not_do_is_one_clear_error(
    project: Path, python: str, version: str, words: str
) -> None:
    done = make(project, "env", f"PYTHON={python}", FAKE_VERSION=version)
    assert done.returncode != 0
    assert words in done.stderr and "make PYTHON=/path/to/python3.11" in done.stderr
    assert not (project / ".venv").exists()


OPTIONS = "--rerun-incomplete --show-failed-logs --max-jobs-per-timespan 500/5s"
SNAKEMAKE = f".venv/bin/snakemake --cores 2 {OPTIONS}"


@pytest.mark.parametrize(
    ("target", "command"),
    [
        ("reproduce", f"{SNAKEMAKE} --dry-run -- reproduce_all"),
        ("decide", f"{SNAKEMAKE} --dry-run --config scale=decide -- reproduce_all"),
        ("table3", f"{SNAKEMAKE} --dry-run -- reproduce_table3"),
        ("figures", f"{SNAKEMAKE} --dry-run -- reproduce_figures"),
        ("bench", ".venv/bin/python -m bench.speed --dry-run"),
        ("test", "OMP_NUM_THREADS=1 .venv/bin/python -m pytest -n 2 --dist loadfile --dry-run"),
        ("test-all", 'python -m pytest -n 2 --dist loadfile -m "not gpu" --durations=25 --dry-run'),
        ("check", ".venv/bin/pre-commit run --all-files"),
    ],
)
def test_targets_call_what_they_say(project: Path, target: str, command: str) -> None:
    done = make(project, "-n", target, "CORES=2", "ARGS=--dry-run")
    assert command in done.stdout, done.stderr
    assert "pip install" not in done.stdout or "is ready" in done.stdout


def test_bench_eval_runs_every_bench_of_the_evaluator(project: Path) -> None:
    done = make(project, "-n", "bench-eval")
    run = re.findall(r"^\.venv/bin/python -m bench\.(\w+)$", done.stdout, re.M)
    benches = {
        path.stem
        for path in (ROOT / "bench").glob("*.py")
        if re.search(r'^\s*from eval[. ]|"-m", "eval"', path.read_text(), re.M)
    }
    benches.remove("coverage")  # needs batches of a run
    assert len(run) == len(set(run)) and set(run) == benches


def test_reproduce_ends_with_the_report_wall_time_and_cpu_time(project: Path) -> None:
    last = make(project, "-n", "reproduce").stdout.splitlines()[-2:]
    assert last[0] == ".venv/bin/python -m workflow summary"
    assert "wall time" in last[1]


def test_decide_takes_over_what_the_embedded_scale_trained(project: Path) -> None:
    made = project / "results" / "digits"
    for name in ("data", "network", "retrain/models", "retrain/samples"):
        (made / name).mkdir(parents=True)
        (made / name / "file").write_text(name)
    make(project, "decide")  # there is no Snakemake; what is taken over is there before it starts
    taken = project / "results" / "decide"
    files = {str(path.relative_to(taken)) for path in taken.rglob("*") if path.is_file()}
    assert files == {"data/file", "network/file", "retrain/models/file"}
    (made / "data" / "file").write_text("newer")
    make(project, "decide")
    assert (taken / "data" / "file").read_text() == "data"  # once there, it is left alone


def test_results_are_only_removed_when_that_is_meant(project: Path) -> None:
    (project / "results").mkdir()
    (project / "logs").mkdir()
    packages = ("adm", "adm_eval", "eval", "records", "reports", "specs", "workflow")
    for package in (*packages, "bench", "examples", "tests"):
        (project / package / "__pycache__").mkdir(parents=True)
    refused = make(project, "clean-results")
    assert refused.returncode != 0
    assert "trained models included; if that is meant: make clean-results YES=1" in refused.stderr
    assert make(project, "clean").returncode == 0
    assert (project / "results").exists() and not (project / "logs").exists()
    assert not list(project.rglob("__pycache__"))
    assert make(project, "clean-results", "YES=1").returncode == 0
    assert not (project / "results").exists()


def test_no_message_shows_the_password_of_an_index(project: Path) -> None:
    index = "https://me:secret@pypi.example/simple?token=secret"
    done = make(project, "env", "TORCH=cpu", f"TORCH_INDEX={index}", NOWHERE="1")
    assert done.returncode == 2 and "secret" not in done.stdout + done.stderr
    assert "could not be downloaded from https://pypi.example/simple nor from" in done.stderr


@pytest.mark.parametrize("venv", ["my venv", ""])
def test_a_folder_that_make_cannot_name_is_refused(project: Path, venv: str) -> None:
    done = make(project, "env", f"VENV={venv}")
    assert done.returncode == 2
    assert f"VENV is '{venv}'; give one folder whose name has no spaces" in done.stderr


def test_a_place_that_cannot_be_written_to_is_not_blamed_on_python(project: Path) -> None:
    done = make(project, "env", "TORCH=cpu", "VENV=Makefile/venv")
    assert done.returncode == 2
    assert "error: Makefile/venv cannot be made (the reason is above" in done.stderr
    assert "python3.11-venv" not in done.stderr
