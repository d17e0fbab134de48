"""What the page of a model shows: blocks, training curves, accuracy, loss, cost."""

import os
from collections import Counter
from typing import Any

from reports.accuracy import make_classifiers
from reports.files import attempt, find_metrics
from reports.notes import make_command
from reports.numbers import find_tracked
from reports.protocol import flatten
from reports.runs.blocks import count_parameters, make_blocks
from reports.runs.costs import read_cost
from reports.runs.curves import make_plots, read_curves
from specs.results import read_loss
from specs.run_pages import PageMark, PageModel, RunPages, TrainedModel


def make_model(runs: RunPages, model: PageModel, problems: list[str]) -> dict[str, Any]:
    """Join a model with its files that exist.

    Args:
        runs: the pages to which it belongs.
        model: the model.
        problems: takes a sentence for each file that is left out, as it is broken or of other
            settings.
    """
    last = model.trained[0].marks[-1]
    parameters = attempt(problems, lambda: count_parameters(last.weights)) or Counter()
    events = [one for one in model.trained if one.events and os.path.exists(one.events)]
    curves = {
        name_seed(one): found
        for one in events
        if (found := attempt(problems, lambda o=one: read_curves(o)))
    }
    accuracies = [mark.accuracy for mark in model.trained[0].marks if mark.accuracy]
    return {
        **model.content(),
        "has_losses": any(mark.loss for one in model.trained for mark in one.marks),
        "blocks": make_blocks(model.spec.architecture, parameters),
        "num_parameters": parameters.total() or None,
        "plots": make_plots(curves),
        "classifiers": make_classifiers(accuracies, problems),
        "settings": {
            part: flatten(getattr(model.spec, part).content())
            for part in ("architecture", "training")
        },
        "seeds": [
            {
                "name": one.name,
                "words": name_seed(one),
                "digest": one.digest,
                "events": one.events,
                "tracked": find_tracked(runs, one.name),
                "command": make_command(runs, one.marks[-1].weights.path),
                "marks": [_make_mark(mark, problems) for mark in one.marks],
            }
            for one in model.trained
        ],
    }


def name_seed(model: TrainedModel) -> str:
    """Name the training of a model."""
    return "published weights" if model.seed is None else f"training seed {model.seed}"


def _make_mark(mark: PageMark, problems: list[str]) -> dict[str, Any]:
    found = find_metrics(mark.loss, read_loss)
    problems += [found.problem] if found.problem else []
    return {
        **mark.content(),
        "cost": attempt(problems, lambda: read_cost(mark.weights.path)),
        "losses": found.content.metrics if found.content else {},
    }
