"""Draw every digit from the trained models of Table 3, without guidance and guided at 1 and 10.

    make table3
    python examples/draw_digits.py --out digits.png

`make table3` trains a class-conditional diffusion model of handwritten digits and a classifier of
noisy digits. Picture i of each block starts from the same noise: what differs is the guidance.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch

import adm
from adm.sampling.grids import draw_grid, save_grid
from records.errors import UserError, main_guard

MODELS = Path(__file__).resolve().parents[1] / "results/digits/retrain/models"
GUIDANCE_SCALES = (1.0, 10.0)
ROWS = 2  # of the ten digits, in each block


def find_weights(models: Path, name: str) -> Path:
    """Return the file of a model's last mark.

    Raises:
        UserError: it was not trained yet.
    """
    path = models / name / "ema-final.safetensors"
    if not path.exists():
        raise UserError(
            f"{path}: no such file; run `make table3`, which trains this model, or name the folder "
            "of its results with --models"
        )
    return path


def main(argv: Sequence[str] | None = None) -> int:
    """Load both models, draw each block, write the grid."""
    parser = argparse.ArgumentParser(
        description="Draw every digit from the trained models of Table 3."
    )
    parser.add_argument("--out", default="digits.png", help="grid to write (PNG)")
    parser.add_argument("--models", type=Path, default=MODELS, help=f"default {MODELS}")
    parser.add_argument("--seed", type=int, default=0, help="of the noise (default 0)")
    options = parser.parse_args(argv)
    torch.set_num_threads(1)  # at 8x8 pixels a second thread gains nothing
    paths = [find_weights(options.models, name) for name in ("imagenet_256", "classifier_256")]
    model, classifier = (adm.load(path) for path in paths)

    labels = [*range(10)] * ROWS
    settings = {"labels": labels, "seed": options.seed, "batch_size": len(labels)}
    blocks = [model.sample(len(labels), **settings)]  # uint8 [n, 8, 8, 1]
    guided = adm.ADM_G(model, classifier)  # x_{t-1} ~ N(mu + s Sigma grad log p(y | x_t), Sigma)
    for scale in GUIDANCE_SCALES:
        blocks.append(guided.sample(len(labels), guidance_scale=scale, **settings))

    names = ["no guidance", *(f"guidance scale {scale:g}" for scale in GUIDANCE_SCALES)]
    grid = draw_grid(
        torch.cat(blocks).numpy(),
        heading=[f"rows of {ROWS}, from above: {', '.join(names)}"],
        captions=[str(label) for label in labels] * len(blocks),
        num_columns=10,
    )
    save_grid(options.out, grid, {"weights": [str(path) for path in paths], "seed": options.seed})
    print(options.out)
    return 0


run = main_guard(main)

if __name__ == "__main__":
    raise SystemExit(run())
