# Images of each task, one zip each: embedded ones, and those that the user brings.
from workflow.forecast_text import describe_start, warn_of_missing_gpu
from workflow.own_images import list_missing, note_planned, place_of, set_places
from workflow.slurm import check_cluster

# Places are not params: images that are elsewhere are the same images.
PLACES = set_places(PLAN)
BROUGHT = [name for name in PLAN.datasets if place_of(PLAN, name)]
EMBEDDED = [name for name in PLAN.datasets if not place_of(PLAN, name)]
PLANNED = set()

if EMBEDDED:

    rule dataset:
        output:
            data=f"{ROOT}/data/{{task}}.zip",
            spec=f"{ROOT}/data/{{task}}.spec.json",
        log:
            text=f"{LOGS}/data/{{task}}.log",
            times=f"{LOGS}/data/{{task}}.times",
        benchmark:
            f"{BENCHMARKS}/data/{{task}}.tsv"
        wildcard_constraints:
            task="|".join(EMBEDDED),
        conda:
            "../../environment.yml"
        threads: 1
        resources:
            mem_mb=1000,
            runtime=30,
        params:
            spec=lambda wildcards: canonical_json(PLAN.datasets[wildcards.task]),
        shell:
            "printf '%s\\n' {params.spec:q} > {output.spec:q}; {{ time"
            " python -m adm dataset --spec {output.spec:q} --out {output.data:q} > {log.text:q} 2>&1; }} 2> {log.times:q}"


if BROUGHT:

    rule prepare:
        input:
            note_planned(PLAN, PLANNED),
        output:
            data=f"{ROOT}/data/{{task}}.zip",
            spec=f"{ROOT}/data/{{task}}.spec.json",
        log:
            text=f"{LOGS}/data/{{task}}.log",
            times=f"{LOGS}/data/{{task}}.times",
        benchmark:
            f"{BENCHMARKS}/data/{{task}}.tsv"
        wildcard_constraints:
            task="|".join(BROUGHT),
        conda:
            "../../environment.yml"
        threads: 16
        resources:
            mem_mb=16000,
            runtime=1440,
        params:
            spec=lambda wildcards: canonical_json(PLAN.datasets[wildcards.task]),
            place=lambda wildcards: place_of(PLAN, wildcards.task),
        shell:
            "printf '%s\\n' {params.spec:q} > {output.spec:q}; {{ time"
            " {PLACES} python -m adm dataset --spec {output.spec:q} --path-variable {params.place:q} --workers {threads}"
            " --out {output.data:q} > {log.text:q} 2>&1; }} 2> {log.times:q}"


# Not called in a dry run, nor in the processes of single jobs; before the first job is started or submitted.
onstart:
    on_slurm = workflow.executor_plugin.name == "slurm"
    if on_slurm:
        try:
            check_cluster(workflow.dag.needrun_jobs())
        except UserError as error:
            raise WorkflowError(str(error)) from None
    try:
        check_folder(ROOT)
    except UserError as error:
        raise WorkflowError(
            f"results folder {error}, or choose another with --config results=FOLDER"
        ) from None
    planned = [
        (job.rule.name, *job.wildcards) for job in workflow.dag.needrun_jobs()
    ]
    for words in (
        describe_start(PLAN, planned),
        # A cluster's login node needs no GPU.
        None if on_slurm else warn_of_missing_gpu(PLAN, planned),
    ):
        if words:
            print(words, file=sys.stderr)
    missing = list_missing(PLAN, PLANNED)
    if missing:
        raise WorkflowError(
            "images that you bring are missing:\n" + "\n".join(missing)
        )
