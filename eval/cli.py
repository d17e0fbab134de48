"""`python -m eval`: grade samples; make references and networks; check files and machines."""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eval.options import make_parser
from records.cache import get_cache_folder
from records.errors import UserError, main_guard
from records.events import open_events
from records.files import atomic_write, digest, format_json, read_json, sha256_file, write_json
from records.metrics import METRICS, PAPER
from records.usage import Usage

if TYPE_CHECKING:
    from eval.pairs import Comparison
    from eval.result import GradingResult

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def main(argv: Sequence[str] | None = None) -> int:
    """Parse the command and run it; the first word picks another command than grading."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    command = arguments[0] if arguments and arguments[0] in COMMANDS else ""
    parser = make_parser(command, {name: run.__doc__ for name, run in COMMANDS.items()})
    options = parser.parse_args(arguments[1:] if command else arguments)
    return COMMANDS[command](options) or 0


run = main_guard(main)


def _grade(options: argparse.Namespace) -> int:
    """Grade samples as the paper did: Inception Score, FID, sFID, Precision, Recall."""
    _set_threads(options.threads)
    metrics, many = _parse_metrics(options.metrics), len(options.samples) > 1
    if many and (options.name or options.digest or options.samples_digest):
        raise UserError("--name and --digest are of one SAMPLES; leave them out for several")
    outputs = [options.table, *_list_outputs(options)]
    _check_paths([options.reference, *options.samples], outputs, [options.weights])
    if options.samples_digest is not None:
        _check_spec(options.samples[0], options.samples_digest)
    if options.paired and (not many or not options.intervals or options.shuffle):
        raise UserError(
            "--paired: is of several SAMPLES with --intervals, in the order of their files; give "
            "these, and leave --shuffle out"
        )
    from eval.comparison import find_kind, format_table
    from eval.networks.feature_shards import drop_shards
    from eval.pairs import compare

    kind = find_kind(options.table) if options.table else None
    network = _load_network(options, cache=options.cache, shards=options.shards)
    grade_one = _make_grader(options, metrics, network, many=many)
    results, comparisons, exit_code = [], [], 0
    for path, name in zip(options.samples, _name_samples(options), strict=True):
        try:
            results.append(grade_one(path, name))
        except UserError as error:
            if not many:
                raise
            print(f"error: {error}", file=sys.stderr, flush=True)
            exit_code = UserError.exit_code
            continue
        if results[-1].contributions and len(results) > 1:
            comparisons.append(compare(results[-1], results[0], paired=options.paired))
            if reason := comparisons[-1].reason:
                _warn(f"{results[-1].name} against {results[0].name}: not paired: {reason}")
        if many and options.json != "-":
            print(repr(results[-1]), flush=True)
            if options.json:
                write_json(options.json, _join(results, comparisons))
    if not many:
        _finish(results[0], options.json)
    elif options.json == "-":
        print(format_json(_join(results, comparisons)), end="")
    elif results:
        print("\n" + format_table(results, comparisons=comparisons), end="")
    if results and kind is not None:
        with atomic_write(options.table) as file:
            file.write(format_table(results, kind, comparisons).encode())
    if exit_code == 0:
        drop_shards(network)
    return exit_code


def _make_grader(
    options: argparse.Namespace, metrics: tuple[str, ...], network: Any, *, many: bool
) -> Callable[[str, str], "GradingResult"]:
    """Make what grades one SAMPLES by path and name; the reference of many is loaded once."""
    from eval.grade import grade
    from eval.images.damaged_files import advise_forgetting
    from eval.reference import load_reference

    shared: dict[str, Any] = {
        "metrics": metrics,
        "batch_size": options.batch_size,
        "allow_jpeg": options.allow_jpeg,
        "progress": True,
    }
    reference = options.reference
    if many:
        with advise_forgetting(reference):
            reference = load_reference(reference, network, **shared)

    def grade_one(path: str, name: str) -> "GradingResult":
        with advise_forgetting(options.reference, path):
            return grade(
                reference,
                path,
                network,
                name=name,
                digest=options.digest,
                intervals=options.intervals,
                seed=options.seed,
                device=options.device,
                half_distances=options.half_distances,
                num_images=options.num_images,
                shuffle=options.shuffle,
                by_class=options.by_class,
                events=open_events(options),
                warn=_warn,
                **shared,
            )

    return grade_one


def _name_samples(options: argparse.Namespace) -> list[str]:
    """Name samples after their files, by the whole path where two files have one name."""
    names = [options.name or Path(path).stem for path in options.samples]
    return names if len(set(names)) == len(names) else list(options.samples)


def _join(
    results: Sequence["GradingResult"], comparisons: Sequence["Comparison"]
) -> dict[str, Any]:
    """Put the results of several batches, and how they differ, into one JSON object."""
    found = {"results": results, "comparisons": comparisons}
    return {"format": 1, **{key: [one.as_dict() for one in some] for key, some in found.items()}}


def _check_spec(samples: str, digest: str) -> None:
    """Demand samples whose manifest names a spec.

    Raises:
        UserError: it names another one, or there is no manifest.
    """
    from records.manifest import read_manifest

    found = (read_manifest(samples) or {}).get("digest")
    if found != digest:
        got = f"spec {found[:12]}" if found else "no manifest beside it that names a spec"
        raise UserError(f"{samples}: {got}; {digest[:12]} is needed: draw the samples again")


def _ceiling(options: argparse.Namespace) -> None:
    """Grade a random half of the real images against the other."""
    _set_threads(options.threads)
    metrics = _parse_metrics(options.metrics)
    _check_paths([options.data], _list_outputs(options), [options.weights])
    network = _load_network(options)
    from eval.grade import grade_ceiling

    result = grade_ceiling(
        options.data,
        network,
        name=options.name or f"real-{Path(options.data).stem}",
        digest=options.digest,
        metrics=metrics,
        num_images=options.num_images,
        seed=options.seed,
        batch_size=options.batch_size,
        device=options.device,
        half_distances=options.half_distances,
        allow_jpeg=options.allow_jpeg,
        events=open_events(options),
        progress=True,
        warn=_warn,
    )
    _finish(result, options.json)


def _reference(options: argparse.Namespace) -> None:
    """Make a reference batch in the authors' layout."""
    if Path(options.out).suffix != ".npz":
        raise UserError(f"--out {options.out}: a reference batch is an .npz; name it so")
    _set_threads(options.threads)
    _check_paths([options.data], _list_artefact(options), [options.weights])
    network = _load_network(options)
    from eval.reference import make_reference

    make_reference(
        options.data,
        network,
        options.out,
        num_images=options.num_images,
        digest=options.digest,
        seed=options.seed,
        batch_size=options.batch_size,
        allow_jpeg=options.allow_jpeg,
        events=open_events(options),
        progress=True,
        warn=_warn,
    )


def _nearest(options: argparse.Namespace) -> None:
    """Find the real images that are nearest to samples, for pictures of both."""
    _set_threads(options.threads)
    _check_paths([options.reference, options.samples], _list_artefact(options), [options.weights])
    from eval.nearest import OPTIONS, write_nearest

    rest: dict[str, Any] = {key: getattr(options, key) for key in OPTIONS}
    places = (options.reference, options.samples, _load_network(options), options.out)
    write_nearest(*places, **rest, events=open_events(options))


def _network(options: argparse.Namespace) -> None:
    """Train a small-scale feature network."""
    _set_threads(1)
    from records.manifest import make_manifest, write_manifest

    _check_paths([options.data], _list_artefact(options), [options.spec])
    spec = read_json(options.spec, "feature network spec")
    from eval.images.open import open_images, read_all
    from eval.networks.small import save_small_network
    from eval.networks.small_training import train_small_network

    image_set = open_images(options.data, allow_jpeg=options.allow_jpeg)
    if image_set.label_fault:
        raise UserError(image_set.label_fault)
    images, labels = read_all(image_set)
    about = {"name": Path(options.out).stem, "digest": digest(spec), "spec": spec}
    with open_events(options).record(kind="network", job="network", **about) as usage:
        parameters, description = train_small_network(images, labels, spec, options.data)
        description["data_sha256"] = sha256_file(options.data)
        save_small_network(options.out, parameters, description)
        inputs, seeds = {"data": description["data_sha256"]}, {"training": spec["seed"]}
        manifest = make_manifest(kind="network", inputs=inputs, seeds=seeds, **about)
        write_manifest(options.out, manifest, usage)
    print(f"Held-out accuracy: {description['held_out_accuracy']:.4f}")


def _audit(options: argparse.Namespace) -> None:
    """Tell what a batch of images holds, and what is odd."""
    _check_paths([options.path], [options.json])
    from eval.audit import audit, format_audit
    from eval.images.damaged_files import advise_forgetting

    with advise_forgetting(options.path):
        result = audit(options.path, allow_jpeg=options.allow_jpeg)
    if options.json == "-":
        print(format_json(result), end="")
        return
    print(format_audit(result), flush=True)
    if options.json:
        write_json(options.json, result)


def _selftest(options: argparse.Namespace) -> int:
    """Check that this machine computes the metrics right; exit code 1 if it does not."""
    _set_threads(options.threads)
    from eval.networks.device import check_device
    from eval.selftest import format_checks, run_selftest

    check_device(options.device)
    checks = run_selftest(
        weights=options.weights,
        any_weights=options.any_weights,
        backend=options.backend,
        reference=options.reference,
        samples=options.samples,
        device=options.device,
        batch_size=options.batch_size,
    )
    print(format_checks(checks))
    return 1 if any(check.outcome == "failed" for check in checks) else 0


def _weights(options: argparse.Namespace) -> None:
    """Put Inception's frozen graph somewhere: from $ADM_INCEPTION, the cache or a download."""
    _check_paths([], [options.out])
    from eval.networks.weights import INCEPTION_SHA256, copy_inception

    sha256 = options.sha256 or INCEPTION_SHA256
    about = {"name": "inception", "digest": sha256, "spec": None}
    with open_events(options).record(kind="network", job="weights", **about):
        copy_inception(options.out, sha256=sha256)


COMMANDS: dict[str, Callable[[argparse.Namespace], int | None]] = {
    "": _grade,
    "reference": _reference,
    "ceiling": _ceiling,
    "nearest": _nearest,
    "network": _network,
    "weights": _weights,
    "audit": _audit,
    "selftest": _selftest,
}


def _parse_metrics(text: str | None) -> tuple[str, ...]:
    """Parse the list of metrics.

    Raises:
        UserError: an unknown name, or none at all.
    """
    if text is None:
        return PAPER
    names = [name.strip().lower() for name in text.split(",")]
    unknown = [name for name in names if name not in METRICS]
    if unknown:
        raise UserError(
            f"--metrics {text}: {unknown[0]!r} is not a metric; choose out of {', '.join(METRICS)}"
        )
    return tuple(name for name in METRICS if name in names)


def _check_paths(*paths: Sequence[Any]) -> None:
    """Check inputs and outputs as eval.paths does, which loads numpy."""
    from eval.paths import check_paths

    check_paths(*paths)


def _list_outputs(options: argparse.Namespace) -> list[Any]:
    """List what grading writes: metrics, their manifest, what samples add to them, events."""
    from records.contributions import find_contributions
    from records.manifest import manifest_path

    path = options.json
    beside = [manifest_path(path), find_contributions(path)] if path not in (None, "-") else []
    return [path, *beside, options.events]


def _list_artefact(options: argparse.Namespace) -> list[Any]:
    """List what a command with --out writes: an artefact, its manifest, events."""
    from records.manifest import manifest_path

    return [options.out, manifest_path(options.out), options.events]


def _load_network(
    options: argparse.Namespace, *, cache: bool = False, shards: str | None = None
) -> Any:
    """Check the device, load the feature network, which keeps its features if there is a cache."""
    from eval.networks.device import check_device
    from eval.networks.load import load_network

    check_device(options.device)
    return load_network(
        options.weights,
        backend=options.backend,
        device=options.device,
        any_weights=options.any_weights,
        cache=get_cache_folder() / "features" if cache else None,
        shards=shards,
    )


def _set_threads(num_threads: int) -> None:
    """Fix the number of threads, of numpy's libraries too when they are not loaded yet."""
    for variable in THREAD_VARIABLES:
        os.environ[variable] = str(num_threads)
    import torch

    torch.set_num_threads(num_threads)


def _warn(sentence: str) -> None:
    """Tell something about a result while it is still computed."""
    print(f"warning: {sentence}", file=sys.stderr, flush=True)


def _finish(result: "GradingResult", out: str | None) -> None:
    """Print the numbers of a result, then write it: what was computed is shown in any case."""
    if out == "-":
        print(result.to_json(), end="")
        return
    print("\n".join(result.describe_metrics()))
    if not out:
        return
    from records.manifest import make_manifest, write_manifest

    result.write(out)
    protocol = result.protocol
    manifest = make_manifest(
        kind="metrics",
        name=result.name,
        digest=result.digest,
        inputs={role: protocol[role]["sha256"] for role in ("samples", "reference", "network")},
        seeds={"evaluation": protocol["seed"]},
    )
    write_manifest(out, manifest, Usage(whole_process=True))
