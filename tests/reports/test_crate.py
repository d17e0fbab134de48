"""A finished run as an RO-Crate: what it packs, what it only describes, and that it is valid."""

import hashlib
import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from records.errors import UserError, main_guard
from records.files import sha256_file
from records.manifest import manifest_path
from reports.cli import main, write_table
from reports.crate import SOURCES, WORKFLOW, make_crate
from tests.records.lineage_case import CHAIN, write_chain, write_file

ROOT = Path(__file__).resolve().parents[2]
PROFILES = ("process-run-crate", "workflow-run-crate")
# What is recommended and only its user could say; this project has no address on the web yet.
UNKNOWN = [
    "RECOMMENDED The Application SHOULD have a url",
    "RECOMMENDED The SoftwareApplication id SHOULD be an absolute URI",
    "RECOMMENDED The `publisher` property of a `Root Data Entity` SHOULD be an `Organization`",
    "RECOMMENDED The author SHOULD have a Contextual Entity which specifies the organizational "
    "`affiliation`.",
    "RECOMMENDED The author SHOULD have an organizational affiliation.",
]
LARGE = [name for name, _, _ in CHAIN if not name.endswith(".json")]


@pytest.fixture
def report(project, metrics, make_spec, make_row):
    """The page of a table whose one row was made of everything that a row can be made of."""
    root = project.folder / "results" / "digits"
    write_chain(root)
    name, kind, inputs = CHAIN[-1]
    write_file(root, name, kind, inputs, content=json.dumps(metrics("row")))
    row = make_row("row", f"results/digits/{name}")
    write_table(project.write_spec(make_spec([row])), root / "report")
    (root / "report" / "index.html").write_text("<!doctype html><title>x</title>")
    return root / "report"


def read_graph(crate):
    content = json.loads((crate / "ro-crate-metadata.json").read_text())
    return {one["@id"]: one for one in content["@graph"]}


def identifiers(value):
    return {one["@id"] for one in (value if isinstance(value, list) else [value])}


def test_every_artefact_leads_back_to_the_images(report, tmp_path):
    out = tmp_path / "crate"
    num_files, num_described = make_crate(report, out)
    graph = read_graph(out)
    assert num_described == len(CHAIN) + 1
    assert num_files == sum(path.is_file() for path in out.rglob("*"))
    made = {}
    for one in graph.values():
        if one["@type"] == "CreateAction" and one["@id"] != "#run":
            (result,) = identifiers(one["result"])
            made[result] = identifiers(one["object"]) if "object" in one else set()
    assert made["results/report/table3.html"] == {"results/metrics/row.json"}
    names = {f"#sha256-{sha256_file(report.parent / name)}": name for name in LARGE}
    names["results/metrics/row.json"] = "metrics/row.json"
    found = {
        names[result]: {names[one] for one in objects}
        for result, objects in made.items()
        if result in names
    }
    assert found == {name: set(inputs.values()) for name, _, inputs in CHAIN}


def test_large_files_are_described_by_hash_and_packed_on_request(report, tmp_path):
    make_crate(report, tmp_path / "light")
    packed = {path.suffix for path in (tmp_path / "light" / "results").rglob("*") if path.is_file()}
    assert packed == {".html", ".json", ".csv", ".md", ".tex"}
    graph = read_graph(tmp_path / "light")
    path = report.parent / "samples/up/samples.npz"
    entity = graph[f"#sha256-{sha256_file(path)}"]
    assert entity["contentSize"] == str(path.stat().st_size)
    assert entity["alternateName"] == "samples.npz"
    make_crate(report, tmp_path / "heavy", everything=True)
    for name in LARGE:
        assert sha256_file(tmp_path / "heavy" / "results" / name) == sha256_file(
            report.parent / name
        )
        assert read_graph(tmp_path / "heavy")[f"results/{name}"]["sha256"] == sha256_file(
            report.parent / name
        )


def test_what_runs_it_again_is_in_it(report, tmp_path):
    make_crate(report, tmp_path / "crate", agent="Ada <b>Lovelace</b>")
    graph = read_graph(tmp_path / "crate")
    for name in ("Snakefile", "workflow/rules/train.smk", "params/tables.yaml", "constraints.txt"):
        assert sha256_file(tmp_path / "crate" / name) == sha256_file(ROOT / name)
    run = graph["#run"]
    assert run["instrument"] == {"@id": "Snakefile"} and run["agent"] == {"@id": "#agent"}
    assert graph["#agent"]["name"] == "Ada <b>Lovelace</b>"
    assert graph["#scale"]["value"] == "digits" and graph["#source"]["value"] == "retrain"
    assert run["description"] == "snakemake --cores all reproduce_table3"
    assert identifiers(run["result"]) == {"results/report/table3.html"}
    torch = [one for one in graph.values() if one.get("name") == "torch"]
    assert len(torch) == 1 and torch[0]["@id"].startswith("https://pypi.org/project/torch/2")


def test_a_zip_holds_the_same(report, tmp_path, capsys):
    main(["crate", str(report), "--out", str(tmp_path / "crate")])
    main(["crate", str(report), "--out", str(tmp_path / "crate.zip")])
    assert f"{len(CHAIN) + 1} artefacts described" in capsys.readouterr().out
    with zipfile.ZipFile(tmp_path / "crate.zip") as archive:
        packed = {
            one: hashlib.sha256(archive.read(one)).hexdigest()
            for one in archive.namelist()
            if not one.endswith("/")
        }
    files = [path for path in (tmp_path / "crate").rglob("*") if path.is_file()]
    assert packed == {
        str(path.relative_to(tmp_path / "crate")): sha256_file(path) for path in files
    }
    assert not list(tmp_path.glob(".crate*"))


def test_the_same_run_gives_the_same_crate(report, tmp_path):
    for name in ("a", "b", "b"):  # an earlier crate is replaced
        make_crate(report, tmp_path / name)
    content = [(tmp_path / name / "ro-crate-metadata.json").read_bytes() for name in "ab"]
    assert content[0] == content[1]


def test_a_missing_file_is_described_as_missing(report, tmp_path):
    path = report.parent / "models/up/ema.safetensors"
    sha256 = sha256_file(path)
    path.unlink()
    make_crate(report, tmp_path / "crate", everything=True)
    entity = read_graph(tmp_path / "crate")[f"#sha256-{sha256}"]
    assert entity["@type"] == "CreativeWork"
    assert "no weights with the SHA-256" in entity["description"]


@pytest.mark.parametrize(
    ("key", "got"), [("run", "x"), ("run", {"ended": 5}), ("versions", 5), ("spec", "x")]
)
def test_a_damaged_manifest_is_described_as_damaged(report, tmp_path, key, got):
    path = manifest_path(report.parent / CHAIN[-1][0])
    path.write_text(json.dumps({**json.loads(path.read_text()), key: got}))
    make_crate(report, tmp_path / "crate")
    entity = read_graph(tmp_path / "crate")["results/metrics/row.json"]
    told = f"its manifest row.manifest.json has {key} {got!r}, which must be"
    assert entity["description"].startswith(told)


def test_bad_places_are_refused(report, tmp_path):
    with pytest.raises(UserError, match="no pages there; make a report first"):
        make_crate(tmp_path / "nowhere", tmp_path / "crate")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "file").write_text("keep")
    with pytest.raises(UserError, match="is no crate"):
        make_crate(report, tmp_path / "mine")
    assert (tmp_path / "mine" / "file").read_text() == "keep"
    (report / "table3.json").write_text("{}")
    with pytest.raises(UserError, match=r"table3\.json"):
        make_crate(report, tmp_path / "crate")
    assert not (tmp_path / "crate").exists() and not list(tmp_path.glob(".crate*"))


@pytest.mark.parametrize(
    ("out", "words"), [("/proc/x", "a device, a pipe or a socket"), ("/proc/x.zip", "a device, a")]
)
def test_a_place_that_holds_no_files_is_refused(report, out, words, capsys):
    assert main_guard(main)(["crate", str(report), "--out", out]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {out}: {words}")
    assert line.endswith("give the name of a new or a regular file")


def test_a_folder_in_place_of_the_zip_is_refused(report, tmp_path):
    (tmp_path / "crate.zip").mkdir()
    with pytest.raises(UserError, match=r"crate\.zip: cannot be written .*choose another name"):
        make_crate(report, tmp_path / "crate.zip")
    assert [path.name for path in tmp_path.glob("*crate*")] == ["crate.zip"]


@pytest.mark.parametrize("missing", ["LICENSE", "Snakefile", "params"])
def test_a_checkout_that_is_not_whole_is_refused(report, tmp_path, monkeypatch, missing):
    checkout = tmp_path / "checkout"
    for name in (WORKFLOW, *SOURCES):
        (checkout / name).parent.mkdir(parents=True, exist_ok=True)
        if name != missing:
            (checkout / name).symlink_to(ROOT / name)
    monkeypatch.setattr("reports.crate.PROJECT", checkout)
    with pytest.raises(UserError) as error:
        make_crate(report, tmp_path / "crate")
    assert str(error.value) == (
        f"{checkout}: no {missing} there, which belongs into a crate; run this from a whole "
        "checkout of the project, not from an installed package"
    )
    assert not (tmp_path / "crate").exists()


@pytest.mark.slow
@pytest.mark.parametrize("everything", [False, True])
def test_it_is_valid_under_both_profiles(report, tmp_path, everything):
    out = tmp_path / "crate"
    make_crate(report, out, everything=everything, agent="Ada Lovelace")
    assert validate(out) == dict.fromkeys(PROFILES, UNKNOWN)
    # The validator is able to find fault.
    content = json.loads((out / "ro-crate-metadata.json").read_text())
    for one in content["@graph"]:
        if one["@id"] == "#run":
            del one["instrument"]
    shutil.copytree(out, tmp_path / "broken")
    (tmp_path / "broken" / "ro-crate-metadata.json").write_text(json.dumps(content))
    broken = validate(tmp_path / "broken")
    assert all(any("REQUIRED" in one for one in broken[profile]) for profile in PROFILES)


def validate(crate):
    """Return what is required or recommended and missing, by profile."""
    command = [sys.executable, "-m", "tests.reports.crate_validation", str(crate), *PROFILES]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    found = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    return {one["profile"]: one["issues"] for one in found}
