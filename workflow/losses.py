"""Which denoisers' losses are measured on held-out images, and what a loss depends on."""

from specs.datasets import name_held_out
from specs.models import GuideSpec
from specs.page import WantedMetrics
from specs.sampling import LossSpec, SampleSpec
from workflow.plan import Plan, name_weights

RECIPE = 1


def has_loss(plan: Plan, model: str) -> bool:
    """Tell whether a model's loss is measured: a denoiser, whose task has held-out images."""
    spec = plan.models[model]
    return (
        plan.scale.evaluation.loss_timesteps is not None
        and name_held_out(spec.task) in plan.datasets
        and not isinstance(spec, GuideSpec)
        and spec.training.objective != "simple"  # which learns no variance
    )


def make_loss_spec(plan: Plan, model: str, mark: str) -> LossSpec:
    """Return what the loss of a model at a mark depends on."""
    timesteps = plan.scale.evaluation.loss_timesteps
    assert timesteps is not None
    return LossSpec(
        recipe=RECIPE,
        name=model,
        model=name_weights(plan, model, mark),
        dataset=plan.datasets[name_held_out(plan.models[model].task)],
        loss_timesteps=timesteps,
        seed=plan.scale.evaluation.seed,
    )


def find_loss(plan: Plan, sample: str) -> WantedMetrics | None:
    """Return the loss file of the model that draws a batch at its last mark; None for no such."""
    batch = plan.samples[sample]
    if not isinstance(batch, SampleSpec):
        return None
    return find_model_loss(plan, batch.model.name, batch.model.mark)


def find_model_loss(plan: Plan, model: str, mark: str) -> WantedMetrics | None:
    """Return the loss file of a model at a mark; it is measured at the last one."""
    if not has_loss(plan, model) or mark != plan.last_mark(model):
        return None
    path = plan.layout.loss(model, mark).file
    return WantedMetrics(path=path, digest=make_loss_spec(plan, model, mark).digest)
