# Models up to a mark, how well the classifiers that guide read noisy images, and the loss of denoisers on held-out images.


TRAIN = run(
    "{params.launch:q} -m adm train --spec {output.spec:q} --data {input.data:q} --state {params.state:q}"
    " --mark {wildcards.mark:q} --iterations {params.iterations:q} --out {output.file:q}"
    " --events {params.events:q} --save-every-seconds {params.save_every_seconds:q} --threads {params.threads:q} {params.run_options:q}",
    writes_spec=True,
)


rule train:
    input:
        unpack(RULES["train"].find_inputs),
    output:
        **RULES["train"].outputs,
    log:
        RULES["train"].log,
    priority: 50  # the longest jobs first, so that no core idles at the end
    conda:
        "../../environment.yml"
    threads: RULES["train"].threads
    resources:
        **RULES["train"].resources,
    params:
        **RULES["train"].params,
    shell:
        TRAIN


if "segment" in RULES:

    rule segment:
        input:
            unpack(RULES["segment"].find_inputs),
        output:
            **RULES["segment"].outputs,
        log:
            RULES["segment"].log,
        priority: 50
        conda:
            "../../environment.yml"
        threads: RULES["train"].threads
        resources:
            **RULES["segment"].resources,
        params:
            **RULES["segment"].params,
        shell:
            TRAIN.replace("--out", "--part 1 --out")


rule accuracy:
    input:
        unpack(RULES["accuracy"].find_inputs),
    output:
        **RULES["accuracy"].outputs,
    log:
        RULES["accuracy"].log,
    conda:
        "../../environment.yml"
    threads: PLAN.scale.compute.threads
    resources:
        **RULES["accuracy"].resources,
    params:
        **RULES["accuracy"].params,
    shell:
        run(
            "python -m adm accuracy --spec {output.spec:q} --weights {input.weights:q} --data {input.data:q}"
            " --out {output.file:q} --batch-size {params.batch_size:q} --threads {threads:q} {params.run_options:q}",
            writes_spec=True,
        )


if "loss" in RULES:

    rule loss:
        input:
            unpack(RULES["loss"].find_inputs),
        output:
            **RULES["loss"].outputs,
        log:
            RULES["loss"].log,
        conda:
            "../../environment.yml"
        threads: PLAN.scale.compute.threads
        resources:
            **RULES["loss"].resources,
        params:
            **RULES["loss"].params,
        shell:
            run(
                "python -m adm loss --spec {output.spec:q} --weights {input.weights:q} --data {input.data:q}"
                " --out {output.file:q} --threads {threads:q} {params.run_options:q}",
                writes_spec=True,
            )
