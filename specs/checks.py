"""Checks of a scale, and of tables against a scale, that types cannot say."""

import difflib
import re
from collections.abc import Iterable

from records.errors import UserError
from specs.config import (
    Architecture,
    Base,
    BroughtTask,
    Classifier,
    Comparison,
    Diffusion,
    DigitsTask,
    Row,
    Sampler,
    Scale,
    SmallNetwork,
    Table,
    TrainingSettings,
    Upsampler,
)
from specs.schedule import make_betas, space_timesteps

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_]*")  # names become names of files and of jobs
DIGIT_SIZES_PX = (8, 4)


def unknown(where: str, what: str, name: str, known: Iterable[str]) -> UserError:
    """Make the error for a name that does not exist, with the nearest one that does."""
    known = list(known)
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {close[0]!r}?" if close else "known: " + ", ".join(known)
    return UserError(f"{where}: no {what} {name!r}; {hint}")


def check_scale(path: str, scale: Scale) -> None:
    """Check that every model of a scale can be built and trained, and every image set be made.

    Raises:
        UserError: unknown task, place or name; sizes that levels, heads or groups do not divide;
            a training that cannot be run; image sets that contradict themselves or one another.
    """
    _check_names(path, scale)
    for name, task in scale.tasks.items():
        _check_task(f"{path}: tasks: {name}", scale, task)
    for name, model in scale.models.items():
        _check_model(f"{path}: models: {name}", scale, model)
    if isinstance(scale.network, SmallNetwork) and scale.network.task not in scale.tasks:
        raise unknown(f"{path}: network: task", "task", scale.network.task, scale.tasks)


def _check_names(path: str, scale: Scale) -> None:
    """Check the names of tasks and models, and those that stand for others."""
    for key, entries, same in (
        ("tasks", scale.tasks, scale.same_as.tasks),
        ("models", scale.models, scale.same_as.models),
    ):
        for name in entries:
            if not NAME.fullmatch(name):
                raise UserError(f"{path}: {key}: got the name {name!r}; take letters, digits and _")
        for name, other in same.items():
            where = f"{path}: same_as: {key}: {name}"
            if name in entries:
                raise UserError(f"{where}: the scale has {name} itself; remove one of the two")
            if other not in entries:
                raise unknown(where, key.removesuffix("s"), other, entries)


def _check_task(where: str, scale: Scale, task: DigitsTask | BroughtTask) -> None:
    """Check that the images of a task can be made as described."""
    if isinstance(task, DigitsTask):
        if task.image_size_px not in DIGIT_SIZES_PX or task.image_channels != 1:
            raise UserError(
                f"{where}: {task.image_size_px} px and {task.image_channels} channels; the digits "
                "come with 8 or 4 px and 1 channel"
            )
        kept = list(range(10)) if task.classes is None else task.classes
        if not kept or len(set(kept)) < len(kept) or not set(kept) <= set(range(10)):
            raise UserError(
                f"{where}: classes: got {kept}; needed: different digits from 0 to 9, or null"
            )
        if task.num_classes != (len(kept) if len(kept) > 1 else None):
            raise UserError(
                f"{where}: num_classes: got {task.num_classes} for the digits {kept}; write their "
                "number, or null for a single one, which has no labels"
            )
        return
    if task.place not in scale.places:
        raise unknown(f"{where}: place", "place", task.place, scale.places)
    if task.dataset == "lsun" and (task.classes is not None or task.num_classes is not None):
        raise UserError(
            f"{where}: classes {task.classes} and num_classes {task.num_classes}; an lmdb of LSUN "
            "holds one category without labels: write null for both"
        )
    if task.classes is not None and not 0 < len(set(task.classes)) == len(task.classes):
        raise UserError(
            f"{where}: classes: got {task.classes}; needed: different names, or null for all"
        )
    if task.classes is not None and task.num_classes not in (None, len(task.classes)):
        raise UserError(
            f"{where}: num_classes {task.num_classes} for the classes {task.classes}; write their "
            "number, or null for images without labels"
        )
    if task.image_channels != 3:
        raise UserError(
            f"{where}: image_channels: got {task.image_channels}; your own images are stored with 3"
        )
    _check_whole(where, scale, task)


def _check_whole(where: str, scale: Scale, task: BroughtTask) -> None:
    """Check that a set of whole images has a name of its own and one content."""
    if task.whole is None:
        return
    if task.whole in scale.tasks or not NAME.fullmatch(task.whole):
        raise UserError(
            f"{where}: whole: got {task.whole!r}; the whole images need a name of letters, digits "
            "and _ that no task has"
        )
    keys = ("dataset", "place", "classes", "num_classes")
    for name, other in scale.tasks.items():
        shared = isinstance(other, BroughtTask) and other.whole == task.whole
        differing = [key for key in keys if shared and getattr(other, key) != getattr(task, key)]
        if differing:
            raise UserError(
                f"{where}: whole: {name} has the same {task.whole!r} with another "
                f"{', '.join(differing)}; give each its own name"
            )


def _check_model(where: str, scale: Scale, model: Diffusion | Upsampler | Classifier) -> None:
    """Check a model against its task and its training."""
    if model.task not in scale.tasks:
        raise unknown(f"{where}: task", "task", model.task, scale.tasks)
    task = scale.tasks[model.task]
    needs_labels = isinstance(model, Classifier) or model.class_conditional
    if needs_labels and task.num_classes is None:
        raise UserError(
            f"{where}: task {model.task} has no labels, and this model needs them; "
            "set class_conditional: false or take a labelled task"
        )
    if isinstance(model, Upsampler):
        _check_enlargement(where, scale, model)
    check_training(where, model.training, model.kind)
    shape = model.architecture
    _check_architecture(where, shape, task.image_size_px)
    if getattr(shape, "pool", None) == "attention" and shape.head_channels is None:
        raise UserError(
            f"{where}: architecture: head_channels: got null; pool attention needs it, not heads"
        )
    for mark in model.marks:
        if not (mark.isascii() and mark.isalnum()):
            raise UserError(f"{where}: marks: got {mark!r}; a mark is named by letters and digits")
    if len(set(model.marks.values())) < len(model.marks):
        raise UserError(
            f"{where}: marks: {model.marks}; two marks at one iteration: remove one of them"
        )
    if len(set(model.seeds)) < len(model.seeds):
        raise UserError(f"{where}: seeds: got {model.seeds}; each seed is written once")


def _check_enlargement(where: str, scale: Scale, model: Upsampler) -> None:
    """Check that the two sizes of an upsampler fit."""
    if model.low_res_task not in scale.tasks:
        raise unknown(f"{where}: low_res_task", "task", model.low_res_task, scale.tasks)
    small, large = scale.tasks[model.low_res_task], scale.tasks[model.task]
    whole = small.image_size_px < large.image_size_px and not (
        large.image_size_px % small.image_size_px
    )
    if not whole or small.image_channels != large.image_channels:
        raise UserError(
            f"{where}: low_res_task {model.low_res_task} has {small.image_size_px} px and "
            f"{small.image_channels} channels, task {model.task} {large.image_size_px} px and "
            f"{large.image_channels}; the smaller size must divide the larger, in equal channels"
        )


def check_training(where: str, training: TrainingSettings, kind: str) -> None:
    """Check how a model of some kind is trained: its objective, batches and noise schedule."""
    if training.batch_size % training.microbatch_size:
        raise UserError(
            f"{where}: training: microbatch_size {training.microbatch_size} does not "
            f"divide batch_size {training.batch_size}; take a divisor"
        )
    classifies = training.objective == "cross_entropy"
    if classifies != (kind == "classifier"):
        raise UserError(
            f"{where}: training: objective: got {training.objective} for a {kind}; "
            "cross_entropy is for classifiers, and only that"
        )
    try:
        make_betas(training.schedule, training.num_timesteps)
    except ValueError as error:
        raise UserError(f"{where}: training: {error}") from None


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
    divisor = shape.heads or shape.head_channels
    assert divisor is not None
    for width in attended:
        if width % divisor:
            raise UserError(
                f"{where}: {'heads' if shape.heads else 'head_channels'} {divisor} does not divide "
                f"the {width} channels of an attention block; take a divisor"
            )


def check_tables(path: str, tables: dict[str, Table], scale: Scale) -> None:
    """Check tables, and that every row of them can be made at a scale.

    Raises:
        UserError: cells that contradict the table's head, a claim about a row that is not there,
            unknown task or model, a model of the wrong kind, a mark that its training does not
            have, an impossible respacing, a stack whose halves do not fit.
    """
    for name, table in tables.items():
        ungraded = [one for one in table.metrics if one not in scale.evaluation.metrics]
        if ungraded:
            raise UserError(
                f"{path}: {name}: metrics: {ungraded} are not among evaluation: metrics of scale "
                f"{scale.name}, {scale.evaluation.metrics}; add them there"
            )
        for row_id, row in table.rows.items():
            where = f"{path}: {name}: rows: {row_id}"
            _check_cells(where, table, row)
            for task in (row.task, row.base.task if row.base else row.task):
                if task not in scale.tasks:
                    raise unknown(f"{where}: task", "task", task, scale.tasks)
            if row.model is not None:
                _check_row(where, table, row, scale)
        for claim_id, claim in table.claims.items():
            for index, comparison in enumerate(claim.comparisons):
                where = f"{path}: {name}: claims: {claim_id}: comparisons: {index}"
                _check_comparison(where, table, comparison)


def _check_cells(where: str, table: Table, row: Row) -> None:
    """Check that a row has the cells and the parts that its table and its kind ask for."""
    for place, got, needed in (
        ("published", list(row.published), table.marks),
        *(
            (f"published: {mark}", list(row.published[mark]), table.metrics)
            for mark in row.published
        ),
        ("settings", list(row.settings), table.settings),
    ):
        if got != needed:
            raise UserError(f"{where}: {place}: got {got}; the table has {needed}, in this order")
    if (row.model is None) != (row.sampler is None):
        raise UserError(f"{where}: a row has both a model and a sampler, or neither (a baseline)")
    if row.base is not None and row.model is None:
        raise UserError(f"{where}: base: a baseline has none; write null")
    for sampler in [row.sampler, row.base.sampler if row.base else None]:
        if sampler and (sampler.guidance_scale is None) != (sampler.classifier is None):
            raise UserError(
                f"{where}: sampler: guidance_scale {sampler.guidance_scale} with classifier "
                f"{sampler.classifier}; guidance needs both, no guidance neither"
            )


def _check_comparison(where: str, table: Table, comparison: Comparison) -> None:
    """Check that a comparison speaks of cells that the table has."""
    for side in ("left", "right", "towards"):
        row_id = getattr(comparison, side)
        if row_id is not None and row_id not in table.rows:
            close = difflib.get_close_matches(row_id, table.rows, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"rows: {', '.join(table.rows)}"
            raise UserError(f"{where}: {side}: no row {row_id!r} in this table; {hint}")
    if comparison.mark not in table.marks:
        raise UserError(f"{where}: mark: got {comparison.mark!r}; the table has {table.marks}")
    if comparison.metric not in table.metrics:
        raise UserError(f"{where}: metric: got {comparison.metric!r}; needed: {table.metrics}")
    if (comparison.relation == "nearer") != (comparison.towards is not None):
        raise UserError(
            f"{where}: towards: {comparison.towards!r} with relation "
            f"{comparison.relation!r}; `nearer` needs it, the others have null"
        )


def _check_row(where: str, table: Table, row: Row, scale: Scale) -> None:
    """Check that a scale can make a row that has a model."""
    _check_half(where, scale, row)
    model = scale.models[str(row.model)]
    for mark in table.marks:
        if mark not in model.marks:
            raise UserError(
                f"{where}: model {row.model} has marks {list(model.marks)}; the table needs "
                f"{mark!r}: add it under models: {row.model}: marks of scale {scale.name}"
            )
    if row.base is not None:
        _check_half(f"{where}: base", scale, row.base)
    if isinstance(model, Upsampler) != (row.base is not None):
        raise UserError(
            f"{where}: model {row.model} is a {model.kind} and base is {row.base}; an "
            "upsampler needs a base, other models have none"
        )
    if row.base is None or not isinstance(model, Upsampler):
        return
    small, got = scale.tasks[model.low_res_task], scale.tasks[row.base.task]
    needed = scale.tasks[row.task].num_images
    if small.image_size_px != got.image_size_px or got.num_images < needed:
        raise UserError(
            f"{where}: base {row.base.task}: {got.image_size_px} px and {got.num_images} images; "
            f"{row.model} enlarges {small.image_size_px} px and the row needs {needed} images"
        )
    if model.class_conditional and got.num_classes != scale.tasks[row.task].num_classes:
        raise UserError(
            f"{where}: base {row.base.task}: {got.num_classes} classes, {row.task} "
            f"{scale.tasks[row.task].num_classes}; the base's labels go into {row.model}, so both "
            "need the same classes"
        )


def _check_half(where: str, scale: Scale, half: Row | Base) -> None:
    """Check the model, classifier and sampler of a row or of the base of a stack."""
    assert half.model is not None and half.sampler is not None
    if half.model not in scale.models:
        raise unknown(f"{where}: model", f"model at scale {scale.name}", half.model, scale.models)
    model = scale.models[half.model]
    if isinstance(model, Classifier):
        raise UserError(f"{where}: model: {half.model} is a classifier; it does not draw images")
    task, own = scale.tasks[half.task], scale.tasks[model.task]
    for key in ("image_size_px", "image_channels", "num_classes"):
        matters = key != "num_classes" or model.class_conditional
        if matters and getattr(task, key) != getattr(own, key):
            raise UserError(
                f"{where}: task {half.task} has {key} {getattr(task, key)}; {half.model} is "
                f"trained on {model.task} with {getattr(own, key)}: take a model of that task"
            )
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
    seen = [
        f"{scale.tasks[one.task].image_size_px} px, {scale.tasks[one.task].image_channels} channels"
        f" and {one.training.schedule} noise of {one.training.num_timesteps} timesteps"
        for one in (classifier, model)
    ]
    if seen[0] != seen[1]:
        raise UserError(
            f"{where}: {sampler.classifier} sees {seen[0]}, {half.model} {seen[1]}; both must agree"
        )
    classes = [scale.tasks[task].num_classes for task in (classifier.task, half.task)]
    if classes[0] != classes[1]:
        raise UserError(
            f"{where}: {sampler.classifier} tells {classes[0]} classes apart, task {half.task} has "
            f"{classes[1]}; take a classifier of the same classes"
        )
