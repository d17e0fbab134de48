"""Bad input of every kind through the command: exit code 2, one line that names it, no output."""

import re
import socket
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from eval.cli import run
from eval.networks.small import load_parameters, save_small_network
from eval.networks.weights import INCEPTION_BYTES, INCEPTION_SHA256
from records.files import sha256_file
from tests.eval.conftest import write_zip
from tests.eval.networks.test_frozen_graph import make_small_graph

NAME = "classify_image_graph_def.pb"


@pytest.fixture
def case(tmp_path, reference_path, samples_path, network_path, monkeypatch):
    """Good files and a place for bad ones; no graph in the cache, and no way to the network."""
    for name in (
        "ADM_INCEPTION",
        "ADM_MIRROR",
        "HTTP_PROXY",
        "http_proxy",
        "ALL_PROXY",
        "all_proxy",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ADM_OFFLINE", "1")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with np.load(samples_path) as arrays:
        images = arrays["arr_0"]
    return SimpleNamespace(
        folder=tmp_path,
        reference=reference_path,
        samples=samples_path,
        network=network_path,
        images=images,
    )


@pytest.fixture
def refuse(case, capsys):
    """Run the grading and demand that it is refused; return the one line."""

    def refuse(bad, words, *, reference=None, samples=None, options=None, num_lines=1):
        out = case.folder / "out" / "metrics.json"
        command = [reference or case.reference, samples or case.samples, "--json", out]
        command += ["--weights", case.network] if options is None else options
        assert run([str(part) for part in command]) == 2
        printed = capsys.readouterr()
        *told, line = printed.err.splitlines()
        assert len(told) + 1 == num_lines and not any("Traceback" in one for one in told)
        assert line.startswith("error: ") and str(bad) in line
        assert re.search(words, line), line
        assert printed.out == "" and not list(out.parent.glob("*"))
        return line

    return refuse


# ---- images ------------------------------------------------------------------------------------

ARRAYS = {
    "float": (lambda x: {"arr_0": x / 255}, r"arr_0: images are float64 .* uint8 .* is needed"),
    "out of range": (lambda x: {"arr_0": 4 * x.astype(np.int64)}, "not the range of pixels"),
    "two channels": (lambda x: {"arr_0": x[..., :2]}, "so 2 channels; 1 .* or 3"),
    "no channels": (lambda x: {"arr_0": x[..., 0]}, r"uint8 \[300, 8, 8\]; uint8 \[n, h, w, 3\]"),
    "empty": (lambda x: {"arr_0": x[:0]}, "holds no image; at least one is needed"),
    "one image": (lambda x: {"arr_0": x[:1]}, "got 1 image; at least 4 are needed"),
    "k images": (lambda x: {"arr_0": x[:3]}, "got 3 images; at least 4 are needed"),
    "another size": (lambda x: {"arr_0": x[:, ::2]}, "4x8 px, those of .* 8x8 px; both must"),
    "missing key": (lambda x: {"images": x}, r"holds \['images'\] and lacks \['arr_0'\]"),
    "pickled": (lambda x: {"arr_0": np.array([{}, 1])}, "holds pickled Python objects"),
}


@pytest.mark.parametrize("kind", ARRAYS)
def test_images(case, refuse, kind):
    change, words = ARRAYS[kind]
    path = case.folder / "bad.npz"
    np.savez(path, **change(case.images))
    refuse(path, words, samples=path)


@pytest.mark.parametrize("kind", ["zip", "folder"])
def test_mixed_sizes(case, refuse, kind):
    images = [case.images[0, ..., 0], case.images[1, :4, :, 0]]
    path = case.folder / "mixed"
    if kind == "zip":
        path = write_zip(path.with_suffix(".zip"), images)
    else:
        path.mkdir()
        for index, image in enumerate(images):
            Image.fromarray(image).save(path / f"{index}.png")
    refuse(path, r"images have 2 sizes .* 8x8 px, .* 4x8 px; all must be equal", samples=path)


@pytest.mark.parametrize("name", ["cut.npz", "cut.zip"])
@pytest.mark.parametrize("place", ["reference", "samples"])
def test_truncated_files(case, refuse, name, place):
    path = case.folder / name
    if path.suffix == ".npz":
        np.savez(path, arr_0=case.images)
    else:
        write_zip(path, case.images[..., 0])
    path.write_bytes(path.read_bytes()[:-50])
    refuse(path, r"not a readable \.(npz|zip), it may be cut short", **{place: path})


# ---- statistics --------------------------------------------------------------------------------

STATISTICS = {
    "NaN": ({"mu": lambda mu: mu * np.nan}, "mu holds NaN or infinity in 64 of 64 places"),
    "infinity": ({"sigma_s": lambda s: s + np.inf}, "sigma_s holds NaN or infinity"),
    "missing key": ({"sigma": None}, "holds mu but lacks sigma; make it again"),
    "another dimension": (
        {"mu": lambda mu: mu[:63]},
        r"mu is float64 \[63\]; network .* needs \[64\]",
    ),
    "text": ({"mu": lambda mu: mu.astype("U5")}, r"mu is <U5 \[64\]; floating-point numbers"),
    "pickled": ({"mu": lambda mu: mu.astype(object)}, "mu: holds pickled Python objects"),
    "another network": (
        {"network_sha256": lambda _: np.array("a" * 64)},
        "made with a{64}, the network given is [0-9a-f]{64} ",
    ),
    "no network": ({"network_sha256": None}, f"made with {INCEPTION_SHA256} .*, the network given"),
    "a count of NaN": (
        {"num_images": lambda _: np.array(np.nan)},
        r"num_images is float64 \[\]; a single whole number is needed",
    ),
}


@pytest.mark.parametrize("kind", STATISTICS)
def test_statistics(case, refuse, kind):
    changes, words = STATISTICS[kind]
    with np.load(case.reference) as loaded:
        arrays = {name: loaded[name] for name in loaded.files}
    for name, change in changes.items():
        kept = arrays.pop(name)
        if change:
            arrays[name] = change(kept)
    path = case.folder / "bad.npz"
    np.savez(path, **arrays)
    refuse(path, words, reference=path)


def test_nan_among_the_features(case, refuse):
    parameters, description = load_parameters(case.network)
    parameters["conv_4.bias"] = torch.full_like(parameters["conv_4.bias"], torch.nan)
    weights = case.folder / "nan.safetensors"
    save_small_network(weights, parameters, description)
    words = "pool of images from 0: 64 of 64 rows of features hold NaN or infinity"
    options = ["--weights", weights]
    refuse(case.samples, words, reference=case.samples, options=options)


# ---- the feature network -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("part", "words"),
    [(1.0, "is a TensorFlow graph, but not Inception"), (0.7, "is cut short: .* whole nodes")],
)
def test_graphs_that_are_not_inception(case, refuse, part, words):
    path = case.folder / NAME
    content = make_small_graph().SerializeToString()
    path.write_bytes(content[: int(part * len(content))])
    refuse(path, words, options=["--weights", path, "--any-weights"])


def test_a_wrong_hash_shows_both_and_the_size(case, refuse):
    path = case.folder / NAME
    path.write_bytes(b"cut short")
    line = refuse(path, "say --any-weights if", options=["--weights", path])
    assert INCEPTION_SHA256 in line and sha256_file(path) in line
    assert f"(9 bytes, not {INCEPTION_BYTES})" in line


def test_a_dead_download_server(case, refuse, monkeypatch):
    """Tried again four times, which is said; then where the file can be put by hand."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    monkeypatch.delenv("ADM_OFFLINE")
    monkeypatch.setenv("ADM_MIRROR", f"http://127.0.0.1:{port}/")
    monkeypatch.setattr("records.transfers.time.sleep", lambda _: None)
    kept = case.folder / "cache" / "adm-tables" / NAME
    words = rf"5 tries without progress.*SHA-256 {INCEPTION_SHA256}\) .* put it at {kept}"
    refuse(kept, words, options=[], num_lines=5)
