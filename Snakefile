# The tables of "Diffusion Models Beat GANs on Image Synthesis", from data to page.
# Targets: reproduce_all, reproduce_table1 .. reproduce_table6, datasets, models, samples, metrics; at scale=paper also
# reproduce_lsun_schedules and reproduce_lsun_schedules_applied.
import re
import sys
from pathlib import Path
from shlex import quote

from snakemake.exceptions import WorkflowError
from snakemake.utils import min_version

from records.errors import UserError
from records.files import canonical_json, check_folder, digest
from workflow.code_digest import digest_page_code
from workflow.forecast import compute_resources
from workflow.recording import format_tags, record_events
from workflow.rerun_triggers import limit_rerun_triggers
from workflow.settings import DEFAULTS, describe_run, load_plan
from workflow.table_spec import make_table_spec, table_inputs
from workflow.targets import find_page_inputs, make_pattern

min_version("9.27")

limit_rerun_triggers(workflow)

try:
    PLAN = load_plan(config)
except UserError as error:
    raise WorkflowError(str(error)) from None

if workflow.is_main_process:
    print(describe_run(PLAN), file=sys.stderr)
    try:
        check_folder(".snakemake")
    except UserError as error:
        raise WorkflowError(
            f"{error}. Snakemake keeps its notes there: run it in a copy of the project that you may write to"
        ) from None

# Jobs use the Python that runs Snakemake; bash writes real, user and system seconds into .times.
shell.prefix(
    f'PATH={quote(str(Path(sys.executable).parent))}:"$PATH"; TIMEFORMAT="%R %U %S"; '
)

ROOT = PLAN.root
MADE = f"{ROOT}/{PLAN.source}"
LOGS = PLAN.logs
BENCHMARKS = PLAN.benchmarks
# How many GPUs each job that computes asks a cluster for: a resource, so that another device makes nothing stale.
GPUS = int(PLAN.device.startswith("cuda"))
OPTIONS = " ".join(
    f"--{key} {quote(str(config.get(key, value)))}" for key, value in DEFAULTS.items()
)


wildcard_constraints:
    task=make_pattern(PLAN.datasets),
    model=make_pattern(PLAN.models),
    mark="[A-Za-z0-9]+",
    sample=make_pattern(PLAN.samples),
    table=make_pattern(PLAN.shown_tables),


rule reproduce_all:
    input:
        f"{ROOT}/report/index.html",
        [PLAN.metrics_path(sample) for sample in sorted(set(PLAN.cells.values()))],
        expand(f"{ROOT}/report/{{table}}.html", table=PLAN.shown_tables),


for name, table in PLAN.tables.items():
    for target in (name, table.alias):

        rule:
            name:
                f"reproduce_{target}"
            input:
                find_page_inputs(PLAN, name),


rule datasets:
    input:
        [PLAN.data_path(task) for task in PLAN.datasets],


rule models:
    input:
        [
            PLAN.model_path(model, mark)
            for model in PLAN.models
            for mark in PLAN.marks[model]
        ],


rule samples:
    input:
        [PLAN.samples_path(sample) for sample in PLAN.samples],


rule metrics:
    input:
        [PLAN.metrics_path(sample) for sample in PLAN.samples],
        [PLAN.ceiling_path(task) for task in PLAN.datasets if task in PLAN.scale.tasks],


include: "workflow/rules/data.smk"
include: "workflow/rules/released.smk"


if PLAN.source == "retrain":

    include: "workflow/rules/train.smk"


if PLAN.source != "rescore":

    include: "workflow/rules/sample.smk"


include: "workflow/rules/evaluate.smk"
include: "workflow/rules/tables.smk"
