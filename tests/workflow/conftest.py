"""A miniature of the workflow: a few rows of every table, tiny models, a handful of images."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
KEEP = {
    "table1": ["t1_baseline", "t1_heads"],
    "table2": ["t2_heads_1"],
    "table3": ["t3_uncond", "t3_uncond_guided_10", "t3_cond"],
    "table4": ["t4_64_biggandeep", "t4_64_adm_dropout", "t4_horse_adm_dropout", "t4_256_adm"],
    "table5": ["t5_256_adm", "t5_256_admg_admu"],
}


def cut_tables(keep):
    """The shipped tables with some rows alone, and the claims that these allow."""
    tables = yaml.safe_load((ROOT / "params" / "tables.yaml").read_text())
    tables = {name: tables[name] for name in keep}
    for name, table in tables.items():
        table["rows"] = {row_id: table["rows"][row_id] for row_id in keep[name]}
        table["claims"] = {
            claim_id: claim
            for claim_id, claim in table["claims"].items()
            if all(
                row_id is None or row_id in keep[name]
                for one in claim["comparisons"]
                for row_id in (one["left"], one["right"], one["towards"])
            )
        }
    return tables


def write_params(folder, **contents):
    """Write parameter files, `scale` into scale.yaml and so on; return them as a configuration."""
    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    for name, content in contents.items():
        text = yaml.dump(content, Dumper=dumper, sort_keys=False)
        (folder / f"{name}.yaml").write_text(text)
    return {name: str(folder / f"{name}.yaml") for name in contents}


def copy_project(folder):
    """Copy what Snakemake needs of the project."""
    for name in ("Snakefile", "environment.yml"):
        shutil.copy(ROOT / name, folder)
    packages = ("adm", "eval", "records", "reports", "specs", "workflow")
    for name in (*packages, "params", "slurm"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def mini_scale():
    scale = yaml.safe_load((ROOT / "params" / "scales" / "digits.yaml").read_text())
    scale["name"] = "mini"
    scale["about"] = "a miniature for tests"
    scale["network"] |= {"iterations": 20}
    scale["sampling"] |= {
        "respacing": {"250": "4", "1000": "4", "ddim25": "ddim4"},
        "batch_size": 8,
    }
    for task in scale["tasks"].values():
        task["num_samples"] = 12
    needed = [
        "arch_baseline", "arch_heads", "attention_heads_1", "attention_head_channels_64",
        "imagenet_256", "imagenet_256_uncond", "imagenet_64", "upsampler_64_256", "lsun_bedroom",
        "lsun_horse", "classifier_256", "classifier_64",
    ]  # fmt: skip
    scale["models"] = {name: scale["models"][name] for name in needed}
    for model in scale["models"].values():
        if "marks" in model:
            model["marks"] = {mark: 2 + place for place, mark in enumerate(model["marks"])}
        architecture = model.setdefault("architecture", {})
        architecture |= {"channels": 16, "depth": 1}
        model.setdefault("training", {})
        model["training"] |= {"batch_size": 8}
        model.pop("seeds", None)
    scale["models"]["arch_baseline"]["seeds"] = [0, 1]
    for name in ("imagenet_256", "classifier_256"):  # and those that extend them
        scale["models"][name]["seeds"] = [0]
    return scale


@pytest.fixture(scope="session")
def project(tmp_path_factory):
    """A copy of the project's own files with the miniature's parameters beside it."""
    folder = copy_project(tmp_path_factory.mktemp("project"))
    write_params(folder, mini_tables=cut_tables(KEEP), mini=mini_scale())
    return folder


MINI = ["--config", "scale=mini.yaml", "tables=mini_tables.yaml", "--"]


def snakemake(folder, *arguments, cores=2, timeout=600, wrapper=(), **environment):
    """Run Snakemake in a folder with the folder's own packages; return the finished process."""
    command = [*wrapper, sys.executable, "-m", "snakemake", "--cores", str(cores), *arguments]
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return subprocess.run(
        command,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=timeout,
        env={**os.environ, "PYTHONPATH": str(folder), "PATH": path, **environment},
    )
