# The page of all figures, with the points that each plots.


rule figures:
    input:
        unpack(RULES["figures"].find_inputs),
    output:
        **RULES["figures"].outputs,
    log:
        RULES["figures"].log,
    localrule: True
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=30,
    params:
        **RULES["figures"].params,
    shell:
        run(
            "python -m workflow figures-spec {params.options:q} --out {output.spec:q}",
            'python -m reports figures --spec {output.spec:q} --out-dir "$(dirname {output.spec:q})" {params.run_options:q}',
        )
