"""Random disturbances of a miniature run on a real two-node SLURM, and whether a byte differs.

    python -m tests.cluster.campaign --seed 1 --num-disturbances 20

Makes Table 3 of the miniature twice: undisturbed on this machine, and on the cluster while things
are killed, from its first job to its last: the next disturbance waits until as large a share of the
files is there. Prints what it did, compares weights, samples, metrics and the table byte by byte,
and lists what was computed although it had been finished.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Collection
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from records.events import read_events
from tests.cluster.conftest import make_environment, take_interrupts
from tests.cluster.two_nodes import (
    NODES,
    ask,
    controller_away,
    find_processes,
    is_of_node,
    start_daemon,
    two_nodes,
)
from tests.workflow.conftest import KEEP, copy_project, cut_tables, mini_scale, write_params

CONFIG = ["--config", "scale=mini.yaml", "tables=mini_tables.yaml", "--", "reproduce_table3"]
SLURM = ["--profile", "slurm", "--slurm-init-seconds-before-status-checks", "2"]
COMPARED = (
    *("retrain/models/*/ema-*.safetensors", "retrain/models/*/accuracy-*.json"),
    *("retrain/samples/*/samples.npz", "retrain/metrics/*.json", "report/table3.csv"),
    *("data/*.zip", "network/*.safetensors", "references/*.npz", "metrics/*.json"),
)
PATIENCE_S, IDLE_S = 3000.0, 1.0
MORE = "SlurmdTimeout=20\n"
RESULTS = Path("results/mini")


class Campaign:
    """A run that is disturbed: the project's folder, the cluster, and what happened.

    Attributes:
        wanted: names of the files that it makes.
        made: those of them that were there once.
        done: disturbances by their kinds, and `disturbed` by the rules of the jobs that ran.
    """

    def __init__(
        self,
        folder: Path,
        lab: Path,
        environment: dict[str, str],
        seed: int,
        wanted: Collection[str],
    ) -> None:
        self.folder, self.lab, self.environment = folder, lab, environment
        self.random, self.done, self.disturbed = random.Random(seed), Counter[str](), Counter[str]()
        self.wanted, self.made = wanted, set[str]()
        self.log = open(folder / "campaign.log", "a")  # noqa: SIM115 - open until the end
        self.snakemake = self.start()
        self.num_starts, self.gave_up = 1, 0

    def start(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-m", "snakemake", *SLURM, *CONFIG],
            cwd=self.folder, stdout=self.log, stderr=self.log,
            env=make_environment(self.folder, self.environment), process_group=0,
            preexec_fn=take_interrupts,
        )  # fmt: skip

    def restart(self) -> None:
        self.snakemake.wait()
        self.snakemake, self.num_starts = self.start(), self.num_starts + 1

    def find_steps(self) -> list[psutil.Process]:
        """The processes of jobs on the nodes that compute, or frame what computes."""
        found = []
        for one in find_processes(self.lab):
            try:
                words, inside = one.cmdline(), one.environ().get("SLURM_JOB_ID")
            except psutil.Error:
                continue
            if inside and words[:1] and Path(words[0]).name in ("bash", "python", "python3"):
                found.append(one)
        return found

    def list_jobs(self, shown: str = "%i") -> list[str]:
        which = ["--noheader", "--states=running", f"--format={shown}"]
        return (ask(self.environment, "squeue", *which) or "").split()

    @property
    def share(self) -> float:
        """How much of the run is over: the share of its files that were there once."""
        self.made |= {name for name in self.wanted if (self.folder / RESULTS / name).exists()}
        return len(self.made) / len(self.wanted)

    # Each returns False where there was nothing to disturb.
    def kill_a_step(self) -> bool:
        steps = self.find_steps()
        if not steps:
            return False
        self.random.choice(steps).kill()
        return True

    def kill_snakemake(self) -> bool:
        self.snakemake.kill()
        self.restart()
        return True

    def press_ctrl_c(self) -> bool:
        os.killpg(self.snakemake.pid, signal.SIGINT)
        self.restart()
        return True

    def kill_slurmd(self) -> bool:
        return self._kill_on_a_node(30.0, lambda one: one.name() == "slurmd")

    def lose_a_node(self) -> bool:
        return self._kill_on_a_node(60.0, lambda one: True)

    def _kill_on_a_node(self, max_seconds: float, which: Callable[[psutil.Process], bool]) -> bool:
        node = self.random.choice(NODES)
        for one in find_processes(self.lab):
            with suppress(psutil.Error):
                if is_of_node(one, node) and which(one):
                    one.kill()
        time.sleep(self.random.uniform(0, max_seconds))
        start_daemon(self.lab, f"slurmd-{node}", self.environment)
        return True

    def take_the_controller_away(self) -> bool:
        with controller_away(self.lab, self.environment):
            time.sleep(self.random.uniform(5, 60))
        return True

    def requeue(self) -> bool:
        jobs = self.list_jobs()
        return (
            bool(jobs)
            and ask(self.environment, "scontrol", "requeue", self.random.choice(jobs)) is not None
        )

    def cancel(self) -> bool:
        jobs = self.list_jobs()
        return bool(jobs) and ask(self.environment, "scancel", self.random.choice(jobs)) is not None

    def disturb(self, count: int, max_pause_seconds: float) -> bool:
        """Disturb until the run is over, then let it end; False where it does not in time."""
        kinds: list[Callable[[], bool]] = [
            self.kill_a_step, self.kill_snakemake, self.press_ctrl_c, self.kill_slurmd,
            self.lose_a_node, self.take_the_controller_away, self.requeue, self.cancel,
        ]  # fmt: skip
        left: list[Callable[[], bool]] = []  # each kind in its turn, in a random order
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            code = self.snakemake.poll()
            if code == 0:
                return True
            if code is not None:
                self.gave_up += 1
                print(f"Snakemake gave up with exit code {code}", flush=True)
                self.restart()
            if self.done.total() < min(count, count * (self.share + 0.25)):
                time.sleep(self.random.uniform(1, max_pause_seconds))
                left = left or self.random.sample(kinds, len(kinds))
                rules = {one.split("_")[1] for one in self.list_jobs("%k") if "_" in one}
                if self.snakemake.poll() is None and left[-1]():
                    kind = left.pop().__name__
                    self.done[kind] += 1
                    self.disturbed.update(rules)
                    print(f"{time.strftime('%T')} {kind} during {sorted(rules)}", flush=True)
            time.sleep(IDLE_S)
        return False


def read_results(folder: Path) -> dict[str, bytes]:
    made = folder / RESULTS
    found = {str(path.relative_to(made)): path for one in COMPARED for path in made.glob(one)}
    return {
        name: path.read_bytes()
        for name, path in found.items()
        if ".manifest" not in Path(name).name
    }


def count_repeats(folder: Path) -> dict[str, int]:
    """Count what was finished more than once: shards, marks, and other jobs but those of pages."""
    seen: Counter[Any] = Counter()
    for path in (folder / RESULTS / "retrain/events").glob("*.jsonl"):
        kind = path.name.partition("-")[0]
        finished = {"sample": "progress", "train": "mark", "table": ""}.get(kind, "end")
        events = [one for one in read_events(path)[0] if one["event"] == finished]
        seen.update((path.stem, one.get("images", one.get("mark", ""))) for one in events)
    return {str(key): number for key, number in seen.items() if number > 1}


def make_project(folder: Path) -> Path:
    copy_project(folder)
    scale = mini_scale()
    scale["sampling"] |= {"images_per_shard": 20, "respacing": {"250": "10", "1000": "10"}}
    for task in scale["tasks"].values():
        task["num_samples"] = 60
    write_params(folder, mini_tables=cut_tables({"table3": KEEP["table3"]}), mini=scale)
    return folder


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--num-disturbances", type=int, default=20)
    parser.add_argument("--max-pause-seconds", type=float, default=12.0, help="between two (12)")
    parser.add_argument("--folder", type=Path, help="where it all is kept (a temporary folder)")
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # ends the cluster too
    root = args.folder or Path(tempfile.mkdtemp(prefix="campaign-"))
    here, there, lab = (root / name for name in ("undisturbed", "disturbed", "lab"))
    for one in (here, there, lab):
        one.mkdir(parents=True)
    make_project(there)
    make_project(here)
    subprocess.run(
        [sys.executable, "-m", "snakemake", "--cores", "2", *CONFIG], cwd=here, check=True,
        env=make_environment(here, {"PATH": f"/:{os.environ['PATH']}"}), capture_output=True,
    )  # fmt: skip
    wanted, began = read_results(here), time.monotonic()
    with two_nodes(lab, MORE) as environment:
        campaign = Campaign(there, lab, environment, args.seed, list(wanted))
        ended = campaign.disturb(args.num_disturbances, args.max_pause_seconds)
        campaign.snakemake.kill()
        campaign.snakemake.wait()
    seconds = time.monotonic() - began
    found, repeats = read_results(there), count_repeats(there)
    differ = [name for name in wanted if found.get(name) != wanted[name]]
    print(f"{campaign.done.total()} disturbances in {seconds:.0f} s: {dict(campaign.done)}")
    print(f"they fell on {dict(campaign.disturbed)}")
    print(f"Snakemake was started {campaign.num_starts} times and gave up {campaign.gave_up} times")
    print(f"{len(wanted)} files compared, {len(differ)} differ: {', '.join(differ) or 'none'}")
    print(f"finished more than once: {repeats or 'nothing'}; folder {root}")
    return int(not ended or bool(differ or repeats or campaign.gave_up))


if __name__ == "__main__":
    sys.exit(main())
