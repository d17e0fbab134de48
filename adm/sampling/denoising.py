"""What a model takes samples to be while it draws them: its predicted x_0 at some of the steps."""

from pathlib import Path

import numpy as np
from torch import Tensor
from tqdm import tqdm

from adm.process.diffusion import to_uint8
from adm.sampling.conditions import make_conditions
from adm.sampling.draw import make_respaced, prepare_drawing
from records.batches import write_arrays
from records.events import EventLog
from records.manifest import hash_inputs, make_manifest, write_manifest
from specs.sampling import DenoisingSpec


def write_denoising(
    spec: DenoisingSpec,
    *,
    weights_path: str | Path,
    classifier_path: str | Path | None,
    low_res_path: str | Path | None,
    out_path: str | Path,
    batch_size: int,
    device: str = "cpu",
    events: EventLog | None = None,
) -> None:
    """Draw the first samples of a batch again, and write what they were taken to be on the way.

    Args:
        spec: denoising spec.
        weights_path, classifier_path, low_res_path: see `adm.sampling.shards.write_samples`.
        out_path: .npz of `strips` uint8 [num_steps, num_images, h, w, c], the samples themselves
            last, and before them the predicted x_0 at steps that are evenly spaced from the first
            on; and of `timesteps` int64 [num_steps], the t of the x_t that each is predicted from,
            T to 0 (that of x_0).
        batch_size: images at a time.
        device: a torch device.
        events: where it is recorded what happens; None for nowhere.

    Raises:
        UserError: weights of another spec, or a base with other images.
    """
    files = {"weights": weights_path, "classifier": classifier_path, "low_res": low_res_path}
    header, _, draw = prepare_drawing(
        spec.batch,
        **{f"{role}_path": path for role, path in files.items()},
        start=0,
        stop=spec.num_images,
        device=device,
    )
    about = {"name": spec.name, "digest": spec.digest, "spec": None}
    with (events or EventLog(None)).record(
        kind="picture", job="denoise", device=device, **about
    ) as usage:
        manifest = make_manifest(
            kind="denoising",
            name=spec.name,
            spec=spec.content(),
            digest=spec.digest,
            inputs=hash_inputs(**files),
            seeds={"sampling": spec.batch.seed},
            precision=spec.batch.sampler.precision,
        )
        schedule = make_respaced(spec.batch.sampler)
        last = schedule.num_steps
        steps = np.linspace(0, last, spec.num_steps).round().astype(int).tolist()[:-1]
        channels = header.spec.architecture.in_channels
        batches = []
        for first in tqdm(range(0, spec.num_images, batch_size), desc=spec.name, unit=" batches"):
            indices = range(first, min(first + batch_size, spec.num_images))
            found: dict[int, Tensor] = {}

            def keep(step: int, _: Tensor, pred_xstart: Tensor, found: dict[int, Tensor] = found):
                if step in steps:
                    found[step] = pred_xstart.cpu()

            conditions = make_conditions(spec.batch, indices, low_res_path, channels)
            sample = draw(indices, *conditions, callback=keep)
            shown = [*(found[step] for step in steps), sample]
            batches.append(np.stack([to_uint8(one).numpy() for one in shown]))
        timesteps = [int(schedule.timestep_map[last - 1 - step]) + 1 for step in steps]
        arrays = {"strips": np.concatenate(batches, axis=1), "timesteps": np.array([*timesteps, 0])}
        write_arrays(out_path, arrays)
        write_manifest(out_path, manifest, usage)
