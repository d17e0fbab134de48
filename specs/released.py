"""What the authors published (params/released.yaml), typed; and how to get one of these files."""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from records.cache import get_cache_folder
from records.downloads import fetch
from records.errors import UserError
from specs.architecture import Positive
from specs.metrics import Metric
from specs.strict import Strict, read_yaml, validated

# A path below `base` and below the results: no part of it leaves them, or means more to a shell
# or to Snakemake than a name.
_PART = "[A-Za-z0-9_][A-Za-z0-9_.+-]*"
RELEASED_PATH = Path(__file__).resolve().parent.parent / "params" / "released.yaml"


class Artefact(Strict):
    """A published file: its address is `base` + `path`; hash and size where they are documented."""

    path: Annotated[str, Field(pattern=rf"^({_PART}/)*{_PART}\.[A-Za-z0-9]+$")]
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")] | None
    bytes: Positive | None
    note: str | None = None


class Checkpoint(Artefact):
    """A pickled state dict, and the model of the paper's scale whose weights it holds."""

    model: str


class Reference(Artefact):
    """A reference batch: images and the statistics of the whole training set."""

    num_images: Positive


class Licence(Strict):
    """Under which terms the files were published, in words."""

    weights: str
    batches: str
    inception_graph: str


class KnownEvaluation(Strict):
    """A pair of published batches whose metrics were published too."""

    reference: str
    samples: str
    values: dict[Metric, float]


class Released(Strict):
    """All published files; references are by task, samples by row, checkpoints by their name.

    `scale` is the one whose models the checkpoints are; None: any that has models of these names.
    """

    scale: str | None = None
    base: Annotated[str, Field(pattern="^(https?|file)://.*/$")]
    licence: Licence
    inception_graph: Artefact
    checkpoints: dict[str, Checkpoint]
    never_released: dict[str, str]
    references: dict[str, Reference]
    samples: dict[str, Artefact]
    known_evaluation: KnownEvaluation | None


def load_released(path: str | Path | None = None) -> Released:
    """Read what was published.

    Args:
        path: another list than params/released.yaml.

    Raises:
        UserError: an unknown or missing key, a wrong type, a model with two checkpoints or with
            one that was never released, a known evaluation of batches that are not listed.
    """
    path = RELEASED_PATH if path is None else path
    released: Released = validated(Released, read_yaml(path), str(path))
    owner: dict[str, str] = {}
    for name, checkpoint in released.checkpoints.items():
        where = f"{path}: checkpoints: {name}: model: {checkpoint.model}"
        if checkpoint.model in owner:
            raise UserError(f"{where}: is already that of {owner[checkpoint.model]}; a model has 1")
        if checkpoint.model in released.never_released:
            raise UserError(f"{where}: is under never_released too; remove one of the two")
        owner[checkpoint.model] = name
    known = released.known_evaluation
    if known and not (known.reference in released.references and known.samples in released.samples):
        raise UserError(
            f"{path}: known_evaluation: {known.samples} against {known.reference}; both must be "
            "listed under samples and references"
        )
    return released


def find_checkpoint(released: Released, model: str) -> tuple[str, Checkpoint] | None:
    """Return name and entry of a model's published weights; None when there are none."""
    for name, checkpoint in released.checkpoints.items():
        if checkpoint.model == model:
            return name, checkpoint
    return None


def cached_path(artefact: Artefact) -> Path:
    """Return where a published file is kept on this machine."""
    return get_cache_folder() / artefact.path.rpartition("/")[2]


def fetch_artefact(
    released: Released,
    artefact: Artefact,
    path: str | Path | None = None,
    *,
    progress: bool = True,
) -> Path:
    """Make sure that a published file is at a path, whole and verified.

    Args:
        released: for the address.
        artefact: the file.
        path: where to; None: the cache folder.
        progress: show a bar.

    Returns:
        The path.

    Raises:
        UserError: see `records.downloads.fetch`.
    """
    return fetch(
        released.base + artefact.path,
        cached_path(artefact) if path is None else path,
        sha256=artefact.sha256,
        num_bytes=artefact.bytes,
        base=released.base,
        progress=progress,
    )
