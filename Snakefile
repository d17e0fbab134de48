# The tables of "Diffusion Models Beat GANs on Image Synthesis", from data to page.
# Targets: reproduce_all, reproduce_table1 .. reproduce_table6, datasets, models, samples, metrics.
from snakemake.exceptions import WorkflowError
from snakemake.settings.enums import RerunTrigger
from snakemake.utils import min_version

from records.errors import UserError
from records.files import canonical_json, digest
from workflow.settings import DEFAULTS, load_plan
from workflow.sources import digest_sources
from workflow.table_spec import make_table_spec, table_inputs

min_version("9.27")

# Work is done again when its spec (params) or its set of inputs changes, never for an edited command line.
if workflow.dag_settings is not None:  # --lint builds no graph
    workflow.dag_settings.rerun_triggers = frozenset(
        {RerunTrigger.PARAMS, RerunTrigger.INPUT}
    )

try:
    PLAN = load_plan(config)
except UserError as error:
    raise WorkflowError(str(error)) from None

ROOT = PLAN.root
MADE = f"{ROOT}/{PLAN.source}"
LOGS = f"logs/{PLAN.scale.name}/{PLAN.source}"
OPTIONS = " ".join(
    f"--{key} {config.get(key, value)}" for key, value in DEFAULTS.items()
)


wildcard_constraints:
    task="|".join(PLAN.datasets),
    model="|".join(PLAN.models),
    mark="[A-Za-z0-9]+",
    sample="|".join(PLAN.samples),
    table="|".join(PLAN.tables),


rule reproduce_all:
    input:
        f"{ROOT}/report/index.html",
        expand(f"{ROOT}/report/{{table}}.html", table=PLAN.tables),


for name, table in PLAN.tables.items():
    for target in (name, table.alias):

        rule:
            name:
                f"reproduce_{target}"
            input:
                f"{ROOT}/report/{name}.html",


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
        [PLAN.ceiling_path(task) for task in PLAN.datasets],


include: "workflow/rules/data.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/sample.smk"
include: "workflow/rules/evaluate.smk"
include: "workflow/rules/tables.smk"
