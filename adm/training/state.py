"""All that a training run continues from, and its file."""

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from adm.networks.model import make_network
from adm.process.seeds import seed_for
from adm.training.adamw import AdamW
from adm.training.ema import make_ema
from adm.training.precision import LossScale
from adm.weights.tensors import read_tensors, read_texts, write_tensors
from records.errors import OutOfMemory, UserError
from records.files import canonical_json, link_or_copy
from records.manifest import read_manifest
from specs.models import ModelSpec

STATE_FORMAT = "training state 1"
COPIES = 5  # weights, their gradients and average, two moments of AdamW
STATE_NAME, PREVIOUS_NAME = "state.safetensors", "previous.safetensors"


@dataclass
class TrainState:
    """What a training run continues from; random numbers and data order follow from `iteration`.

    Attributes:
        model: the network, float32 weights.
        ema: averaged weights in the order of `model.parameters()`.
        optimiser: AdamW over the same parameters.
        loss_scale: used by fp16 only.
        iteration: number of finished iterations.
    """

    model: nn.Module
    ema: list[Tensor]
    optimiser: AdamW
    loss_scale: LossScale
    iteration: int = 0


def make_state(spec: ModelSpec, device: str | torch.device = "cpu") -> TrainState:
    """Make the state before the first iteration; the weights follow from the training seed.

    Args:
        spec: model spec.
        device: where the network is put; its weights are drawn on the CPU.

    Returns:
        Network, average (a copy of the weights), AdamW.

    Raises:
        OutOfMemory: a GPU too small for these, and gradients.
    """
    training = spec.training
    torch.manual_seed(seed_for("training", training.seed, "weights"))
    model = make_network(spec.architecture)
    check_memory(spec.name, model, torch.device(device))
    model = model.to(device).train()
    optimiser = AdamW(model.parameters(), training.weight_decay)
    return TrainState(model, make_ema(list(model.parameters())), optimiser, LossScale())


def check_memory(name: str, model: nn.Module, device: torch.device) -> None:
    """Demand a GPU that holds what a training keeps there between its steps.

    Raises:
        OutOfMemory: one that does not.
    """
    if device.type != "cuda":
        return
    needed = COPIES * sum(one.numel() * one.element_size() for one in model.parameters())
    gpu = torch.cuda.get_device_properties(device)
    if needed > gpu.total_memory:
        raise OutOfMemory(
            f"{name}: weights, gradients, average and AdamW's moments take {needed / 1e9:.1f} GB, "
            f"{gpu.name} has {gpu.total_memory / 1e9:.1f} GB; take GPUs with more memory (each "
            "process keeps all of it, so that more of them do not help)"
        )


def find_run(state_dir: str | Path, data_sha256: str) -> tuple[Path, str | None]:
    """Find the folder of the run on an image set: the given one, or one in it.

    Args:
        state_dir: folder of the runs of a spec; the first run's files are directly in it.
        data_sha256: of the image set.

    Returns:
        The folder, and the hash of the other images that the first run is on, None if it is on
        these. Where nothing says which images they were, as in files of earlier versions, they
        count as these.
    """
    folder = Path(state_dir)
    known: set[str | None] = set()
    for path in folder.glob("*.safetensors"):
        with suppress(UserError):  # damaged files are told where they are needed
            known.add(read_texts(path, "training state").get("data_sha256"))
            known.add((read_manifest(path) or {}).get("inputs", {}).get("data"))
    others = sorted(one for one in known if one is not None)
    if not others or data_sha256 in others:
        return folder, None
    return folder / f"data-{data_sha256[:12]}", others[0]


def save_state(
    state_dir: str | Path,
    state: TrainState,
    spec: ModelSpec,
    data_sha256: str,
    class_names: Sequence[str] | None = None,
) -> None:
    """Write the state of a run as one file; the state before it stays beside it.

    At every moment, also when the process is killed inside this function, `state.safetensors` is a
    whole state.

    Args:
        state_dir: folder of the run's own state.
        state: what to write.
        spec: model spec, which a later run must share.
        data_sha256: of the image set, which it must share too; see `find_run`.
        class_names: names of the classes, for who draws from the state.

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
        "spec": canonical_json(spec.content()),
        "digest": spec.digest,
        "iteration": str(state.iteration),
        "loss_scale": canonical_json(vars(state.loss_scale)),
        "data_sha256": data_sha256,
    }
    if class_names is not None:
        metadata["class_names"] = canonical_json(list(class_names))
    if path.exists():
        link_or_copy(path, path.with_name(PREVIOUS_NAME))
    write_tensors(path, tensors, metadata)


def drop_state(state_dir: str | Path) -> None:
    """Delete the state of a run that is over; the averaged weights of its marks stay."""
    for name in (PREVIOUS_NAME, STATE_NAME):
        (Path(state_dir) / name).unlink(missing_ok=True)


def load_state(state_dir: str | Path, state: TrainState, spec: ModelSpec) -> list[str]:
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


def _check_same_spec(path: Path, texts: Mapping[str, str], spec: ModelSpec) -> None:
    """Refuse a state that another spec made."""
    if texts["digest"] == spec.digest:
        return
    there, here = _flatten(json.loads(texts["spec"])), _flatten(spec.content())
    keys = [key for key in sorted({*there, *here}) if there.get(key) != here.get(key)]
    if not keys:  # written by hand with 1 for 1.0, and hashed as it was written
        return
    changes = [f"{key} {there.get(key)!r} there, {here.get(key)!r} here" for key in keys]
    raise UserError(
        f"{path}: state of spec {texts['digest'][:12]}; {spec.digest[:12]} is needed. They "
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
