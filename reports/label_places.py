"""Where the labels of points go in a figure: beside their points, clear of everything else."""

from collections.abc import Sequence

import numpy as np

# Directions from a point to its label, the best first; the larger distances are for crowds.
DIRECTIONS = ((1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (-1, 1), (1, -1), (-1, -1))
DISTANCES_PX = (10, 18, 26)


def place_labels(
    points: Sequence[tuple[float, float]],
    sizes: Sequence[tuple[float, float]],
    taken: Sequence[tuple[float, float, float, float]],
    frame: tuple[float, float, float, float],
) -> list[tuple[float, float]]:
    """Choose a place for each label, one after another.

    Args:
        points: x and y of the points, pixels.
        sizes: width and height of their labels.
        taken: left, bottom, right and top of what should not be covered.
        frame: left, bottom, right and top of the space there is.

    Returns:
        Left and bottom of every label. In a crowd labels cover as little as possible.
    """
    boxes = np.array(taken, dtype=np.float64).reshape(-1, 4)
    places = []
    for (x, y), (width, height) in zip(points, sizes, strict=True):
        candidates = []
        for distance in DISTANCES_PX:
            for across, up in DIRECTIONS:
                step = distance if 0 in (across, up) else 0.7 * distance
                left = x + across * step - width * (1 - across) / 2
                bottom = y + up * step - height * (1 - up) / 2
                candidates.append((left, bottom, left + width, bottom + height))
        costs = [_count_covered(box, boxes) + 10 * _count_outside(box, frame) for box in candidates]
        best = candidates[int(np.argmin(costs))]
        places.append(best[:2])
        boxes = np.vstack([boxes, best])
    return places


def _count_covered(box: tuple[float, float, float, float], boxes: np.ndarray) -> float:
    """Return how many square pixels of other boxes a box covers."""
    width = np.minimum(box[2], boxes[:, 2]) - np.maximum(box[0], boxes[:, 0])
    height = np.minimum(box[3], boxes[:, 3]) - np.maximum(box[1], boxes[:, 1])
    return float(np.sum(np.maximum(width, 0) * np.maximum(height, 0)))


def _count_outside(
    box: tuple[float, float, float, float], frame: tuple[float, float, float, float]
) -> float:
    """Return how many square pixels of a box lie outside a frame."""
    area = (box[2] - box[0]) * (box[3] - box[1])
    return area - _count_covered(box, np.array([frame]))
