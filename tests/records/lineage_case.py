"""A made-up results folder: upsampled and guided samples, so that every role of an input occurs."""

from records.manifest import hash_inputs, make_manifest, write_manifest
from records.usage import Usage

# Name, kind, what it was made of by role.
CHAIN = (
    ("data/images.zip", "dataset", {}),
    ("models/base/ema.safetensors", "weights", {"data": "data/images.zip"}),
    ("models/classifier/ema.safetensors", "weights", {"data": "data/images.zip"}),
    (
        "samples/base/samples.npz",
        "samples",
        {
            "weights": "models/base/ema.safetensors",
            "classifier": "models/classifier/ema.safetensors",
        },
    ),
    ("models/up/ema.safetensors", "weights", {"data": "data/images.zip"}),
    (
        "samples/up/samples.npz",
        "samples",
        {"weights": "models/up/ema.safetensors", "low_res": "samples/base/samples.npz"},
    ),
    ("network/features.safetensors", "network", {"data": "data/images.zip"}),
    (
        "references/images.npz",
        "reference",
        {"data": "data/images.zip", "network": "network/features.safetensors"},
    ),
    (
        "metrics/row.json",
        "metrics",
        {
            "samples": "samples/up/samples.npz",
            "reference": "references/images.npz",
            "network": "network/features.safetensors",
        },
    ),
)


def write_file(root, name, kind, inputs, content=None, **details):
    """Write a file with a manifest that names its inputs by hash."""
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content or f"the content of {name}")
    files = {role: root / one for role, one in inputs.items()}
    spec = {role: {"name": name} for role in ("classifier", "low_res") if role in inputs}
    about = {"kind": kind, "name": name, "spec": spec or None, **details}
    manifest = make_manifest(**about, inputs=hash_inputs(**files), seeds={"any": 3})
    write_manifest(path, manifest, Usage())


def write_chain(root):
    """Write all files of CHAIN."""
    for name, kind, inputs in CHAIN:
        write_file(root, name, kind, inputs)
