"""From a model spec, the JSON object that travels with weights and jobs, to a network."""

import difflib
import inspect
from collections.abc import Callable, Collection, Mapping
from typing import Any

from torch import nn

from adm.networks.classifier import make_classifier
from adm.networks.unet import make_unet
from records.errors import UserError

MAKERS: dict[str, Callable[..., nn.Module]] = {
    "diffusion": make_unet,
    "upsampler": make_unet,
    "classifier": make_classifier,
}
SPEC_KEYS = ("kind", "recipe", "name", "task", "architecture", "training")


def refuse_unknown(where: str, given: Collection[str], known: Collection[str]) -> None:
    """Raise UserError if a key of `given` is not in `known`, with the nearest known one."""
    for key in given:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"the keys are {', '.join(known)}"
            raise UserError(f"{where}: unknown key {key!r}; remove it or correct it: {hint}")


def make_model(spec: Mapping[str, Any]) -> nn.Module:
    """Make the network that a model spec describes.

    Args:
        spec: the dumped ModelSpec. `kind` ("diffusion", "upsampler" or "classifier") chooses the
            maker and `architecture` holds its keyword arguments; `recipe`, `name`, `task` and
            `training` are not looked at.

    Returns:
        The network of `make_unet` or `make_classifier`.

    Raises:
        UserError: if a key is unknown or missing, the kind is unknown or does not fit `low_res_px`,
            or the architecture cannot be built.
    """
    where = f"model {spec['name']}" if spec.get("name") else "model spec"
    refuse_unknown(where, spec, SPEC_KEYS)
    for key in ("kind", "architecture"):
        if key not in spec:
            raise UserError(
                f"{where}: {key!r} is missing; give the spec that was written beside the weights"
            )
    kind = spec["kind"]
    if kind not in MAKERS:
        raise UserError(f"{where}: kind is {kind!r}; choose one of {', '.join(MAKERS)}")
    architecture = dict(spec["architecture"])
    parameters = inspect.signature(MAKERS[kind]).parameters
    refuse_unknown(f"{where}: architecture of a {kind}", architecture, parameters)
    missing = [
        name for name, p in parameters.items() if p.default is p.empty and name not in architecture
    ]
    if missing:
        raise UserError(
            f"{where}: architecture of a {kind} lacks {', '.join(missing)}; give a value for each"
        )
    low_res_px = architecture.get("low_res_px")
    if kind == "upsampler" and low_res_px is None:
        raise UserError(
            f"{where}: an upsampler needs low_res_px, the size of the images it enlarges, and "
            "got None; give it, or set kind to diffusion"
        )
    if kind == "diffusion" and low_res_px is not None:
        raise UserError(
            f"{where}: low_res_px is {low_res_px}, which only an upsampler has; set it to null, "
            "or set kind to upsampler"
        )
    try:
        return MAKERS[kind](**architecture)
    except UserError as error:
        raise UserError(f"{where}: {error}") from error
