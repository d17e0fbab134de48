# Batches of samples, in the authors' layout, with their protocol beside them.


rule sample:
    input:
        weights=lambda wildcards: ancient(
            PLAN.model_path(
                PLAN.samples[wildcards.sample]["model"]["name"],
                PLAN.samples[wildcards.sample]["model"]["mark"],
            )
        ),
        classifier=lambda wildcards: [
            ancient(PLAN.model_path(classifier["name"], classifier["mark"]))
            for classifier in [PLAN.samples[wildcards.sample]["classifier"]]
            if classifier
        ],
        low_res=lambda wildcards: [
            ancient(PLAN.samples_path(base["name"]))
            for base in [PLAN.samples[wildcards.sample]["low_res"]]
            if base
        ],
        specs=lambda wildcards: [
            PLAN.model_spec_path(weights["name"], weights["mark"])
            for weights in (
                PLAN.samples[wildcards.sample]["model"],
                PLAN.samples[wildcards.sample]["classifier"],
            )
            if weights
        ]
        + [
            PLAN.samples_spec_path(base["name"])
            for base in [PLAN.samples[wildcards.sample]["low_res"]]
            if base
        ],
    output:
        batch=f"{MADE}/samples/{{sample}}/samples.npz",
        protocol=f"{MADE}/samples/{{sample}}/samples.json",
        spec=f"{MADE}/samples/{{sample}}/spec.json",
    log:
        text=f"{LOGS}/sample/{{sample}}.log",
        times=f"{LOGS}/sample/{{sample}}.times",
    benchmark:
        f"{BENCHMARKS}/sample/{{sample}}.tsv"
    conda:
        "../../environment.yml"
    threads: PLAN.scale.compute.threads
    resources:
        gpu=GPUS,
        mem_mb=lambda wildcards: compute_resources(PLAN, "sample", *wildcards)["mem_mb"],
        runtime=lambda wildcards: compute_resources(PLAN, "sample", *wildcards)[
            "runtime"
        ],
        # Resources, since shards of another size, or another device, make no samples stale.
        images_per_shard=PLAN.scale.sampling.images_per_shard,
        device=PLAN.device,
        events=lambda wildcards: record_events(PLAN, f"sample-{wildcards.sample}"),
    params:
        spec=lambda wildcards: canonical_json(PLAN.samples[wildcards.sample]),
        options=lambda wildcards, input: " ".join(
            f"--{option} {quote(path)}"
            for option, paths in (
                ("classifier", input.classifier),
                ("low-res", input.low_res),
            )
            for path in paths
        ),
        batch_size=PLAN.scale.sampling.batch_size,
        shards=lambda wildcards: PLAN.shards_path(wildcards.sample),
    shell:
        "printf '%s\\n' {params.spec:q} > {output.spec:q}; {{ time"
        " OMP_NUM_THREADS={threads} python -m adm sample --spec {output.spec:q}"
        " --weights {input.weights:q} {params.options} --out {output.batch:q}"
        " --device {resources.device} --threads {threads} --batch-size {params.batch_size:q}"
        " --state {params.shards:q} --images-per-shard {resources.images_per_shard}"
        " {resources.events} > {log.text:q} 2>&1; }} 2> {log.times:q}"
