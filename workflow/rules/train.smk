# Models up to a mark; the run's own state lies outside the declared outputs and survives a failed job.


rule train:
    input:
        data=lambda wildcards: ancient(
            PLAN.data_path(PLAN.models[wildcards.model]["task"])
        ),
        previous=lambda wildcards: [
            ancient(PLAN.model_path(wildcards.model, mark))
            for mark in [PLAN.previous_mark(wildcards.model, wildcards.mark)]
            if mark
        ],
        specs=lambda wildcards: [
            PLAN.data_spec_path(PLAN.models[wildcards.model]["task"])
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
        f"{ROOT}/benchmarks/train/{{model}}-{{mark}}.tsv"
    priority: 50  # the longest jobs first, so that no core idles at the end
    conda:
        "../../environment.yml"
    threads: PLAN.scale.compute.threads
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        spec=lambda wildcards: canonical_json(PLAN.models[wildcards.model]),
        iterations=lambda wildcards: PLAN.marks[wildcards.model][wildcards.mark],
        state=lambda wildcards: PLAN.state_path(wildcards.model),
        events=lambda wildcards: f"{MADE}/events/train-{wildcards.model}.jsonl",
        device=PLAN.scale.compute.device,
        save_every_seconds=PLAN.scale.compute.save_every_seconds,
    shell:
        "printf '%s\\n' {params.spec:q} > {output.spec:q}; {{ time"
        " OMP_NUM_THREADS={threads} python -m adm train --spec {output.spec:q} --data {input.data:q}"
        " --state {params.state:q} --mark {wildcards.mark:q} --iterations {params.iterations:q}"
        " --out {output.weights:q} --events {params.events:q} --device {params.device:q}"
        " --threads {threads} --save-every-seconds {params.save_every_seconds:q} > {log.text:q} 2>&1; }} 2> {log.times:q}"
