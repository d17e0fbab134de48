"""Every number and every device on a command line has its range; found from the parsers."""

import argparse
import importlib

import pytest

from eval.cli import COMMANDS
from records.errors import UserError
from tests.ground.test_house import PACKAGES, module_name, python_files

# Where numbers that are wrong elsewhere are right.
ALLOWED = {
    "--drop-state": {"0"},
    "--part": {"0"},
    "--eps-temperature": {"0.5"},
    "--exit-code": {"0"},
    "--guidance-scale": {"0", "0.5"},
    "--label": {"0"},
    "--noise-temperature": {"0", "0.5"},
    "--out-of-memory": {"0"},
    "python -m adm spec --num-classes": {"0"},
    "--seed": {"0"},
    "--start": {"0"},
    "--utilisation": {"0.5"},
}
WRONG = ("-1", "0", "0.5", "", "nan", "inf", "1e999", "one")
WRONG_DEVICES = ("foo", "mps", "CPU", "cuda:", "cuda:01", "cuda:300", "cpu:0", "cpu\n", *WRONG)


def find_parsers():
    """The parsers of all modules that make one, and those of their commands."""
    for path in python_files(*PACKAGES):
        if "ArgumentParser(" not in path.read_text():
            continue
        module = importlib.import_module(module_name(path))
        if module.__name__ == "eval.options":  # the first word is a command; none is for grading
            words = {name: run.__doc__ for name, run in COMMANDS.items()}
            yield from (module.make_parser(command, words) for command in COMMANDS)
            continue
        parser = module.make_parser()
        yield parser
        for action in parser._actions:
            if isinstance(action, argparse._SubParsersAction):
                yield from action.choices.values()


def read(action, text):
    """What an option makes of a text; None where it refuses it."""
    try:
        return action.type(text) if action.type else text
    except (UserError, ValueError, argparse.ArgumentTypeError):
        return None


def find_options():
    """All options that turn 1 into a number, then those that say where to compute."""
    numbers, devices = {}, {}
    for parser in find_parsers():
        for action in parser._actions:
            name = "/".join(action.option_strings) or action.metavar or action.dest
            if action.choices is None and isinstance(read(action, "1"), (int, float)):
                numbers[f"{parser.prog} {name}"] = (parser, name, action)
            elif "device" in action.dest:
                devices[f"{parser.prog} {name}"] = (parser, name, action)
    return numbers, devices


NUMBERS, DEVICES = find_options()


def assert_refused(parser, name, action, value, capsys):
    with pytest.raises(SystemExit) as stopped:
        parser.parse_args([*action.option_strings[:1], value])
    assert stopped.value.code == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert f"error: argument {name}: got {value!r}; needed: " in last


@pytest.mark.parametrize("option", NUMBERS)
def test_a_number_out_of_range_is_a_usage_error_that_names_the_option(option, capsys):
    parser, name, action = NUMBERS[option]
    for value in WRONG:
        if value in ALLOWED.get(option, ALLOWED.get(name, ())):
            assert read(action, value) == float(value)
        else:
            assert_refused(parser, name, action, value, capsys)


@pytest.mark.parametrize("option", DEVICES)
def test_a_device_is_cpu_or_cuda(option, capsys):
    parser, name, action = DEVICES[option]
    assert [read(action, one) for one in ("cpu", "cuda", "cuda:1")] == ["cpu", "cuda", "cuda:1"]
    for value in WRONG_DEVICES:
        assert_refused(parser, name, action, value, capsys)


def test_the_walk_finds_what_there_is():
    commands = ("adm train", "adm sample", "adm draw", "adm accuracy", "adm loss")
    commands += ("adm nll", "adm invert", "adm interpolate", "adm denoise", "adm fit")
    commands += ("eval", "eval ceiling", "eval reference", "eval nearest", "eval selftest")
    assert {*DEVICES} == {f"python -m {command} --device" for command in commands}
    assert {f"python -m {command} --threads" for command in commands} < {*NUMBERS}
    others = ("adm dataset --workers", "workflow plan --num-gpus", "records ui --port")
    assert {f"python -m {other}" for other in others} < {*NUMBERS}


@pytest.mark.parametrize(
    ("option", "above"), [("adm dataset --image-size-px", "4097"), ("records ui --port", "65536")]
)
def test_the_largest_number_is_said(option, above, capsys):
    assert_refused(*NUMBERS[f"python -m {option}"], above, capsys)
