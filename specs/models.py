"""From a scale to specs of its models and image sets: plain JSON objects that travel with jobs."""

from typing import Any

from specs.config import BroughtTask, Classifier, Diffusion, Model, Scale, Upsampler

DATASET_RECIPE = 1


def make_dataset_specs(scale: Scale, name: str) -> dict[str, dict[str, Any]]:
    """Describe the images of a task, and its whole images, without what only people read.

    Returns:
        Specs by name: that of the task, and that of its `whole` images where it has some.
    """
    task = scale.tasks[name]
    entry = task.model_dump(exclude={"words", "num_images", "flip", "whole"})
    specs = {name: {"recipe": DATASET_RECIPE, "task": name, **entry}}
    if isinstance(task, BroughtTask) and task.whole is not None:
        uncropped = {"task": task.whole, "image_size_px": None, "crop": "none"}
        specs[task.whole] = {**specs[name], **uncropped}
    return specs


def find_training_images(scale: Scale, model: Model) -> str:
    """Return the name of the image set that a model learns from."""
    task = scale.tasks[model.task]
    whole = task.whole if isinstance(task, BroughtTask) else None
    return whole if model.training.random_crop and whole is not None else model.task


def make_model_spec(
    scale: Scale, name: str, model: Diffusion | Upsampler | Classifier, seed: int
) -> dict[str, Any]:
    """Resolve a model: every argument of its network and of its training.

    Args:
        scale: for tasks and image sets.
        name: what the spec calls the model.
        model: an entry of the scale, or one changed by hand.
        seed: training seed.

    Returns:
        The spec: see `adm.networks.model.make_model` and `adm.training.loop.train`.
    """
    task = scale.tasks[model.task]
    architecture = {
        "image_size_px": task.image_size_px,
        "in_channels": task.image_channels,
        **model.architecture.model_dump(),
    }
    if isinstance(model, Classifier):
        architecture["num_classes"] = task.num_classes
    else:
        learned = model.training.objective != "simple"  # then the variance's share is put out too
        architecture["out_channels"] = (2 if learned else 1) * task.image_channels
        architecture["num_classes"] = task.num_classes if model.class_conditional else None
    if isinstance(model, Upsampler):
        architecture["low_res_px"] = scale.tasks[model.low_res_task].image_size_px
    return {
        "kind": model.kind,
        "recipe": model.recipe,
        "name": name,
        "task": model.task,
        "architecture": architecture,
        "training": {
            **model.training.model_dump(exclude={"random_crop"}),
            "dataset": make_dataset_specs(scale, model.task)[find_training_images(scale, model)],
            "augmentation": {"flip": task.flip, "random_crop": model.training.random_crop},
            "seed": seed,
        },
    }
