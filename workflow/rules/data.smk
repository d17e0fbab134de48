# Images of each task, one zip each.


rule dataset:
    output:
        data=f"{ROOT}/data/{{task}}.zip",
        spec=f"{ROOT}/data/{{task}}.spec.json",
    log:
        text=f"{LOGS}/data/{{task}}.log",
        times=f"{LOGS}/data/{{task}}.times",
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
        "printf '%s\\n' {params.spec:q} > {output.spec:q}; {{ time"
        " python -m adm dataset --spec {output.spec:q} --out {output.data:q} > {log.text:q} 2>&1; }} 2> {log.times:q}"
