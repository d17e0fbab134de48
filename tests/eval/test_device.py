import os

import pytest

from eval.device import check_device, count_cores
from records.errors import UserError


def test_the_processor_is_always_there():
    check_device("cpu")


@pytest.mark.parametrize("device", ["cuda:77", "meta", "mps", "nonsense"])
def test_other_devices_are_refused_with_what_there_is(device):
    with pytest.raises(
        UserError, match=rf"device {device}: cannot be used \(.*this machine has cpu"
    ):
        check_device(device)


def test_cores_are_counted_with_and_without_the_systems_word(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3, 5, 6}, raising=False)
    assert count_cores() == 3
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 7)
    assert count_cores() == 7
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert count_cores() == 1
