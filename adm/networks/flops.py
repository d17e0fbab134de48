"""Count the floating-point operations of networks on the meta device, where nothing is computed.

Run as `python -m adm.networks.flops < networks.json > counts.json`: a JSON object of
{kind, architecture} by any key, answered with the counts by the same key. `workflow`, which loads
no torch, asks this way.
"""

import json
import sys
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from adm.networks.model import make_network
from adm.process.guidance import make_cond_fn
from records.errors import main_guard
from specs.architecture import Architecture, ClassifierArchitecture, UNetArchitecture
from specs.strict import validated


def count_flops(shape: Architecture) -> dict[str, int | None]:
    """Count what one image costs a network, with torch's own counter.

    The counter takes convolutions, linear layers and the products inside attention, a
    multiplication and an addition as two operations; normalisation, activations, resampling and
    sums are left out, as everywhere in the literature. All counts grow linearly with the batch.

    Args:
        shape: the architecture of a diffusion model, an upsampler or a classifier.

    Returns:
        `num_parameters`; `forward_flops`; `training_flops`, forward and backward to all weights;
        `guidance_flops`, a classifier forward and backward to its input alone, else None.
    """
    with torch.device("meta"):
        model = make_network(shape).eval()  # dropout costs nothing
        x_t = torch.zeros(1, shape.in_channels, shape.image_size_px, shape.image_size_px)
        t, y = torch.zeros(1, dtype=torch.long), torch.zeros(1, dtype=torch.long)
        inputs: dict[str, Tensor] = {}
        if isinstance(shape, UNetArchitecture) and shape.num_classes is not None:
            inputs["y"] = y
        if isinstance(shape, UNetArchitecture) and shape.low_res_px is not None:
            small = shape.low_res_px
            inputs["low_res"] = torch.zeros(1, shape.in_channels, small, small)
        training = _count(lambda: model(x_t, t, **inputs).sum().backward())
        model.requires_grad_(False)
        forward = _count(lambda: model(x_t, t, **inputs))
        guidance = None
        if isinstance(shape, ClassifierArchitecture):
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
    counts = {}
    for key, one in json.load(sys.stdin).items():
        kind = ClassifierArchitecture if one["kind"] == "classifier" else UNetArchitecture
        counts[key] = count_flops(validated(kind, one["architecture"], f"network {key}"))
    json.dump(counts, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main_guard(run)())
