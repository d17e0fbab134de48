"""Models of the paper's size on a CPU: what they need of memory, and that they do a real step."""

import json
import subprocess
import sys

import pytest
import torch

from adm.published.checkpoints import make_shapes
from adm.published.names import find_model, load_catalogue
from adm.training.loop import make_state
from adm.training.losses import make_loss_fn
from adm.training.step import train_step
from adm.weights.files import make_header
from adm.weights.tensors import write_tensors

LIMIT_GIB = 12
# A process of its own: its peak memory is that of loading and sampling alone.
PROGRAM = """
import json, sys, time
from pathlib import Path
import torch
import adm
from adm.process.diffusion import p_mean_variance
from adm.process.sampler import ancestral_step
from specs.schedule import make_schedule

def read_peak_gib():
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 2**20

torch.set_num_threads(2)
started = time.monotonic()
model = adm.load(sys.argv[1])
loaded, loaded_gib = time.monotonic() - started, read_peak_gib()
schedule = make_schedule("linear", 1000, model.respacing)
generator = torch.Generator().manual_seed(0)
x, noise = torch.randn(2, 1, 3, 256, 256, generator=generator)
t = torch.tensor([schedule.num_steps - 1])
with torch.inference_mode():
    out = model(x, torch.from_numpy(schedule.timestep_map)[t], torch.tensor([263]))
    less_noisy = ancestral_step(p_mean_variance(schedule, out, x, t), t, noise=noise)
print(json.dumps({
    "parameters": sum(one.numel() for one in model.parameters()),
    "steps": schedule.num_steps,
    "load_s": loaded,
    "loaded_gib": loaded_gib,
    "step_s": time.monotonic() - started - loaded,
    "peak_gib": read_peak_gib(),
    "shape": list(less_noisy.shape),
    "finite": bool(torch.isfinite(less_noisy).all()),
    "moved": float((less_noisy - x).abs().max()),
}))
"""


def write_random_weights(path, named):
    """Write weights of a model as views of one pool of numbers, a tensor at a time."""
    pool = 0.02 * torch.randn(24_000_000, generator=torch.Generator().manual_seed(0))
    tensors = {}
    for index, (name, shape) in enumerate(make_shapes(named.spec.architecture).items()):
        size = torch.Size(shape).numel()
        first = 1009 * index % (len(pool) - size)
        tensors[name] = pool[first : first + size].view(shape)
    write_tensors(path, tensors, make_header(named.spec, named.mark, named.iteration))


@pytest.mark.slow
def test_the_256_model_loads_and_samples_within_12_gib(tmp_path):
    path = tmp_path / "weights.safetensors"
    write_random_weights(path, find_model("ADM_diffusion_256_conditioned", load_catalogue()))
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    print(done.stdout)
    got = json.loads(done.stdout)
    assert got["parameters"] == 553_838_086 and got["steps"] == 250
    assert got["shape"] == [1, 3, 256, 256] and got["finite"] and got["moved"] > 0
    assert got["peak_gib"] < LIMIT_GIB
    # Twice the weights (2.06 GiB each) would be more than this.
    assert got["loaded_gib"] < 3.5


@pytest.mark.slow
def test_the_64_model_takes_a_training_step():
    spec = find_model("ADM_diffusion_64_conditioned", load_catalogue()).spec
    state = make_state(spec)
    before = [one.detach().clone() for one in list(state.model.parameters())[-2:]]
    generator = torch.Generator().manual_seed(0)
    x_start = torch.rand(2, 3, 64, 64, generator=generator) * 2 - 1
    eps = torch.randn(2, 3, 64, 64, generator=generator)
    training = spec.training.model_copy(update={"precision": "float32"})
    on_cpu = spec.model_copy(update={"training": training})
    result = train_step(
        state,
        make_loss_fn(on_cpu, state.model, "cpu"),
        x_start,
        torch.tensor([263, 7]),
        torch.tensor([100, 900]),
        eps,
        microbatch_size=1,
        learning_rate=training.learning_rate,
        ema_decay=training.ema_decay,
        grad_clip=None,
        precision="float32",
        dropout_seed=0,
    )
    assert result.taken and torch.isfinite(result.sums["loss"]) and result.grad_norm > 0
    assert state.iteration == 1 and sum(one.numel() for one in state.ema) == 295_904_454
    after = list(state.model.parameters())[-2:]
    assert all((new != old).any() for new, old in zip(after, before, strict=True))
    for average, old, new in zip(state.ema[-2:], before, after, strict=True):
        torch.testing.assert_close(average, old + (new - old) * 1e-4, rtol=1e-3, atol=1e-9)
