"""Scales and tables with a mistake in them, and what is said of it."""

import copy
from functools import cache
from pathlib import Path

import pytest
import yaml

from records.errors import UserError
from specs.scale import load_scale
from specs.strict import read_yaml
from specs.tables import load_tables_at

ROOT = Path(__file__).resolve().parents[2]
TABLES = ROOT / "params" / "tables.yaml"
SCALES = sorted((ROOT / "params" / "scales").glob("*.yaml"))


@cache
def load_shipped(name):
    return load_scale(ROOT / "params" / "scales" / f"{name}.yaml")


def on(*keys, **values):
    """Make a change that updates the mapping under some keys."""

    def change(content):
        for key in keys:
            content = content[key]
        content.update(values)

    return change


def change_scale(folder, name, change):
    """Write a shipped scale with a change; return the file."""
    return write_changed(folder, ROOT / "params" / "scales" / f"{name}.yaml", change)


def refuse_scale(folder, name, change):
    """Return what is said of a shipped scale with a change, read with the shipped tables."""
    path = change_scale(folder, name, change)
    with pytest.raises(UserError) as error:
        load_tables_at(TABLES, load_scale(path))
    return str(error.value)


def refuse_tables(folder, change):
    """Return what is said of the shipped tables with a change, read for the digits."""
    path = write_changed(folder, TABLES, change)
    with pytest.raises(UserError) as error:
        load_tables_at(path, load_shipped("digits"))
    return str(error.value)


def write_changed(folder, source, change):
    content = copy.deepcopy(_read(source))
    change(content)
    path = folder / source.name
    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    path.write_text(yaml.dump(content, Dumper=dumper, sort_keys=False))
    return path


@cache
def _read(path):
    return read_yaml(path)
