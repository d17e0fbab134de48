"""Where every file is stored: parameters in the project, and all that jobs make in its results."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from records.errors import UserError
from specs.evaluation import Inception, SmallNetwork
from specs.models import ModelSpec
from specs.sampling import Batch, PublishedSamples, SampleSpec

ROOT = Path(__file__).resolve().parent.parent
PAGE_ENDINGS = ("html", "csv", "md", "tex", "json")


def find_shipped(path: str) -> Path:
    """Return a path as given if it exists, else the shipped file of that name."""
    return Path(path) if Path(path).exists() else ROOT / path


def find_scale(scale: str) -> Path:
    """Return the file of a scale: a path as given, or a name in params/scales/.

    Raises:
        UserError: no such scale.
    """
    if scale.endswith((".yaml", ".yml")):
        return Path(scale)
    path = ROOT / "params" / "scales" / f"{scale}.yaml"
    if not path.exists():
        names = sorted(one.stem for one in (ROOT / "params" / "scales").glob("*.yaml"))
        raise UserError(f"scale: got {scale!r}; needed: one of {', '.join(names)}, or a .yaml path")
    return path


class Stored(NamedTuple):
    """A file that is made, and one beside it that says what it is: its spec, protocol or hash."""

    file: str
    spec: str


@dataclass(frozen=True)
class Layout:
    """The paths of what is made at a scale from a source, in its folder of the results."""

    results: str
    scale: str
    source: str

    @property
    def root(self) -> str:
        """Return the folder of the scale: what all its sources share, and one folder of each."""
        return f"{self.results}/{self.scale}"

    @property
    def made(self) -> str:
        """Return the folder of what this source alone makes."""
        return f"{self.root}/{self.source}"

    @property
    def logs(self) -> str:
        return f"{self.root}/logs" + ("" if self.source == "retrain" else f"/{self.source}")

    @property
    def benchmarks(self) -> str:
        return f"{self.root}/benchmarks" + ("" if self.source == "retrain" else f"/{self.source}")

    def events(self, name: str) -> str:
        return f"{self.made}/events/{name}.jsonl"

    @property
    def downloads(self) -> str:
        """Return the folder of published files as they came; what is `released` leads there."""
        return f"{self.root}/released/downloads"

    def released(self, path: str) -> Stored:
        file = f"{self.root}/released/{path}"
        return Stored(file, f"{file}.sha256")

    def manifest(self, path: str) -> str:
        """Return what says where a published file is from."""
        return str(Path(self.released(path).file).with_suffix(".json"))

    def fetched(self, path: str, suffix: str) -> dict[str, str]:
        """Return what is fetched of a published file, given its path and its suffix."""
        whole = path + suffix
        return {**self.released(whole)._asdict(), "manifest": self.manifest(whole)}

    def data(self, task: str) -> Stored:
        stem = f"{self.root}/data/{task}"
        return Stored(f"{stem}.zip", f"{stem}.spec.json")

    def weights(self, model: str, mark: str) -> Stored:
        stem = f"{self.made}/models/{model}/ema-{mark}"
        return Stored(f"{stem}.safetensors", f"{stem}.spec.json")

    def segment(self, model: str, mark: str, part: str) -> Stored:
        """Return the note of how far one of the jobs got that train a model up to a mark."""
        stem = f"{self.made}/models/{model}/segments/{mark}-{part}"
        return Stored(f"{stem}.json", f"{stem}.spec.json")

    def accuracy(self, classifier: str, mark: str) -> Stored:
        stem = f"{self.made}/models/{classifier}/accuracy-{mark}"
        return Stored(f"{stem}.json", f"{stem}.spec.json")

    def loss(self, model: str, mark: str) -> Stored:
        """Return the loss of a denoiser on held-out images."""
        stem = f"{self.made}/models/{model}/loss-{mark}"
        return Stored(f"{stem}.json", f"{stem}.spec.json")

    def losses(self, model: str, mark: str) -> dict[str, str]:
        """Return what is written of a loss: the file, its spec, and the losses of single images."""
        stored = self.loss(model, mark)
        contributions = str(Path(stored.file).with_suffix(".contributions.npz"))
        return {**stored._asdict(), "contributions": contributions}

    def state(self, spec: ModelSpec) -> str:
        """Return the folder of a training run's own state; another spec has another folder."""
        return f"{self.made}/state/{spec.name}-{spec.digest[:12]}"

    def drawn(self, sample: str) -> dict[str, str]:
        """Return what is written of a batch of samples that is drawn here."""
        names = {"file": "samples.npz", "spec": "spec.json", "protocol": "samples.json"}
        return {key: f"{self.made}/samples/{sample}/{name}" for key, name in names.items()}

    def samples(self, batch: Batch) -> Stored:
        """Return a batch of samples, drawn here or published."""
        if isinstance(batch, PublishedSamples):
            return self.released(batch.released)
        drawn = self.drawn(batch.name)
        return Stored(drawn["file"], drawn["spec"])

    def shards(self, spec: SampleSpec) -> str:
        """Return the folder of the finished shards of a batch that is being drawn."""
        return f"{self.made}/state/samples-{spec.name}-{spec.digest[:12]}"

    def part(self, sample: str, part: str) -> Stored:
        """Return the note of a job that has drawn a part of a batch of samples."""
        stem = f"{self.made}/samples/{sample}/parts/{part}"
        return Stored(f"{stem}.json", f"{stem}.spec.json")

    def features(self, sample: str) -> str:
        """Return the folder of the features of a batch that is being graded."""
        return f"{self.made}/state/features-{sample}"

    def network(self, network: SmallNetwork | Inception) -> Stored:
        name = "inception.pb" if isinstance(network, Inception) else "features.safetensors"
        return Stored(f"{self.root}/network/{name}", f"{self.root}/network/spec.json")

    def reference(self, task: str) -> Stored:
        """Return the reference batch of a task that is made here."""
        stem = f"{self.root}/references/{task}"
        return Stored(f"{stem}.npz", f"{stem}.json")

    def metrics(self, sample: str) -> str:
        return f"{self.made}/metrics/{sample}.json"

    def nearest(self, sample: str) -> str:
        """Return samples with the real images that are nearest to them."""
        return f"{self.made}/nearest/{sample}.npz"

    def between(self, sample: str) -> str:
        """Return what a batch's model draws between real images."""
        return f"{self.made}/between/{sample}.npz"

    def denoising(self, sample: str) -> Stored:
        """Return what a batch's model takes its samples to be while it draws them."""
        stem = f"{self.made}/denoising/{sample}"
        return Stored(f"{stem}.npz", f"{stem}.spec.json")

    def ceiling(self, task: str) -> str:
        """Return the metrics of real images against real images."""
        return f"{self.root}/metrics/real-{task}.json"

    def ended(self, job: str) -> str:
        """Return what says why the last attempt at a job ended."""
        return f"{self.made}/state/ended/{job}.json"

    def lock(self, job: str) -> str:
        """Return the lock that a job holds while its command runs."""
        return f"{self.made}/state/ended/{job}.lock"

    def page(self, table: str, ending: str = "html") -> str:
        """Return a table's page in one of its formats; `index` is the first page."""
        return f"{self.root}/report/{table}.{ending}"

    def plots(self, page: str = "") -> str:
        """Return the folder of a page's plots as files, or that of all such folders."""
        return f"{self.root}/report/plots/{page}".rstrip("/")

    def pages(self, table: str) -> dict[str, str]:
        """Return what is written of a table: its page in all formats, and what that shows."""
        pages = {ending: self.page(table, ending) for ending in PAGE_ENDINGS}
        return {**pages, **self.page_specs(table)}

    def page_specs(self, page: str) -> dict[str, str]:
        """Return what a page shows, and what those of its models and sample sets show."""
        return {"spec": self.page(page, "spec.json"), "runs": self.page(page, "runs.json")}

    def first_page(self) -> dict[str, str]:
        """Return the first page, and what the jobs cost, which it shows."""
        return {"page": self.page("index"), "costs": self.page("costs", "json")}

    def figures(self, names: Sequence[str]) -> dict[str, str]:
        """Return what is written of the figures: their page, what it shows, and their points."""
        points = {f"points_{name}": self.page(f"figures/{name}", "csv") for name in names}
        return {"page": self.page("figures"), **self.page_specs("figures"), **points}

    def table_plan(self, table: str) -> str:
        """Return what a table depends on, as DVC reads it."""
        return f"{self.made}/plan/{table}.json"

    def numbers(self, table: str) -> str:
        """Return a table's numbers, which are committed to git."""
        return f"metrics/{self.scale}/{self.source}/{table}.json"
