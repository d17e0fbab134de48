# The feature network, reference statistics, and the metrics of each batch of samples.
from workflow.forecast_jobs import CEILING_IMAGES

# What every command that runs the feature network takes. It is among the resources, not the params, since another
# device or batch size makes nothing stale. The hash of the weights is checked when they are made.
EVALUATION_OPTIONS = PLAN.evaluation_options()
NETWORK_IS_TRAINED = PLAN.scale.network.kind == "small"

if NETWORK_IS_TRAINED:

    rule network:
        input:
            data=ancient(PLAN.data_path(PLAN.scale.network.task)),
            specs=PLAN.data_spec_path(PLAN.scale.network.task),
        output:
            weights=PLAN.network_path,
            spec=PLAN.network_spec_path,
        log:
            text=f"{LOGS}/network/network.log",
            times=f"{LOGS}/network/network.times",
        benchmark:
            f"{BENCHMARKS}/network/network.tsv"
        conda:
            "../../environment.yml"
        threads: 1
        resources:
            mem_mb=2000,
            runtime=30,
        params:
            spec=canonical_json(PLAN.scale.network.model_dump(exclude={"kind", "task"})),
            dataset=canonical_json(PLAN.datasets[PLAN.scale.network.task]),
        shell:
            "printf '%s\\n' {params.spec:q} > {output.spec:q}; {{ time"
            " OMP_NUM_THREADS={threads} python -m eval network {input.data:q} --spec {output.spec:q}"
            " --out {output.weights:q} > {log.text:q} 2>&1; }} 2> {log.times:q}"

else:

    rule network:
        output:
            weights=PLAN.network_path,
            spec=PLAN.network_spec_path,
        log:
            f"{LOGS}/network/network.log",
        localrule: True  # a cluster's nodes often have no internet
        conda:
            "../../environment.yml"
        threads: 1
        params:
            spec=canonical_json(PLAN.network_spec()),
            sha256=PLAN.scale.network.sha256,
            artefact=name_file(
                {
                    **ARTEFACTS[PLAN.released.inception_graph.path],
                    "sha256": PLAN.scale.network.sha256,
                }
            ),
            folder=DOWNLOADS,
        shell:
            "printf '%s\\n' {params.spec:q} > {output.spec:q};"
            ' {{ if [ -n "${{ADM_INCEPTION:-}}" ]; then python -m eval weights --sha256 {params.sha256:q} --out {output.weights:q};'
            " else python -m workflow.fetching --artefact {params.artefact:q} --folder {params.folder:q} --out {output.weights:q} "
            + TERMS
            + "; fi; }}"
            " 2> >(tee {log:q} >&2)"


if PLAN.scale.evaluation.reference == "own":

    rule reference:
        input:
            data=lambda wildcards: ancient(PLAN.data_path(wildcards.task)),
            weights=ancient(PLAN.network_path),
            specs=lambda wildcards: [
                PLAN.data_spec_path(wildcards.task),
                PLAN.network_spec_path,
            ],
        output:
            batch=f"{ROOT}/references/{{task}}.npz",
            protocol=f"{ROOT}/references/{{task}}.json",
        log:
            text=f"{LOGS}/reference/{{task}}.log",
            times=f"{LOGS}/reference/{{task}}.times",
        benchmark:
            f"{BENCHMARKS}/reference/{{task}}.tsv"
        conda:
            "../../environment.yml"
        threads: 1
        resources:
            gpu=GPUS,
            options=EVALUATION_OPTIONS,
            mem_mb=lambda wildcards: compute_resources(PLAN, "reference", *wildcards)[
                "mem_mb"
            ],
            runtime=lambda wildcards: compute_resources(PLAN, "reference", *wildcards)[
                "runtime"
            ],
        params:
            spec=lambda wildcards: canonical_json(PLAN.reference_spec(wildcards.task)),
            num_images=PLAN.scale.evaluation.reference_images,
            seed=PLAN.scale.evaluation.seed,
        shell:
            "{{ time OMP_NUM_THREADS={threads} python -m eval reference {input.data:q} --weights {input.weights:q}"
            " {resources.options} --num-images {params.num_images:q} --seed {params.seed:q} --out {output.batch:q} > {log.text:q} 2>&1; }} 2> {log.times:q}"


if PLAN.source == "retrain":

    rule ceiling:
        input:
            data=lambda wildcards: ancient(PLAN.data_path(wildcards.task)),
            weights=ancient(PLAN.network_path),
            specs=lambda wildcards: [
                PLAN.data_spec_path(wildcards.task),
                PLAN.network_spec_path,
            ],
        output:
            f"{ROOT}/metrics/real-{{task}}.json",
        log:
            text=f"{LOGS}/ceiling/{{task}}.log",
            times=f"{LOGS}/ceiling/{{task}}.times",
        benchmark:
            f"{BENCHMARKS}/ceiling/{{task}}.tsv"
        conda:
            "../../environment.yml"
        threads: 1
        resources:
            gpu=GPUS,
            options=EVALUATION_OPTIONS,
            events=lambda wildcards: record_events(PLAN, f"ceiling-{wildcards.task}"),
            images=CEILING_IMAGES,  # sets that are smaller, or already graded, stay as they are
            mem_mb=lambda wildcards: compute_resources(PLAN, "ceiling", *wildcards)[
                "mem_mb"
            ],
            runtime=lambda wildcards: compute_resources(PLAN, "ceiling", *wildcards)[
                "runtime"
            ],
        params:
            digest=lambda wildcards: digest(PLAN.reference_spec(wildcards.task)),
            metrics=",".join(PLAN.scale.evaluation.metrics),
            seed=PLAN.scale.evaluation.seed,
        shell:
            "{{ time OMP_NUM_THREADS={threads} python -m eval ceiling {input.data:q} --weights {input.weights:q}"
            " {resources.options} --metrics {params.metrics:q} --name real-{wildcards.task} --digest {params.digest:q} --seed {params.seed:q}"
            " --num-images {resources.images}"
            " {resources.events}"
            " --json {output:q} > {log.text:q} 2>&1; }} 2> {log.times:q}"


rule evaluate:
    input:
        reference=lambda wildcards: ancient(
            PLAN.reference_path(PLAN.samples[wildcards.sample]["task"])
        ),
        samples=lambda wildcards: ancient(PLAN.samples_path(wildcards.sample)),
        weights=ancient(PLAN.network_path),
        specs=lambda wildcards: [
            PLAN.reference_protocol_path(PLAN.samples[wildcards.sample]["task"]),
            PLAN.samples_spec_path(wildcards.sample),
            PLAN.network_spec_path,
        ],
    output:
        f"{MADE}/metrics/{{sample}}.json",
    log:
        text=f"{LOGS}/evaluate/{{sample}}.log",
        times=f"{LOGS}/evaluate/{{sample}}.times",
    benchmark:
        f"{BENCHMARKS}/evaluate/{{sample}}.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        gpu=GPUS,
        options=EVALUATION_OPTIONS,
        events=lambda wildcards: record_events(PLAN, f"evaluate-{wildcards.sample}"),
        mem_mb=lambda wildcards: compute_resources(PLAN, "evaluate", *wildcards)[
            "mem_mb"
        ],
        runtime=lambda wildcards: compute_resources(PLAN, "evaluate", *wildcards)[
            "runtime"
        ],
    params:
        digest=lambda wildcards: digest(PLAN.metric_spec(wildcards.sample)),
        metrics=",".join(PLAN.scale.evaluation.metrics),
        seed=PLAN.scale.evaluation.seed,
    shell:
        "{{ time OMP_NUM_THREADS={threads} python -m eval {input.reference:q} {input.samples:q}"
        " --weights {input.weights:q} {resources.options} --metrics {params.metrics:q} --name {wildcards.sample:q} --digest {params.digest:q}"
        " --intervals --seed {params.seed:q} --json {output:q}"
        " {resources.events}"
        " > {log.text:q} 2>&1; }} 2> {log.times:q}"
