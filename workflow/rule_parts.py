"""What Snakemake's rules say of their jobs, as `workflow.graph` knows them; and their commands."""

import inspect
import re
import sys
from collections.abc import Callable
from pathlib import Path
from shlex import quote
from typing import Any

from snakemake.common import overwrite_function_params
from snakemake.io import ancient, report

from records.files import digest
from workflow.finished_work import find_differences, is_whole, list_saved
from workflow.forecast import compute_resources, count_processes
from workflow.graph import Graph, name_log
from workflow.job import Job, Key
from workflow.machine import make_launcher
from workflow.plan import FIGURES, Plan

PAGES = ("table", FIGURES, "index")


class RuleParts:
    """The parts of one rule: patterns of paths, and functions of wildcards.

    Attributes:
        outputs: patterns of the outputs, by name; their wildcards fit the names that there are.
        log: pattern of the log.
        params: what makes a job's work stale, by name, and `run_options`. These take `output`, and
            Snakemake sees no change in what follows from a job's outputs.
        resources: what a job that computes on a device asks a cluster for.
    """

    def __init__(self, graph: Graph, rule: str) -> None:
        kind, files = graph.kinds[rule], graph.plan.layout
        jobs = [key for key in graph.jobs if key[0] == rule]
        names = [dict.fromkeys(map(re.escape, names)) for names in zip(*jobs, strict=True)][1:]
        known = zip(kind.wildcards, map("|".join, names), strict=True)
        log = name_log(kind, rule, *(f"{{{one}}}" for one in kind.wildcards))
        self.graph, self.rule, self.wildcards = graph, rule, kind.wildcards
        self.outputs = graph.write((rule, *(f"{{{name},{pattern}}}" for name, pattern in known)))
        self.log = f"{files.logs}/{log}.log"
        self.params: dict[str, Callable[..., Any]] = {
            name: self._make_param(name) for name in graph.describe(jobs[0]).identity
        }
        self.params["run_options"] = lambda wildcards, output: self._describe(wildcards).options
        self.params["ended"] = lambda wildcards, output: self.find_ended(wildcards)
        self.params["attempt"] = lambda wildcards, output, resources: self._identify_attempt(
            wildcards, resources
        )
        self.resources: dict[str, Any] = {
            "gpu": int(graph.plan.device.startswith("cuda")),
            "mem_mb": lambda wildcards: self._ask_for("mem_mb", wildcards),
            "runtime": lambda wildcards: self._ask_for("runtime", wildcards),
        }
        if (gpu_type := graph.plan.machine.gpu_type) and self.resources["gpu"]:
            self.resources["gpu_model"] = gpu_type
        if rule in ("train", "segment"):
            self._spread_training()
        if rule == "sample":  # parts that others have drawn are put together without a GPU
            gpu, cuts = self.resources["gpu"], graph.plan.cuts
            self.resources["gpu"] = lambda wildcards: 0 if wildcards.sample in cuts else gpu
            if "gpu_model" in self.resources:
                self.resources["gpu_model"] = lambda wildcards: (
                    "" if wildcards.sample in cuts else gpu_type
                )
        for function in filter(callable, (*self.params.values(), *self.resources.values())):
            # Snakemake looks for them several times a job, a tenth of the time of a dry run.
            names: Any = inspect.signature(function).parameters
            overwrite_function_params(function, names)
        self._said: set[str] = set()
        self._differences: dict[Key, list[str] | None] = {}

    def find_inputs(self, wildcards: Any) -> dict[str, Any]:
        """Return a job's inputs by name, for `unpack`; what has a spec beside it is ancient.

        What the user has to bring first is said, once, also in a dry run.
        """
        job = self._describe(wildcards)
        for line in job.missing:
            place = line.partition(":")[0]
            if place not in self._said:
                print(f"own images are missing: {line}", file=sys.stderr)
            self._said.add(place)
        return {
            name: ancient(paths) if name in job.reads else paths
            for name, paths in job.inputs.items()
        }

    def show_page(self, output: str, category: str, name: str) -> dict[str, Any]:
        """Return the outputs, of which `snakemake --report` shows a page with the rule's caption.

        Args:
            output: the name of the page's output.
            category: where the report lists it.
            name: how it is called there; may hold wildcards.
        """
        caption = f"../report/{self.rule}.rst"
        labels = {"page": name}
        page = report(self.outputs[output], caption=caption, category=category, labels=labels)
        return {**self.outputs, output: page}

    def find_differences(self, wildcards: Any) -> list[str] | None:
        """Return `finished_work.find_differences` of a job, which is looked for once."""
        key = self._find(wildcards)
        if key not in self._differences:
            self._differences[key] = find_differences(self.graph, key)
        return self._differences[key]

    def is_whole(self, wildcards: Any) -> bool:
        """Return `finished_work.is_whole` of a job."""
        return is_whole(self.graph, self._find(wildcards))

    def list_saved(self, wildcards: Any) -> dict[str, int]:
        """Return `finished_work.list_saved` of a job."""
        return list_saved(self.graph, self._find(wildcards))

    def find_ended(self, wildcards: Any) -> str:
        """Return the file that says why the last attempt at a job ended (`workflow.endings`)."""
        return self.graph.plan.layout.ended("-".join(self._find(wildcards)))

    def list_specs(self, wildcards: Any) -> list[str]:
        """Return the specs beside what a job reads."""
        return self._describe(wildcards).inputs["specs"]

    def _spread_training(self) -> None:
        """Let a training run over several processes: what it asks for, and how it is launched."""
        plan, gpu = self.graph.plan, self.resources["gpu"]

        def count(wildcards: Any) -> tuple[int, int]:
            num_processes = count_processes(plan, wildcards.model)
            return num_processes, plan.machine.count_nodes(num_processes)

        def count_per_node(wildcards: Any) -> int:
            num_processes, num_nodes = count(wildcards)
            return num_processes // num_nodes

        self.params["launch"] = lambda wildcards, output: make_launcher(*count(wildcards))
        self.params["threads"] = lambda wildcards, output: plan.scale.compute.threads
        self.threads = lambda wildcards: plan.scale.compute.threads * count_per_node(wildcards)
        if plan.machine.processes_per_training == 1:
            return
        self.resources["gpu"] = lambda wildcards: gpu * count(wildcards)[0]
        if plan.machine.count_nodes(plan.machine.processes_per_training) == 1:
            if gpu:  # else SLURM may give it GPUs of several
                self.resources["nodes"] = 1
            return
        # On several nodes SLURM counts GPUs by node, and starts one task on each.
        self.resources |= {
            "mpi": lambda wildcards: "srun" if count(wildcards)[1] > 1 else "",
            "nodes": lambda wildcards: count(wildcards)[1],
            "tasks": lambda wildcards: count(wildcards)[1],
            "tasks_per_gpu": 0,
        }
        if gpu:
            self.resources["gpu"] = 0
            self.resources.pop("gpu_model", None)
            self.resources["gres"] = lambda wildcards: plan.machine.name_gpus(
                count_per_node(wildcards)
            )

    def _find(self, wildcards: Any) -> Key:
        return (self.rule, *(getattr(wildcards, name) for name in self.wildcards))

    def _describe(self, wildcards: Any) -> Job:
        return self.graph.describe(self._find(wildcards))

    def _identify_attempt(self, wildcards: Any, resources: Any) -> str:
        """Return a digest of what an attempt depends on: its settings, and what it asks for."""
        job = self._describe(wildcards)
        fixed = {key: value for key, value in job.identity.items() if not callable(value)}
        asked = [str(resources.get(name)) for name in ("mem_mb", "runtime")]
        return digest([fixed, job.options, *asked])

    def _make_param(self, name: str) -> Callable[[Any], Any]:
        def find(wildcards: Any) -> Any:
            value = self._describe(wildcards).identity[name]
            return value() if callable(value) else value

        return find

    def _ask_for(self, resource: str, wildcards: Any) -> int:
        return compute_resources(self.graph.plan, *self._find(wildcards))[resource]


def make_rules(plan: Plan, *, pages: bool = True) -> dict[str, RuleParts]:
    """Return the parts of every rule that has jobs, by the rule's name.

    Args:
        plan: the plan.
        pages: whether those that make pages are among them, which read the plans of all sources.
    """
    graph = Graph(plan)
    rules = dict.fromkeys(key[0] for key in graph.jobs)
    return {rule: RuleParts(graph, rule) for rule in rules if pages or rule not in PAGES}


# Snakemake deletes an output that seems older than an input, as one from a machine whose clock is
# ahead; /dev/null stands there for rules without inputs.
MEND_TIMES = (
    "find /dev/null {input:q} -maxdepth 0 -newermt now -exec touch -c -d now {{}} + || true; "
)


FRAME = quote(str(Path(__file__).with_name("attempt.sh").resolve()))


def run(*commands: str, writes_spec: bool = False, shows: bool = False) -> str:
    """Return the shell command of a rule.

    Args:
        commands: what it runs one after the other, with Snakemake's placeholders.
        writes_spec: first write the param `spec` into the output of that name.
        shows: the user sees what the commands say as well as the log.
    """
    frame = (
        f"set -euo pipefail; . {FRAME}; "
        "attempt {params.ended:q} {params.attempt:q} {log:q} {output:q}; "
    )
    spec = "printf '%s\\n' {params.spec:q} > {output.spec:q}; " if writes_spec else ""
    body = f"{{{{ {MEND_TIMES}export OMP_NUM_THREADS={{threads:q}}; {'; '.join(commands)}; }}}}"
    log = "2> >(tee -a {log:q} >&2)" if shows else ">> {log:q} 2>&1"
    return f"{frame}{spec}{body} {log}"


def find_command(shell: str) -> str:
    """Return what a user types to try the command of a rule by hand: without its frame."""
    _, _, told = shell.partition("attempt ")
    spec, begun, rest = told.partition("{ ")
    if not begun:
        return shell
    spec = spec.partition("; ")[2]
    command = rest.partition("export OMP_NUM_THREADS=")[2].partition("; ")[2]
    return spec + command.rpartition("; }")[0]
