# Pages, one for each table, and the index.


rule table:
    input:
        unpack(RULES["table"].find_inputs),
    output:
        **RULES["table"].show_page("html", "Tables", "{table}"),
    log:
        RULES["table"].log,
    localrule: True
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=30,
    params:
        **RULES["table"].params,
    shell:
        run(
            "python -m workflow table-spec --table {wildcards.table:q} {params.options:q} --out {output.spec:q} --runs {output.runs:q}",
            'python -m reports table --spec {output.spec:q} --runs {output.runs:q} --out-dir "$(dirname {output.spec:q})" {params.run_options:q}',
        )


rule index:
    input:
        unpack(RULES["index"].find_inputs),
    output:
        **RULES["index"].show_page("page", "Overview", "index"),
    log:
        RULES["index"].log,
    localrule: True
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=30,
    params:
        **RULES["index"].params,
    shell:
        run(
            "python -m workflow costs {params.options:q} --out {output.costs:q}",
            'python -m reports index --out-dir "$(dirname {output.page:q})" --costs {output.costs:q} {input.tables:q} {params.run_options:q}',
        )
