"""Miniature published checkpoints: models of the embedded scale as torch pickles on a server."""

import io
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch

from adm.published.checkpoints import make_shapes
from adm.published.names import find_model, load_catalogue
from specs.released import RELEASED_PATH
from tests.records.file_server import FileServer, run_file_server

SCALE = "digits"
PUBLISHED_BASE = "https://openaipublic.blob.core.windows.net/diffusion/jul-2021/"


@dataclass
class Published:
    """The server, the list of files that names it, and the weights that it serves by model."""

    server: FileServer
    released: Path
    weights: dict[str, dict[str, torch.Tensor]]

    @property
    def lists(self):
        return {"scale": SCALE, "released": self.released}


def make_weights(model, seed=0):
    """Draw weights that are not zero anywhere, as torch.save wants them."""
    generator = torch.Generator().manual_seed(seed)
    spec = find_model(model, load_catalogue(SCALE)).spec
    return {
        name: 0.05 * torch.randn(shape, generator=generator)
        for name, shape in make_shapes(spec.architecture).items()
    }


def pickle_bytes(content, **options):
    buffer = io.BytesIO()
    torch.save(content, buffer, **options)
    return buffer.getvalue()


def write_released(path, base):
    """Write the published list with another address, and without the hash of the real file."""
    text = RELEASED_PATH.read_text().replace(PUBLISHED_BASE, base)
    lines = text.replace("\nscale: paper\n", f"\nscale: {SCALE}\n").splitlines()
    known = "a37c32fffd316cd494cf3f35b339936debdc1576dad13fe57c42399a5dbc78b1, bytes: 2211383297"
    path.write_text("\n".join(one.replace(known, "null, bytes: null") for one in lines))
    return path


@contextmanager
def publish(folder, *models):
    """Serve checkpoints of some models until the block ends."""
    released = load_catalogue("paper").released
    names = {one.model: one.path for one in released.checkpoints.values()}
    with run_file_server() as server:
        weights = {}
        for seed, model in enumerate(models):
            weights[model] = make_weights(model, seed)
            server.add(f"/{names[model]}", pickle_bytes(weights[model]))
        yield Published(
            server, write_released(folder / "released.yaml", f"{server.base}/"), weights
        )
