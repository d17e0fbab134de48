# Pages, one for each table, and the index.
from records.files import sha256_file


rule table:
    input:
        metrics=lambda wildcards: table_inputs(PLAN, wildcards.table)["metrics"],
        samples=lambda wildcards: table_inputs(PLAN, wildcards.table)["samples"],
        ceilings=lambda wildcards: table_inputs(PLAN, wildcards.table)["ceilings"],
        accuracies=lambda wildcards: table_inputs(PLAN, wildcards.table)["accuracies"],
        others=lambda wildcards: table_inputs(PLAN, wildcards.table)["others"],
    output:
        multiext(f"{ROOT}/report/{{table}}", ".html", ".csv", ".md", ".tex", ".json"),
        spec=f"{ROOT}/report/{{table}}.spec.json",
    log:
        text=f"{LOGS}/table/{{table}}.log",
        times=f"{LOGS}/table/{{table}}.times",
    benchmark:
        f"{BENCHMARKS}/table/{{table}}.tsv"
    localrule: True
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=30,
    params:
        spec=lambda wildcards: digest(make_table_spec(PLAN, wildcards.table)),
        # Other sources' numbers are made by other runs: only their content tells that they are new.
        others=lambda wildcards, input: [sha256_file(path) for path in input.others],
        sources=lambda wildcards: digest_page_code(),
        options=OPTIONS,
    shell:
        "{{ time python -m workflow table-spec --table {wildcards.table:q} {params.options}"
        " --out {output.spec:q} > {log.text:q} 2>&1;"
        ' time python -m reports table --spec {output.spec:q} --out-dir "$(dirname {output.spec:q})" >> {log.text:q} 2>&1; }} 2> {log.times:q}'


rule index:
    input:
        tables=expand(f"{ROOT}/report/{{table}}.json", table=PLAN.shown_tables),
    output:
        page=f"{ROOT}/report/index.html",
        allotment=f"{ROOT}/report/allotment.json",
    log:
        text=f"{LOGS}/index/index.log",
        times=f"{LOGS}/index/index.times",
    benchmark:
        f"{BENCHMARKS}/index/index.tsv"
    localrule: True
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=30,
    params:
        sources=lambda wildcards: digest_page_code(),
        options=OPTIONS,
    shell:
        "{{ time python -m workflow allotment {params.options} --out {output.allotment:q} > {log.text:q} 2>&1;"
        ' time python -m reports index --out-dir "$(dirname {output.page:q})" --allotment {output.allotment:q}'
        " {input.tables:q} >> {log.text:q} 2>&1; }} 2> {log.times:q}"
