"""The whole method on points in the plane: train, sample, guide at scales 0, 1 and 10.

    python examples/mixture_2d.py --out mixture_2d.png

There are two classes of two modes each; one mode of a class stands alone, the other overlaps with
the other class. A denoiser that knows no classes and a classifier of noisy points are trained, and
the classifier's gradient steers the denoiser to class 0. Noise, loss and sampler are those that
train and draw images in this project (`adm.process`): a point is an image of shape [2, 1, 1].

DDPM is Ho et al. 2020, ADM is Dhariwal & Nichol 2021.
"""

import argparse
import math
from collections.abc import Callable
from itertools import chain, pairwise

import torch
from matplotlib.figure import Figure
from torch import Tensor, nn
from torch.nn import functional

from adm.process.diffusion import q_sample, training_losses
from adm.process.guidance import make_cond_fn
from adm.process.sampler import sample_ancestral
from specs.schedule import make_schedule

# [class, mode, coordinate]; all modes are Gaussians of one width.
CENTRES = torch.tensor([[[-1.3, -0.3], [-0.35, 0.8]], [[1.3, -0.3], [0.35, 0.8]]])
WIDTH = 0.25
WANTED = 0  # the class that guidance asks for
GUIDANCE_SCALES = (0.0, 1.0, 10.0)
SCHEDULE = make_schedule("cosine", num_timesteps=100)
COLOURS = ("tab:blue", "tab:orange")


def draw_points(num_points: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Draw real points [n, 2, 1, 1] and their classes [n]."""
    y, mode = torch.randint(2, (2, num_points), generator=generator)
    x = CENTRES[y, mode] + WIDTH * torch.randn(num_points, 2, generator=generator)
    return x[:, :, None, None], y


class Perceptron(nn.Module):
    """A small network, called as the project's networks are: with x_t [n, 2, 1, 1] and t [n].

    Returns [n, 2]: the noise, for the denoiser; logits of both classes, for the classifier.
    """

    def __init__(self) -> None:
        super().__init__()
        widths = (10, 64, 64, 64, 64)
        hidden = [(nn.Linear(*pair), nn.SiLU()) for pair in pairwise(widths)]
        self.layers = nn.Sequential(*chain.from_iterable(hidden), nn.Linear(widths[-1], 2))

    def forward(self, x_t: Tensor, t: Tensor) -> Tensor:
        angles = t[:, None] / SCHEDULE.num_timesteps * math.pi / 2 * 2 ** torch.arange(4)
        return self.layers(torch.cat([x_t.flatten(1), angles.sin(), angles.cos()], dim=1))


class Denoiser(Perceptron):
    """Returns the noise in the shape of points, [n, 2, 1, 1]."""

    def forward(self, x_t: Tensor, t: Tensor) -> Tensor:
        return super().forward(x_t, t)[:, :, None, None]


def train(
    network: nn.Module,
    compute_loss: Callable[[Tensor, Tensor, Tensor, Tensor], Tensor],
    *,
    iterations: int,
    generator: torch.Generator,
) -> None:
    """Minimise a loss of (x_0, y, t, eps) with Adam, its rate falling to 0."""
    optimiser = torch.optim.Adam(network.parameters(), lr=8e-3)
    decay = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, iterations)
    for _ in range(iterations):
        x, y = draw_points(1024, generator)
        t = torch.randint(SCHEDULE.num_steps, (len(x),), generator=generator)
        loss = compute_loss(x, y, t, torch.randn(x.shape, generator=generator))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        decay.step()
    network.requires_grad_(False)


def train_denoiser(iterations: int, generator: torch.Generator) -> Denoiser:
    """Train a network to tell the noise in a noisy point.

    x_t = sqrt(alpha_bar_t) x_0 + sqrt(1 - alpha_bar_t) eps        (DDPM, equation 4)
    L = E |eps - eps_theta(x_t, t)|^2                              (DDPM, equation 14)
    """
    denoiser = Denoiser()

    def compute_loss(x: Tensor, y: Tensor, t: Tensor, eps: Tensor) -> Tensor:
        losses = training_losses(
            denoiser, SCHEDULE, x, t, eps, objective="simple", variance="fixed_small"
        )
        return losses["loss"].mean()

    train(denoiser, compute_loss, iterations=iterations, generator=generator)
    return denoiser


def train_classifier(iterations: int, generator: torch.Generator) -> Perceptron:
    """Train p(y | x_t), a classifier that reads noisy points too (ADM, section 4)."""
    classifier = Perceptron()

    def compute_loss(x: Tensor, y: Tensor, t: Tensor, eps: Tensor) -> Tensor:
        return functional.cross_entropy(classifier(q_sample(SCHEDULE, x, t, eps), t), y)

    train(classifier, compute_loss, iterations=iterations, generator=generator)
    return classifier


def sample(
    denoiser: Denoiser,
    classifier: Perceptron,
    guidance_scale: float,
    *,
    num_points: int,
    generator: torch.Generator,
) -> Tensor:
    """Draw points [n, 2] of the wanted class y.

    x_{t-1} ~ N(mu + s Sigma grad log p(y | x_t), Sigma)           (ADM, algorithm 1)

    s = 0 draws points of both classes, s = 1 those of class y (Bayes' rule). A larger s stands for
    p(y | x)^s: it prefers points that the classifier is sure of (ADM, section 4.3).
    """
    y = torch.full((num_points,), WANTED)
    shape = (num_points, 2, 1, 1)
    points = sample_ancestral(
        denoiser,
        SCHEDULE,
        torch.randn(shape, generator=generator),
        noise_fn=lambda step: torch.randn(shape, generator=generator),
        cond_fn=make_cond_fn(classifier, y, guidance_scale) if guidance_scale else None,
        variance="fixed_small",
        clip_denoised=False,  # pixels end at -1 and 1, points do not
    )
    return points.flatten(1)


def compute_posterior(points: Tensor) -> Tensor:
    """Compute the true p(y | x) [n, classes]: here it is known, and judges the samples."""
    squares = (points[:, None, None] - CENTRES).square().sum(dim=-1)  # [n, class, mode]
    return (-squares / (2 * WIDTH**2)).logsumexp(dim=2).softmax(dim=1)


def describe(points: Tensor) -> str:
    """Say how many points are of the wanted class (fidelity) and how far apart (diversity)."""
    share = (compute_posterior(points).argmax(dim=1) == WANTED).float().mean()
    return f"{100 * share:.1f} % of class {WANTED}, spread {points.std(dim=0).norm():.2f}"


def draw_figure(panels: dict[str, Tensor], path: str) -> None:
    """Draw points side by side, each in the colour of the class that it truly belongs to."""
    figure = Figure(figsize=(15, 3.8))
    axes = figure.subplots(1, len(panels), sharex=True, sharey=True)
    figure.subplots_adjust(left=0.04, right=0.99, top=0.87, bottom=0.22, wspace=0.04)
    for ax, (title, points) in zip(axes, panels.items(), strict=True):
        classes = compute_posterior(points).argmax(dim=1)
        for y, colour in enumerate(COLOURS):
            ax.scatter(*points[classes == y].T, s=6, alpha=0.5, color=colour, label=f"class {y}")
        ax.scatter(*CENTRES.flatten(0, 1).T, marker="+", s=120, color="black", label="modes")
        ax.set(title=f"{title}\n{describe(points)}", aspect="equal", xlabel="$x_1$")
    axes[0].set(ylabel="$x_2$", xlim=(-2.4, 2.4), ylim=(-1.5, 2.0))
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="lower center", ncols=len(labels), markerscale=1.5)
    figure.savefig(path, format="png", dpi=120)


def main() -> None:
    """Train both networks, draw at each scale, print what came out and draw the figure."""
    parser = argparse.ArgumentParser(description="Train, sample and guide on points in the plane.")
    parser.add_argument("--out", default="mixture_2d.png", help="figure to write (PNG)")
    parser.add_argument("--iterations", type=int, default=2000, help="of each training")
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)  # initial weights
    generator = torch.Generator().manual_seed(0)  # everything else
    denoiser = train_denoiser(options.iterations, generator)
    classifier = train_classifier(options.iterations, generator)
    points, classes = draw_points(1000, generator)
    panels = {"real points": points.flatten(1)}
    print(f"real points of class {WANTED}: {describe(points[classes == WANTED].flatten(1))}")
    for scale in GUIDANCE_SCALES:
        panels[f"guidance scale {scale:g}"] = sample(
            denoiser, classifier, scale, num_points=1000, generator=generator
        )
    for title, points in panels.items():
        print(f"{title}: {describe(points)}")
    draw_figure(panels, options.out)
    print(options.out)


if __name__ == "__main__":
    main()
