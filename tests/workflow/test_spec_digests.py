"""What users have computed stays valid: no spec's digest changes unless a number does."""

import json

from tests.workflow.conftest import ROOT
from tests.workflow.spec_digests import list_all


def flatten(runs):
    return {
        (run, kind, name): digest
        for run, kinds in runs.items()
        for kind, digests in kinds.items()
        for name, digest in digests.items()
    }


def test_digests_are_the_committed_ones():
    """A digest that changed on purpose: note it in CHANGELOG under Numbers, and write the list.

    The command that writes it is in tests/workflow/spec_digests.py.
    """
    committed = flatten(json.loads((ROOT / "tests" / "data" / "spec_digests.json").read_text()))
    found = flatten(list_all())
    assert len(found) > 500
    assert [key for key in {**committed, **found} if committed.get(key) != found.get(key)] == []
