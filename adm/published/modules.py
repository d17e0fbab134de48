"""The published modules by name: ADM, ADM_classifier, ADM_U, and ADM_G that joins two of them.

Each is a torch module whose parameters have the names of the published checkpoints, made from a
model spec or from keywords.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn
from tqdm import tqdm

from adm.networks.classifier import Classifier
from adm.networks.unet import UNet
from adm.process.diffusion import from_uint8, to_uint8
from adm.sampling.draw import draw_samples, make_respaced
from adm.sampling.labels import draw_labels, find_label
from adm.training.precision import use_exact_float32
from records.errors import UserError
from specs.architecture import ClassifierArchitecture, UNetArchitecture, make_architecture
from specs.models import AnyWeightsSpec, ModelSpec, WeightsSpec
from specs.sampling import Sampler
from specs.strict import validated

AnySpec: TypeAlias = ModelSpec | WeightsSpec
Labels: TypeAlias = int | str | Sequence[int | str] | Tensor


def describe_model(
    kind: str, /, *, schedule: str = "linear", num_timesteps: int = 1000, **architecture: Any
) -> WeightsSpec:
    """Make the spec of a model that is described by keywords.

    Args:
        kind: diffusion, upsampler or classifier.
        schedule: the noise schedule, linear or cosine.
        num_timesteps: length of the chain.
        architecture: fields of `specs.architecture.UNetArchitecture`, or of ClassifierArchitecture
            for a classifier; those left out are as in the published models.

    Raises:
        UserError: an architecture that cannot be built.
    """
    name = {"diffusion": "ADM", "classifier": "ADM_classifier", "upsampler": "ADM_U"}[kind]
    guides = kind == "classifier"
    shape = make_architecture(
        ClassifierArchitecture if guides else UNetArchitecture, name, **architecture
    )
    learned = not guides and shape.out_channels != shape.in_channels
    objective = "cross_entropy" if guides else "hybrid" if learned else "simple"
    training = {"schedule": schedule, "num_timesteps": num_timesteps, "objective": objective}
    content = {"kind": kind, "recipe": 1, "name": name, "task": "", "training": training}
    return validated(AnyWeightsSpec, {**content, "architecture": shape}, name)


def _complete_spec(kind: str, spec: AnySpec | None, keywords: dict[str, Any]) -> AnySpec:
    """Return the spec as given, or make one of keywords."""
    if spec is None:
        return describe_model(kind, **keywords)
    if isinstance(spec, Mapping):
        raise UserError(
            "a mapping is given as model spec; turn it into one with specs.load.parse_spec(it, "
            "'model', 'spec'), or read its file with specs.load.load_spec"
        )
    if keywords:
        raise UserError(
            f"{spec.name}: a spec and keywords ({', '.join(keywords)}) are given; give one of the "
            "two"
        )
    if spec.kind != kind:
        raise UserError(
            f"{spec.name}: the spec is of a {spec.kind}; a {kind} is needed: take its own class "
            "(ADM, ADM_classifier or ADM_U)"
        )
    return spec


class Sampling(UNet):
    """What ADM and ADM_U share: the spec, settings of sampling, and drawing images."""

    kind: str

    def __init__(self, spec: AnySpec | None = None, /, **keywords: Any) -> None:
        """Make the network with fresh weights.

        Args:
            spec: a model spec (`specs.load.load_spec`, or the header of a weights file).
            keywords: without a spec: see `describe_model`.

        Raises:
            UserError: an architecture that cannot be built, a spec of another kind.
        """
        spec = _complete_spec(self.kind, spec, keywords)
        assert isinstance(spec.architecture, UNetArchitecture)
        super().__init__(spec.architecture)
        self.spec = spec
        # Set where weights are loaded: the published steps, and the names of the classes.
        self.respacing: str | None = None
        self.class_names: tuple[str, ...] | None = None
        self.weights_path: Path | None = None  # where they were loaded from

    def sample(
        self,
        num_images: int = 1,
        *,
        seed: int,
        labels: Labels | None = None,
        method: str | None = None,
        respacing: str | None = None,
        eta: float = 0.0,
        low_res: Tensor | None = None,
        classifier: "ADM_classifier | None" = None,
        guidance_scale: float | None = None,
        noise_temperature: float = 1.0,
        eps_temperature: float = 1.0,
        precision: str = "float32",
        start: int = 0,
        batch_size: int = 8,
        progress: bool = False,
    ) -> Tensor:
        """Draw images; image i depends on weights, settings, seed and i, on nothing else.

        The images are those that `python -m adm sample` draws from the same weights and settings.

        Args:
            num_images: how many.
            seed: sampling seed.
            labels: a class, by number or name, for all, or one for each image; None: drawn at
                random where the model or the classifier needs them.
            method: ancestral or ddim; None: ddim where respacing begins with it.
            respacing: steps: "250", "ddim25", "90,60,60,20,20"; None: the published ones.
            eta: share of noise in DDIM.
            low_res: uint8 [num_images, h, w, c], the images to enlarge (ADM_U alone).
            classifier: the noisy classifier that guides.
            guidance_scale: factor of its gradient.
            noise_temperature: factor of the noise that each step adds (`adm.process.sampler`).
            eps_temperature: divisor of the predicted noise.
            precision: of the networks: float32, bf16 or fp16 (weights stay float32).
            start: number of the first image.
            batch_size: images at a time; changes nothing but speed and memory.
            progress: show a bar.

        Returns:
            uint8 [num_images, h, w, c] on the CPU.

        Raises:
            UserError: settings that do not fit the model or each other.
        """
        name, process = self.spec.name, self.spec.training
        respacing = self.respacing if respacing is None else respacing
        if respacing is None:
            raise UserError(f"{name}: the steps are not known; give respacing (such as '250')")
        method = method or ("ddim" if respacing.startswith("ddim") else "ancestral")
        if (classifier is None) != (guidance_scale is None):
            raise UserError(f"{name}: give classifier and guidance_scale together, or neither")
        settings = {
            "method": method,
            "respacing": respacing,
            "eta": float(eta),
            "guidance_scale": None if guidance_scale is None else float(guidance_scale),
            "noise_temperature": float(noise_temperature),
            "eps_temperature": float(eps_temperature),
            "schedule": process.schedule,
            "num_timesteps": process.num_timesteps,
            "precision": precision,
        }
        sampler = validated(Sampler, settings, name)
        if batch_size < 1:
            raise UserError(f"{name}: batch_size is {batch_size}; give at least 1")
        if classifier is not None:
            check_pair(self, classifier)
            classifier.eval()
        drawn = self._choose_labels(num_images, labels, seed=seed, start=start, guide=classifier)
        self._check_low_res(num_images, low_res)
        use_exact_float32()
        images = []
        with tqdm(
            total=make_respaced(sampler).num_steps * -(-num_images // batch_size),
            desc=name,
            unit="step",
            disable=not progress,
        ) as bar:

            def count(*_: Any) -> None:  # a hook's answer would take the place of the output
                bar.update()

            hook = self.register_forward_hook(count)  # the samplers call once for each step
            was_training = self.training
            self.eval()
            try:
                for first in range(0, num_images, batch_size):
                    part = slice(first, min(first + batch_size, num_images))
                    sample = draw_samples(
                        range(start + part.start, start + part.stop),
                        model=self,
                        spec=self.spec,
                        sampler=sampler,
                        seed=seed,
                        labels=None if drawn is None else drawn[part],
                        low_res=None if low_res is None else from_uint8(low_res[part]),
                        classifier=classifier,
                        device=str(next(self.parameters()).device),
                    )
                    images.append(to_uint8(sample))
            finally:
                hook.remove()
                self.train(was_training)
        return torch.cat(images)

    def _choose_labels(
        self,
        num_images: int,
        labels: Labels | None,
        *,
        seed: int,
        start: int,
        guide: "ADM_classifier | None",
    ) -> Tensor | None:
        """Return a label for each image; None where neither model nor classifier takes any."""
        name = self.spec.name
        if num_images < 1:
            raise UserError(f"{name}: num_images is {num_images}; give at least 1")
        num_classes = self.spec.architecture.num_classes
        if guide is not None:
            guided = guide.spec.architecture.num_classes
            if num_classes not in (None, guided):
                raise UserError(
                    f"{name}: has {num_classes} classes and the classifier {guided}; join models "
                    "of the same classes"
                )
            num_classes = guided
        if num_classes is None:
            if labels is not None:
                raise UserError(
                    f"{name}: knows no classes, so a label does nothing; leave it out, or guide it "
                    "with a classifier (guidance_scale)"
                )
            return None
        if labels is None:
            indices = range(start, start + num_images)
            return draw_labels(indices, seed=seed, num_classes=num_classes, label_policy="random")
        listed = labels if isinstance(labels, int | str | Sequence) else labels.tolist()
        several = [listed] if isinstance(listed, int | str) else listed
        names = find_class_names(self, guide)
        drawn = torch.tensor(
            [
                find_label(one, where=name, num_classes=num_classes, class_names=names)
                for one in several
            ]
        )
        if len(drawn) == 1:
            drawn = drawn.repeat(num_images)
        if len(drawn) != num_images:
            raise UserError(
                f"{name}: {len(drawn)} labels for {num_images} images; give one for each, or one "
                "for all"
            )
        return drawn

    def _check_low_res(self, num_images: int, low_res: Tensor | None) -> None:
        """Demand the images that an upsampler enlarges, and none for another model."""
        name, shape = self.spec.name, self.architecture
        small = shape.low_res_px
        if (small is None) != (low_res is None):
            need = "takes no low_res" if small is None else f"needs low_res, images of {small} px"
            raise UserError(f"{name}: {need}; correct that")
        if low_res is None:
            return
        needed = [num_images, small, small, shape.in_channels]
        if list(low_res.shape) != needed or low_res.dtype != torch.uint8:
            raise UserError(
                f"{name}: low_res is {low_res.dtype} {list(low_res.shape)}; uint8 {needed} is "
                "needed: draw it with the base model"
            )


class ADM(Sampling):
    """The diffusion model (paper, section 3 and Appendix I)."""

    kind = "diffusion"


class ADM_U(Sampling):
    """The upsampler: a diffusion model that also sees a small image (paper, section 5).

    Its architecture has `low_res_px`, the size of that image.
    """

    kind = "upsampler"


class ADM_classifier(Classifier):
    """The classifier of noisy images, called as classifier(x_t, t) (paper, section 4)."""

    def __init__(self, spec: AnySpec | None = None, /, **keywords: Any) -> None:
        """Make the network with fresh weights; for arguments and errors see `ADM`."""
        spec = _complete_spec("classifier", spec, keywords)
        assert isinstance(spec.architecture, ClassifierArchitecture)
        super().__init__(spec.architecture)
        self.spec = spec
        self.class_names: tuple[str, ...] | None = None
        self.weights_path: Path | None = None  # where they were loaded from


class ADM_G(nn.Module):
    """A diffusion model and the classifier that guides it (paper, section 4)."""

    def __init__(
        self, model: ADM, classifier: ADM_classifier, *, guidance_scale: float | None = None
    ) -> None:
        """Join two models of the same images.

        Args:
            model: conditional or not.
            classifier: of the same size, channels and noise.
            guidance_scale: what `sample` takes when none is given.

        Raises:
            UserError: models of different images or noise, or something else in place of one.
        """
        super().__init__()
        check_pair(model, classifier)
        self.model, self.classifier, self.guidance_scale = model, classifier, guidance_scale

    def forward(self, x_t: Tensor, t: Tensor, y: Tensor | None = None) -> Tensor:
        """Return what the diffusion model predicts; guidance is part of the sampler's step."""
        return self.model(x_t, t, y)

    def sample(
        self, num_images: int = 1, *, guidance_scale: float | None = None, **settings: Any
    ) -> Tensor:
        """Draw guided images.

        Args:
            num_images: how many.
            guidance_scale: factor of the classifier's gradient; None: the published one.
            settings: see `ADM.sample`.

        Returns:
            uint8 [num_images, h, w, c] on the CPU.

        Raises:
            UserError: no scale is known; see `ADM.sample`.
        """
        scale = self.guidance_scale if guidance_scale is None else guidance_scale
        if scale is None:
            raise UserError("ADM_G: no guidance_scale is known for this pair; give one")
        frozen = [one for one in self.classifier.parameters() if one.requires_grad]
        self.classifier.eval().requires_grad_(False)  # only the images need a gradient
        try:
            return self.model.sample(
                num_images, classifier=self.classifier, guidance_scale=scale, **settings
            )
        finally:
            for one in frozen:
                one.requires_grad_(True)


def find_class_names(model: Sampling, classifier: ADM_classifier | None) -> tuple[str, ...] | None:
    """Return the names of the classes that can be asked for, where they are known."""
    return (classifier and classifier.class_names) or model.class_names


def check_pair(model: Sampling, classifier: ADM_classifier) -> None:
    """Refuse a classifier of other images or another noise than the model's, or what is none.

    Raises:
        UserError: with what differs.
    """
    if not (isinstance(model, Sampling) and isinstance(classifier, ADM_classifier)):
        raise UserError(
            f"got {type(model).__name__} as model and {type(classifier).__name__} as classifier; "
            "needed: ADM or ADM_U, and ADM_classifier, in this order"
        )
    for part, key in (
        ("architecture", "image_size_px"),
        ("architecture", "in_channels"),
        ("training", "schedule"),
        ("training", "num_timesteps"),
    ):
        left, right = (getattr(getattr(one.spec, part), key) for one in (model, classifier))
        if left != right:
            raise UserError(
                f"{model.spec.name} has {key} {left} and {classifier.spec.name} {right}; a "
                "classifier guides a model of the same images and noise: take the one of that size"
            )
