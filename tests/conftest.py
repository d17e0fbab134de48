import json
import signal
from pathlib import Path

import numpy as np
import pytest
import torch

# A shell that starts the tests in the background lets them, and all that they start, ignore Ctrl-C.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

FOLDER = Path(__file__).parent / "data" / "reference"


class DiffusionReference:
    """The stored arrays of diffusion.npz, and the comparison that their description asks for."""

    def __init__(self):
        with np.load(FOLDER / "diffusion.npz", allow_pickle=False) as stored:
            self.arrays = {name: stored[name] for name in stored.files}
        self.meta = json.loads((FOLDER / "diffusion.json").read_text())

    def tensor(self, name):
        return torch.from_numpy(self.arrays[name].copy())

    def suffixes(self, prefix):
        return {name.removeprefix(prefix) for name in self.arrays if name.startswith(prefix)}

    def assert_close(self, name, actual):
        """Row by row for images, element by element for vectors and tables."""
        expected = self.arrays[name].astype(np.float64)
        actual = actual.detach().double().numpy().reshape(expected.shape)
        tolerance = max(1e-5, 10 * self.meta["arrays"][name]["float32_rel_error"])
        difference, size = np.abs(actual - expected), np.abs(expected)
        if expected.ndim >= 3:
            difference = difference.reshape(len(expected), -1).max(axis=1)
            size = size.reshape(len(expected), -1).max(axis=1)
        assert np.isfinite(actual).all(), name
        assert (difference <= tolerance * size).all(), f"{name}: {difference / size}"


@pytest.fixture(scope="session")
def diffusion_reference():
    return DiffusionReference()


@pytest.fixture(scope="session")
def closed_form_model():
    """The network of the reference's shortened chains; it keeps the times it was given."""

    def model(x, t):
        model.times.append(t.clone())
        tau = t.float().view(-1, 1, 1, 1)
        eps = 1.1 * torch.tanh(x) + 0.3 * torch.sin(0.01 * tau)
        return torch.cat([eps, 0.7 * torch.sin(3 * x + 0.02 * tau)], dim=1)

    model.times = []
    return model
