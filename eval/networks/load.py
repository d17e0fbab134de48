"""Load the feature network that a file holds."""

from dataclasses import replace
from pathlib import Path

from eval.networks.feature_network import FeatureNetwork
from records.errors import UserError


def load_network(
    path: str | Path | None,
    *,
    backend: str = "torch",
    device: str = "cpu",
    any_weights: bool = False,
    cache: str | Path | None = None,
) -> FeatureNetwork:
    """Load the feature network that a file holds.

    Args:
        path: a small network (.safetensors), or Inception's frozen graph (any other ending); None
            for Inception from where it is kept, downloaded when it is absent.
        backend: what runs Inception, torch or tensorflow.
        device: where torch runs it, such as cpu or cuda:0.
        any_weights: take a frozen graph with other weights than the published ones.
        cache: a folder where features are kept by the content of the images; None for nowhere.

    Raises:
        UserError: no such file, not such a network, or a backend or device that it cannot run on.
    """
    if path is not None and Path(path).suffix == ".safetensors":
        if backend != "torch":
            raise UserError(
                f"{path}: a small feature network runs with torch; got backend {backend}; "
                "leave it out"
            )
        from eval.networks.small import load_small_network

        return _with_cache(load_small_network(path, device=device), cache)
    from eval.networks.inception import load_inception
    from eval.networks.weights import find_inception

    found = find_inception(path, verify=not any_weights)
    return _with_cache(load_inception(found, backend=backend, device=device), cache)


def _with_cache(network: FeatureNetwork, cache: str | Path | None) -> FeatureNetwork:
    """Give a network a folder for features."""
    return replace(network, cache=None if cache is None else Path(cache))
