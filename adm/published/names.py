"""Published names of models, and what each stands for: a spec, weights, settings of sampling."""

import difflib
import math
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from records.errors import UserError
from specs.datasets import OwnImagesSpec
from specs.models import ModelSpec
from specs.released import Released, load_released
from specs.sampling import RowSampler
from specs.scale import Classifier, Diffusion, Scale, load_scale, make_model_spec
from specs.tables import Table, load_tables

PARAMS = Path(__file__).resolve().parents[2] / "params"
IMAGE_SIZES_PX = (64, 128, 256, 512)
LSUN = ("lsun_bedroom", "lsun_cat", "lsun_horse", "lsun_horse_nodropout")
UNCONDITIONED = "_uncond"  # ends the id of the unconditional twin of a model

# Published name -> model of a scale; the unconditional ones at 64, 128 and 512 are in none.
NAMES = {
    **{f"ADM_diffusion_{size}_conditioned": f"imagenet_{size}" for size in IMAGE_SIZES_PX},
    **{f"ADM_diffusion_{size}_unconditioned": f"imagenet_{size}_uncond" for size in IMAGE_SIZES_PX},
    **{f"ADM_diffusion_{name}": name for name in LSUN},
    **{f"ADM_classifier_{size}": f"classifier_{size}" for size in IMAGE_SIZES_PX},
    "ADM_U_64_256": "upsampler_64_256",
    "ADM_U_128_512": "upsampler_128_512",
}
# A model joined with the classifier of its images.
GUIDED = {
    **{f"ADM_G_{size}": f"ADM_diffusion_{size}_conditioned" for size in IMAGE_SIZES_PX},
    "ADM_G_256_unconditioned": "ADM_diffusion_256_unconditioned",
}
SHORT = {"ADM_U": "ADM_U_64_256", "ADM_G": "ADM_G_256"}


@dataclass(frozen=True)
class Catalogue:
    """Where names are looked up: a scale, the tables and what was published.

    `given` is what names the scale on a command line: its name, or the path of its file.
    """

    given: str
    scale: Scale
    tables: Mapping[str, Table]
    released: Released


@dataclass(frozen=True)
class Named:
    """A model of a scale: its spec, and the mark at which its training ends."""

    name: str
    model: str
    spec: ModelSpec
    mark: str
    iteration: int


@cache
def load_catalogue(
    scale: str | Path = "paper",
    tables_path: str | Path | None = None,
    released_path: str | Path | None = None,
) -> Catalogue:
    """Read a scale (a name in params/scales/ or a path), the tables and what was published.

    Raises:
        UserError: anything wrong in the files.
    """
    is_path = str(scale).endswith((".yaml", ".yml"))
    return Catalogue(
        str(scale),
        load_scale(scale if is_path else PARAMS / "scales" / f"{scale}.yaml"),
        load_tables(tables_path or PARAMS / "tables.yaml"),
        load_released(released_path),
    )


def find_model(name: str, catalogue: Catalogue) -> Named:
    """Find what a name stands for.

    Args:
        name: a published name (ADM_diffusion_256_conditioned), a model of the scale
            (imagenet_256), or a published file without its ending (256x256_diffusion).
        catalogue: where to look.

    Raises:
        UserError: no such name (with the nearest), or a name of two models joined (ADM_G_...).
    """
    name = SHORT.get(name, name)
    scale, checkpoints = catalogue.scale, catalogue.released.checkpoints
    if name in GUIDED:
        raise UserError(
            f"{name}: is a diffusion model and a classifier joined; {GUIDED[name]} is its model "
            f"and {classifier_name(GUIDED[name])} its classifier: name one of them"
        )
    if name in NAMES:
        model = NAMES[name]
    else:
        model = checkpoints[name].model if name in checkpoints else name
    entry = scale.models.get(model)
    conditional = scale.models.get(model.removesuffix(UNCONDITIONED))
    if entry is None and model.endswith(UNCONDITIONED) and type(conditional) is Diffusion:
        entry = conditional.model_copy(update={"class_conditional": False})
    if entry is None:
        raise _unknown(name, catalogue)
    mark = max(entry.marks, key=lambda one: entry.marks[one])
    spec = make_model_spec(scale, model, entry, entry.seeds[0])
    return Named(name, model, spec, mark, entry.marks[mark])


def _unknown(name: str, catalogue: Catalogue) -> UserError:
    """Make the error for a name that stands for nothing."""
    if name in NAMES:
        return UserError(
            f"{name}: is model {NAMES[name]}, which scale {catalogue.scale.name} does not have; "
            f"its models are {', '.join(catalogue.scale.models)}"
        )
    known = [*NAMES, *GUIDED, *SHORT, *catalogue.scale.models, *catalogue.released.checkpoints]
    close = difflib.get_close_matches(name, known, n=2)
    names = ", ".join((*NAMES, *GUIDED, *SHORT))
    hint = f"did you mean {' or '.join(close)}?" if close else f"the names are {names}"
    return UserError(f"{name}: no model of that name and no file; {hint}")


def classifier_name(diffusion: str) -> str:
    """Return the published name of the classifier that guides a diffusion model of ImageNet."""
    return f"ADM_classifier_{diffusion.split('_')[2]}"


def published_name(model: str) -> str:
    """Return the published name of a scale's model; the model's own where it has none."""
    names = {one: name for name, one in NAMES.items()}
    return names.get(model, model)


def find_classifier(task: str, scale: Scale) -> str | None:
    """Return the classifier of a task's images; None where there is none (LSUN)."""
    for name, model in scale.models.items():
        if isinstance(model, Classifier) and model.task == task:
            return name
    return None


def find_base(model: str, catalogue: Catalogue) -> tuple[str, RowSampler] | None:
    """Return the low-resolution model of an upsampler's stack and how it is sampled unguided."""
    same = catalogue.scale.same_as.models
    for table in catalogue.tables.values():
        for row in table.rows.values():
            if row.model == model and row.base and row.base.sampler.classifier is None:
                return same.get(row.base.model, row.base.model), row.base.sampler
    return None


def find_published_sampler(
    model: str, catalogue: Catalogue, *, guided: bool, respacing: str | None = None
) -> RowSampler | None:
    """Find how the paper samples a model, at the steps of the scale.

    Args:
        model: a model of the scale.
        catalogue: for the rows of all tables and the bases of their stacks.
        guided: with the classifier, or without.
        respacing: these steps as the paper or the scale calls them; None: as many as the first
            row without DDIM has.

    Returns:
        The settings of the row that fits and has the best published FID, `respacing` being the
        scale's; those of its twin for an unconditional model without a row of its own; None when
        the paper has no such row.
    """
    steps, same = catalogue.scale.sampling.respacing, catalogue.scale.same_as.models
    halves = [
        (half.model, half.sampler, list(row.published.values())[-1].get("fid"))
        for table in catalogue.tables.values()
        for row in table.rows.values()
        for half in reversed(row.halves)
        if half.model is not None and half.sampler is not None
    ]
    fitting: list[tuple[float, RowSampler]] = []
    for name, sampler, fid in halves:
        own = steps.get(sampler.respacing, sampler.respacing)
        if same.get(name, name) != model or (sampler.classifier is not None) != guided:
            continue
        if respacing in (own, sampler.respacing) or (
            respacing is None and sampler.method == "ancestral"
        ):
            found = sampler.model_copy(update={"respacing": own})
            fitting.append((math.inf if fid is None else fid, found))
    if fitting:
        return min(fitting, key=lambda one: one[0])[1]
    if model.endswith(UNCONDITIONED) and not guided:
        twin = model.removesuffix(UNCONDITIONED)
        return find_published_sampler(twin, catalogue, guided=False, respacing=respacing)
    return None


def explain_absence(named: Named, catalogue: Catalogue) -> UserError:
    """Make the error for a model without published weights, with the way to train it."""
    why = catalogue.released.never_released.get(
        named.model, "the authors published no weights of this model"
    )
    commands = ", then ".join(f"`{shlex.join(one)}`" for one in list_training(named, catalogue))
    return UserError(
        f"{named.name}: no weights are available: {why}; train it: {commands}, and give that file "
        "in place of the name"
    )


def list_training(named: Named, catalogue: Catalogue) -> list[list[str]]:
    """Return the commands, word by word, that make a model's images, write its spec and train it.

    Args:
        named: the model.
        catalogue: whose scale says where its images are, and on what its models are trained.
    """
    given, scale, images = catalogue.given, catalogue.scale, named.spec.training.dataset
    data, spec, machine = f"{images.task}.zip", f"{named.model}.json", scale.compute
    adm = ["python", "-m", "adm"]
    if isinstance(images, OwnImagesSpec):
        options = {
            "dataset": images.dataset,
            "path": scale.places[images.place],
            "crop": images.crop,
            "image-size-px": images.image_size_px,
            "channels": 1 if images.image_channels == 1 else None,
            "num-classes": images.num_classes,
            "labels": None if images.num_classes else "none",
            "out": data,
        }
        made = [*adm, "dataset", *_write_options(options)]
        made += ["--classes", *images.classes] if images.classes else []
        made += ["--skip-broken"] if images.skip_broken else []
    else:  # embedded images: only the workflow makes them
        data = f"results/{scale.name}/data/{data}"
        made = ["snakemake", "--cores", "all", "--config", f"scale={given}", "--", data]
    options = {"scale": None if given == "paper" else given, "out": spec}
    described = [*adm, "spec", named.name, *_write_options(options)]
    options = {
        "spec": spec,
        "data": data,
        "state": f"state/{named.model}",
        "mark": named.mark,
        "iterations": named.iteration,
        "out": f"{named.model}.safetensors",
        "events": f"{named.model}.jsonl",
        "device": machine.device,
        "threads": machine.threads,
        "save-every-seconds": machine.save_every_seconds,
    }
    return [made, described, [*adm, "train", *_write_options(options)]]


def _write_options(options: Mapping[str, Any]) -> list[str]:
    """Return options as words of a command line, leaving out those that are None."""
    return [
        word
        for key, value in options.items()
        if value is not None
        for word in (f"--{key}", str(value))
    ]


def find_scale_of(path: str | Path) -> str | None:
    """Return the scale in whose results folder a weights file is; None elsewhere.

    The workflow puts weights at results/<scale>/<source>/models/<model>/ema-<mark>.safetensors.
    """
    parts = Path(path).resolve().parts
    if len(parts) < 5 or parts[-3] not in ("models", "state"):
        return None
    scale = parts[-5]
    return scale if (PARAMS / "scales" / f"{scale}.yaml").exists() else None


def explain_short(name: str) -> str | None:
    """Say what a short name was taken for; None for a full one."""
    if name not in SHORT:
        return None
    family = [one for one in (*NAMES, *GUIDED) if one.startswith(f"{name}_")]
    return f"{name}: taken as {SHORT[name]}; there are {', '.join(family)}"
