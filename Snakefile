# The tables of "Diffusion Models Beat GANs on Image Synthesis", from data to page.
# Targets: reproduce_all, reproduce_<table> for each table of params/tables.yaml that the scale has, reproduce_figures,
# datasets, models, samples, metrics, losses.
import gc
import sys
from pathlib import Path
from shlex import quote

from snakemake.exceptions import WorkflowError
from snakemake.logging import logger
from snakemake.utils import min_version

from records.errors import UserError
from records.files import check_folder
from workflow.failures import shorten_failures
from workflow.forecast_text import describe_start, warn_of_missing_gpu
from workflow.own_images import list_missing
from workflow.rerun_triggers import (
    ask_files_first,
    keep_finished_outputs,
    limit_rerun_triggers,
    take_read_only_outputs,
)
from workflow.rule_parts import make_rules, run
from workflow.settings import check_run_folders, describe_run, load_plan
from workflow.slurm import check_cluster
from workflow.targets import make_targets

min_version("9.27")

limit_rerun_triggers(workflow)
take_read_only_outputs()

try:
    PLAN = load_plan(config)
except UserError as error:
    raise WorkflowError(str(error)) from None

if workflow.is_main_process:
    # Of the millions of objects that a large graph is made of, hardly one becomes free: looking for such takes a quarter
    # of the time until the first job.
    gc.set_threshold(200_000)
    print(describe_run(PLAN), file=sys.stderr)
    try:
        check_folder(".snakemake")
    except UserError as error:
        raise WorkflowError(
            f"{error}. Snakemake keeps its notes there: run it in a copy of the project that you may write to"
        ) from None

# Jobs use the Python that runs Snakemake.
shell.prefix(f'PATH={quote(str(Path(sys.executable).parent))}:"$PATH"; ')

# Pages are made where Snakemake runs: the process of a single job starts sooner without them and the targets.
RULES = make_rules(PLAN, pages=workflow.is_main_process)
keep_finished_outputs(RULES)

if workflow.is_main_process:
    ask_files_first(workflow, RULES)
    if not workflow.output_settings.verbose:
        shorten_failures(logger)

# The first, reproduce_all, is what is made when none is named.
for target, files in make_targets(PLAN).items() if workflow.is_main_process else ():

    rule:
        name:
            target
        input:
            files,


include: "workflow/rules/data.smk"
include: "workflow/rules/released.smk"


if "train" in RULES:

    include: "workflow/rules/train.smk"


if "sample" in RULES:

    include: "workflow/rules/sample.smk"


include: "workflow/rules/evaluate.smk"
include: "workflow/rules/figures.smk"


if "table" in RULES:

    include: "workflow/rules/tables.smk"


# Not called in a dry run, nor in the processes of single jobs; before the first job is started or submitted.
onstart:
    jobs = list(workflow.dag.needrun_jobs())
    planned = [(job.rule.name, *job.wildcards) for job in jobs]
    on_slurm = workflow.executor_plugin.name == "slurm"
    try:
        if on_slurm:
            check_cluster(jobs)
    except UserError as error:
        raise WorkflowError(str(error)) from None
    try:
        check_run_folders(PLAN)
    except UserError as error:
        raise WorkflowError(str(error)) from None
    for words in (
        describe_start(PLAN, planned),
        # A cluster's login node needs no GPU.
        None if on_slurm else warn_of_missing_gpu(PLAN, planned),
    ):
        if words:
            print(words, file=sys.stderr)
    missing = list_missing(PLAN, [key[1] for key in planned if key[0] == "prepare"])
    if missing:
        raise WorkflowError("\n".join(["your own images are missing:", *missing]))
