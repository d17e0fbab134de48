"""Read a spec from a file: of which kind it is, its keys, their types and what contradicts."""

from pathlib import Path
from typing import Any

from records.errors import BadSpec, UserError
from records.files import read_json
from specs.datasets import DatasetSpec, OwnImagesSpec
from specs.models import AnyModelSpec, AnyWeightsSpec, DenoiserSpec, WeightsSpec
from specs.sampling import AccuracySpec, DenoisingSpec, LossSpec, SampleSpec
from specs.strict import Spec, validated

MAX_LINES = 3
SPEC_FILES = "the workflow writes one beside what it makes"
# The kinds of specs: their type, a class with all their keys, and where each comes from.
KINDS: dict[str, tuple[Any, type[Spec], str]] = {
    "model": (AnyModelSpec, DenoiserSpec, "`python -m adm spec NAME --out FILE` writes one"),
    "sample": (SampleSpec, SampleSpec, f"{SPEC_FILES}: samples/<name>/spec.json"),
    "accuracy": (
        AccuracySpec,
        AccuracySpec,
        f"{SPEC_FILES}: models/<classifier>/accuracy-<mark>.spec.json",
    ),
    "loss": (LossSpec, LossSpec, f"{SPEC_FILES}: models/<model>/loss-<mark>.spec.json"),
    "denoising": (DenoisingSpec, DenoisingSpec, f"{SPEC_FILES}: denoising/<row>.spec.json"),
    "dataset": (DatasetSpec, OwnImagesSpec, f"{SPEC_FILES}: data/<task>.spec.json"),
}
# Keys that one kind of file alone has; the first that is there tells.
TELLING = {
    "sha256": "the manifest of a file that was made",
    "architecture": "a model spec",
    "sampler": "a sample spec",
    "num_ranges": "an accuracy spec",
    "loss_timesteps": "a loss spec",
    "batch": "a denoising spec",
    "rows": "the specification of a table",
    "counts": "a metrics file",
    "iterations": "the spec of a feature network",
    "released": "the spec of published samples",
}


def load_spec(path: str | Path, what: str) -> Any:
    """Read a spec.

    Args:
        path: JSON file.
        what: the kind that is needed, one of `KINDS`.

    Returns:
        The spec, of that kind's type.

    Raises:
        UserError: missing, no JSON, a spec of another kind, an unknown or missing key, a wrong
            type, or settings that contradict each other.
    """
    return parse_spec(read_json(path, f"{what} spec"), what, str(path))


def parse_spec(content: Any, what: str, where: str) -> Any:
    """Turn what was read from JSON into a spec, or refuse what is none; see `load_spec`."""
    kind, keys, source = KINDS[what]
    needed = f"{'an' if what[0] in 'aeiou' else 'a'} {what} spec"
    found = tell_kind(content)
    foreign = found is not None and found != needed
    known = {field.alias or name for name, field in keys.model_fields.items()}
    if foreign or not isinstance(content, dict) or not set(content) & known:
        raise BadSpec(
            f"{where}: is {found or 'an object of none of the kinds known here'}; {needed} is "
            f"needed: {source}"
        )
    return _in_one_line(kind, content, where)


def parse_header(content: Any, path: str | Path) -> WeightsSpec:
    """Turn the header of a weights file into the spec of its model.

    Raises:
        UserError: no object, an unknown or missing key, a wrong type, a network that cannot be.
    """
    return _in_one_line(AnyWeightsSpec, content, f"{path}: model spec in its header")


def tell_kind(content: Any) -> str | None:
    """Say what was read from JSON, with its article; None for an object that tells nothing."""
    if not isinstance(content, dict):
        return f"JSON of type {type(content).__name__}"
    found = next((words for key, words in TELLING.items() if key in content), None)
    return found or ("a dataset spec" if isinstance(content.get("dataset"), str) else None)


def _in_one_line(kind: Any, content: Any, where: str) -> Any:
    """Do what `validated` does, with all that is wrong in one line, unknown keys first."""
    try:
        return validated(kind, content, where)
    except UserError as error:
        lines = [line.removeprefix(f"{where}: ") for line in str(error).splitlines()]
        lines.sort(key=lambda line: "unknown key" not in line)
        more = f"; and {len(lines) - MAX_LINES} more" if len(lines) > MAX_LINES else ""
        raise BadSpec(f"{where}: {'; '.join(lines[:MAX_LINES])}{more}") from None
