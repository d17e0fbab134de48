# Images of each task, one zip each: embedded digits, and the user's own images.

if "dataset" in RULES:

    rule dataset:
        output:
            **RULES["dataset"].outputs,
        log:
            RULES["dataset"].log,
        conda:
            "../../environment.yml"
        threads: 1
        resources:
            mem_mb=1000,
            runtime=30,
        params:
            **RULES["dataset"].params,
        shell:
            run(
                "python -m adm dataset --spec {output.spec:q} --out {output.file:q} {params.run_options:q}",
                writes_spec=True,
            )


if "prepare" in RULES:

    rule prepare:
        input:
            unpack(RULES["prepare"].find_inputs),
        output:
            **RULES["prepare"].outputs,
        log:
            RULES["prepare"].log,
        conda:
            "../../environment.yml"
        threads: 16
        resources:
            mem_mb=16000,
            runtime=1440,
        params:
            **RULES["prepare"].params,
        shell:
            run(
                "python -m adm dataset --spec {output.spec:q} --path-variable {params.place:q} --out {output.file:q}"
                " --workers {threads:q} {params.run_options:q}",
                writes_spec=True,
            )
