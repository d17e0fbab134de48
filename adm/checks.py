"""Checks of a scale, and of tables against a scale, that types cannot say."""

import difflib
from collections.abc import Iterable

from adm.config import Architecture, Base, Classifier, Row, Sampler, Scale, Table, Upsampler
from adm.schedule import space_timesteps
from records.errors import UserError


def unknown(where: str, what: str, name: str, known: Iterable[str]) -> UserError:
    """Make the error for a name that does not exist, with the nearest one that does."""
    known = list(known)
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {close[0]!r}?" if close else "known: " + ", ".join(known)
    return UserError(f"{where}: no {what} {name!r}; {hint}")


def check_scale(path: str, scale: Scale) -> None:
    """Check that every model of a scale can be built and trained.

    Raises:
        UserError: unknown task, sizes that levels, heads or groups do not divide, missing heads.
    """
    for name, model in scale.models.items():
        where = f"{path}: models: {name}"
        if model.task not in scale.tasks:
            raise unknown(f"{where}: task", "task", model.task, scale.tasks)
        task = scale.tasks[model.task]
        if isinstance(model, Upsampler) and model.low_res_task not in scale.tasks:
            raise unknown(f"{where}: low_res_task", "task", model.low_res_task, scale.tasks)
        needs_labels = isinstance(model, Classifier) or model.class_conditional
        if needs_labels and task.num_classes is None:
            raise UserError(
                f"{where}: task {model.task} has no labels, and this model needs them; "
                "set class_conditional: false or take a labelled task"
            )
        if model.training.batch_size % model.training.microbatch_size:
            raise UserError(
                f"{where}: training: microbatch_size {model.training.microbatch_size} does not "
                f"divide batch_size {model.training.batch_size}; take a divisor"
            )
        _check_architecture(where, model.architecture, task.image_size_px)
    if scale.network.task not in scale.tasks:
        raise unknown(f"{path}: network: task", "task", scale.network.task, scale.tasks)


def _check_architecture(where: str, shape: Architecture, image_size_px: int) -> None:
    """Check that levels divide the image, and heads and groups divide the widths."""
    where = f"{where}: architecture"
    factor = 2 ** (len(shape.channel_mult) - 1)
    if image_size_px % factor or image_size_px // factor < 2:
        raise UserError(
            f"{where}: channel_mult has {len(shape.channel_mult)} levels, which halve "
            f"{image_size_px} px {len(shape.channel_mult) - 1} times; the image must be a multiple "
            f"of {factor} px and the smallest map at least 2 px: take fewer levels"
        )
    sizes = [image_size_px // 2**level for level in range(len(shape.channel_mult))]
    widths = [int(shape.channels * mult) for mult in shape.channel_mult]
    absent = [size for size in shape.attention_resolutions if size not in sizes]
    if absent:
        raise UserError(
            f"{where}: attention_resolutions: {absent} px are not among the maps of this model, "
            f"{sizes} px; list only these"
        )
    for width in widths:
        if width % shape.num_groups or width // shape.num_groups < 2:
            raise UserError(
                f"{where}: num_groups {shape.num_groups} for a width of {width} channels; every "
                "width must be a multiple of the groups with at least 2 channels each"
            )
    if (shape.heads is None) == (shape.head_channels is None):
        raise UserError(
            f"{where}: heads {shape.heads} and head_channels {shape.head_channels}; "
            "give exactly one of them"
        )
    attended = [
        width
        for size, width in zip(sizes, widths, strict=True)
        if size in shape.attention_resolutions
    ] + widths[-1:]  # the middle attends
    for width in attended:
        divisor = shape.heads or shape.head_channels
        if width % divisor:
            raise UserError(
                f"{where}: {'heads' if shape.heads else 'head_channels'} {divisor} does not divide "
                f"the {width} channels of an attention block; take a divisor"
            )


def check_tables(path: str, tables: dict[str, Table], scale: Scale) -> None:
    """Check that every row of the tables can be made at a scale.

    Raises:
        UserError: unknown task or model, a model of the wrong kind, a mark that its training
            does not have, an impossible respacing, a stack whose halves do not fit.
    """
    for name, table in tables.items():
        for row_id, row in table.rows.items():
            where = f"{path}: {name}: rows: {row_id}"
            if row.task not in scale.tasks:
                raise unknown(f"{where}: task", "task", row.task, scale.tasks)
            if row.model is None:
                continue
            _check_half(where, scale, row)
            for mark in table.marks:
                marks = scale.models[row.model].marks
                if mark not in marks:
                    raise UserError(
                        f"{where}: model {row.model} has marks {list(marks)}; the table needs "
                        f"{mark!r}: add it under models: {row.model}: marks of scale {scale.name}"
                    )
            if row.base is not None:
                _check_half(f"{where}: base", scale, row.base)
            upsampler = scale.models[row.model]
            if isinstance(upsampler, Upsampler) != (row.base is not None):
                raise UserError(
                    f"{where}: model {row.model} is a {upsampler.kind} and base is {row.base}; an "
                    "upsampler needs a base, other models have none"
                )
            if row.base is not None and isinstance(upsampler, Upsampler):
                small = scale.tasks[upsampler.low_res_task].image_size_px
                got = scale.tasks[row.base.task].image_size_px
                if (
                    small != got
                    or scale.tasks[row.base.task].num_images < scale.tasks[row.task].num_images
                ):
                    raise UserError(
                        f"{where}: base {row.base.task}: {got} px and "
                        f"{scale.tasks[row.base.task].num_images} images; {row.model} enlarges "
                        f"{small} px and the row needs {scale.tasks[row.task].num_images} images"
                    )


def _check_half(where: str, scale: Scale, half: Row | Base) -> None:
    """Check the model, classifier and sampler of a row or of the base of a stack."""
    assert half.model is not None and half.sampler is not None
    if half.model not in scale.models:
        raise unknown(f"{where}: model", f"model at scale {scale.name}", half.model, scale.models)
    model = scale.models[half.model]
    if isinstance(model, Classifier):
        raise UserError(f"{where}: model: {half.model} is a classifier; it does not draw images")
    _check_classifier(where, scale, half, half.sampler)
    respacing = scale.sampling.respacing.get(half.sampler.respacing, half.sampler.respacing)
    try:
        space_timesteps(model.training.num_timesteps, respacing)
    except ValueError as error:
        raise UserError(f"{where}: sampler: respacing: {error}") from None


def _check_classifier(where: str, scale: Scale, half: Row | Base, sampler: Sampler) -> None:
    """Check that a guided sampler's classifier sees the same images and noise as its model."""
    if sampler.classifier is None:
        return
    where = f"{where}: sampler: classifier"
    if sampler.classifier not in scale.models:
        raise unknown(where, f"model at scale {scale.name}", sampler.classifier, scale.models)
    classifier, model = scale.models[sampler.classifier], scale.models[str(half.model)]
    if not isinstance(classifier, Classifier):
        raise UserError(f"{where}: {sampler.classifier} is a {classifier.kind}, not a classifier")
    sizes = [scale.tasks[one.task].image_size_px for one in (classifier, model)]
    if sizes[0] != sizes[1] or classifier.training.schedule != model.training.schedule:
        raise UserError(
            f"{where}: {sampler.classifier} sees {sizes[0]} px and "
            f"{classifier.training.schedule} noise, {half.model} {sizes[1]} px and "
            f"{model.training.schedule} noise; both must agree"
        )
