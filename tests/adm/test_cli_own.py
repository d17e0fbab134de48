"""What training says at its start."""

import pytest

from adm.cli_own import say_at_start
from tests.adm.training_case import make_spec


@pytest.mark.parametrize(
    ("training", "device", "words"),
    [
        ({"precision": "fp16"}, "cpu", "tiny_diffusion: fp16 on a CPU is slower than float32"),
        ({"precision": "fp16"}, "cuda", ""),
        ({"precision": "float32"}, "cpu", ""),
        ({"ema_decay": 0.9999}, "cpu", "tiny_diffusion: ema_decay 0.9999 over 200 iterations le"),
    ],
)
def test_what_is_told_before_hours_of_training(capsys, training, device, words):
    say_at_start(make_spec(**training), 200, device)
    said = capsys.readouterr().err
    assert words in said and bool(words) == bool(said)
