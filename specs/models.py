"""Model specs: the network and the training of a model; they travel with jobs and weights."""

from typing import Annotated, Literal, TypeAlias

from pydantic import Field, model_validator

from specs.architecture import ClassifierArchitecture, Positive, UNetArchitecture
from specs.strict import Spec
from specs.training import PastTraining, Process, Training, check_objective


class BaseModelSpec(Spec):
    """What models of all kinds have."""

    recipe: Positive
    name: str
    task: str
    training: Process


class Denoiser(BaseModelSpec):
    """A diffusion model, or an upsampler, which also sees a small image."""

    kind: Literal["diffusion", "upsampler"]
    architecture: UNetArchitecture

    @model_validator(mode="after")
    def _check(self) -> "Denoiser":
        shape, objective = self.architecture, self.training.objective
        if (self.kind == "upsampler") != (shape.low_res_px is not None):
            raise ValueError(
                f"architecture: low_res_px is {shape.low_res_px} for kind {self.kind}; an "
                "upsampler needs the size of the images it enlarges, a diffusion model has null"
            )
        needed = count_outputs(objective, shape.in_channels)
        if shape.out_channels != needed:
            raise ValueError(
                f"architecture: out_channels: got {shape.out_channels}; {objective} training with "
                f"in_channels {shape.in_channels} needs {needed}"
            )
        return self


class Guide(BaseModelSpec):
    """A classifier of noised images, which guides sampling."""

    kind: Literal["classifier"]
    architecture: ClassifierArchitecture

    @model_validator(mode="after")
    def _check(self) -> "Guide":
        if self.architecture.num_classes < 2:
            raise ValueError(
                "architecture: num_classes: got 1; a classifier of one class has nothing to tell "
                "apart: give images of two classes or more"
            )
        return self


class DenoiserWeights(Denoiser):
    """The spec in the header of a denoiser's weights."""

    training: PastTraining


class GuideWeights(Guide):
    """The spec in the header of a classifier's weights."""

    training: PastTraining


class DenoiserSpec(Denoiser):
    """The spec of a diffusion model or an upsampler (`adm.training.loop.train`)."""

    training: Training

    @model_validator(mode="after")
    def _check_objective(self) -> "DenoiserSpec":
        check_objective(self.kind, self.training.objective)
        return self


class GuideSpec(Guide):
    """The spec of a classifier (`adm.training.loop.train`)."""

    training: Training

    @model_validator(mode="after")
    def _check_objective(self) -> "GuideSpec":
        check_objective(self.kind, self.training.objective)
        return self


ModelSpec: TypeAlias = DenoiserSpec | GuideSpec
WeightsSpec: TypeAlias = DenoiserWeights | GuideWeights
AnyModelSpec = Annotated[ModelSpec, Field(discriminator="kind")]
AnyWeightsSpec = Annotated[WeightsSpec, Field(discriminator="kind")]


def count_outputs(objective: str, in_channels: int) -> int:
    """Return how many channels a denoiser puts out: noise, and the variance where it is learned."""
    return in_channels if objective == "simple" else 2 * in_channels
