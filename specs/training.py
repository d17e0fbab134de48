"""How a model is trained: what a scale writes, and what a model spec says of it."""

from collections.abc import Callable
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, model_serializer, model_validator

from specs.architecture import Positive
from specs.datasets import DatasetSpec
from specs.schedule import MAX_TIMESTEPS, make_betas
from specs.strict import Strict

Timesteps = Annotated[int, Field(gt=0, le=MAX_TIMESTEPS)]
Precision = Literal["float32", "bf16", "fp16"]
MICROBATCH_SIZE = "microbatch_size"


class Process(Strict):
    """The diffusion process that a model is made for, and what it learns of it."""

    schedule: Literal["linear", "cosine"]
    num_timesteps: Timesteps
    objective: Literal["hybrid", "hybrid_rescaled", "simple", "cross_entropy"]

    @model_validator(mode="after")
    def _check_process(self) -> "Process":
        make_betas(self.schedule, self.num_timesteps)  # raises ValueError
        return self


class TrainingSettings(Process):
    """What a scale and a model spec both say of a training."""

    batch_size: Positive
    learning_rate: Annotated[float, Field(gt=0)]
    weight_decay: Annotated[float, Field(ge=0)]
    ema_decay: Annotated[float, Field(ge=0, lt=1)]
    anneal_iterations: Positive | None
    grad_clip: Annotated[float, Field(gt=0)] | None
    precision: Precision


class ScaleTraining(TrainingSettings):
    """How a model of a scale is trained; its images and their flips are those of its task."""

    random_crop: bool

    @model_validator(mode="before")
    @classmethod
    def _refuse_microbatch_size(cls, content: Any) -> Any:
        if isinstance(content, dict) and MICROBATCH_SIZE in content:
            raise ValueError(
                "microbatch_size is a fact of the machine now and changes no result: remove it "
                "here; `microbatch_size` under `compute` says what a GPU holds"
            )
        return content


class Augmentation(Strict):
    """How training images are changed."""

    flip: bool
    random_crop: bool


class Training(TrainingSettings):
    """The training of a model spec; published weights have no seed but a file.

    Specs of earlier versions say how many images went through a network at a time, on which nothing
    depends but rounding. That is not read; it is written as the whole batch, which most of them
    said, so that they keep their digests.
    """

    dataset: DatasetSpec
    augmentation: Augmentation
    seed: int | None
    released: str = ""

    @model_validator(mode="before")
    @classmethod
    def _leave_out(cls, content: Any) -> Any:
        if not isinstance(content, dict):
            return content
        return {key: value for key, value in content.items() if key != MICROBATCH_SIZE}

    @model_serializer(mode="wrap")
    def _write(self, write: Callable[["Training"], dict[str, Any]]) -> dict[str, Any]:
        return {**write(self), MICROBATCH_SIZE: self.batch_size}


class PastTraining(Process):
    """What is read of a training where weights are used; the rest is as it was then."""

    model_config = ConfigDict(extra="allow")

    dataset: dict[str, Any] | None = None
    augmentation: Augmentation | None = None


def check_objective(kind: str, objective: str) -> None:
    """Raise ValueError unless a kind of model can be trained with an objective."""
    if (objective == "cross_entropy") != (kind == "classifier"):
        raise ValueError(
            f"training: objective: got {objective} for kind {kind}; cross_entropy is for "
            "classifiers, and only that"
        )
