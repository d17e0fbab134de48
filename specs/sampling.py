"""How samples are drawn, and the specs of sample batches, of accuracies and of losses."""

from typing import Annotated, Literal, TypeAlias

from pydantic import ConfigDict, Field, model_validator

from specs.architecture import Positive
from specs.datasets import DatasetSpec
from specs.schedule import make_betas, space_timesteps
from specs.strict import Spec, Strict
from specs.training import Precision, Timesteps

LabelPolicy = Literal["random", "balanced"]


class SamplerSettings(Strict):
    """The method of sampling, its steps, its guidance, and the two temperatures (`adm.process`)."""

    method: Literal["ancestral", "ddim"]
    respacing: str
    eta: Annotated[float, Field(ge=0, le=1)]
    guidance_scale: Annotated[float, Field(ge=0)] | None
    noise_temperature: Annotated[float, Field(ge=0)] = 1.0
    eps_temperature: Annotated[float, Field(gt=0)] = 1.0


class RowSampler(SamplerSettings):
    """How the samples of a row are drawn; `classifier` names the model that guides.

    `classifier_mark` is one of that model's, where it is not the last.
    """

    classifier: str | None
    classifier_mark: str | None = None

    @model_validator(mode="after")
    def _check(self) -> "RowSampler":
        check_guidance(self.guidance_scale, self.classifier)
        return self


class Sampler(SamplerSettings):
    """How samples are drawn, with the process of the model that draws them.

    `precision` is that of the networks; plans write it only where it is not float32, so that
    specs from before it was there keep their digests.
    """

    schedule: Literal["linear", "cosine"]
    num_timesteps: Timesteps
    precision: Precision = "float32"

    @model_validator(mode="after")
    def _check(self) -> "Sampler":
        make_betas(self.schedule, self.num_timesteps)  # both raise ValueError
        space_timesteps(self.num_timesteps, self.respacing)
        return self


class WeightsAt(Strict):
    """The weights of a model at a mark."""

    name: str
    digest: str
    mark: str
    iteration: Positive


class BatchRef(Strict):
    """The batch of samples that an upsampler enlarges."""

    name: str
    digest: str


class SampleSpec(Spec):
    """A batch of samples that is drawn (`adm.sampling.shards.write_samples`)."""

    model_config = ConfigDict(populate_by_name=True)

    recipe: Positive
    name: str
    task: str
    num_samples: Positive = Field(alias="num_images")  # as files of earlier versions call it
    seed: int
    label_policy: LabelPolicy
    num_classes: Positive | None
    model: WeightsAt
    sampler: Sampler
    classifier: WeightsAt | None
    low_res: BatchRef | None

    @model_validator(mode="after")
    def _check(self) -> "SampleSpec":
        check_guidance(
            self.sampler.guidance_scale, self.classifier and self.classifier.name, "sampler: "
        )
        if self.classifier is not None and self.num_classes is None:
            raise ValueError(
                "num_classes: got None; a classifier guides to a class: write how many"
            )
        return self


class PublishedSamples(Spec):
    """A batch of samples that its authors published, at an address under `released`."""

    model_config = ConfigDict(populate_by_name=True)

    recipe: Positive
    name: str
    task: str
    num_samples: Positive = Field(alias="num_images")
    released: str


Batch: TypeAlias = SampleSpec | PublishedSamples


class AccuracySpec(Spec):
    """How well a classifier reads noised images (`adm.sampling.accuracy.write_accuracy`)."""

    recipe: Positive
    name: str
    classifier: WeightsAt
    dataset: DatasetSpec
    num_ranges: int
    max_images: Positive
    seed: int


class DenoisingSpec(Spec):
    """What a model takes samples to be while it draws them (`adm.sampling.denoising`).

    The first `num_images` samples of a batch, at `num_steps` places on the way, its end the last.
    """

    recipe: Positive
    name: str
    batch: SampleSpec
    num_images: Positive
    num_steps: Annotated[int, Field(ge=2)]

    @model_validator(mode="after")
    def _check(self) -> "DenoisingSpec":
        sampler = self.batch.sampler
        most = len(space_timesteps(sampler.num_timesteps, sampler.respacing)) + 1
        for key, got, limit in (
            ("num_images", self.num_images, self.batch.num_samples),
            ("num_steps", self.num_steps, most),
        ):
            if got > limit:
                raise ValueError(f"{key}: got {got}; its batch has {limit} at most")
        return self


class LossSpec(Spec):
    """The loss of a denoiser on images that it was not trained on (`adm.sampling.loss`)."""

    recipe: Positive
    name: str
    model: WeightsAt
    dataset: DatasetSpec
    loss_timesteps: Positive
    seed: int


def check_guidance(guidance_scale: float | None, classifier: str | None, where: str = "") -> None:
    """Raise ValueError if only one half of guidance is given."""
    if (guidance_scale is None) != (classifier is None):
        raise ValueError(
            f"{where}guidance_scale {guidance_scale} with classifier {classifier}; guidance needs "
            "both, no guidance neither"
        )
