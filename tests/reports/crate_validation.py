"""Validate a crate without a network: the contexts are those of the package rocrate.

python -m tests.reports.crate_validation CRATE PROFILE...
"""

import json
import sys
from pathlib import Path
from unittest.mock import patch

import rocrate
from rdflib.plugins.shared.jsonld import context, util
from rocrate_validator import models, services
from rocrate_validator.utils import document_loader
from rocrate_validator.utils.http import HttpRequester

# The package has the context of 1.3; these terms were others in 1.1.
TERMS = {
    "ComputationalWorkflow": "https://bioschemas.org/ComputationalWorkflow",
    "FormalParameter": "https://bioschemas.org/FormalParameter",
    "input": "https://bioschemas.org/ComputationalWorkflow#input",
    "output": "https://bioschemas.org/ComputationalWorkflow#output",
}
read_file = util.source_to_json


class Answer:
    """What a server would answer."""

    status_code, ok = 200, True

    def __init__(self, content):
        self.headers = {"Content-Type": "application/ld+json"}
        self.text = json.dumps(content)

    def json(self):
        return json.loads(self.text)


def read_context(address):
    packaged = json.loads((Path(rocrate.__file__).parent / "data/ro-crate.jsonld").read_text())
    packaged["@context"] |= TERMS
    run = {"@context": {"sha256": "https://w3id.org/ro/terms/workflow-run#sha256"}}
    return {
        "https://w3id.org/ro/crate/1.1/context": packaged,
        "https://w3id.org/ro/terms/workflow-run/context": run,
    }[address]


def load(source, *arguments, **options):
    if isinstance(source, str) and source.startswith("http"):
        return read_context(source), None
    return read_file(source, *arguments, **options)


def main(crate, *profiles):
    def get(self, address, **options):
        return Answer(read_context(address))

    with (
        patch.object(util, "source_to_json", load),
        patch.object(context, "source_to_json", load),
        patch.object(document_loader, "_original_source_to_json", load),
        patch.object(HttpRequester, "get", get, create=True),
    ):
        for profile in profiles:
            settings = {"rocrate_uri": crate, "profile_identifier": profile}
            settings["requirement_severity"] = models.Severity.RECOMMENDED
            result = services.validate(settings)
            issues = [f"{one.severity.name} {one.message}" for one in result.get_issues()]
            print(json.dumps({"profile": profile, "issues": sorted(set(issues))}))


if __name__ == "__main__":
    main(*sys.argv[1:])
