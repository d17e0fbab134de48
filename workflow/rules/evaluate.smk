# The feature network, reference statistics, and the metrics of each batch of samples.

if PLAN.scale.network.kind == "small":

    rule network:
        input:
            unpack(RULES["network"].find_inputs),
        output:
            **RULES["network"].outputs,
        log:
            RULES["network"].log,
        conda:
            "../../environment.yml"
        threads: 1
        resources:
            mem_mb=2000,
            runtime=30,
        params:
            **RULES["network"].params,
        shell:
            run(
                "python -m eval network {input.data:q} --spec {output.spec:q} --out {output.file:q} {params.run_options:q}",
                writes_spec=True,
            )

else:

    rule network:
        output:
            **RULES["network"].outputs,
        log:
            RULES["network"].log,
        localrule: True  # a cluster's nodes often have no internet
        conda:
            "../../environment.yml"
        threads: 1
        params:
            **RULES["network"].params,
        shell:
            run(
                'if [ -n "${{ADM_INCEPTION:-}}" ]; then'
                " python -m eval weights --sha256 {params.sha256:q} --out {output.file:q} {params.run_options:q}; else"
                " python -m workflow.fetching --artefact {params.artefact:q} --folder {params.folder:q}"
                " --out {output.file:q} {params.run_options:q}; fi",
                writes_spec=True,
                shows=True,
            )


if "reference" in RULES:

    rule reference:
        input:
            unpack(RULES["reference"].find_inputs),
        output:
            **RULES["reference"].outputs,
        log:
            RULES["reference"].log,
        conda:
            "../../environment.yml"
        threads: 1
        resources:
            **RULES["reference"].resources,
        params:
            **RULES["reference"].params,
        shell:
            run(
                "python -m eval reference {input.data:q} --weights {input.weights:q} --out {output.file:q}"
                " --num-images {params.num_images:q} --seed {params.seed:q} {params.run_options:q}"
            )


if "ceiling" in RULES:

    rule ceiling:
        input:
            unpack(RULES["ceiling"].find_inputs),
        output:
            **RULES["ceiling"].outputs,
        log:
            RULES["ceiling"].log,
        conda:
            "../../environment.yml"
        threads: 1
        resources:
            **RULES["ceiling"].resources,
        params:
            **RULES["ceiling"].params,
        shell:
            run(
                "python -m eval ceiling {input.data:q} --weights {input.weights:q} --json {output.file:q}"
                " --name real-{wildcards.task:q} --metrics {params.metrics:q} --seed {params.seed:q} --digest {params.digest:q}"
                " {params.run_options:q}"
            )


rule evaluate:
    input:
        unpack(RULES["evaluate"].find_inputs),
    output:
        **RULES["evaluate"].outputs,
    log:
        RULES["evaluate"].log,
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        **RULES["evaluate"].resources,
    params:
        **RULES["evaluate"].params,
    shell:
        run(
            "python -m eval {input.reference:q} {input.samples:q} --weights {input.weights:q} --json {output.file:q}"
            " --name {wildcards.sample:q} --metrics {params.metrics:q} --seed {params.seed:q} --digest {params.digest:q}"
            " --intervals {params.run_options:q}"
        )
