"""The authors' checkpoints: a pickled state dict in, safetensors with a spec out, and back.

Reading is torch.load with weights_only=True, which builds tensors and containers and nothing else.
"""

import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from adm.networks.model import make_network
from adm.published.names import NAMES, Catalogue, Named, find_model, published_name
from adm.weights.files import STATE_MARK, make_header, read_header
from adm.weights.tensors import opened, verify_tensors, write_tensors
from records.errors import UserError
from records.files import atomic_write
from records.manifest import hash_inputs, make_manifest, write_manifest
from records.usage import Usage
from specs.architecture import Architecture, ClassifierArchitecture
from specs.models import WeightsSpec

NUM_SHOWN = 3
EXACT_IN_FLOAT32 = (torch.float32, torch.float16, torch.bfloat16)
ZIP_MAGIC, PICKLE_MAGIC = b"PK\x03\x04", b"\x80"
# Widths of the levels that the authors' code knows, by image size.
AUTHORS_MULT = {
    64: [1, 2, 3, 4],
    128: [1, 1, 2, 3, 4],
    256: [1, 1, 2, 2, 4, 4],
    512: [0.5, 1, 1, 2, 2, 4, 4],
}
AUTHORS_UPSAMPLER_MULT = {256: [1, 1, 2, 2, 4, 4], 512: [1, 1, 2, 2, 4, 4]}
# What a user may have in place of a checkpoint, by its first bytes.
FOREIGN = {
    b"\x1f\x8b": "a gzip file",
    b"\x93NUMPY": "a numpy array",
    b"\x89PNG": "a picture",
    b"version https://git-lfs": "a Git LFS pointer, not the file itself",
}


def make_shapes(architecture: Architecture) -> dict[str, list[int]]:
    """Return names and shapes of a network's parameters, in the order of the authors' files."""
    with torch.device("meta"):
        model = make_network(architecture)
    return {name: list(value.shape) for name, value in model.state_dict().items()}


def read_state_dict(path: str | Path) -> dict[str, Tensor]:
    """Read a pickled state dict; no code in it is run, and tensors stay in the file until used.

    Args:
        path: a file that torch.save wrote, of any version.

    Returns:
        float32 tensors by name, in the file's order; 16-bit floats are widened, which is exact.

    Raises:
        UserError: missing, cut short, of another format, with code in it, or without tensors.
    """
    start = _read_start(path)
    kind = _find_kind(start)
    if kind is not None:
        raise UserError(f"{path}: is {kind}; a checkpoint (.pt) as torch.save writes it is needed")
    try:
        with warnings.catch_warnings():
            # Of a pickle that cannot be read our error says more, and one that can needs no word.
            warnings.filterwarnings("ignore", "Detected pickle protocol", UserWarning)
            content = torch.load(
                path, map_location="cpu", weights_only=True, mmap=start.startswith(ZIP_MAGIC)
            )
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); give a checkpoint") from None
    except Exception as error:  # torch's reader raises whatever its parts raise
        raise _explain_unreadable(path, error) from None
    return _check_state_dict(path, content)


def _read_start(path: str | Path) -> bytes:
    """Read a file's first bytes."""
    try:
        with open(path, "rb") as file:
            return file.read(512)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; a checkpoint (.pt) is needed here") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); give a checkpoint") from None


def _find_kind(start: bytes) -> str | None:
    """Say what a file is that cannot be a checkpoint; None when it may be one."""
    if not start:
        return "empty: the download or the disk failed"
    if start.lstrip()[:1] == b"<":
        return "a web page, not a file of weights: the download went to a log-in or error page"
    if start[8:9] == b"{" and int.from_bytes(start[:8], "little") < 1 << 30:
        return "a safetensors file already: load it as it is, without importing"
    for magic, kind in FOREIGN.items():
        if start.startswith(magic):
            return kind
    if start.startswith((ZIP_MAGIC, PICKLE_MAGIC)):
        return None
    return "no checkpoint: neither torch's archive nor a pickle"


def _explain_unreadable(path: str | Path, error: Exception) -> UserError:
    """Tell a pickle with code from a damaged file."""
    text = str(error)
    if "nsupported" in text or "GLOBAL" in text or "not an allowed global" in text:
        try:
            found = torch.serialization.get_unsafe_globals_in_checkpoint(path)
        except Exception:  # only archives can be listed, and not every one
            found = []
        what = f" ({', '.join(sorted(found)[:NUM_SHOWN])})" if found else ""
        return UserError(
            f"{path}: holds code or objects{what} and was refused; nothing of it was executed. A "
            "state dict holds tensors alone: save model.state_dict() where you trust the file, or "
            "get the published one"
        )
    reason = " ".join(text.split())[:160] or type(error).__name__
    return UserError(
        f"{path}: not a whole checkpoint ({reason}); it is cut short or damaged: fetch it again"
    )


def _check_state_dict(path: str | Path, content: Any) -> dict[str, Tensor]:
    """Demand tensors by name; say where they may be when they are deeper."""
    if not isinstance(content, Mapping):
        raise UserError(
            f"{path}: holds a {type(content).__name__}; a state dict (tensors by name) is needed"
        )
    foreign = [str(key) for key, value in content.items() if not isinstance(value, Tensor)]
    if foreign or not content:
        inner = [str(key) for key, value in content.items() if isinstance(value, Mapping)]
        hint = f"; take the part {inner[0]!r} out of it and save that alone" if inner else ""
        raise UserError(
            f"{path}: holds {', '.join(foreign[:NUM_SHOWN]) or 'nothing'}; one state dict (tensors "
            f"by name) is needed{hint}"
        )
    tensors = {}
    for name, value in content.items():
        if value.dtype not in EXACT_IN_FLOAT32:
            raise UserError(
                f"{path}: {name} is {value.dtype}; weights are float32, float16 or bfloat16"
            )
        tensors[str(name)] = value.float()
    return tensors


def compare_shapes(needed: Mapping[str, list[int]], got: Mapping[str, list[int]]) -> list[str]:
    """Say how the tensors of a file differ from those of a network; empty when they agree."""
    differences = {
        "missing": [name for name in needed if name not in got],
        "unexpected": [name for name in got if name not in needed],
        "of another shape": [
            f"{name} {got[name]} instead of {shape}"
            for name, shape in needed.items()
            if name in got and got[name] != shape
        ],
    }
    return [
        f"{len(names)} {words}: {', '.join(names[:NUM_SHOWN])}"
        + (", ..." if len(names) > NUM_SHOWN else "")
        for words, names in differences.items()
        if names
    ]


def find_nearest(got: Mapping[str, list[int]], catalogue: Catalogue) -> tuple[list[str], bool]:
    """Find the models of a scale, of the file's kind, whose parameters are nearest to a file's.

    Returns:
        Names (several where networks are equal; published ones first), and whether names and
        shapes agree exactly.
    """
    items = {(name, tuple(shape)) for name, shape in got.items()}
    scores: dict[str, float] = {}
    for model in catalogue.scale.models:
        shapes = make_shapes(find_model(model, catalogue).spec.architecture)
        own = {(name, tuple(shape)) for name, shape in shapes.items()}
        scores[model] = len(items & own) / len(items | own) + (_draws(got) == _draws(shapes))
    best = max(scores.values())
    names = [published_name(name) for name, score in scores.items() if score == best]
    return sorted(names, key=lambda name: name not in NAMES), best == 2  # published ones first


def _draws(names: Iterable[str]) -> bool:
    """Tell by its parameters a network that puts out images from a classifier."""
    return any(name.startswith("output_blocks.") for name in names)


def check_tensors(
    path: str | Path, shapes: Mapping[str, list[int]], named: Named, catalogue: Catalogue
) -> None:
    """Refuse weights of another architecture.

    Raises:
        UserError: with the keys that differ and the model that fits, or is nearest.
    """
    differences = compare_shapes(make_shapes(named.spec.architecture), shapes)
    if not differences:
        return
    names, exact = find_nearest(shapes, catalogue)
    some = " or ".join(names[:NUM_SHOWN]) + (", ..." if len(names) > NUM_SHOWN else "")
    hint = f"they are those of {some}: name it" if exact else f"nearest: {names[0]}"
    raise UserError(
        f"{path}: not the weights of {named.name}: {'; '.join(differences)} ({hint}, or give the "
        "file of the model that is meant)"
    )


def import_checkpoint(
    path: str | Path,
    out_path: str | Path,
    named: Named,
    catalogue: Catalogue,
    *,
    about: Mapping[str, str] | None = None,
) -> None:
    """Turn an authors' checkpoint into safetensors with the spec of its model, checked key by key.

    Args:
        path: the pickled state dict.
        out_path: safetensors to write.
        named: whose weights they are; mark and iteration are those at which its training ends.
        catalogue: where another model is looked for, for the message.
        about: more texts for the header (where the file is from).

    Raises:
        UserError: see `read_state_dict`; another architecture; values that are not finite.
    """
    usage = Usage()
    tensors = read_state_dict(path)
    check_tensors(path, {name: list(one.shape) for name, one in tensors.items()}, named, catalogue)
    for name, one in tensors.items():
        if not torch.isfinite(one).all():
            raise UserError(f"{path}: {name} holds values that are not finite; fetch it again")
    header = {**(about or {}), **make_header(named.spec, named.mark, named.iteration)}
    names = make_shapes(named.spec.architecture)
    write_tensors(out_path, {name: tensors[name] for name in names}, header)
    manifest = make_manifest(
        kind="weights",
        name=named.name,
        spec=named.spec.content(),
        digest=named.spec.digest,
        inputs=hash_inputs(checkpoint=path),
        mark=named.mark,
        iteration=named.iteration,
    )
    write_manifest(out_path, manifest, usage)


def export_checkpoint(path: str | Path, out_path: str | Path) -> WeightsSpec:
    """Write weights as the authors' scripts read them: a pickled state dict of float32 tensors.

    Args:
        path: weights (safetensors with a spec).
        out_path: the .pt to write; names and their order are those of the published files.

    Returns:
        The model's spec.

    Raises:
        UserError: no weights file, tensors that are not those of its spec, no space.
    """
    header = read_header(path)
    spec = header.spec
    if header.mark == STATE_MARK:
        raise UserError(f"{path}: the state of a training; export the weights that it wrote")
    verify_tensors(path, "weights file")
    shapes = make_shapes(spec.architecture)
    with opened(path, "weights file") as file:
        got = {name: file.get_slice(name).get_shape() for name in file.keys()}  # noqa: SIM118
        if differences := compare_shapes(shapes, got):
            raise UserError(f"{path}: does not fit its own spec: {'; '.join(differences)}")
        tensors = {name: file.get_tensor(name) for name in shapes}
    with atomic_write(out_path) as file:
        torch.save(tensors, file)
    return spec


def find_obstacles(spec: WeightsSpec) -> list[str]:
    """Say what the authors' code cannot build of a model; empty where it can."""
    shape = spec.architecture
    known = AUTHORS_UPSAMPLER_MULT if spec.kind == "upsampler" else AUTHORS_MULT
    mult = known.get(shape.image_size_px)
    theirs = (
        ("image_size_px", shape.image_size_px, mult is not None, ", ".join(map(str, known))),
        ("channel_mult", shape.channel_mult, mult in (None, shape.channel_mult), f"{mult}"),
        ("in_channels", shape.in_channels, shape.in_channels == 3, "3"),
        ("num_groups", shape.num_groups, shape.num_groups == 32, "32"),
        ("num_classes", shape.num_classes, shape.num_classes in (None, 1000), "1000"),
        ("rescale_residual", shape.rescale_residual, not shape.rescale_residual, "False"),
    )
    return [f"{key} {got} (theirs {needed})" for key, got, fits, needed in theirs if not fits]


def format_flags(spec: WeightsSpec) -> str:
    """Write a spec as the options of the authors' scripts.

    Returns:
        Options to put behind their sampling scripts; those of a classifier begin with
        `--classifier_`. Empty for what their code cannot build (other sizes, channels, classes).
    """
    shape = spec.architecture
    if find_obstacles(spec):
        return ""
    resolutions = ",".join(map(str, shape.attention_resolutions))
    adagn = shape.embedding == "adagn"
    if isinstance(shape, ClassifierArchitecture):
        options: Iterable[tuple[str, Any]] = [
            ("image_size", shape.image_size_px),
            ("classifier_attention_resolutions", resolutions),
            ("classifier_depth", shape.depth),
            ("classifier_width", shape.channels),
            ("classifier_pool", shape.pool),
            ("classifier_resblock_updown", shape.biggan_updown),
            ("classifier_use_scale_shift_norm", adagn),
        ]
        return " ".join(f"--{name} {value}" for name, value in options)
    heads = ("num_heads", shape.heads)
    if shape.head_channels is not None:
        heads = ("num_head_channels", shape.head_channels)
    size = [("image_size", shape.image_size_px)]
    if shape.low_res_px is not None:
        size = [("large_size", shape.image_size_px), ("small_size", shape.low_res_px)]
    options = [
        ("attention_resolutions", resolutions),
        ("class_cond", shape.num_classes is not None),
        ("diffusion_steps", spec.training.num_timesteps),
        ("dropout", shape.dropout),
        *size,
        ("learn_sigma", shape.out_channels == 2 * shape.in_channels),
        ("noise_schedule", spec.training.schedule),
        ("num_channels", shape.channels),
        heads,
        ("num_res_blocks", shape.depth),
        ("resblock_updown", shape.biggan_updown),
        ("use_new_attention_order", shape.qkv_order == "new"),
        ("use_scale_shift_norm", adagn),
    ]
    return " ".join(f"--{name} {value}" for name, value in options)
