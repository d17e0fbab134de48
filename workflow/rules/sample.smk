# Batches of samples, in the authors' layout, with their protocol beside them, and the parts of large ones.


SAMPLE = run(
    "python -m adm sample --spec {output.spec:q} --weights {input.weights:q} --out {output.file:q}"
    " --state {params.shards:q} --batch-size {params.batch_size:q} --threads {threads:q} {params.run_options:q}",
    writes_spec=True,
)


rule sample:
    input:
        unpack(RULES["sample"].find_inputs),
    output:
        **RULES["sample"].outputs,
    log:
        RULES["sample"].log,
    conda:
        "../../environment.yml"
    threads: PLAN.scale.compute.threads
    resources:
        **RULES["sample"].resources,
    params:
        **RULES["sample"].params,
    shell:
        SAMPLE


if "shard" in RULES:

    rule shard:
        input:
            unpack(RULES["shard"].find_inputs),
        output:
            **RULES["shard"].outputs,
        log:
            RULES["shard"].log,
        conda:
            "../../environment.yml"
        threads: PLAN.scale.compute.threads
        resources:
            **RULES["shard"].resources,
        params:
            **RULES["shard"].params,
        shell:
            SAMPLE
