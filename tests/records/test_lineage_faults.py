"""A chain that was cut, or whose manifests are damaged, is told from a whole one."""

import pytest

from records.cli import run
from records.files import write_json
from records.lineage import list_artefacts, trace
from records.lineage_drawing import draw_svg, draw_tree
from records.manifest import manifest_path, read_manifest
from tests.records.lineage_case import CHAIN, write_chain, write_file

MADE = [(name, kind) for name, kind, inputs in CHAIN if inputs]


@pytest.fixture
def results(tmp_path):
    root = tmp_path / "results"
    write_chain(root)
    return root


def change(path, **changes):
    """Write the manifest of a file anew, without the keys that are changed to ... ."""
    content = {**(read_manifest(path) or {}), **changes}
    write_json(manifest_path(path), {key: one for key, one in content.items() if one is not ...})


def trace_row(results, capsys):
    """Trace the metrics of CHAIN with --verify; return exit code, output and errors."""
    arguments = ["trace", str(results / "metrics/row.json"), "--results", str(results)]
    return run([*arguments, "--verify"]), *capsys.readouterr()


@pytest.mark.parametrize("name", [name for name, _ in MADE])
def test_a_manifest_without_inputs_is_a_fault(results, capsys, name):
    change(results / name, inputs=...)
    code, out, error = trace_row(results, capsys)
    assert code == 1 and "hashed" not in out
    assert error == (
        f"error: {results / name}: its manifest {manifest_path(results / name).name} has no "
        "inputs, which must be SHA-256 (64 hexadecimal digits) by role; make or pull it again, or "
        "name the folder that has it with --results\n"
    )


@pytest.mark.parametrize(("name", "kind"), MADE)
@pytest.mark.parametrize("inputs", [{}, {"data": []}])
def test_inputs_without_a_file_are_a_fault(results, capsys, name, kind, inputs):
    change(results / name, inputs=inputs)
    code, out, error = trace_row(results, capsys)
    assert code == 1 and "hashed" not in out
    assert f"names no inputs, although every file of kind {kind} has some; make or" in error


@pytest.mark.parametrize(
    ("name", "kind", "role"),
    [(name, kind, role) for name, kind, inputs in CHAIN for role in inputs],
)
def test_an_input_that_was_taken_out_is_a_fault(results, capsys, name, kind, role):
    manifest = read_manifest(results / name)
    inputs = {one: sha256 for one, sha256 in manifest["inputs"].items() if one != role}
    change(results / name, inputs=inputs)
    code, out, error = trace_row(results, capsys)
    assert code == 1 and "hashed" not in out
    words = f"does not name its {role}, of which this {kind} was made; make or"
    assert (words if inputs else f"names no inputs, although every file of kind {kind}") in error


@pytest.mark.parametrize("kind", ["dataset", "published", "page"])
def test_what_comes_from_outside_and_a_page_may_have_none(results, kind):
    write_file(results, "other.html", kind, {})
    first = trace(results / "other.html", results)
    assert first.fault is None and first.kind == kind


def test_an_emptied_manifest_is_a_fault(results, capsys):
    write_json(manifest_path(results / "metrics/row.json"), {})
    code, out, error = trace_row(results, capsys)
    assert code == 1 and "hashed" not in out and "no manifest" not in out
    assert "its manifest row.manifest.json has no format, which must be 1; make or pull" in error


@pytest.mark.parametrize("name", [name for name, _, _ in CHAIN[:-1]])
def test_a_file_that_lost_its_hash_is_missed_by_its_reader(results, capsys, name):
    change(results / name, sha256=...)
    code, out, error = trace_row(results, capsys)
    assert code == 1 and "hashed" not in out
    assert "is in the results folder" in error


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"format": 2}, "format 2, which must be 1"),
        ({"kind": None}, "kind None, which must be a text"),
        ({"name": 5}, "name 5, which must be a text"),
        ({"sha256": "x"}, "sha256 'x', which must be 64 hexadecimal digits"),
        ({"inputs": "x"}, "inputs 'x', which must be SHA-256"),
        ({"inputs": {"samples": 5}}, "inputs {'samples': 5}, which must be SHA-256"),
        ({"inputs": {"samples": ["x", 5]}}, "inputs {'samples': ['x', 5]}, which must be"),
        ({"num_bytes": "5"}, "num_bytes '5', which must be a whole number"),
        ({"seeds": 5}, "seeds 5, which must be whole numbers by what is drawn"),
        ({"seeds": {"any": "x"}}, "seeds {'any': 'x'}, which must be whole numbers"),
        ({"spec": []}, "spec [], which must be an object {...}"),
        ({"versions": {"torch": 2}}, "versions {'torch': 2}, which must be texts"),
        ({"git_commit": 5}, "git_commit 5, which must be a text"),
        ({"run": "x"}, "run 'x', which must be an object {...} with seconds"),
        ({"run": {"cpu_seconds": "x"}}, "run {'cpu_seconds': 'x'}, which must be an object"),
        ({"run": {"wall_seconds": 1e300}}, "run {'wall_seconds': 1e+300}, which must be an"),
        ({"run": {"ended": "yesterday"}}, "run {'ended': 'yesterday'}, which must be an"),
    ],
)
def test_damage_is_a_fault_in_one_sentence(results, capsys, changes, words):
    change(results / "metrics/row.json", **changes)
    code, out, error = trace_row(results, capsys)
    assert code == 1 and "BROKEN: its manifest row.manifest.json has " in out
    assert f"its manifest row.manifest.json has {words}" in error and error.count("\n") == 1


def test_damage_further_down_is_shown_where_it_is(results, capsys):
    change(results / "samples/up/samples.npz", run="x")
    code, _, error = trace_row(results, capsys)
    assert code == 1 and error.startswith(f"error: {results / 'samples/up/samples.npz'}: ")
    first = trace(results / "metrics/row.json", results)
    (broken,) = [one for one in list_artefacts(first) if one.fault]
    assert broken.path == results / "samples/up/samples.npz" and broken.inputs == []
    assert "samples.json has run 'x'" in draw_tree(first) and 'class="broken"' in draw_svg(first)


def test_what_is_not_known_may_be_null(results, capsys):
    for name, _, _ in CHAIN:
        optional = ("seeds", "spec", "versions", "git_commit", "run")
        change(results / name, **dict.fromkeys(optional))
    code, out, error = trace_row(results, capsys)
    assert (code, error) == (0, "") and f"{len(CHAIN)} files hashed" in out
    assert "metrics metrics/row.json: no more is recorded" in out
