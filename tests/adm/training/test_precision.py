import pytest
import torch

from adm.training.precision import (
    LossScale,
    check_precision,
    compute_grad_norm,
    make_autocast,
    run_in_precision,
    use_exact_float32,
    warn_of_slow_precision,
)
from records.errors import UserError


def test_unknown_precision_names_the_known_ones():
    with pytest.raises(UserError, match=r"got 'fp8'; needed: float32, bf16, fp16"):
        check_precision("fp8", "cpu")


def test_missing_bf16_is_said_and_nothing_else_is_taken(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: False)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "Old GPU")
    with pytest.raises(UserError, match=r"^training: .* Old GPU has no bfloat16 arithmetic; take"):
        check_precision("bf16", "cuda")
    with pytest.raises(UserError, match=r"^sampling: precision: bf16 is asked for and Old GPU"):
        check_precision("bf16", "cuda", "sampling")
    check_precision("fp16", "cuda")


@pytest.mark.parametrize(
    ("precision", "dtype"),
    [("float32", torch.float32), ("bf16", torch.bfloat16), ("fp16", torch.float16)],
)
def test_autocast_decides_the_arithmetic_and_not_the_weights(precision, dtype):
    layer = torch.nn.Linear(4, 4)
    with make_autocast(precision, "cpu"):
        assert layer(torch.ones(2, 4)).dtype == dtype
    assert layer.weight.dtype == torch.float32


def test_a_network_runs_in_its_precision_and_only_there():
    layer = torch.nn.Linear(4, 4)
    run = run_in_precision(layer, "bf16", "cpu")
    assert run(torch.ones(2, 4)).dtype == torch.bfloat16
    assert layer(torch.ones(2, 4)).dtype == torch.float32


def test_fp16_on_a_cpu_is_told(capsys):
    warn_of_slow_precision("m", "bf16", "cpu")
    warn_of_slow_precision("m", "fp16", "cuda")
    assert capsys.readouterr().err == ""
    warn_of_slow_precision("m", "fp16", "cpu")
    assert capsys.readouterr().err.startswith("note: m: fp16 on a CPU is slower than float32")


def test_float32_is_not_rounded_to_tf32(monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    use_exact_float32()
    assert not torch.backends.cudnn.allow_tf32
    assert not torch.backends.cuda.matmul.allow_tf32


def test_loss_scale_follows_the_authors_rule():
    scale = LossScale()
    assert scale.factor == 2.0**20
    for _ in range(1000):
        scale.update(finite=True)
    assert scale.exponent == pytest.approx(21.0)
    for count in (1, 2, 3):
        scale.update(finite=False)
        assert scale.num_skipped_in_a_row == count
    assert scale.exponent == pytest.approx(18.0)
    scale.update(finite=True)
    assert scale.num_skipped_in_a_row == 0


def test_grad_norm_is_over_all_gradients():
    grads = [torch.full((2, 2), 3.0), torch.tensor([8.0])]
    assert compute_grad_norm(grads).item() == pytest.approx(10.0)
    assert torch.isnan(compute_grad_norm([torch.tensor([float("nan")]), torch.ones(2)]))
