"""Averaged weights of the marks that a run has reached: kept with its state, then put in place."""

import sys
from pathlib import Path

import torch

from adm.networks.model import make_network
from adm.weights.files import load_weights, read_header, save_weights
from adm.weights.tensors import verify_tensors
from records.errors import UserError
from records.files import link_or_copy, sha256_file, write_json
from records.manifest import manifest_path, read_manifest
from specs.models import ModelSpec


def find_kept(state_dir: Path, iterations: int) -> Path:
    """Return where the averaged weights of an iteration are kept."""
    return state_dir / f"ema-{iterations}.safetensors"


def is_kept(kept: Path, spec: ModelSpec, iterations: int) -> bool:
    """Tell whether the averaged weights of an iteration are there, whole and of this spec."""
    if not kept.exists():
        return False
    try:
        verify_tensors(kept, "weights file")
        about = read_header(kept)
    except UserError as error:
        print(f"{error}; training goes over it", file=sys.stderr)
        return False
    return about.spec.digest == spec.digest and about.iteration == iterations


def write_out(kept: Path, out_path: str | Path, spec: ModelSpec, mark: str) -> None:
    """Give kept weights their place; written again where they carry another mark or name.

    Their manifest goes with them, as it was when they were trained.
    """
    about = read_header(kept)
    if about.mark == mark and about.spec.content() == spec.content():
        link_or_copy(kept, out_path)
    else:
        model = make_network(spec.architecture)
        load_weights(kept, model)
        weights: list[torch.Tensor] = list(model.parameters())
        known = {
            "iteration": about.iteration,
            "data_sha256": about.data_sha256,
            "class_names": about.class_names,
        }
        save_weights(out_path, model, weights, spec=spec, mark=mark, **known)
    if (known := read_manifest(kept)) is not None:  # earlier versions wrote none
        is_of = {"name": spec.name, "spec": spec.content(), "mark": mark}
        sizes = {"sha256": sha256_file(out_path), "num_bytes": Path(out_path).stat().st_size}
        write_json(manifest_path(out_path), {**known, **is_of, **sizes})
