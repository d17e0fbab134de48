# What the authors published: fetched, and weights turned into safetensors with the spec of their model.
import os

from workflow.availability import list_artefacts
from workflow.fetching import make_terms, name_file

ARTEFACTS = list_artefacts(PLAN.released)
DOWNLOADS = f"{ROOT}/released/downloads"
TERMS = make_terms(ARTEFACTS)


# On the machine where Snakemake itself runs: a cluster's nodes often have no internet. The download is kept under
# another name (workflow.fetching), so that neither a failed job nor one that runs again loses what has arrived.
for suffix in sorted({os.path.splitext(path)[1] for path in ARTEFACTS}):

    rule:
        name:
            f"fetch_{suffix[1:]}"
        output:
            file=f"{ROOT}/released/{{published}}{suffix}",
            hash=f"{ROOT}/released/{{published}}{suffix}.sha256",
            manifest=f"{ROOT}/released/{{published}}.json",
        log:
            f"{LOGS}/fetch/{{published}}.log",
        wildcard_constraints:
            published="|".join(
                re.escape(path.removesuffix(suffix))
                for path in ARTEFACTS
                if path.endswith(suffix)
            ),
        priority: 60
        localrule: True
        conda:
            "../../environment.yml"
        threads: 1
        params:
            artefact=lambda wildcards, output: name_file(
                ARTEFACTS[output.file.removeprefix(f"{ROOT}/released/")]
            ),
            folder=DOWNLOADS,
        shell:
            "python -m workflow.fetching --artefact {params.artefact:q} --folder {params.folder:q} --out {output.file:q} "
            + TERMS
            + " 2> >(tee {log:q} >&2)"


if PLAN.source == "resample":

    rule import_weights:
        input:
            checkpoint=lambda wildcards: ancient(PLAN.checkpoint_path(wildcards.model)),
            specs=lambda wildcards: PLAN.checkpoint_path(wildcards.model) + ".sha256",
        output:
            weights=f"{MADE}/models/{{model}}/ema-{{mark}}.safetensors",
            spec=f"{MADE}/models/{{model}}/ema-{{mark}}.spec.json",
        log:
            text=f"{LOGS}/import/{{model}}-{{mark}}.log",
            times=f"{LOGS}/import/{{model}}-{{mark}}.times",
        benchmark:
            f"{BENCHMARKS}/import/{{model}}-{{mark}}.tsv"
        conda:
            "../../environment.yml"
        threads: 1
        resources:
            mem_mb=8000,
            runtime=30,
        params:
            spec=lambda wildcards: canonical_json(PLAN.models[wildcards.model]),
            iteration=lambda wildcards: PLAN.marks[wildcards.model][wildcards.mark],
            scale=config.get("scale", DEFAULTS["scale"]),
        shell:
            "printf '%s\\n' {params.spec:q} > {output.spec:q}; {{ time"
            " OMP_NUM_THREADS={threads} python -m adm import {input.checkpoint:q} --spec {output.spec:q}"
            " --mark {wildcards.mark:q} --iteration {params.iteration} --scale {params.scale:q}"
            " --out {output.weights:q} > {log.text:q} 2>&1; }} 2> {log.times:q}"
