"""Count the floating-point operations of networks on the meta device, where nothing is computed.

Run as `python -m adm.networks.flops < networks.json > counts.json`: a JSON object of
{kind, architecture} by any key, answered with the counts by the same key. `workflow`, which loads
no torch, asks this way.
"""

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from adm.networks.model import make_model
from adm.process.guidance import make_cond_fn
from records.errors import main_guard


def count_flops(kind: str, architecture: Mapping[str, Any]) -> dict[str, int | None]:
    """Count what one image costs a network, with torch's own counter.

    The counter takes convolutions, linear layers and the products inside attention, a
    multiplication and an addition as two operations; normalisation, activations, resampling and
    sums are left out, as everywhere in the literature. All counts grow linearly with the batch.

    Args:
        kind: `diffusion`, `upsampler` or `classifier`.
        architecture: keyword arguments of `make_unet` or `make_classifier`.

    Returns:
        `num_parameters`; `forward_flops`; `training_flops`, forward and backward to all weights;
        `guidance_flops`, a classifier forward and backward to its input alone, else None.

    Raises:
        UserError: the network cannot be built.
    """
    with torch.device("meta"):
        model = make_model({"kind": kind, "architecture": architecture})
        size = architecture["image_size_px"]
        x_t = torch.zeros(1, architecture["in_channels"], size, size)
        t, y = torch.zeros(1, dtype=torch.long), torch.zeros(1, dtype=torch.long)
        inputs: dict[str, Tensor] = {}
        if kind != "classifier" and architecture["num_classes"] is not None:
            inputs["y"] = y
        if kind == "upsampler":
            small = architecture["low_res_px"]
            inputs["low_res"] = torch.zeros(1, architecture["in_channels"], small, small)
        training = _count(lambda: model(x_t, t, **inputs).sum().backward())
        model.eval().requires_grad_(False)
        forward = _count(lambda: model(x_t, t, **inputs))
        guidance = None
        if kind == "classifier":
            # The counter cannot see a gradient arrive at a module's input that is a leaf.
            cond_fn = make_cond_fn(lambda x, t: model(x.view_as(x), t), y, guidance_scale=1.0)
            guidance = _count(lambda: cond_fn(x_t, t))
    return {
        "num_parameters": _count_parameters(model),
        "forward_flops": forward,
        "training_flops": training,
        "guidance_flops": guidance,
    }


def _count(run: Callable[[], object]) -> int:
    with FlopCounterMode(display=False) as counter:
        run()
    return int(counter.get_total_flops())


def _count_parameters(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def run(argv: Sequence[str] | None = None) -> int:
    """Answer the networks on standard input with their counts on standard output.

    Raises:
        UserError: a network cannot be built.
    """
    networks = json.load(sys.stdin)
    counts = {key: count_flops(one["kind"], one["architecture"]) for key, one in networks.items()}
    json.dump(counts, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main_guard(run)())
