# Models up to a mark (the run's own state is stored outside the declared outputs and survives a failed job), and how well
# the classifiers that guide read noisy images.
from workflow.accuracy import make_accuracy_spec


rule train:
    input:
        data=lambda wildcards: ancient(
            PLAN.data_path(PLAN.training_data(wildcards.model))
        ),
        previous=lambda wildcards: [
            ancient(PLAN.model_path(wildcards.model, mark))
            for mark in [PLAN.previous_mark(wildcards.model, wildcards.mark)]
            if mark
        ],
        specs=lambda wildcards: [
            PLAN.data_spec_path(PLAN.training_data(wildcards.model))
        ]
        + [
            PLAN.model_spec_path(wildcards.model, mark)
            for mark in [PLAN.previous_mark(wildcards.model, wildcards.mark)]
            if mark
        ],
    output:
        weights=f"{MADE}/models/{{model}}/ema-{{mark}}.safetensors",
        spec=f"{MADE}/models/{{model}}/ema-{{mark}}.spec.json",
    log:
        text=f"{LOGS}/train/{{model}}-{{mark}}.log",
        times=f"{LOGS}/train/{{model}}-{{mark}}.times",
    benchmark:
        f"{BENCHMARKS}/train/{{model}}-{{mark}}.tsv"
    priority: 50  # the longest jobs first, so that no core idles at the end
    conda:
        "../../environment.yml"
    threads: PLAN.scale.compute.threads
    resources:
        gpu=GPUS,
        mem_mb=lambda wildcards: compute_resources(PLAN, "train", *wildcards)["mem_mb"],
        runtime=lambda wildcards: compute_resources(PLAN, "train", *wildcards)[
            "runtime"
        ],
        # Resources, since another mark, policy or device makes no weights stale, as another param would.
        drop_state=lambda wildcards: int(
            PLAN.drops_state(wildcards.model, wildcards.mark)
        ),
        device=PLAN.device,
        tags=format_tags(PLAN),
    params:
        spec=lambda wildcards: canonical_json(PLAN.models[wildcards.model]),
        iterations=lambda wildcards: PLAN.marks[wildcards.model][wildcards.mark],
        state=lambda wildcards: PLAN.state_path(wildcards.model),
        events=lambda wildcards: f"{MADE}/events/train-{wildcards.model}.jsonl",
        save_every_seconds=PLAN.scale.compute.save_every_seconds,
    shell:
        "printf '%s\\n' {params.spec:q} > {output.spec:q}; {{ time"
        " OMP_NUM_THREADS={threads} python -m adm train --spec {output.spec:q} --data {input.data:q}"
        " --state {params.state:q} --mark {wildcards.mark:q} --iterations {params.iterations:q}"
        " --out {output.weights:q} --events {params.events:q} {resources.tags} --device {resources.device}"
        " --threads {threads} --save-every-seconds {params.save_every_seconds:q} --drop-state {resources.drop_state} > {log.text:q} 2>&1; }} 2> {log.times:q}"


rule accuracy:
    input:
        weights=lambda wildcards: ancient(
            PLAN.model_path(wildcards.classifier, wildcards.mark)
        ),
        data=lambda wildcards: ancient(
            PLAN.data_path(PLAN.models[wildcards.classifier]["task"])
        ),
        specs=lambda wildcards: [
            PLAN.model_spec_path(wildcards.classifier, wildcards.mark),
            PLAN.data_spec_path(PLAN.models[wildcards.classifier]["task"]),
        ],
    output:
        accuracy=f"{MADE}/models/{{classifier}}/accuracy-{{mark}}.json",
        spec=f"{MADE}/models/{{classifier}}/accuracy-{{mark}}.spec.json",
    log:
        text=f"{LOGS}/accuracy/{{classifier}}-{{mark}}.log",
        times=f"{LOGS}/accuracy/{{classifier}}-{{mark}}.times",
    benchmark:
        f"{BENCHMARKS}/accuracy/{{classifier}}-{{mark}}.tsv"
    conda:
        "../../environment.yml"
    threads: PLAN.scale.compute.threads
    resources:
        gpu=GPUS,
        mem_mb=lambda wildcards: compute_resources(PLAN, "accuracy", *wildcards)[
            "mem_mb"
        ],
        runtime=lambda wildcards: compute_resources(PLAN, "accuracy", *wildcards)[
            "runtime"
        ],
        device=PLAN.device,
    params:
        spec=lambda wildcards: canonical_json(
            make_accuracy_spec(PLAN, wildcards.classifier, wildcards.mark)
        ),
        batch_size=PLAN.scale.evaluation.batch_size,
    shell:
        "printf '%s\\n' {params.spec:q} > {output.spec:q}; {{ time"
        " OMP_NUM_THREADS={threads} python -m adm accuracy --spec {output.spec:q}"
        " --weights {input.weights:q} --data {input.data:q} --out {output.accuracy:q}"
        " --device {resources.device} --threads {threads} --batch-size {params.batch_size:q}"
        " > {log.text:q} 2>&1; }} 2> {log.times:q}"
