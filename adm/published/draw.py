"""Draw images of a named model with the paper's settings: alone, guided, or as a stack of two."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from adm.published.load import is_file_name, load, load_classifier_for
from adm.published.modules import ADM, ADM_G, ADM_U, ADM_classifier, find_class_names
from adm.published.names import (
    Catalogue,
    find_base,
    find_published_sampler,
    find_scale_of,
    load_catalogue,
)
from adm.sampling.labels import draw_labels, find_label
from records.errors import UserError
from records.manifest import hash_inputs, make_manifest


@dataclass(frozen=True)
class Drawn:
    """Images [n, h, w, c], their labels [n] or None, names of all classes, how they were made."""

    images: np.ndarray
    labels: np.ndarray | None
    class_names: tuple[str, ...] | None
    heading: list[str]
    manifest: dict[str, Any]


def draw_named(
    name: str,
    *,
    num_images: int,
    labels: Sequence[int | str] | None,
    guidance_scale: float | None,
    classifier: str | None,
    base: str | None,
    respacing: str | None,
    noise_temperature: float = 1.0,
    eps_temperature: float = 1.0,
    precision: str = "float32",
    weights: str = "ema",
    seed: int,
    batch_size: int,
    device: str,
    scale: str = "paper",
    tables: str | None = None,
    released: str | None = None,
) -> Drawn:
    """Draw images of a model by its name or file.

    Guidance is asked for by a scale, a classifier or an ADM_G name. In a stack it is the base that
    is guided, and the upsampler that is not (paper, Table 5).

    Args:
        name: published name, or a weights file.
        num_images: how many.
        labels: classes by number or name, taken in turn; None: drawn at random if there are any.
        guidance_scale: factor of the classifier's gradient; None: the published one.
        classifier: name or file; None: the published one, or the one trained beside the model.
        base: an upsampler's base, name or file; None: the published one.
        respacing: steps; None: the published ones.
        noise_temperature, eps_temperature, precision: see `adm.published.modules.ADM.sample`.
        weights: `ema`, or `raw` for the weights that no average was taken of, from a state.
        seed: sampling seed.
        batch_size: images at a time.
        device: a torch device.
        scale, tables, released: see `adm.published.load.load`.

    Raises:
        UserError: a classifier in place of a model, no classifier, no known steps or scale,
            settings that do not fit.
    """
    lists = {"scale": scale, "tables": tables, "released": released}
    model = load(name, device=device, weights=weights, **lists)
    if isinstance(model, ADM_classifier):
        raise UserError(f"{name}: is a classifier, which draws nothing; name a diffusion model")
    temperatures = {"noise_temperature": noise_temperature, "eps_temperature": eps_temperature}
    options = {"seed": seed, "batch_size": batch_size, "progress": True, "precision": precision}
    options |= temperatures
    steps = {"respacing": respacing, "device": device}
    first_name, first = name, model
    if isinstance(model, ADM_U):
        catalogue = _catalogue_of(name, lists)
        first_name = base or _name_base(name, model.spec.name, catalogue)
        first = load(first_name, device=device, **lists)
        if not isinstance(first, (ADM, ADM_G)):
            raise UserError(f"{first_name}: not a diffusion model, which a base must be")
    elif base is not None:
        raise UserError(f"{name}: not an upsampler, so it has no base; leave --base out")
    settings = _choose_settings(
        first_name,
        first,
        catalogue=_catalogue_of(first_name, lists),
        wants_guidance=guidance_scale is not None or classifier is not None,
        guidance_scale=guidance_scale,
        classifier=classifier,
        **steps,
    )
    alone = first.model if isinstance(first, ADM_G) else first
    num_classes = _count_classes(alone, settings["classifier"])
    class_names = find_class_names(alone, settings["classifier"])
    drawn = _choose_labels(
        labels,
        num_images,
        seed=seed,
        where=first_name,
        num_classes=num_classes,
        class_names=class_names,
    )
    images = alone.sample(num_images, labels=drawn, **settings, **options)
    halves = [_describe(first_name, alone, settings)]
    guide = settings["classifier"]
    files = {"weights": alone.weights_path, "classifier": guide and guide.weights_path}
    if isinstance(model, ADM_U):
        settings = _choose_settings(
            name,
            model,
            catalogue=_catalogue_of(name, lists),
            wants_guidance=False,
            guidance_scale=None,
            classifier=None,
            **steps,
        )
        takes_labels = model.spec.architecture.num_classes is not None
        images = model.sample(
            num_images,
            labels=drawn if takes_labels else None,
            low_res=images,
            **settings,
            **options,
        )
        halves.append(_describe(name, model, settings))
        files |= {"weights": model.weights_path, "base": alone.weights_path}
    shown = None if drawn is None else drawn.numpy()
    return Drawn(
        images=images.numpy(),
        labels=shown,
        class_names=class_names,
        heading=[*(_write_heading(half) for half in halves), f"seed {seed}"],
        manifest=make_manifest(
            kind="samples",
            name=str(name),
            seeds={"sampling": seed},
            sampling={"halves": halves, "seed": seed, "weights": weights, **temperatures},
            labels=None if shown is None else shown.tolist(),
            class_names=None if shown is None or class_names is None else list(class_names),
            precision=precision,
            inputs=hash_inputs(**files),
        ),
    )


def _catalogue_of(name: str, lists: dict[str, Any]) -> Catalogue:
    """Return where a model's settings stand: the scale in whose results it is, or as named."""
    own = find_scale_of(name) if is_file_name(name) else None
    return load_catalogue(own or lists["scale"], lists["tables"], lists["released"])


def _name_base(name: str, model: str, catalogue: Catalogue) -> str:
    """Return the base of an upsampler: by its name, or the file beside the upsampler's."""
    found = find_base(model.partition("-seed")[0], catalogue)
    if found is None:
        raise UserError(f"{name}: is an upsampler and its base is not known; give --base")
    if not is_file_name(name):
        return found[0]
    beside = Path(name).parent.parent / found[0] / Path(name).name
    if not beside.exists():
        raise UserError(f"{name}: is an upsampler; its base is not at {beside}: give --base PATH")
    return str(beside)


def _choose_settings(
    name: str,
    model: ADM | ADM_U | ADM_G,
    *,
    catalogue: Catalogue,
    wants_guidance: bool,
    guidance_scale: float | None,
    classifier: str | None,
    respacing: str | None,
    device: str,
) -> dict[str, Any]:
    """Choose steps, sampler and guidance of one half, the paper's where the user says nothing."""
    guide = None
    alone = model.model if isinstance(model, ADM_G) else model
    if isinstance(model, ADM_G) and classifier is None:
        guide = model.classifier
    elif wants_guidance or isinstance(model, ADM_G):
        guide = load_classifier_for(
            alone, name, given=classifier, device=device, catalogue=catalogue, progress=True
        )
    published = find_published_sampler(
        alone.spec.name.partition("-seed")[0],
        catalogue,
        guided=guide is not None,
        respacing=respacing,
    )
    if published is None:  # steps that the paper does not have for this model
        published_steps = alone.respacing if respacing is None else respacing
        steps = catalogue.scale.sampling.respacing.get(published_steps or "", published_steps)
    else:
        steps = published.respacing
    if guide is not None:
        guide.requires_grad_(False)
        if guidance_scale is None and published is not None:
            guidance_scale = published.guidance_scale
        if guidance_scale is None:
            raise UserError(
                f"{name}: no guidance scale is published for these steps; give --guidance-scale"
            )
    return {
        "respacing": steps,
        "classifier": guide,
        "guidance_scale": guidance_scale if guide is not None else None,
    }


def _count_classes(model: Any, classifier: ADM_classifier | None) -> int | None:
    """Return how many classes can be asked for."""
    own = model.spec.architecture.num_classes
    return classifier.spec.architecture.num_classes if classifier is not None else own


def _choose_labels(
    labels: Sequence[int | str] | None,
    num_images: int,
    *,
    seed: int,
    where: str,
    num_classes: int | None,
    class_names: Sequence[str] | None,
) -> Tensor | None:
    """Return the label of each image: those asked for in turn, else drawn where there are any."""
    if num_classes is None:
        if labels is not None:
            raise UserError(
                f"{where}: knows no classes, so a label does nothing; leave it out, or guide it "
                "with a classifier (--guidance-scale)"
            )
        return None
    if labels is not None:
        options = {"where": where, "num_classes": num_classes, "class_names": class_names}
        asked = [find_label(one, **options) for one in labels]
        return torch.tensor([asked[i % len(asked)] for i in range(num_images)])
    return draw_labels(range(num_images), seed=seed, num_classes=num_classes, label_policy="random")


def _describe(name: str, model: Any, settings: dict[str, Any]) -> dict[str, Any]:
    """Say how one half was drawn."""
    guide = settings["classifier"]
    return {
        "name": str(name),
        "model": model.spec.name,
        "digest": model.spec.digest,
        "respacing": settings["respacing"],
        "classifier": guide and guide.spec.name,
        "guidance_scale": settings["guidance_scale"],
    }


def _write_heading(half: dict[str, Any]) -> str:
    """Write one half's settings as a line of text."""
    name = half["model"] if is_file_name(half["name"]) else half["name"]
    line = f"{name}: {half['respacing']} steps"
    if half["classifier"]:
        line += f", {half['classifier']} at scale {half['guidance_scale']:g}"
    return line
