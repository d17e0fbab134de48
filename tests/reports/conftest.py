"""Made-up metrics files and table specifications."""

import copy
import json

import numpy as np
import pytest

from records.batches import write_batch
from reports.browser import launch
from reports.tables import make_table
from specs.page import PageSpec
from specs.results import MetricsFile
from specs.strict import validated

DEFAULT = {"fid": 10.0, "precision": 0.6}

DIGEST = "d" * 64  # of every made-up metrics file


def wanted(path):
    """A metrics file as a page names it."""
    return path and {"path": path, "digest": DIGEST}


NO_CELL = {"metrics": None, "samples": None, "shared_with": None, "seeds": [], "others": {}}

ACCURACY = {
    "format": 1,
    "digest": DIGEST,
    "num_images": 200,
    "num_classes": 10,
    "num_timesteps": 1000,
    "trained_on_these_images": True,
    "ranges": [
        {"first": 0, "last": 499, "num_correct": 150},
        {"first": 500, "last": 999, "num_correct": 20},
    ],
}


def metrics_content(
    name="row",
    num_samples=1000,
    num_reference=1797,
    recipe=1,
    network="e",
    distances=None,
    seed=3,
    **values,
):
    """Return a metrics file; a value is a number or (number, standard error)."""
    metrics = {}
    for key, value in {**DEFAULT, **values}.items():
        value, std_error = value if isinstance(value, tuple) else (value, 0.01)
        interval = None if std_error is None else [value - 2 * std_error, value + 2 * std_error]
        metrics[key] = {"value": value, "std_error": std_error, "interval": interval}
    return {
        "format": 1,
        "name": name,
        "digest": DIGEST,
        "metrics": metrics,
        "counts": {
            "samples": num_samples,
            "reference": num_reference,
            "reference_precision_recall": num_reference,
        },
        "protocol": {
            "recipe": 1,
            "reference": {"path": "data/missing.zip", "sha256": "a" * 64},
            "samples": {
                "sha256": "b" * 64,
                "precision": "float32",
                "spec": {
                    "recipe": recipe,
                    "seed": seed,
                    "label_policy": "random",
                    "sampler": {
                        "method": "ancestral",
                        "respacing": "50",
                        "eta": 0.0,
                        "guidance_scale": None,
                    },
                },
                "versions": {"torch": "2.13"},
                "git_commit": "c0ffee",
            },
            "network": {"name": "digits", "sha256": network * 64, "recipe": 1},
            "precision": "float32",
            "distances": distances,
            "seed": 0,
            "versions": {"numpy": "2.3"},
            "git_commit": "c0ffee",
        },
    }


def read_page(spec):
    """What a page shows, as a command reads it from a file."""
    return validated(PageSpec, json.loads(json.dumps(spec)), "spec.json")


def evaluate(spec):
    """The table of a page."""
    return make_table(read_page(spec))


@pytest.fixture(scope="module")
def browser():
    with launch() as found:
        yield found


@pytest.fixture
def metrics():
    return metrics_content


@pytest.fixture
def make_metrics():
    """Make the value of a metrics file."""

    def make(**options):
        return validated(MetricsFile, metrics_content(**options), "row.json")

    return make


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Work in an empty folder, with helpers that write there."""
    monkeypatch.chdir(tmp_path)

    class Project:
        folder = tmp_path

        def write_metrics(self, name, **options):
            path = tmp_path / f"{name}.json"
            path.write_text(json.dumps(metrics_content(name, **options)))
            return path.name

        def write_accuracy(self, name="accuracy.json", **changes):
            path = tmp_path / name
            path.write_text(json.dumps({**ACCURACY, **changes}))
            return path.name

        def write_samples(self, name, num_images=200, size_px=8, labels=True):
            rng = np.random.default_rng(0)
            images = rng.integers(0, 256, (num_images, size_px, size_px, 3), dtype=np.uint8)
            classes = np.arange(num_images, dtype=np.int64) % 10 if labels else None
            write_batch(tmp_path / f"{name}.npz", images, classes, {})
            return f"{name}.npz"

        def write_spec(self, spec, name="spec.json"):
            path = tmp_path / name
            path.write_text(json.dumps(spec))
            return path

    return Project()


def cell_spec(*paths):
    """A cell with the metrics files of its training seeds."""
    seeds = [{"seed": seed, "metrics": wanted(path)} for seed, path in enumerate(paths)]
    return {
        **copy.deepcopy(NO_CELL),
        "metrics": wanted(paths[0] if paths else None),
        "seeds": seeds,
    }


def row_spec(row_id, metrics=None, seeds=(), **options):
    row = {
        "id": row_id,
        "label": row_id,
        "task": "imagenet_256",
        "task_words": "8x8 digits",
        "kind": "model",
        "trained": row_id,
        "settings": {"guidance": False},
        "published": {"final": {"fid": 5.0, "precision": 0.7}},
        "notes": [],
        "assumed": [],
        "reason": None,
        "cells": {"final": cell_spec(*([metrics] if metrics else []), *seeds)},
        "recipe_words": {"model": row_id, "iterations": "500"},
    }
    return {**row, **options}


@pytest.fixture
def make_row():
    return row_spec


@pytest.fixture
def make_classifier():
    def make(path, **options):
        return {
            "name": "classifier_256",
            "mark": "final",
            "iteration": 400,
            "task": "imagenet_256",
            "task_words": "8x8 digits",
            "accuracy": path,
            "digest": DIGEST,
            "rows": [{"task": "imagenet_256", "label": "guided"}],
            **options,
        }

    return make


def page_content(rows, layout="plain", claims=(), ceilings=None, **options):
    return {
        "format": 1,
        "scale": "digits",
        "source": "retrain",
        "root": "results/digits",
        "table": {
            "name": "table3",
            "neurips": 3,
            "arxiv_v4": 4,
            "alias": "guidance",
            "title": "Classifier guidance",
            "about": "With and without.",
            "layout": layout,
            "settings": ["guidance"],
            "metrics": ["fid", "precision"],
            "marks": ["final"],
            "after": {"final": ""},
        },
        "scale_notes": ["values compare only among themselves"],
        "differences": [],
        "rows": rows,
        "ceilings": {task: wanted(path) for task, path in (ceilings or {}).items()},
        "claims": list(claims),
        "classifiers": [],
        "agreement": None,
        "artefacts": [],
        "known_evaluation": None,
        "pages": [],
        **options,
    }


@pytest.fixture
def make_spec():
    return page_content


def claim_content(
    metric,
    left,
    relation,
    right,
    towards=None,
    differ=False,
    sources=None,
    varies=("model",),
    **options,
):
    def cell(row):
        return None if row is None else {"row": row, "mark": "final"}

    return {
        "id": f"claim_{left}",
        "text": f"{left} {relation} {right}",
        "where": "Section 4",
        "varies": list(varies),
        "sources": sources,
        "comparisons": [
            {
                "metric": metric,
                "left": cell(left),
                "relation": relation,
                "right": cell(right),
                "factor": 1.0,
                "margin": 0.0,
                "towards": cell(towards),
                "statistic": "ratio" if metric == "fid" else "difference",
                "trained_models_differ": differ,
                **options,
            }
        ],
    }


@pytest.fixture
def make_claim():
    return claim_content


# Per row: conditional, guidance scale, precision and recall as measured, as published.
GUIDED = {
    "uncond": (False, None, (0.71, 0.93), (0.61, 0.63)),
    "uncond_10": (False, 10.0, (0.84, 0.84), (0.76, 0.44)),
    "cond_10": (True, 10.0, (0.89, 0.72), (0.88, 0.32)),
    "cond": (True, None, (0.85, 0.88), (0.69, 0.63)),
    "cond_1": (True, 1.0, (0.87, 0.84), (0.82, 0.52)),
}


@pytest.fixture
def guided_spec(project, make_spec, make_row):
    """Two models at several guidance scales; rows named in `absent` are not run."""

    def make(absent=(), labels=None, **options):
        rows = []
        for name, (conditional, scale, measured, published) in GUIDED.items():
            values = dict(zip(("precision", "recall"), measured, strict=True))
            row = make_row(name, None if name in absent else project.write_metrics(name, **values))
            row["label"] = (labels or {}).get(name, name)
            row["settings"] = {"conditional": conditional, "guidance": scale is not None}
            row["settings"]["guidance_scale"] = scale
            row["published"]["final"] = dict(zip(("precision", "recall"), published, strict=True))
            rows.append(row)
        spec = make_spec(rows, **options)
        spec["table"]["settings"] = ["conditional", "guidance", "guidance_scale"]
        spec["table"]["metrics"] = ["fid", "precision", "recall"]
        return spec

    return make
