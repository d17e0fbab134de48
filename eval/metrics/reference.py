"""What samples are compared with."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Reference:
    """What samples are compared with.

    pool float32 [num_stored, d] are features of the images for precision and recall, of which a
    file of statistics alone has none; the moments are those of num_images images (None where the
    file does not say). None in the place of what no metric asked for, or the file lacks, also of
    the height and width of images, and their labels int64 [num_stored].
    """

    path: str
    sha256: str
    num_stored: int | None
    num_images: int | None
    pool: np.ndarray | None = None
    mu: np.ndarray | None = None
    sigma: np.ndarray | None = None
    mu_s: np.ndarray | None = None
    sigma_s: np.ndarray | None = None
    image_size_px: tuple[int, int] | None = None
    labels: np.ndarray | None = None
