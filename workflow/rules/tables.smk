# Pages, one for each table, and the index.


rule table:
    input:
        metrics=lambda wildcards: table_inputs(PLAN, wildcards.table)["metrics"],
        samples=lambda wildcards: table_inputs(PLAN, wildcards.table)["samples"],
        ceilings=lambda wildcards: table_inputs(PLAN, wildcards.table)["ceilings"],
    output:
        multiext(f"{ROOT}/report/{{table}}", ".html", ".csv", ".md", ".tex", ".json"),
        spec=f"{ROOT}/report/{{table}}.spec.json",
    log:
        f"{LOGS}/table/{{table}}.log",
    benchmark:
        f"{ROOT}/benchmarks/table/{{table}}.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=30,
    params:
        spec=lambda wildcards: digest(make_table_spec(PLAN, wildcards.table)),
        sources=digest_sources("reports", "workflow"),
        options=OPTIONS,
    shell:
        "(python -m workflow table-spec --table {wildcards.table} {params.options}"
        " --out {output.spec} &&"
        " python -m reports table --spec {output.spec} --out-dir $(dirname {output.spec})) > {log} 2>&1"


rule index:
    input:
        tables=expand(f"{ROOT}/report/{{table}}.json", table=PLAN.tables),
    output:
        page=f"{ROOT}/report/index.html",
        allotment=f"{ROOT}/report/allotment.json",
    log:
        f"{LOGS}/index/index.log",
    benchmark:
        f"{ROOT}/benchmarks/index/index.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=30,
    params:
        sources=digest_sources("reports", "workflow"),
        options=OPTIONS,
    shell:
        "(python -m workflow allotment {params.options} --out {output.allotment} &&"
        " python -m reports index --out-dir $(dirname {output.page}) --allotment {output.allotment}"
        " {input.tables}) > {log} 2>&1"
