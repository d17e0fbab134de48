"""What dataset a user orders: its options, and which of them go together."""

from dataclasses import dataclass
from pathlib import Path

from adm.datasets.centre_crop import CROPS
from records.errors import UserError

MAX_SIZE_PX = 4096


@dataclass(frozen=True)
class Order:
    """What is to be made.

    Attributes:
        dataset: `imagenet`, `lsun` or `images`.
        path: where the user's images are.
        out: the zip to write.
        image_size_px: height and width; None with crop `none`.
        image_channels: 3, or 1 for grey images.
        crop: see `adm.datasets.centre_crop.make_square`.
        labels: see `adm.datasets.formats.open_own_images`.
        classes: names of the classes to keep; None keeps all.
        num_classes: how many there must be; None takes what is found.
        num_workers: processes.
        skip_broken: leave out what cannot be used, and list it.
        held_out: see `adm.datasets.held_out.choose_part`, as for the next.
        part: of the images; None for all.
        licence: of the images; None takes what is known of the dataset.
        words: where they come from; None takes what is known of the dataset.
    """

    dataset: str
    path: Path
    out: Path
    image_size_px: int | None
    image_channels: int = 3
    crop: str = "centre"
    labels: str = "auto"
    classes: tuple[str, ...] | None = None
    num_classes: int | None = None
    num_workers: int = 1
    skip_broken: bool = False
    held_out: int | None = None
    part: str | None = None
    licence: str | None = None
    words: str | None = None


def check_order(order: Order) -> None:
    """Check what does not depend on the images.

    Raises:
        UserError: a setting out of range, or settings that contradict one another.
    """
    size = order.image_size_px
    if order.crop not in CROPS:
        raise UserError(f"crop: got {order.crop!r}; needed: one of {', '.join(CROPS)}")
    if order.crop == "none" and size is not None:
        raise UserError("image_size_px: with crop none images keep their sizes; leave it out")
    if order.crop != "none" and (type(size) is not int or not 1 <= size <= MAX_SIZE_PX):
        raise UserError(f"image_size_px: got {size!r}; needed: a number from 1 to {MAX_SIZE_PX}")
    if order.num_classes is not None and order.num_classes < 1:
        raise UserError(f"num_classes: got {order.num_classes}; needed: 1 or more, or nothing")
    if order.num_workers < 1:
        raise UserError(f"workers: got {order.num_workers}; needed: 1 or more")
    if order.out.suffix != ".zip" or order.out.is_dir():
        raise UserError(f"{order.out}: the output is one zip; give a name that ends in .zip")
