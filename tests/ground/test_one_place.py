"""A switch of the networks, or a number of the sampler, is named in few places of the code.

Another switch is then a field, a use and a value; it is not listed on the way between them.
"""

import ast
from pathlib import Path

import pytest

from specs.architecture import ClassifierSwitches, DiffusionSwitches

ROOT = Path(__file__).resolve().parents[2]
CODE = ("adm", "adm_eval", "eval", "records", "reports", "specs", "workflow")
SCALES = [  # those that extend none
    path
    for path in sorted((ROOT / "params" / "scales").glob("*.yaml"))
    if "\nextends: " not in path.read_text()
]
LAYERS = "adm/networks/"
# Files that write an architecture in words of others: options of the authors' own scripts; columns
# of the paper's tables, their headings, what of them differs here; the small model of `adm fit`.
SWITCHES_IN_OTHER_WORDS = {
    "adm/published/checkpoints.py",
    "adm/published/own.py",
    "reports/format.py",
    "specs/tables.py",
    "workflow/differences.py",
}
# Files that do not lie between params/tables.yaml and the gradient: the door for those who bring
# their own settings, and what a page says of a row.
GUIDANCE_ELSEWHERE = {
    "adm/cli_named.py",
    "adm/published/draw.py",
    "adm/published/load.py",
    "adm/published/modules.py",
    "reports/comparable.py",
    "reports/protocol.py",
    "specs/row_facts.py",
    "specs/tables.py",
    "workflow/table_spec.py",
}


# The page of a model says what its blocks are; a switch that it does not know would not be shown.
DESCRIBED = {"reports/runs/blocks.py"}


def names_in(source: str) -> set[str]:
    """The names, attributes, keywords, parameters and texts of a source; comments are none."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        for key in ("id", "attr", "arg", "name", "value"):
            value = getattr(node, key, None)
            found |= {value} if isinstance(value, str) else set()
    return found


NAMES = {
    str(path.relative_to(ROOT)): names_in(path.read_text())
    for folder in CODE
    for path in sorted((ROOT / folder).rglob("*.py"))
}


def files_that_name(word: str) -> set[str]:
    return {path for path, names in NAMES.items() if word in names}


@pytest.mark.parametrize(
    ("switch", "uses"),
    [
        ("rescale_residual", {"trunk.py"}),
        ("biggan_updown", {"trunk.py", "unet.py"}),  # one for each half of the network
        ("channel_mult", set()),  # as `widths` beside the field
        ("attention_resolutions", {"trunk.py", "unet.py"}),
        ("qkv_order", {"trunk.py", "attention.py"}),  # handed on to the layer
    ],
)
def test_a_switch_is_a_field_a_use_and_a_value(switch: str, uses: set[str]) -> None:
    """Three places: specs/architecture.py, the layer that uses it, params/scales.

    The field's file also has the default of the published models. Two files name switches for
    another reason (SWITCHES_IN_OTHER_WORDS) and would work without a new one; a third that does
    fails this test, as a file that copies switches one by one would.
    """
    assert switch in {*DiffusionSwitches.model_fields, *ClassifierSwitches.model_fields}
    named = files_that_name(switch) - SWITCHES_IN_OTHER_WORDS - DESCRIBED
    assert named == {"specs/architecture.py", *(LAYERS + name for name in uses)}
    assert all(f"{switch}: " in path.read_text() for path in SCALES)


def test_nothing_but_the_layers_and_the_field_names_a_switch_of_their_own() -> None:
    """The switches whose names mean nothing else, so that a new one is among them by itself."""
    switches = {*DiffusionSwitches.model_fields, *ClassifierSwitches.model_fields}
    words = {"channels", "depth", "heads", "dropout", "embedding", "pool"}  # of everyday use
    assert words < switches
    for switch in sorted(switches - words):
        elsewhere = files_that_name(switch) - SWITCHES_IN_OTHER_WORDS - DESCRIBED
        elsewhere = {path for path in elsewhere if not path.startswith(LAYERS)}
        assert elsewhere == {"specs/architecture.py"}, switch


def test_guidance_is_named_in_six_files_at_most_between_a_table_and_the_gradient() -> None:
    """From a row's sampler over the sample spec to the factor of the gradient."""
    assert "guidance_scale: " in (ROOT / "params" / "tables.yaml").read_text()
    named = files_that_name("guidance_scale")
    assert named >= GUIDANCE_ELSEWHERE  # an entry that is no longer needed goes
    named -= GUIDANCE_ELSEWHERE
    assert {"specs/sampling.py", "adm/process/guidance.py"} <= named
    assert len(named) <= 6, sorted(named)


def test_every_way_to_name_something_is_seen() -> None:
    for source in (
        "x.switch",
        "switch = 1",
        "def f(switch): pass",
        "f(switch=1)",
        "{'switch': 1}",
        "class A:\n    switch: bool",
        "from a import switch",
        "def switch(): pass",
        "match x:\n    case {'a': switch}: pass",
    ):
        assert "switch" in names_in(source), source
    for source in ("# switch", '"""A switch."""', "switches = 1"):
        assert "switch" not in names_in(source), source
