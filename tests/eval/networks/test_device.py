import pytest

from eval.networks.device import check_device
from records.errors import UserError


def test_the_processor_is_always_there():
    check_device("cpu")


@pytest.mark.parametrize("device", ["cuda:77", "meta", "mps", "nonsense"])
def test_other_devices_are_refused_with_what_there_is(device):
    with pytest.raises(
        UserError,
        match=rf"device {device}: cannot be used \(.*this machine has cpu.* --config device=cpu",
    ):
        check_device(device)
