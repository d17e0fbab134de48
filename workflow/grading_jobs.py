"""The jobs that grade: references, real images, batches of samples, and pictures of neighbours."""

from typing import Any

from records.files import canonical_json, digest
from specs.evaluation import Inception
from specs.sampling import SampleSpec
from workflow.figures import make_nearest_spec
from workflow.job import Job
from workflow.job_events import record_events, tag_paper
from workflow.layout import Stored
from workflow.plan import Plan

# Real images in each half of a ceiling at most: as many as the paper's samples in a row. Sets that
# are smaller, or already graded, stay as they are.
CEILING_IMAGES = 50_000


def make_reference(plan: Plan, task: str) -> Job:
    """Make the reference batch of a task from its images."""
    files, evaluation = plan.layout, plan.scale.evaluation
    identity = {
        "spec": canonical_json(plan.reference_spec(task)),
        "num_images": evaluation.reference_images,
        "seed": evaluation.seed,
    }
    options = ["--digest", digest(identity), *_evaluation_options(plan)]
    return Job(
        reads={"data": [files.data(task)], "weights": [files.network(plan.scale.network)]},
        identity=identity,
        digest=digest(identity),
        options=[*options, *record_events(plan, f"reference-{task}")],
    )


def grade_real_images(plan: Plan, task: str) -> Job:
    """Grade real images of a task against others of it."""
    files, options = plan.layout, ["--num-images", str(CEILING_IMAGES)]
    return Job(
        reads={"data": [files.data(task)], "weights": [files.network(plan.scale.network)]},
        identity=_identify_metrics(plan, plan.reference_spec(task)),
        options=[*options, *_grading_options(plan), *record_events(plan, f"ceiling-{task}")],
    )


def evaluate(plan: Plan, sample: str) -> Job:
    """Grade a batch of samples."""
    batch, files = plan.samples[sample], plan.layout
    drawn = isinstance(
        batch, SampleSpec
    )  # a published batch's hash was checked when it was fetched
    options = ["--samples-digest", batch.digest] if drawn else []
    return Job(
        reads={
            "reference": [_find_reference(plan, batch.task)],
            "samples": [files.samples(batch)],
            "weights": [files.network(plan.scale.network)],
        },
        identity=_identify_metrics(plan, plan.metric_spec(sample)),
        options=[
            *options,
            *("--shards", files.features(sample)),
            *_grading_options(plan),
            *record_events(plan, f"evaluate-{sample}", sample),
            *tag_paper(plan, sample),
        ],
    )


def find_nearest(plan: Plan, sample: str) -> Job:
    """Find the real images nearest to the first samples of a batch."""
    batch, files, spec = plan.samples[sample], plan.layout, make_nearest_spec(plan, sample)
    counts = ("num_images", "num_neighbours")
    return Job(
        reads={
            "reference": [_find_reference(plan, batch.task)],
            "samples": [files.samples(batch)],
            "weights": [files.network(plan.scale.network)],
        },
        identity={"digest": digest(spec), **{key: spec[key] for key in counts}},
        options=[*_evaluation_options(plan), *record_events(plan, f"nearest-{sample}", sample)],
    )


def _find_reference(plan: Plan, task: str) -> Stored:
    """Return the reference batch of a task, published or made here."""
    if plan.scale.evaluation.reference == "released":
        return plan.layout.released(plan.released.references[task].path)
    return plan.layout.reference(task)


def _identify_metrics(plan: Plan, spec: dict[str, Any]) -> dict[str, Any]:
    evaluation = plan.scale.evaluation
    metrics = ",".join(evaluation.metrics)
    return {"digest": digest(spec), "metrics": metrics, "seed": evaluation.seed}


def _grading_options(plan: Plan) -> list[str]:
    """Say how a command grades; the digest says how it takes distances too."""
    half = plan.scale.evaluation.half_distances
    return [*_evaluation_options(plan), *(["--half-distances"] if half else [])]


def _evaluation_options(plan: Plan) -> list[str]:
    """Say how a command runs the feature network."""
    scale, network = plan.scale, plan.scale.network
    options = ["--device", plan.device, "--threads", str(scale.compute.threads)]
    options += ["--batch-size", str(scale.evaluation.batch_size)]
    if isinstance(network, Inception):  # its hash was checked when it was fetched
        options += ["--backend", network.backend, "--any-weights"]
    return options
