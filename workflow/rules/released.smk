# What the authors published: fetched, and weights turned into safetensors with the spec of their model.


# On the machine where Snakemake itself runs: a cluster's nodes often have no internet. The download is kept under
# another name (workflow.fetching), so that neither a failed job nor one that runs again loses what has arrived.
for fetch in [name for name in RULES if name.startswith("fetch_")]:

    rule:
        name:
            fetch
        output:
            **RULES[fetch].outputs,
        log:
            RULES[fetch].log,
        priority: 60
        localrule: True
        conda:
            "../../environment.yml"
        threads: 1
        params:
            **RULES[fetch].params,
        shell:
            run(
                "python -m workflow.fetching {params.run_options:q} --folder {params.folder:q} --out {output.file:q}",
                shows=True,
            )


if "import_weights" in RULES:

    rule import_weights:
        input:
            unpack(RULES["import_weights"].find_inputs),
        output:
            **RULES["import_weights"].outputs,
        log:
            RULES["import_weights"].log,
        conda:
            "../../environment.yml"
        threads: 1
        resources:
            mem_mb=8000,
            runtime=30,
        params:
            **RULES["import_weights"].params,
        shell:
            run(
                "python -m adm import {input.checkpoint:q} --spec {output.spec:q} --mark {wildcards.mark:q}"
                " --iteration {params.iteration:q} --scale {params.scale:q} --out {output.file:q} {params.run_options:q}",
                writes_spec=True,
            )
