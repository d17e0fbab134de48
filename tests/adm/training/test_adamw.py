import subprocess
import sys

import pytest
import torch

from adm.training.adamw import BETAS, EPS, AdamW
from adm.training.loop import make_state
from tests.adm.training_case import make_spec


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_the_same_bits_as_torchs_own(weight_decay):
    """Three steps at three rates; one parameter has no gradient at first, another never."""
    torch.manual_seed(0)
    ours = [torch.randn(5, 3), torch.randn(7), torch.randn(2)]
    theirs = [torch.nn.Parameter(one.clone()) for one in ours]
    optimiser = AdamW(ours, weight_decay)
    whole = torch.optim.AdamW(theirs, betas=BETAS, eps=EPS, weight_decay=weight_decay, fused=True)
    for iteration, rate in enumerate((1e-2, 3e-3, 1e-3)):
        for index in (0, 1) if iteration else (0,):
            grad = torch.randn_like(ours[index])
            ours[index].grad, theirs[index].grad = grad, grad.clone()
        optimiser.step(rate)
        whole.param_groups[0]["lr"] = rate
        whole.step()
    for mine, other in zip(ours, theirs, strict=True):
        assert torch.equal(mine, other)
    for index in (0, 1):
        state, expected = optimiser.state[ours[index]], whole.state[theirs[index]]
        assert state.keys() == expected.keys()
        assert all(torch.equal(state[key], expected[key]) for key in state)
    assert ours[2] not in optimiser.state
    optimiser.zero_grad()
    assert all(one.grad is None for one in ours)


def test_no_compiler_is_imported():
    """torch._dynamo would take longer than many a short training."""
    code = (
        "import sys\n"
        "from tests.adm.training_case import make_spec\n"
        "from adm.training.loop import make_state\n"
        "state = make_state(make_spec())\n"
        "for one in state.model.parameters(): one.grad = one.detach().clone()\n"
        "state.optimiser.step(1e-3)\n"
        "assert 'torch._dynamo' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_spec_sets_the_decay():
    assert make_state(make_spec(weight_decay=0.1)).optimiser.weight_decay == 0.1
