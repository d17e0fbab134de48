"""Published files in miniature, on a local server: a few images, tiny networks, a random Inception.

Formats and paths are the authors'; sizes are 8 pixels for 64 and 128, 16 for 256, 512 and LSUN.
"""

import hashlib
import io

import numpy as np
import torch
import yaml

from adm.networks.model import make_network
from eval.networks.load import load_network
from eval.reference import make_reference
from tests.eval.inception_graph import write_graph
from tests.workflow.conftest import ROOT, cut_tables, write_params
from workflow.settings import load_plan

NUM_IMAGES = 12
SIZES_PX = dict.fromkeys(("imagenet_64", "imagenet_128", "imagenet_128_base"), 8)
LARGE_PX = 16
KEPT = ("arr_0", "mu", "sigma", "mu_s", "sigma_s", "network_sha256")
ROWS = {
    "table1": ["t1_baseline"],
    "table3": ["t3_uncond", "t3_uncond_guided_10", "t3_cond", "t3_cond_guided_1"],
    "table4": [
        "t4_horse_adm_dropout", "t4_64_biggandeep", "t4_64_adm", "t4_64_adm_dropout",
        "t4_256_dctransformer", "t4_256_adm",
    ],
    "table5": ["t5_256_adm", "t5_256_admg_admu", "t5_512_adm_admu", "t5_512_admg_admu"],
}  # fmt: skip


def make_scale(graph_sha256, *, shipped="paper", name="mini", num_classes=10):
    """Return a shipped scale with the same models, all tiny, on a CPU."""
    scale = yaml.safe_load((ROOT / "params" / "scales" / f"{shipped}.yaml").read_text())
    scale["name"] = name
    scale["compute"]["device"] = "cpu"
    scale["compute"]["threads"] = 1
    scale["network"]["sha256"] = graph_sha256
    scale["sampling"]["respacing"] = {"250": "3", "1000": "3", "ddim25": "ddim3"}
    for task_name, task in scale["tasks"].items():
        task["image_size_px"] = SIZES_PX.get(task_name, LARGE_PX)
        task["num_samples"] = NUM_IMAGES
        task["num_classes"] = task["num_classes"] and num_classes
    for model in scale["models"].values():
        shape = {"channels": 16, "depth": 1, "channel_mult": [1, 2], "num_groups": 8}
        shape |= {"heads": None, "head_channels": 8, "attention_resolutions": [4]}
        model.setdefault("architecture", {}).update(shape)
    for model_name, model in scale["models"].items():
        if any(size in model_name for size in ("256", "512", "lsun")):
            model["architecture"]["attention_resolutions"] = [8]
    return scale


def make_images(seed, size_px):
    """Return random images with some structure, uint8 [NUM_IMAGES, size, size, 3]."""
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 256, (NUM_IMAGES, size_px // 4, size_px // 4, 3))
    fine = random.integers(-20, 20, (NUM_IMAGES, size_px, size_px, 3))
    return np.clip(coarse.repeat(4, 1).repeat(4, 2) + fine, 0, 255).astype(np.uint8)


def to_bytes(save, content):
    """Return what a function would write into a file."""
    file = io.BytesIO()
    save(file, content)
    return file.getvalue()


def save_npz(file, arrays):
    np.savez(file, **arrays)


def make_weights(spec, seed):
    """Return a state dict of random weights, none of them nothing."""
    torch.manual_seed(seed)
    model = make_network(spec.architecture)
    return {
        name: value + 0.05 * torch.randn_like(value) for name, value in model.state_dict().items()
    }


def make_references(graph, folder):
    """Return reference batches in the authors' layout by image size.

    The authors' name no network, which means the published Inception; these name the random one.
    """
    network = load_network(graph, any_weights=True)
    batches = {}
    for size_px in (8, LARGE_PX):
        data, out = folder / f"images_{size_px}.npz", folder / f"reference_{size_px}.npz"
        np.savez(data, arr_0=make_images(1000 + size_px, size_px))
        make_reference(data, network, out)
        with np.load(out) as arrays:
            kept = {name: arrays[name] for name in KEPT}
        batches[size_px] = to_bytes(save_npz, kept)
    return batches


def make_released(base, graph_sha256):
    """Return the list of published files with another address and without their hashes."""
    released = yaml.safe_load((ROOT / "params" / "released.yaml").read_text())
    released["base"] = base + "/"
    released["inception_graph"] |= {"sha256": graph_sha256, "bytes": None}
    for entry in (*released["checkpoints"].values(), *released["references"].values()):
        entry |= {"sha256": None, "bytes": None}
    released["known_evaluation"] = None
    return released


def serve(server, folder, work):
    """Make everything that was published and put it on a server.

    Args:
        server: the running file server.
        folder: a project's copy; its parameter files are written.
        work: where to put files that are needed on the way.

    Returns:
        The configuration for Snakemake.
    """
    graph = work / "graph.pb"
    if not graph.exists():
        write_graph(graph)
    content = graph.read_bytes()
    sha256 = hashlib.sha256(content).hexdigest()
    config = write_params(
        folder,
        tables=cut_tables(ROWS),
        scale=make_scale(sha256),
        released=make_released(server.base, sha256),
    )
    plan = load_plan({**config, "source": "resample"})
    released = plan.released
    server.add("/" + released.inception_graph.path, content)
    references = make_references(graph, work)
    for task, entry in released.references.items():
        server.add("/" + entry.path, references[plan.scale.tasks[task].image_size_px])
    for seed, (row_id, entry) in enumerate(released.samples.items()):
        row = next((t.rows[row_id] for t in plan.tables.values() if row_id in t.rows), None)
        if row is not None:
            images = make_images(seed, plan.scale.tasks[row.task].image_size_px)
            server.add("/" + entry.path, to_bytes(save_npz, {"arr_0": images}))
    for seed, spec in enumerate(plan.models.values()):
        weights = make_weights(spec, seed)
        server.add("/" + spec.training.released, to_bytes(lambda f, w: torch.save(w, f), weights))
    return config
