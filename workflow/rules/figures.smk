# The page of all figures, with the points that each plots, and the pictures that it shows.

if "nearest" in RULES:

    rule nearest:
        input:
            unpack(RULES["nearest"].find_inputs),
        output:
            **RULES["nearest"].outputs,
        log:
            RULES["nearest"].log,
        conda:
            "../../environment.yml"
        threads: 1
        resources:
            **RULES["nearest"].resources,
        params:
            **RULES["nearest"].params,
        shell:
            run(
                "python -m eval nearest {input.reference:q} {input.samples:q} --weights {input.weights:q}"
                " --out {output.file:q} --num-images {params.num_images:q} --num-neighbours {params.num_neighbours:q}"
                " --digest {params.digest:q} {params.run_options:q}"
            )


if "between" in RULES:

    rule between:
        input:
            unpack(RULES["between"].find_inputs),
        output:
            **RULES["between"].outputs,
        log:
            RULES["between"].log,
        conda:
            "../../environment.yml"
        threads: PLAN.scale.compute.threads
        resources:
            **RULES["between"].resources,
        params:
            **RULES["between"].params,
        shell:
            run(
                "python -m adm interpolate {input.weights:q} {input.data:q} --out {output.file:q}"
                " --num-images {params.num_images:q} --num-steps {params.num_steps:q} --respacing {params.respacing:q}"
                " --digest {params.digest:q} --threads {threads:q} {params.run_options:q}"
            )


if "denoising" in RULES:

    rule denoising:
        input:
            unpack(RULES["denoising"].find_inputs),
        output:
            **RULES["denoising"].outputs,
        log:
            RULES["denoising"].log,
        conda:
            "../../environment.yml"
        threads: PLAN.scale.compute.threads
        resources:
            **RULES["denoising"].resources,
        params:
            **RULES["denoising"].params,
        shell:
            run(
                "python -m adm denoise --spec {output.spec:q} --weights {input.weights:q} --out {output.file:q}"
                " --batch-size {params.batch_size:q} --threads {threads:q} {params.run_options:q}",
                writes_spec=True,
            )


if "figures" in RULES:

    rule figures:
        input:
            unpack(RULES["figures"].find_inputs),
        output:
            **RULES["figures"].show_page("page", "Figures", "figures"),
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
                "python -m workflow figures-spec {params.options:q} --out {output.spec:q} --runs {output.runs:q}",
                'python -m reports figures --spec {output.spec:q} --runs {output.runs:q} --out-dir "$(dirname {output.spec:q})" {params.run_options:q}',
            )
