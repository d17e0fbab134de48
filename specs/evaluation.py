"""How samples are graded at a scale: the feature network, and the settings of the metrics."""

from typing import Annotated, Any, Literal

from pydantic import Field

from specs.architecture import Positive, Size
from specs.metrics import AnyMetric
from specs.strict import Strict


class SmallNetwork(Strict):
    """A feature network trained on a task's images, where those are too small for Inception."""

    kind: Literal["small"]
    task: str
    recipe: Positive
    seed: int
    image_size_px: Size
    channels: Size
    iterations: Positive
    batch_size: Positive
    learning_rate: Annotated[float, Field(gt=0)]


class Inception(Strict):
    """The authors' frozen Inception graph as the feature network; sha256 is that of its file."""

    kind: Literal["inception"]
    recipe: Positive
    backend: Literal["torch", "tensorflow"]
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


Network = Annotated[SmallNetwork | Inception, Field(discriminator="kind")]


class Evaluation(Strict):
    """How samples are graded at a scale.

    `reference` tells own references from published ones. `half_distances` takes precision and
    recall with the authors' float16 arithmetic, as published values were, and exactly beside it.
    `loss_timesteps` is the number of timesteps of each held-out image at which the loss of a
    denoiser is measured; null, or left out: it is not.
    """

    recipe: Positive
    seed: int
    metrics: list[AnyMetric]
    reference: Literal["own", "released"]
    reference_images: Positive
    batch_size: Positive
    half_distances: bool = False
    loss_timesteps: Positive | None = None

    def identity(self) -> dict[str, Any]:
        """Return what numbers depend on, as plain data."""
        settings = self.model_dump(exclude={"batch_size", "reference", "loss_timesteps"})
        if self.reference == "released":
            del settings["reference_images"]  # the published file holds what it holds
        if not self.half_distances:
            del settings["half_distances"]  # no part of what was graded before it was a choice
        return settings
