# The feature network, reference statistics, and the metrics of each batch of samples.


rule network:
    input:
        data=ancient(PLAN.data_path(PLAN.scale.network.task)),
        specs=PLAN.data_spec_path(PLAN.scale.network.task),
    output:
        weights=f"{ROOT}/network/features.safetensors",
        spec=f"{ROOT}/network/features.spec.json",
    log:
        text=f"{LOGS}/network/features.log",
        times=f"{LOGS}/network/features.times",
    benchmark:
        f"{ROOT}/benchmarks/network/features.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        spec=canonical_json(PLAN.scale.network.model_dump(exclude={"task"})),
        dataset=canonical_json(PLAN.datasets[PLAN.scale.network.task]),
    shell:
        "printf '%s\\n' {params.spec:q} > {output.spec:q}; {{ time"
        " OMP_NUM_THREADS={threads} python -m eval network {input.data:q} --spec {output.spec:q}"
        " --out {output.weights:q} > {log.text:q} 2>&1; }} 2> {log.times:q}"


rule reference:
    input:
        data=lambda wildcards: ancient(PLAN.data_path(wildcards.task)),
        weights=ancient(rules.network.output.weights),
        specs=lambda wildcards: [
            PLAN.data_spec_path(wildcards.task),
            rules.network.output.spec,
        ],
    output:
        batch=f"{ROOT}/references/{{task}}.npz",
        protocol=f"{ROOT}/references/{{task}}.json",
    log:
        text=f"{LOGS}/reference/{{task}}.log",
        times=f"{LOGS}/reference/{{task}}.times",
    benchmark:
        f"{ROOT}/benchmarks/reference/{{task}}.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        spec=lambda wildcards: canonical_json(PLAN.reference_spec(wildcards.task)),
        num_images=PLAN.scale.evaluation.reference_images,
        seed=PLAN.scale.evaluation.seed,
    shell:
        "{{ time OMP_NUM_THREADS={threads} python -m eval reference {input.data:q} --weights {input.weights:q}"
        " --num-images {params.num_images:q} --seed {params.seed:q} --out {output.batch:q} > {log.text:q} 2>&1; }} 2> {log.times:q}"


rule ceiling:
    input:
        data=lambda wildcards: ancient(PLAN.data_path(wildcards.task)),
        weights=ancient(rules.network.output.weights),
        specs=lambda wildcards: [
            PLAN.data_spec_path(wildcards.task),
            rules.network.output.spec,
        ],
    output:
        f"{ROOT}/metrics/real-{{task}}.json",
    log:
        text=f"{LOGS}/ceiling/{{task}}.log",
        times=f"{LOGS}/ceiling/{{task}}.times",
    benchmark:
        f"{ROOT}/benchmarks/ceiling/{{task}}.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        digest=lambda wildcards: digest(PLAN.reference_spec(wildcards.task)),
        seed=PLAN.scale.evaluation.seed,
    shell:
        "{{ time OMP_NUM_THREADS={threads} python -m eval ceiling {input.data:q} --weights {input.weights:q}"
        " --name real-{wildcards.task} --digest {params.digest:q} --seed {params.seed:q}"
        " --json {output:q} > {log.text:q} 2>&1; }} 2> {log.times:q}"


rule evaluate:
    input:
        reference=lambda wildcards: ancient(
            f"{ROOT}/references/{PLAN.samples[wildcards.sample]['task']}.npz"
        ),
        samples=ancient(rules.sample.output.batch),
        weights=ancient(rules.network.output.weights),
        specs=lambda wildcards: [
            f"{ROOT}/references/{PLAN.samples[wildcards.sample]['task']}.json",
            PLAN.samples_spec_path(wildcards.sample),
            rules.network.output.spec,
        ],
    output:
        f"{MADE}/metrics/{{sample}}.json",
    log:
        text=f"{LOGS}/evaluate/{{sample}}.log",
        times=f"{LOGS}/evaluate/{{sample}}.times",
    benchmark:
        f"{ROOT}/benchmarks/evaluate/{{sample}}.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        digest=lambda wildcards: digest(PLAN.metric_spec(wildcards.sample)),
        seed=PLAN.scale.evaluation.seed,
        batch_size=PLAN.scale.evaluation.batch_size,
    shell:
        "{{ time OMP_NUM_THREADS={threads} python -m eval {input.reference:q} {input.samples:q}"
        " --weights {input.weights:q} --name {wildcards.sample:q} --digest {params.digest:q}"
        " --intervals --seed {params.seed:q} --batch-size {params.batch_size:q} --json {output:q}"
        " > {log.text:q} 2>&1; }} 2> {log.times:q}"
