"""Models with their weights, by published name or from a file; weights are in memory once."""

import sys
from pathlib import Path
from typing import TypeVar

import torch
from torch import nn

from adm.datasets.imagenet_classes import WNIDS
from adm.published.checkpoints import import_checkpoint
from adm.published.modules import ADM, ADM_G, ADM_U, ADM_classifier, Sampling
from adm.published.names import (
    GUIDED,
    SHORT,
    Catalogue,
    Named,
    classifier_name,
    explain_absence,
    explain_short,
    find_classifier,
    find_model,
    find_published_sampler,
    find_scale_of,
    load_catalogue,
)
from adm.weights.files import load_network_of, read_header
from records.errors import UserError
from records.files import sha256_file
from specs.models import ModelSpec, WeightsSpec
from specs.released import cached_path, fetch_artefact, find_checkpoint

CLASSES: dict[str, type[ADM] | type[ADM_U] | type[ADM_classifier]] = {
    "diffusion": ADM,
    "upsampler": ADM_U,
    "classifier": ADM_classifier,
}
USUAL_STEPS = 250  # of the paper, for a model that none of its rows is about
Loaded = ADM | ADM_U | ADM_classifier | ADM_G
Network = TypeVar("Network", bound=nn.Module)


def load(
    name: str | Path,
    *,
    device: str | torch.device = "cpu",
    scale: str | Path = "paper",
    tables: str | Path | None = None,
    released: str | Path | None = None,
    weights: str = "ema",
    progress: bool = True,
) -> Loaded:
    """Load a model with its weights.

    Published weights are downloaded once into the cache folder ($XDG_CACHE_HOME/adm-tables), read
    without running anything in them, compared with their model key by key, and kept there as
    safetensors, which later calls read.

    Args:
        name: ADM_diffusion_{64,128,256,512}_{conditioned,unconditioned}, ADM_diffusion_lsun_{...},
            ADM_classifier_{64,128,256,512}, ADM_U_64_256, ADM_U_128_512, ADM_G_{64,128,256,512}
            or ADM_G_256_unconditioned; ADM_U and ADM_G are short for the first and for 256. Or a
            weights file that was trained or imported here.
        device: where to put it.
        scale: scale whose models the names are.
        tables: another file than params/tables.yaml.
        released: another list of published files than params/released.yaml.
        weights: `ema`, the average; `raw`, of a training's state the weights themselves.
        progress: show what is downloaded, and say on stderr what was done.

    Returns:
        The model in eval mode, with `spec`, and with the published number of steps where the
        paper has one.

    Raises:
        UserError: an unknown name, weights that were never published (with the way to train
            them), a download that failed, a file that is not what it should be.
    """
    catalogue = None if is_file_name(name) else load_catalogue(scale, tables, released)
    return load_from(name, catalogue, device=device, weights=weights, progress=progress)


def load_from(
    name: str | Path,
    catalogue: Catalogue | None,
    *,
    device: str | torch.device = "cpu",
    weights: str = "ema",
    progress: bool = True,
) -> Loaded:
    """Do what `load` does, with names looked up in a catalogue that was read before.

    Raises:
        UserError: see `load`.
    """
    if catalogue is None or is_file_name(name):
        return load_file(name, device=device, weights=weights)
    name = str(name)
    if weights != "ema":
        raise UserError(f"{name}: published weights are averages; leave --weights out")
    if (note := explain_short(name)) and progress:
        print(note, file=sys.stderr)
    name = SHORT.get(name, name)
    if name not in GUIDED:
        named = find_model(name, catalogue)
        path = find_weights(named, catalogue, progress=progress)
        return _load_any(path, device, named.model, catalogue)
    parts = [find_model(one, catalogue) for one in (GUIDED[name], classifier_name(GUIDED[name]))]
    paths = [find_weights(one, catalogue, progress=progress) for one in parts]
    model = _load(ADM, paths[0], device, parts[0].model, catalogue)
    classifier = _load(ADM_classifier, paths[1], device, parts[1].model, catalogue)
    sampler = find_published_sampler(parts[0].model, catalogue, guided=True)
    return ADM_G(model, classifier, guidance_scale=sampler and sampler.guidance_scale)


def is_file_name(name: str | Path) -> bool:
    """Tell a path from a published name."""
    text = str(name)
    return isinstance(name, Path) or "/" in text or "." in text or Path(text).is_file()


def load_file(
    path: str | Path, *, device: str | torch.device = "cpu", weights: str = "ema"
) -> Loaded:
    """Load a weights file that was trained or imported here; its header says what it is.

    Args:
        path: safetensors with a spec, or the state of a training.
        device: where to put the model.
        weights: see `load`.

    Returns:
        The model in eval mode. Of a file in a results folder the steps of its scale are known.

    Raises:
        UserError: missing, cut short, of another format, without a spec, or not fitting it.
    """
    scale = find_scale_of(path)
    name = read_header(path).spec.name.partition("-seed")[0]
    return _load_any(path, device, name, load_catalogue(scale or "paper"), weights)


def _load_any(
    path: str | Path,
    device: str | torch.device,
    model_name: str,
    catalogue: Catalogue,
    weights: str = "ema",
) -> Loaded:
    """Load a network of the class that fits its kind."""
    kind = CLASSES[read_header(path).spec.kind]
    return _load(kind, path, device, model_name, catalogue, weights)


def _load(
    make: type[Network],
    path: str | Path,
    device: str | torch.device,
    model_name: str,
    catalogue: Catalogue,
    weights: str = "ema",
) -> Network:
    """Load a network of a class, with the paper's steps where it is one that draws."""
    model = load_network_of(path, make, device=device, weights=weights)
    if isinstance(model, Sampling | ADM_classifier):
        model.class_names = read_header(path).class_names or _name_imagenet(model.spec)
        model.weights_path = Path(path)
    if isinstance(model, Sampling):
        sampler = find_published_sampler(model_name, catalogue, guided=False)
        usual = str(min(USUAL_STEPS, model.spec.training.num_timesteps))
        steps = catalogue.scale.sampling.respacing
        model.respacing = sampler.respacing if sampler else steps.get(usual, usual)
    return model


def _name_imagenet(spec: WeightsSpec | ModelSpec) -> tuple[str, ...] | None:
    """Return the WNIDs for a model of all classes of ImageNet, in whose order labels are."""
    dataset = spec.training.dataset if spec.architecture.num_classes == len(WNIDS) else None
    kind = dataset.get("dataset") if isinstance(dataset, dict) else getattr(dataset, "dataset", "")
    return WNIDS if kind == "imagenet" else None


def find_weights(named: Named, catalogue: Catalogue, *, progress: bool = True) -> Path:
    """Return the safetensors of a published model; fetch and convert them where that is due.

    Args:
        named: the model.
        catalogue: for addresses and hashes.
        progress: show the download, and say on stderr what was made.

    Returns:
        A file in the cache folder, beside the published one.

    Raises:
        UserError: never published, not available, or not the weights of this model.
    """
    found = find_checkpoint(catalogue.released, named.model)
    if found is None:
        raise explain_absence(named, catalogue)
    here, there = catalogue.scale.name, catalogue.released.scale
    if there not in (None, here):
        raise UserError(
            f"{named.name}: published weights are those of scale {there}, and scale {here} is "
            f"asked for; leave --scale out, or give the file of a model that was trained at {here}"
        )
    _, checkpoint = found
    path = cached_path(checkpoint).with_suffix(".safetensors")
    if path.exists() and _is_conversion(path, named):
        return path
    if progress:
        print(f"licence: {catalogue.released.licence.weights}", file=sys.stderr)
    pickled = fetch_artefact(catalogue.released, checkpoint, progress=progress)
    about = {
        "source": catalogue.released.base + checkpoint.path,
        "source_sha256": checkpoint.sha256 or sha256_file(pickled),
        "licence": catalogue.released.licence.weights,
    }
    try:
        import_checkpoint(pickled, path, named, catalogue, about=about)
    except UserError as error:
        raise UserError(
            f"{error}. It was published at {about['source']}: delete it, and the .sha256 beside "
            "it, to fetch it again"
        ) from None
    if progress:
        print(f"{path}: made of {pickled}, which may be deleted", file=sys.stderr)
    return path


def _is_conversion(path: Path, named: Named) -> bool:
    """Tell whether a kept conversion is whole and of the model's present spec."""
    try:
        header = read_header(path)
    except UserError:
        return False
    return header.digest == named.spec.digest and header.iteration == named.iteration


def load_classifier_for(
    model: Sampling,
    name: str | Path,
    *,
    given: str | Path | None,
    device: str | torch.device,
    catalogue: Catalogue,
    progress: bool = True,
) -> ADM_classifier:
    """Load the classifier that guides a model: as given, else the published one, else beside it.

    Args:
        model: the model.
        name: as the user named it.
        given: what the user named as classifier.
        device: where to put it.
        catalogue: for the scale's classifiers.
        progress: see `load`.

    Raises:
        UserError: none fits or none is there.
    """
    if given is None:
        found = find_classifier(model.spec.task, catalogue.scale)
        beside = Path(name).with_name("classifier.safetensors")
        if is_file_name(name) and beside.exists():  # as `adm fit` leaves them
            return _load(ADM_classifier, beside, device, "", catalogue)
        if found is None:
            raise UserError(
                f"{name}: there is no classifier for {model.spec.task}; give --classifier"
            )
        if not is_file_name(name):
            named = find_model(found, catalogue)
            path = find_weights(named, catalogue, progress=progress)
            return _load(ADM_classifier, path, device, found, catalogue)
        given = Path(name).parent.parent / found / Path(name).name
        if not given.exists():
            raise UserError(
                f"{name}: guidance needs a classifier and there is none at {given}; give "
                "--classifier PATH, or train it"
            )
    chosen = load_from(given, catalogue, device=device, progress=progress)
    if not isinstance(chosen, ADM_classifier):
        raise UserError(f"--classifier {given}: not a classifier; give one")
    return chosen
