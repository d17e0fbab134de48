"""Pages of models and sample sets: what they show, what they lack, and how they look."""

import json
import re

import numpy as np
import pytest

from records.batches import write_batch
from records.errors import main_guard
from records.manifest import hash_inputs, make_manifest, write_manifest
from reports.cli import main
from reports.runs.page import write_run_pages
from specs.run_pages import RunPages, load_run_pages
from specs.strict import validated
from tests.reports.browser import (
    MODES,
    count_px_beyond,
    find_broken_links,
    find_violations,
    needs_chromium,
    open_page,
)
from tests.reports.conftest import DIGEST, wanted
from workflow.run_pages import make_run_pages
from workflow.settings import load_plan

HOSTILE = "<b>a</b> & co"


@pytest.fixture(scope="module")
def digits():
    return make_run_pages(load_plan({}), "table4").content()


@pytest.fixture
def runs(project, digits):
    """One sample set and its models as a plan names them, with made-up files of one seed."""
    samples = next(one for one in digits["samples"] if one["name"] == "t4_128_admg")
    names = [model["name"] for model in samples["models"]]
    models = [one for one in digits["models"] if one["name"] in names]
    content = {**digits, "samples": [samples], "models": models, "pages": []}
    content = json.loads(json.dumps(content))
    samples, models = content["samples"][0], content["models"]
    first = samples["batches"][0]
    first["metrics"], first["samples"] = wanted(project.write_metrics("m")), wanted("s.npz")
    first["run"] = {"metrics": "m.json", "samples": "s.npz", "log of sampling": "none.log"}
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (200, 8, 8, 3), dtype=np.uint8)
    about = make_manifest(kind="samples", name="s", digest=DIGEST)
    write_batch(project.folder / "s.npz", images, np.arange(200) % 10, about)
    run = {"wall_seconds": 100.0, "cpu_seconds": 200.0, "peak_memory_mb": 1500.0}
    manifest = json.loads((project.folder / "s.json").read_text())
    (project.folder / "s.json").write_text(json.dumps({**manifest, "run": run}))
    samples["cells"] = [{**samples["cells"][0], "page": "table3", "row": "alpha", "label": HOSTILE}]
    for model in models:
        model["samples"] = {"t4_128_admg": model["samples"]["t4_128_admg"]}
        model["samples"] |= {"a_long_name" * 5: []}
        trained = model["trained"][0]
        path = project.folder / f"{model['name']}.jsonl"
        trained["events"] = path.name
        values: dict[str, object] = {"loss": 2.0, "grad_norm": 1.0}
        if model["spec"]["kind"] == "classifier":
            values["accuracy_by_quarter"] = [0.9, 0.7, 0.5, 0.2]
            accuracy = {"accuracy": project.write_accuracy(), "digest": DIGEST}
            trained["marks"][-1]["accuracy"] |= accuracy
        lines = [{"event": "start", "kind": "model", "digest": trained["digest"], "time": 0}]
        for step in (1, 50):
            lines.append({"event": "progress", "iteration": step, "time": step, **values})
        path.write_text("".join(json.dumps(one) + "\n" for one in lines))
    return content


def write(project, content):
    problems = write_run_pages(
        validated(RunPages, json.loads(json.dumps(content)), "runs"), project.folder / "report"
    )
    (set_page,) = (project.folder / "report" / "samples").glob("*.html")
    pages = {path.stem: path for path in (project.folder / "report" / "models").glob("*.html")}
    return problems, {"samples": set_page, **pages}


def read_text(path):
    return " ".join(re.sub(r"<[^>]*>", " ", path.read_text()).split())


def test_a_sample_set_shows_images_numbers_cost_and_its_command(project, runs):
    problems, pages = write(project, runs)
    assert problems == []
    text, html = read_text(pages["samples"]), pages["samples"].read_text()
    assert HOSTILE not in html and "&lt;b&gt;a&lt;/b&gt; &amp; co" in html
    assert html.count("<img ") == 1 and 'width="318" height="534"' in html
    assert re.search(r"FID lower is better 10\.000 9\.980 to 10\.020", text)
    assert "1.7 min 3.3 min 8.7 s 1.5 GB" in text
    assert "snakemake --cores all m.json" in text
    assert 'href="../models/imagenet_128.html"' in html
    assert 'href="../table3.html#row-alpha"' in html
    assert (
        "none.log (not here)" in text and '<a href="../../m.json"><code>m.json</code></a>' in html
    )
    assert "samples.sha256" in text and "samples.model" not in text


def test_a_sample_set_shows_what_its_numbers_were_made_of(project, runs):
    path, runs["root"] = project.folder / "m.json", "."
    _, pages = write(project, runs)
    assert "What the numbers were made of" not in read_text(pages["samples"])  # no manifest
    about = make_manifest(kind="metrics", name=HOSTILE, inputs=hash_inputs(samples="s.npz"))
    write_manifest(path, about)
    _, pages = write(project, runs)
    html = pages["samples"].read_text()
    assert html.count("<rect ") == 2 and HOSTILE not in html
    assert ">metrics</text>" in html and ">samples</text>" in html
    assert "python -m records trace m.json --verify" in html


def test_a_model_shows_blocks_curves_and_what_it_drew(project, runs):
    _, pages = write(project, runs)
    text = read_text(pages["imagenet_128"])
    assert "Diffusion model imagenet_128" in text and "input_blocks.1 residual, attention" in text
    assert "parameters are counted in weights, which are not here" in text
    assert "Training loss" in text and "Samples that it draws" in text
    html = pages["imagenet_128"].read_text()
    assert 'href="../samples/t4_128_admg.html"' in html
    name = "a_long_name" * 5  # of a set whose page another table writes
    assert f"<li>{name}:" in html
    (project.folder / "report/samples" / f"{name}.html").touch()
    write_run_pages(validated(RunPages, runs, "runs"), project.folder / "report")
    assert f'href="../samples/{name}.html"' in pages["imagenet_128"].read_text()
    text = read_text(pages["classifier_128"])
    assert "Samples that it guides" in text and "Accuracy on noisy images, by timestep" in text
    assert "quarter 4" in text


def test_what_is_missing_broken_or_of_other_settings_is_said(project, runs):
    (project.folder / "m.json").write_text("{")
    model = next(one for one in runs["models"] if one["name"] == "imagenet_128")
    (project.folder / "w.safetensors").write_bytes(b"x" * 20)
    model["trained"][0]["marks"][-1]["weights"]["path"] = "w.safetensors"
    runs["samples"][0]["batches"][0]["samples"]["digest"] = "e" * 64
    problems, pages = write(project, runs)
    assert len(problems) == 3
    text = read_text(pages["samples"])
    assert "m.json" in text and "other settings" in text
    assert "The images are not here" in text and "They were not graded yet" in text
    assert "w.safetensors: no header can be read" in read_text(pages["imagenet_128"])
    for path in (project.folder / "m.json", project.folder / "s.npz"):
        path.unlink()
    runs["models"][0]["trained"][0]["events"] = "none.jsonl"
    _, pages = write(project, runs)
    assert "The images are not here" in read_text(pages["samples"])
    text = read_text(pages[runs["models"][0]["name"]])
    assert "No events of its training are here" in text and "Traceback" not in text


def test_a_broken_specification_is_refused_before_a_page_is_written(project, runs, capsys):
    del runs["samples"][0]["batches"][0]["metrics"]
    path = project.write_spec(runs, "runs.json")
    with pytest.raises(Exception, match=r"runs\.json: samples: 0.*metrics"):
        load_run_pages(path)
    assert not (project.folder / "report").exists()


@pytest.fixture
def report(project, runs, make_row, make_spec):
    """A table with its sample set, written by the command line."""
    row = make_row("alpha", "m.json")
    spec = project.write_spec(make_spec([row]))
    path = project.write_spec(runs, "runs.json")
    out = ["--out-dir", "report"]
    run = main_guard(main)
    assert run(["table", "--spec", str(spec), "--runs", str(path), *out]) == 0
    assert run(["index", *out, "report/table3.json"]) == 0
    return project.folder / "report"


def test_a_number_of_a_table_leads_to_its_sample_set_and_back(report):
    text = (report / "table3.html").read_text()
    assert '<a href="samples/t4_128_admg.html">10.0' in text
    assert 'id="protocol-alpha-final"' not in text  # it is there, and only there
    assert text.count('id="row-alpha"') == 1
    assert '<li><a href="models/imagenet_128.html">' in (report / "index.html").read_text()
    out = {link for _, link in find_broken_links(report)}
    assert out == {"../../m.json", "../../s.npz", *(
        f"../../{name}.jsonl" for name in ("imagenet_128", "classifier_128"))}  # fmt: skip


@pytest.mark.slow
@needs_chromium
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("width_px", [320, 1440])
def test_everybody_can_read_them(browser, report, mode, width_px):
    for name in ("samples/t4_128_admg", "models/imagenet_128", "models/classifier_128"):
        with open_page(browser, report / f"{name}.html", width_px=width_px, mode=mode) as page:
            page.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
            assert find_violations(page) == []
            assert count_px_beyond(page) == 0
            image = page.locator("figure img").first
            if image.count():
                assert image.evaluate("one => getComputedStyle(one).imageRendering") == "pixelated"
                assert image.bounding_box()["width"] > 250
            page.add_style_tag(content="html { font-size: 200% }")
            assert count_px_beyond(page) == 0


@pytest.mark.slow
@needs_chromium
def test_the_keyboard_alone_leads_from_a_number_to_the_model(browser, report):
    with open_page(browser, report / "table3.html") as page:
        for address in ("samples/t4_128_admg.html", "models/imagenet_128.html"):
            link = page.locator(f"main a[href$='{address}']").first
            for _ in range(200):
                page.keyboard.press("Tab")
                if link.evaluate("one => one === document.activeElement"):
                    break
            page.keyboard.press("Enter")
            page.wait_for_url(f"**/{address}")
        assert page.locator("h1").inner_text().startswith("Diffusion model imagenet_128")
