"""Numbers and devices on the command line, checked where an option is declared."""

import argparse
import re
from collections.abc import Callable
from math import inf, isfinite, nan
from typing import Any

from records.cores import count_cores
from records.errors import UserError

DEVICE = re.compile("cpu|cuda(:[1-9]?[0-9])?")  # torch takes cuda:300 as cuda:44
DEVICES = "cpu, cuda, or one of several as cuda:1"
MAX_THREADS = 4096


def number(
    *, above: float = -inf, at_least: float = -inf, at_most: float = inf, kind: type = float
) -> Callable[[str], Any]:
    """Make the `type` of an option that takes a number within a range.

    Args:
        above: what the number must exceed.
        at_least: the smallest number that is taken.
        at_most: the largest number that is taken.
        kind: float, or int for whole numbers.

    Returns:
        A function for argparse, which parses the number and refuses everything else by saying what
        was got and what is needed.
    """
    limits = (("above", above), ("at least", at_least), ("at most", at_most))
    bounds = " and ".join(f"{words} {limit}" for words, limit in limits if isfinite(limit))
    needed = f"a {'whole ' if kind is int else ''}number, {bounds}"

    def parse(text: str) -> Any:
        try:
            value = kind(text)
        except ValueError:
            value = nan  # is in no range
        if not (above < value < inf and at_least <= value <= at_most):
            raise argparse.ArgumentTypeError(f"got {text!r}; needed: {needed}")
        return value

    return parse


def whole_number(*, at_least: int, at_most: float = inf) -> Callable[[str], int]:
    """Make the `type` of an option that takes a whole number within a range; see `number`."""
    return number(at_least=at_least, at_most=at_most, kind=int)


POSITIVE, NOT_NEGATIVE = whole_number(at_least=1), whole_number(at_least=0)


def parse_device(text: str) -> str:
    """Parse the name of a device; whether this machine has it is for `check_device` to say.

    Raises:
        argparse.ArgumentTypeError: not such a name.
    """
    if not DEVICE.fullmatch(text):
        raise argparse.ArgumentTypeError(f"got {text!r}; needed: {DEVICES}")
    return text


def check_device(device: str, torch: Any) -> None:
    """Demand a device that this machine has.

    Args:
        device: cpu, cuda or cuda:1.
        torch: the module, which nothing here imports.

    Raises:
        UserError: not the name of a device, or torch cannot use it here.
    """
    try:
        if not DEVICE.fullmatch(device):
            raise RuntimeError(f"needed: {DEVICES}")
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).partition("\n")[0]
        have = ["cpu", *(f"cuda:{index}" for index in range(torch.cuda.device_count()))]
        raise UserError(
            f"device {device}: cannot be used ({reason}); this machine has {', '.join(have)}; "
            "give --device cpu or another of these (in the workflow --config device=cpu)"
        ) from None


def add_machine_options(parser: argparse.ArgumentParser, *, threads: int | None = None) -> None:
    """Add the options that say where to compute.

    Args:
        parser: of the command.
        threads: how many there are when none are asked for; None for one on every core.
    """
    parser.add_argument(
        "--device", type=parse_device, default="cpu", help=f"where torch computes: {DEVICES} (cpu)"
    )
    parser.add_argument(
        "--threads",
        type=whole_number(at_least=1, at_most=MAX_THREADS),
        default=threads or count_cores(),
        help=f"CPU threads ({threads or 'as many as there are cores'})",
    )
