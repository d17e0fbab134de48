"""A target that an option has taken for one of its rules is not forgotten in silence."""

from types import SimpleNamespace

import pytest
from snakemake.settings.types import DAGSettings

from tests.workflow.conftest import MINI, snakemake
from workflow.rerun_triggers import refuse_lost_target

TARGETS = {"reproduce_all", "reproduce_table3"}


@pytest.mark.parametrize("option", ["forcerun", "until", "omit_from", "allowed_rules"])
def test_an_option_that_took_the_target_is_named(option):
    settings = DAGSettings(**{option: {"sample", "reproduce_table3"}})
    words = f"error: --{option.replace('_', '-')} has taken reproduce_table3 for one of its rules"
    with pytest.raises(SystemExit, match=words):
        refuse_lost_target(settings, TARGETS)


@pytest.mark.parametrize(
    "more",
    [
        {"targets": {"reproduce_all"}, "forcerun": {"reproduce_table3"}},
        {"target_jobs": {"sample:sample=x"}, "allowed_rules": {"reproduce_table3"}},
        {"forcerun": {"sample"}},
        {},
    ],
)
def test_all_else_goes_on(more):
    refuse_lost_target(DAGSettings(**more), TARGETS)
    none = dict.fromkeys(["forcerun", "until", "omit_from", "allowed_rules"])
    refuse_lost_target(SimpleNamespace(targets=None, target_jobs=None, **none), TARGETS)


def test_the_terminal_says_so(project):
    config = MINI[:-1]
    process = snakemake(project, "-n", *config, "--forcerun", "sample", "reproduce_table3")
    assert process.returncode == 1
    last = process.stderr.strip().splitlines()[-1]
    assert last.startswith("error: --forcerun has taken reproduce_table3 for one of its rules")
    assert last.endswith("snakemake --forcerun ... -- reproduce_table3")
