"""Weights on disk: safetensors files that are whole or absent, with the spec that made them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from adm.weights.tensors import fill_tensors, opened, read_texts, write_tensors
from records.errors import UserError
from records.files import canonical_json
from records.limits import parse_json
from specs.load import parse_header
from specs.models import ModelSpec, WeightsSpec

NUM_SHOWN = 5
STATE_MARK = "state"  # what a header says in place of a mark when it is a training's state
Network = TypeVar("Network", bound=nn.Module)


@dataclass(frozen=True)
class WeightsHeader:
    """What a weights file says of itself.

    `digest` is that of the spec when it was written; `data_sha256` that of the image set, None for
    published weights and those of earlier versions; `class_names` are those of the training images
    in the order of the labels, None where they have none.
    """

    spec: WeightsSpec
    digest: str
    mark: str
    iteration: int
    data_sha256: str | None
    class_names: tuple[str, ...] | None


def make_header(
    spec: ModelSpec | WeightsSpec,
    mark: str,
    iteration: int,
    *,
    data_sha256: str | None = None,
    class_names: Sequence[str] | None = None,
) -> dict[str, str]:
    """Make the texts by which a weights file says what it is; see `save_weights`."""
    known = {} if data_sha256 is None else {"data_sha256": data_sha256}
    if class_names is not None:
        known["class_names"] = canonical_json(list(class_names))
    return known | {
        "spec": canonical_json(spec.content()),
        "digest": spec.digest,
        "mark": mark,
        "iteration": str(iteration),
        "recipe": str(spec.recipe),
    }


def save_weights(
    path: str | Path,
    model: nn.Module,
    weights: list[Tensor],
    *,
    spec: ModelSpec | WeightsSpec,
    mark: str,
    iteration: int,
    data_sha256: str | None = None,
    class_names: Sequence[str] | None = None,
) -> None:
    """Write (averaged) weights under the model's own parameter names, with the spec that made them.

    Args:
        path: the file; it appears when it is whole.
        model: the network, for the names.
        weights: float32 tensors in the order of `model.parameters()`.
        spec: model spec.
        mark: name of the mark.
        iteration: iterations of training behind them.
        data_sha256: of the image set that they learned from, where it is known.
        class_names: names of the classes in the order of their labels, where they have some.

    Raises:
        UserError: the file cannot be written.
    """
    names = [name for name, _ in model.named_parameters()]
    tensors = dict(zip(names, weights, strict=True))
    header = make_header(spec, mark, iteration, data_sha256=data_sha256, class_names=class_names)
    write_tensors(path, tensors, header)


def read_header(path: str | Path) -> WeightsHeader:
    """Read what a weights file says of itself.

    Raises:
        UserError: missing, truncated or foreign.
    """
    return _parse_metadata(path, read_texts(path, "weights file"))


def _parse_metadata(path: str | Path, texts: Mapping[str, str]) -> WeightsHeader:
    """Turn a weights file's texts into values."""
    try:
        return WeightsHeader(
            spec=parse_header(parse_json(texts["spec"]), path),
            digest=texts["digest"],
            mark=texts.get("mark", STATE_MARK),
            iteration=int(texts["iteration"]),
            data_sha256=texts.get("data_sha256"),
            class_names=_parse_class_names(texts),
        )
    except (KeyError, ValueError):
        raise UserError(
            f"{path}: a safetensors file without a model spec in its header; it was not written "
            "by this project: import it first"
        ) from None


def _parse_class_names(texts: Mapping[str, str]) -> tuple[str, ...] | None:
    """Return the names of the classes, where a header has them."""
    names = parse_json(texts.get("class_names", "null"))
    return tuple(map(str, names)) if isinstance(names, list) else None


def load_network_of(
    path: str | Path,
    make: Callable[[WeightsSpec], Network],
    *,
    device: str | torch.device,
    expected_digest: str | None = None,
    weights: str = "ema",
) -> Network:
    """Make the network that a weights file describes and load it; no fresh weights are drawn.

    Args:
        path: the file, or the state of a training.
        make: makes a network of a model spec.
        device: where to put it.
        expected_digest: see `load_weights`.
        weights: `ema`, the average; `raw`, the weights themselves, which a state alone has.

    Returns:
        The network in eval mode.

    Raises:
        UserError: see `load_weights`; no raw weights; or its spec cannot be built.
    """
    with torch.device("meta"), _NoFreshWeights():  # shapes without memory
        model = make(read_header(path).spec)
    _, prefix = _check_weights(path, model, expected_digest, weights)
    tensors = {
        name: torch.empty(one.shape, device=device) for name, one in model.named_parameters()
    }
    fill_tensors(path, "weights file", {prefix + name: one for name, one in tensors.items()})
    model.load_state_dict(tensors, assign=True)
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
) -> WeightsHeader:
    """Load a weights file into a network; every name and shape must agree.

    Args:
        path: the file.
        model: the network to fill.
        expected_digest: digest of the spec that is needed, if it matters.

    Returns:
        What `read_header` returns.

    Raises:
        UserError: missing, truncated, foreign, or of another spec; the network is untouched.
    """
    header, prefix = _check_weights(path, model, expected_digest, "ema")
    tensors = {prefix + name: one for name, one in model.named_parameters()}
    fill_tensors(path, "weights file", tensors)
    return header


def _check_weights(
    path: str | Path, model: nn.Module, expected_digest: str | None, weights: str
) -> tuple[WeightsHeader, str]:
    """Check a weights file against a network, whose memory is left alone; see `load_weights`.

    Returns:
        The header, and what comes before the parameters' names in the file: a state holds them
        twice, and the optimiser's moments.
    """
    with opened(path, "weights file") as file:
        header = _parse_metadata(path, file.metadata() or {})
        slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118
        stored = {name: (one.get_dtype(), one.get_shape()) for name, one in slices.items()}
    is_state = any(name.startswith("ema.") for name in stored)
    if weights == "raw" and not is_state:
        raise UserError(
            f"{path}: holds the averaged weights alone; the raw ones are in the state of the "
            "training: give its state.safetensors (in the folder of --state)"
        )
    prefix = {"ema": "ema.", "raw": "weights."}[weights] if is_state else ""
    stored = {
        name.removeprefix(prefix): one for name, one in stored.items() if name.startswith(prefix)
    }
    different = _describe_differences(dict(model.named_parameters()), stored)
    other_spec = expected_digest is not None and header.digest != expected_digest
    if other_spec or different:
        needed = f"; {expected_digest[:12]} is needed" if expected_digest else ""
        raise UserError(
            f"{path}: weights of {header.spec.name}, spec {header.digest[:12]}{needed}"
            f"{': ' + different if different else ''}; train the model again or give its own file"
        )
    return header, prefix


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
