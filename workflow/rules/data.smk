# Images of each task, one zip each.


rule dataset:
    output:
        data=f"{ROOT}/data/{{task}}.zip",
        spec=f"{ROOT}/data/{{task}}.spec.json",
    log:
        f"{LOGS}/data/{{task}}.log",
    benchmark:
        f"{ROOT}/benchmarks/data/{{task}}.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=30,
    params:
        spec=lambda wildcards: canonical_json(PLAN.datasets[wildcards.task]),
    shell:
        "(printf '%s\\n' {params.spec:q} > {output.spec} &&"
        " python -m adm dataset --spec {output.spec} --out {output.data}) > {log} 2>&1"
