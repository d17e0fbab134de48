"""Train a diffusion model, an upsampler or a noisy classifier up to a mark; resume exactly.

Every random number of iteration k comes from (training seed, k), so weights, average, optimiser and
k are all that a run continues from: killed and resumed, it ends in the same bits on a CPU.
"""

import math
import shutil
import signal
import sys
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch

from adm.datasets.image_zip import ImageZip
from adm.process.seeds import seed_for
from adm.training.batches import iterate_batches, make_inputs, open_dataset
from adm.training.losses import make_loss_fn
from adm.training.marks import find_kept, is_kept, write_out
from adm.training.meter import Meter, make_progress_bar
from adm.training.precision import check_precision, use_exact_float32
from adm.training.ranks import Ranks, join_ranks
from adm.training.state import (
    TrainState,
    drop_state,
    find_run,
    load_state,
    make_state,
    save_state,
)
from adm.training.step import compute_learning_rate, train_step
from adm.training.watchdog import Diverged, Watchdog
from adm.weights.files import save_weights
from records.errors import OutOfMemory, UserError
from records.events import EventLog
from records.files import link_or_copy, remove_leftovers, write_json
from records.interrupts import Stopped, catch_stop_signals
from records.locks import exclusive_lock
from records.manifest import hash_artefact, make_manifest, write_manifest
from records.usage import Usage
from specs.models import ModelSpec

NUM_LOADING_THREADS = 4


class TimeUp(Stopped):
    """A run has used up its time and has saved its state."""


def train(
    spec: ModelSpec,
    *,
    data_path: str | Path,
    state_dir: str | Path,
    out_path: str | Path,
    mark: str,
    iterations: int,
    events: EventLog,
    device: str = "cpu",
    threads: int = 1,
    microbatch_size: int | None = None,
    save_every_iterations: int | None = None,
    save_every_seconds: float = 600.0,
    log_every_iterations: int = 50,
    stop_after_seconds: float | None = None,
    is_part: bool = False,
    keep_state: bool = True,
) -> None:
    """Train a model up to a mark and write its averaged weights.

    The state of the run is kept in `state_dir`, with the averaged weights of every mark that was
    reached: a mark that was reached before is written without training, a later one continues from
    the state, and an earlier one is trained again beside it. Another image set is another run, in
    a folder of its own in `state_dir`.

    Args:
        spec: model spec.
        data_path: image set of the spec's task.
        state_dir: folder of this run alone; made if absent.
        out_path: averaged weights (safetensors, float32) to write.
        mark: name of the mark.
        iterations: iterations at the mark.
        events: where it is recorded what happens.
        device: a torch device.
        threads: CPU threads; results are the same bits only for the same number.
        microbatch_size: images that go through the network at a time; None for all of a process.
        save_every_iterations: save the state after this many iterations; None for never.
        save_every_seconds: save the state after this many seconds.
        log_every_iterations: write an event after this many iterations.
        stop_after_seconds: save the state then and end; None for no such limit.
        is_part: write how far the run came (JSON) in place of the weights, which stay with the
            state; the end of the time is no error then.
        keep_state: leave the state for later marks; without it they are trained from the start.

    Raises:
        UserError: anything that the user can fix.
        Diverged: loss or gradients stopped being finite.
        Stopped: SIGTERM, SIGUSR1 or Ctrl-C came; the state is saved.
    """
    with join_ranks(device) as (ranks, own_device):
        _train(
            spec,
            ranks=ranks,
            data_path=data_path,
            state_dir=state_dir,
            out_path=out_path,
            mark=mark,
            iterations=iterations,
            events=events if ranks.is_first else EventLog(None),
            device=own_device,
            threads=threads,
            microbatch_size=microbatch_size,
            save_every_iterations=save_every_iterations,
            save_every_seconds=save_every_seconds,
            log_every_iterations=log_every_iterations,
            stop_at=time.monotonic() + (stop_after_seconds or math.inf),
            is_part=is_part,
            keep_state=keep_state,
        )


def _train(
    spec: ModelSpec,
    *,
    ranks: Ranks,
    data_path: str | Path,
    state_dir: str | Path,
    out_path: str | Path,
    mark: str,
    iterations: int,
    events: EventLog,
    device: str,
    threads: int,
    is_part: bool,
    keep_state: bool,
    **options: Any,
) -> None:
    """Train as one of several processes, of which the first holds the lock and writes."""
    anneal_iterations = spec.training.anneal_iterations
    if iterations < 1 or (anneal_iterations is not None and iterations > anneal_iterations):
        limit = "" if anneal_iterations is None else f" to anneal_iterations, {anneal_iterations}"
        raise UserError(f"{spec.name}: mark {mark}: {iterations} iterations; needed: 1{limit}")
    check_precision(spec.training.precision, device)
    use_exact_float32()
    torch.set_num_threads(threads)
    usage, state_dir = events.start_usage(), Path(state_dir)
    lock = exclusive_lock(state_dir / "lock", f"model {spec.name}") if ranks.is_first else None
    with lock or nullcontext():
        found = None
        if ranks.is_first:
            data_sha256 = hash_artefact(data_path)
            folder, other = find_run(state_dir, data_sha256)
            if other is not None:
                notice = (
                    f"{state_dir}: holds a run on other images, SHA-256 {other[:12]}; "
                    f"{data_path} has {data_sha256[:12]}: the run on these is in {folder}"
                )
                _announce([notice], events, ranks)
            remove_leftovers(folder)
            is_there = is_kept(find_kept(folder, iterations), spec, iterations)
            found = (data_sha256, str(folder), is_there)
        found = ranks.share_first(found)
        assert found is not None
        data_sha256, state_dir, is_there = found[0], Path(found[1]), found[2]
        kept, done = find_kept(state_dir, iterations), iterations
        if is_there:
            _begin(events, "restored", spec, mark=mark, iteration=iterations)
        else:
            manifest = make_manifest(
                kind="weights",
                name=spec.name,
                spec=spec.content(),
                digest=spec.digest,
                inputs={"data": data_sha256},
                seeds={"training": spec.training.seed or 0},
                mark=mark,
                iteration=iterations,
                threads=threads,
                processes=ranks.size,
                device=device,
            )
            options |= {
                "spec": spec,
                "ranks": ranks,
                "mark": mark,
                "iterations": iterations,
                "dataset": open_dataset(spec, data_path),
                "events": events,
                "device": device,
                "usage": usage,
                "data_sha256": data_sha256,
            }
            state = make_state(spec, device)
            _announce(load_state(state_dir, state, spec), events, ranks)
            replay_dir = None
            if state.iteration > iterations:
                replay_dir = state_dir / f"replay-{iterations}"
                if ranks.is_first:
                    remove_leftovers(replay_dir)
                state = make_state(spec, device)
                _announce(load_state(replay_dir, state, spec), events, ranks)
            try:
                _run(state, state_dir=replay_dir or state_dir, **options)
            except TimeUp:
                if not is_part:
                    raise
                done = state.iteration
            if ranks.is_first and done == iterations:
                if replay_dir is not None:
                    link_or_copy(find_kept(replay_dir, iterations), kept)
                    shutil.rmtree(replay_dir)
                write_manifest(kept, manifest, usage)
        if ranks.is_first and is_part:
            about = {"name": spec.name, "digest": spec.digest, "mark": mark}
            write_json(out_path, {**about, "iteration": done, "iterations": iterations})
        elif ranks.is_first:
            made = {str(out_path): hash_artefact(kept)}  # while its manifest is newer
            write_out(kept, out_path, spec, mark)
            events.write("made", files=made)
            if not keep_state:
                drop_state(state_dir)
                events.write("dropped", name=spec.name, mark=mark)


def _begin(events: EventLog, event: str, spec: ModelSpec, **fields: Any) -> None:
    """Record which model the events that follow are about."""
    events.begin(
        event=event,
        kind="model",
        job="train",
        name=spec.name,
        digest=spec.digest,
        spec=spec.content(),
        **fields,
    )


def _announce(notices: list[str], events: EventLog, ranks: Ranks) -> None:
    for text in notices if ranks.is_first else ():
        print(text, file=sys.stderr)
        events.write("notice", text=text)


def _run(
    state: TrainState,
    *,
    spec: ModelSpec,
    ranks: Ranks,
    state_dir: Path,
    mark: str,
    iterations: int,
    dataset: ImageZip,
    events: EventLog,
    device: str,
    microbatch_size: int | None,
    save_every_iterations: int | None,
    save_every_seconds: float,
    log_every_iterations: int,
    stop_at: float,
    usage: Usage,
    data_sha256: str,
) -> None:
    """Order the iterations from a state to a mark: batches, steps, events, saves."""
    name, training = spec.name, spec.training
    seed, batch_size = training.seed, training.batch_size
    assert seed is not None  # published weights alone have none
    rows = ranks.find_rows(batch_size)
    network, hold = ranks.wrap(state.model)
    loss_fn = make_loss_fn(spec, network, device)
    _begin(
        events,
        "resume" if state.iteration else "start",
        spec,
        mark=mark,
        iteration=state.iteration,
        iterations=iterations,
        num_parameters=sum(one.numel() for one in state.model.parameters()),
        num_images=len(dataset),
        device=device,
        processes=ranks.size,
        threads=torch.get_num_threads(),
    )
    class_names = dataset.class_names if spec.architecture.num_classes else None
    saved = state.iteration
    watchdog = Watchdog(name, precision=training.precision, batch_size=batch_size, device=device)
    meter = Meter(batch_size)
    last_save = time.monotonic()
    batches = iterate_batches(
        dataset,
        first_iteration=state.iteration,
        stop_iteration=iterations,
        num_threads=NUM_LOADING_THREADS,
        image_size_px=spec.architecture.image_size_px,
        batch_size=batch_size,
        seed=seed,
        rows=rows,
        **training.augmentation.content(),
    )
    bar = make_progress_bar(
        name,
        done=state.iteration,
        iterations=iterations,
        batch_size=batch_size,
        shown=ranks.is_first,
    )
    with catch_stop_signals(signal.SIGINT) as caught, bar, events.watch():
        for images, labels in batches:
            x_start, y, t, eps = make_inputs(
                images, labels, spec=spec, iteration=state.iteration, device=device, rows=rows
            )
            learning_rate = compute_learning_rate(
                training.learning_rate, state.iteration, training.anneal_iterations
            )
            try:
                result = train_step(
                    state,
                    loss_fn,
                    x_start,
                    y,
                    t,
                    eps,
                    dropout_seed=seed_for("training", seed, "dropout", state.iteration),
                    microbatch_size=microbatch_size or batch_size,
                    learning_rate=learning_rate,
                    ema_decay=training.ema_decay,
                    grad_clip=training.grad_clip,
                    precision=training.precision,
                    ranks=ranks,
                    hold=hold,
                )
            except torch.OutOfMemoryError:
                raise OutOfMemory(
                    f"{name}: the GPU's memory is too small for {microbatch_size or len(rows)} "
                    "images at a time; give a smaller --microbatch-size, or in a run its table "
                    "under `compute` in the scale's file (results stay the same but for rounding)"
                ) from None
            done = state.iteration
            meter.add(result)
            now = time.monotonic()
            stop_signal, is_time, is_over = ranks.find_largest(
                [
                    signal.Signals[caught[0]].value if caught else 0,
                    now - last_save > save_every_seconds,
                    now > stop_at,
                ]
            )
            save_due = (
                done == iterations
                or bool(stop_signal)
                or (save_every_iterations is not None and done % save_every_iterations == 0)
                or bool(is_time or is_over)
            )
            log_due = done % log_every_iterations == 0 or done == iterations
            try:
                watchdog.look(
                    result,
                    iteration=done,
                    loss_scale=state.loss_scale,
                    kept=f"The state after iteration {saved} is kept in {state_dir}"
                    if saved
                    else "No state was saved before",
                    now=save_due or log_due,
                )
            except Diverged as error:
                events.write("diverged", iteration=done, text=str(error))
                raise
            bar.update(batch_size)
            if log_due:
                values = meter.read()
                events.write("progress", iteration=done, lr=learning_rate, **values)
                bar.set_postfix(loss=values["loss"], refresh=False)
            if save_due:
                if ranks.is_first:
                    save_state(state_dir, state, spec, data_sha256, class_names)
                saved, last_save = done, time.monotonic()
            if (stop_signal or is_over) and done < iterations:
                why = signal.Signals(stop_signal).name if stop_signal else "--stop-after-seconds"
                events.write("stopped", iteration=done, signal=why)
                raise (Stopped if stop_signal else TimeUp)(
                    f"{name}: stopped by {why} after iteration {done} of {iterations}; the state "
                    f"is saved in {state_dir}: run the same command again to go on"
                )
    if not ranks.is_first:
        return
    kept = find_kept(state_dir, iterations)
    save_weights(
        kept,
        state.model,
        state.ema,
        spec=spec,
        mark=mark,
        iteration=iterations,
        data_sha256=data_sha256,
        class_names=class_names,
    )
    events.write("mark", mark=mark, iteration=iterations, path=str(kept))
    events.write("end", iteration=iterations, **usage.read())
