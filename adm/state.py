"""Weights and training state on disk: safetensors files that are whole or absent."""

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from adm.precision import LossScale
from adm.spec_checks import check_header
from adm.tensorfile import fill_tensors, opened, read_tensors, write_tensors
from records.errors import UserError
from records.files import canonical_json, link_or_copy, spec_digest

STATE_FORMAT = "training state 1"
STATE_NAME, PREVIOUS_NAME = "state.safetensors", "previous.safetensors"
NUM_SHOWN = 5


@dataclass
class TrainState:
    """All that a training run goes on from; random numbers and data order follow from `iteration`.

    Attributes:
        model: the network, float32 weights.
        ema: averaged weights in the order of `model.parameters()`.
        optimiser: AdamW over the same parameters.
        loss_scale: used by fp16 only.
        iteration: number of finished iterations.
    """

    model: nn.Module
    ema: list[Tensor]
    optimiser: torch.optim.Optimizer
    loss_scale: LossScale
    iteration: int = 0


def save_weights(
    path: str | Path,
    model: nn.Module,
    weights: list[Tensor],
    *,
    spec: Mapping[str, Any],
    mark: str,
    iteration: int,
) -> None:
    """Write (averaged) weights under the model's own parameter names, with the spec that made them.

    Args:
        path: the file; it appears when it is whole.
        model: the network, for the names.
        weights: float32 tensors in the order of `model.parameters()`.
        spec: model spec.
        mark: name of the mark.
        iteration: iterations of training behind them.

    Raises:
        UserError: the file cannot be written.
    """
    names = [name for name, _ in model.named_parameters()]
    metadata = {
        "spec": canonical_json(spec),
        "digest": spec_digest(spec),
        "mark": mark,
        "iteration": str(iteration),
        "recipe": str(spec["recipe"]),
    }
    write_tensors(path, dict(zip(names, weights, strict=True)), metadata)


def read_spec(path: str | Path) -> dict[str, Any]:
    """Read what a weights file says of itself.

    Returns:
        `spec` (the model spec), `digest`, `mark`, `iteration` and `recipe` (whole numbers).

    Raises:
        UserError: missing, truncated or foreign.
    """
    with opened(path, "weights file") as file:
        return _parse_metadata(path, file.metadata() or {})


def _parse_metadata(path: str | Path, texts: Mapping[str, str]) -> dict[str, Any]:
    """Turn a weights file's texts into values."""
    try:
        spec = json.loads(texts["spec"])
        check_header(spec, path)
        return {
            "spec": spec,
            "digest": texts["digest"],
            "mark": texts["mark"],
            "iteration": int(texts["iteration"]),
            "recipe": int(texts["recipe"]),
        }
    except (KeyError, ValueError):
        raise UserError(
            f"{path}: a safetensors file without a model spec in its header; it was not written "
            "by this project: import it first"
        ) from None


def load_network_of(
    path: str | Path,
    make: Callable[[Mapping[str, Any]], nn.Module],
    *,
    device: str | torch.device,
    expected_digest: str | None = None,
) -> nn.Module:
    """Make the network that a weights file describes and load it; no fresh weights are drawn.

    Args:
        path: the file.
        make: makes a network of a model spec.
        device: where to put it.
        expected_digest: see `load_weights`.

    Returns:
        The network in eval mode.

    Raises:
        UserError: see `load_weights`; or its spec cannot be built.
    """
    with torch.device("meta"), _NoFreshWeights():  # shapes without memory
        model = make(read_spec(path)["spec"])
    _check_weights(path, model, expected_digest)
    weights = {
        name: torch.empty(one.shape, device=device) for name, one in model.named_parameters()
    }
    fill_tensors(path, "weights file", weights)
    model.load_state_dict(weights, assign=True)
    return model.eval()


class _NoFreshWeights(TorchFunctionMode):
    """Leaves parameters as they are where modules would draw them.

    Drawing, or computing with what was drawn, changes nothing on the meta device, but torch takes
    2 s to import what that needs there.
    """

    DRAWING = (nn.init.kaiming_uniform_, nn.init.uniform_, nn.init.normal_)

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        if func in self.DRAWING:
            return None
        if func is torch.randn:
            return torch.zeros(*args, device="cpu")
        return func(*args, **(kwargs or {}))


def load_weights(
    path: str | Path, model: nn.Module, expected_digest: str | None = None
) -> dict[str, Any]:
    """Load a weights file into a network; every name and shape must agree.

    Args:
        path: the file.
        model: the network to fill.
        expected_digest: digest of the spec that is needed, if it matters.

    Returns:
        What `read_spec` returns.

    Raises:
        UserError: missing, truncated, foreign, or of another spec; the network is untouched.
    """
    metadata = _check_weights(path, model, expected_digest)
    fill_tensors(path, "weights file", dict(model.named_parameters()))
    return metadata


def _check_weights(
    path: str | Path, model: nn.Module, expected_digest: str | None
) -> dict[str, Any]:
    """Check a weights file against a network, whose memory is left alone; see `load_weights`."""
    with opened(path, "weights file") as file:
        metadata = _parse_metadata(path, file.metadata() or {})
        slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118
        stored = {name: (one.get_dtype(), one.get_shape()) for name, one in slices.items()}
    different = _describe_differences(dict(model.named_parameters()), stored)
    other_spec = expected_digest is not None and metadata["digest"] != expected_digest
    if other_spec or different:
        name = metadata["spec"].get("name", "a model")
        needed = f"; {expected_digest[:12]} is needed" if expected_digest else ""
        raise UserError(
            f"{path}: weights of {name}, spec {metadata['digest'][:12]}{needed}"
            f"{': ' + different if different else ''}; train the model again or give its own file"
        )
    return metadata


def _describe_differences(
    needed: Mapping[str, Tensor], got: Mapping[str, tuple[str, list[int]]]
) -> str:
    """Say which tensors of a file are missing, too many or of another kind; empty when none.

    `got` holds the types, as safetensors names them, and the shapes.
    """
    found = {
        "missing": [name for name in needed if name not in got],
        "not in the network": [name for name in got if name not in needed],
        "of another shape": [
            f"{name} {got[name][1]} instead of {list(needed[name].shape)}"
            for name in needed
            if name in got and list(needed[name].shape) != got[name][1]
        ],
        "not of float32": [f"{name} {dtype}" for name, (dtype, _) in got.items() if dtype != "F32"],
    }
    parts = []
    for words, names in found.items():
        if names:
            more = f" and {len(names) - NUM_SHOWN} more" if len(names) > NUM_SHOWN else ""
            parts.append(f"{words}: {', '.join(names[:NUM_SHOWN])}{more}")
    return "; ".join(parts)


def save_state(state_dir: str | Path, state: TrainState, spec: Mapping[str, Any]) -> None:
    """Write the state of a run as one file; the state before it stays beside it.

    At every moment, also when the process is killed inside this function, `state.safetensors` is a
    whole state.

    Args:
        state_dir: folder of the run's own state.
        state: what to write.
        spec: model spec, which a later run must share.

    Raises:
        UserError: the file cannot be written; the last good state is untouched.
    """
    path = Path(state_dir) / STATE_NAME
    tensors: dict[str, Tensor] = {}
    for (name, parameter), average in zip(state.model.named_parameters(), state.ema, strict=True):
        tensors[f"weights.{name}"] = parameter
        tensors[f"ema.{name}"] = average
        for key, value in state.optimiser.state.get(parameter, {}).items():
            tensors[f"{key}.{name}"] = value
    metadata = {
        "format": STATE_FORMAT,
        "spec": canonical_json(spec),
        "digest": spec_digest(spec),
        "iteration": str(state.iteration),
        "loss_scale": canonical_json(vars(state.loss_scale)),
    }
    if path.exists():
        link_or_copy(path, path.with_name(PREVIOUS_NAME))
    write_tensors(path, tensors, metadata)


def drop_state(state_dir: str | Path) -> None:
    """Delete the state of a run that is over; the averaged weights of its marks stay."""
    for name in (PREVIOUS_NAME, STATE_NAME):
        (Path(state_dir) / name).unlink(missing_ok=True)


def load_state(state_dir: str | Path, state: TrainState, spec: Mapping[str, Any]) -> list[str]:
    """Continue from the state in a folder, if there is one.

    Args:
        state_dir: folder of the run's own state.
        state: a fresh state of the same spec, changed in place.
        spec: model spec.

    Returns:
        Sentences for the user: the newest state could not be read and the one before it was taken.

    Raises:
        UserError: the state is of another spec (both digests and the keys that differ are shown),
            or there are only damaged or foreign files.
    """
    notices: list[str] = []
    paths = [Path(state_dir) / name for name in (STATE_NAME, PREVIOUS_NAME)]
    for path in [one for one in paths if one.exists()]:
        try:
            tensors, texts = _read_state(path)
        except UserError as error:
            notices.append(str(error))
            continue
        _check_same_spec(path, texts, spec)
        _fill_state(state, tensors, texts)
        return [f"{one}. Continuing from {path}" for one in notices]
    if notices:
        raise UserError(
            f"{'; '.join(notices)}. No good state is left: delete {state_dir} to start over"
        )
    return []


def _read_state(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read a state file and check that it is one."""
    tensors, texts = read_tensors(path, "training state")
    if texts.get("format") != STATE_FORMAT:
        raise UserError(f"{path}: a safetensors file, but no training state")
    return tensors, texts


def _check_same_spec(path: Path, texts: Mapping[str, str], spec: Mapping[str, Any]) -> None:
    """Refuse a state that another spec made."""
    if texts["digest"] == spec_digest(spec):
        return
    there, here = _flatten(json.loads(texts["spec"])), _flatten(spec)
    keys = [key for key in sorted({*there, *here}) if there.get(key) != here.get(key)]
    changes = [f"{key} {there.get(key)!r} there, {here.get(key)!r} here" for key in keys]
    raise UserError(
        f"{path}: state of spec {texts['digest'][:12]}; {spec_digest(spec)[:12]} is needed. They "
        f"differ in {'; '.join(changes)}. Give another state folder, or delete this one to start "
        "over"
    )


def _flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Write a nested mapping as dotted keys, without the name."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, Mapping):
            flat |= _flatten(value, f"{prefix}{key}.")
        elif prefix or key != "name":
            flat[f"{prefix}{key}"] = value
    return flat


def _fill_state(state: TrainState, tensors: Mapping[str, Tensor], texts: Mapping[str, str]) -> None:
    """Put what a state file holds into a state."""
    with torch.no_grad():
        for (name, parameter), average in zip(
            state.model.named_parameters(), state.ema, strict=True
        ):
            parameter.copy_(tensors[f"weights.{name}"])
            average.copy_(tensors[f"ema.{name}"])
            if f"step.{name}" in tensors:
                state.optimiser.state[parameter] = {
                    key: tensors[f"{key}.{name}"].to(parameter.device, copy=True)
                    for key in ("step", "exp_avg", "exp_avg_sq")
                }
    state.loss_scale = LossScale(**json.loads(texts["loss_scale"]))
    state.iteration = int(texts["iteration"])


def remove_leftovers(state_dir: str | Path) -> None:
    """Delete the temporary files of writes that a kill cut short; call it under the run's lock."""
    for path in Path(state_dir).glob(".*.tmp"):
        with suppress(FileNotFoundError):
            path.unlink()
