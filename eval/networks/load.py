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
    shards: str | Path | None = None,
) -> FeatureNetwork:
    """Load the feature network that a file holds.

    Args:
        path: a small network (.safetensors), or Inception's frozen graph (any other ending); None
            for Inception from where it is kept, downloaded when it is absent.
        backend: what runs Inception, torch or tensorflow.
        device: where torch runs it, such as cpu or cuda:0.
        any_weights: take a frozen graph with other weights than the published ones.
        cache: a folder where features are kept by the content of the images; None for nowhere.
        shards: a folder for those of an unfinished command, which the next one goes on from
            (`eval.networks.feature_shards.drop_shards` ends it); None for nowhere.

    Raises:
        UserError: no such file, not such a network, or a backend or device that it cannot run on.
    """
    folders = {
        name: None if folder is None else Path(folder)
        for name, folder in {"cache": cache, "shards": shards}.items()
    }
    if path is not None and Path(path).suffix == ".safetensors":
        if backend != "torch":
            raise UserError(
                f"{path}: a small feature network runs with torch; got backend {backend}; "
                "leave it out"
            )
        from eval.networks.small import load_small_network

        return replace(load_small_network(path, device=device), **folders)
    from eval.networks.inception import load_inception
    from eval.networks.weights import find_inception

    found = find_inception(path, verify=not any_weights)
    return replace(load_inception(found, backend=backend, device=device), **folders)
