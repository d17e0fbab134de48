"""Classes by number or by name, and labels drawn where none are given."""

import difflib
import sys
from collections.abc import Sequence

import torch
from torch import Tensor

from adm.process.seeds import make_generator
from records.errors import UserError

NUM_SHOWN = 10


def draw_labels(
    indices: Sequence[int], *, seed: int, num_classes: int, label_policy: str
) -> Tensor:
    """Choose the class of each sample.

    Args:
        indices: sample numbers i >= 0.
        seed: sampling seed.
        num_classes: number of classes.
        label_policy: `random` draws each label uniformly, as the authors do; `balanced` gives
            sample i the class i mod num_classes.

    Returns:
        int64 [n].
    """
    if label_policy == "balanced":
        return torch.tensor([i % num_classes for i in indices])
    draws = [
        torch.randint(num_classes, (1,), generator=make_generator("label", seed, i))
        for i in indices
    ]
    return torch.cat(draws) if draws else torch.zeros(0, dtype=torch.int64)


def find_label(
    label: int | str, *, where: object, num_classes: int, class_names: Sequence[str] | None
) -> int:
    """Return the number of a class.

    Args:
        label: the number, also as text, or the name; a number is always taken as one.
        where: the model, for messages.
        num_classes: how many there are.
        class_names: in the order of their numbers; None where they are not known.

    Raises:
        UserError: no such number or name, with those that there are.
    """
    names = class_names or ()
    there = ", ".join(f"{number} {name}" for number, name in enumerate(names[:NUM_SHOWN]))
    more = ", ..." if len(names) > NUM_SHOWN else ""
    known = f" ({there}{more})" if names else ""
    text = str(label)
    if not (text.removeprefix("-").isascii() and text.removeprefix("-").isdecimal()):
        if label in names:
            return names.index(text)
        close = difflib.get_close_matches(text, names, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"give a number, 0 to {num_classes - 1}"
        raise UserError(f"{where}: no class is called {text!r}{known}; {hint}")
    if not 0 <= int(text) < num_classes:
        raise UserError(
            f"{where}: label {text}; there are {num_classes} classes: 0 to {num_classes - 1}{known}"
        )
    number = int(text)
    if text in names and names[number] != text:
        print(
            f"note: label {text} is class {names[number]!r}; class {text!r} is label "
            f"{names.index(text)}",
            file=sys.stderr,
        )
    return number
