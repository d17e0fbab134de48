"""Pages in a real browser: they fit a phone, show their pictures and need nothing from outside."""

import re
import shutil
import subprocess

import pytest

from records.errors import main_guard
from reports.cli import main
from tests.reports.conftest import wanted

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
MEASURE = """<script>addEventListener("load", () => {
  const broken = [...document.images].filter(one => !one.complete || !one.naturalWidth).length;
  const wide = document.documentElement.scrollWidth - document.documentElement.clientWidth;
  const outside = performance.getEntriesByType("resource").filter(
    one => !one.name.startsWith("data:")).length;
  const clipped = Math.max(...[...document.querySelectorAll(".scroll")].map(
    one => one.scrollWidth - one.clientWidth));
  document.title = [wide, document.images.length, broken, outside, clipped].join(" ");
});</script></body>"""
# Of the figures drawn by matplotlib: how many, in sight, wider than the page; texts that overlap,
# leave their figure, or are smaller than 9 pixels.
MEASURE_FIGURES = """<script>addEventListener("load", () => {
  const box = one => one.getBoundingClientRect(), wide = document.documentElement.clientWidth;
  const figures = [...document.querySelectorAll("figure.tradeoff svg")];
  const inside = (a, b) =>
    a.left >= b.left && a.right <= b.right && a.top >= b.top && a.bottom <= b.bottom;
  const meet = (a, b) =>
    a.left < b.right && b.left < a.right && a.top + 3 < b.bottom && b.top + 3 < a.bottom;
  let overlaps = 0, outside = 0, small = 0;
  for (const svg of figures) {
    const texts = [...svg.querySelectorAll("text")].map(box);
    texts.forEach((a, i) => texts.slice(i + 1).forEach(b => { overlaps += meet(a, b); }));
    outside += texts.filter(one => !inside(one, box(svg))).length;
    small += texts.filter(one => Math.min(one.width, one.height) < 9).length;
  }
  const seen = figures.filter(one => box(one).width > 300 && box(one).height > 300).length;
  const beyond = figures.filter(one => box(one).left < 0 || box(one).right > wide).length;
  const title = [figures.length, seen, beyond, overlaps, outside, small,
    document.documentElement.scrollWidth - wide].join(" ");
  document.title = title;
  parent.postMessage(title, "*");
});</script></body>"""
# A window of Chromium is at least 500 pixels wide, a frame in it is not.
FRAME = """<title></title>
<script>addEventListener("message", one => { document.title = one.data; });</script>
<iframe src="%s" width="%d" height="900" frameborder="0"></iframe>"""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed"),
]


def look(page, tmp_path, width_px, measure=MEASURE):
    """Pixels beyond the page, pictures, broken ones, files from elsewhere, pixels beyond a box."""
    copy = tmp_path / f"look-{page.name}"
    text = page.read_text()
    assert text.count("</body>") == 1
    copy.write_text(text.replace("</body>", measure))
    if width_px < 500:
        frame = tmp_path / f"frame-{page.name}"
        frame.write_text(FRAME % (copy.name, width_px))
        copy = frame
    command = [
        CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic",
        "--no-first-run", "--disable-background-networking", "--disable-component-update",
        "--disable-sync", f"--user-data-dir={tmp_path / 'profile'}",
        f"--window-size={width_px},900", "--virtual-time-budget=5000", "--dump-dom", copy.as_uri(),
    ]  # fmt: skip
    process = subprocess.run(command, capture_output=True, text=True, timeout=120)
    title = re.search(r"<title>([-\d ]+)</title>", process.stdout)
    assert title, process.stdout[:500] + process.stderr[-500:]
    return [int(part) for part in title[1].split()]


@pytest.fixture
def report(project, make_spec, make_row, make_claim, make_classifier):
    rows = []
    for name in ("a", "b"):
        row = make_row(name, project.write_metrics(name), label=f"<b>{name}</b> & co")
        row["cells"]["final"]["samples"] = wanted(project.write_samples(f"batch-{name}"))
        rows.append(row)
    claims = [make_claim("fid", "a", "less", "b")]
    names = ["classifier_256", "classifier_512", "classifier_128_stack", "classifier_64"]
    classifiers = [
        make_classifier(project.write_accuracy(f"{name}.json"), name=name) for name in names
    ]
    spec = project.write_spec(make_spec(rows, claims=claims, classifiers=classifiers))
    run = main_guard(main)
    assert run(["table", "--spec", str(spec), "--out-dir", "report"]) == 0
    assert run(["index", "--out-dir", "report", "report/table3.json"]) == 0
    return project.folder / "report"


@pytest.mark.parametrize("width_px", [500, 1280])
def test_pages_fit_and_are_whole(report, tmp_path, width_px):
    wide, pictures, broken, outside, _ = look(report / "table3.html", tmp_path, width_px)
    assert (wide, broken, outside) == (0, 0, 0) and pictures >= 2
    wide, _, broken, outside, _ = look(report / "index.html", tmp_path, width_px)
    assert (wide, broken, outside) == (0, 0, 0)


def test_sources_side_by_side_fit_a_screen(project, make_spec, make_row, tmp_path):
    values = {"fid": (10.94, 0.03), "sfid": (6.02, 0.03), "is": (100.98, 0.7)}
    values |= {"precision": (0.691, 0.002), "recall": (0.633, 0.002)}
    row = make_row("a", project.write_metrics("a", **values), label="ADM-G, ADM-U")
    others = {
        source: {"path": project.write_metrics(source, **values), "digest": "d" * 64}
        for source in ("rescore", "resample")
    }
    row["cells"]["final"]["others"] = others
    row["published"]["final"] = {metric: value for metric, (value, _) in values.items()}
    spec = make_spec([row], agreement={"reference_images": 10_000})
    spec["table"] |= {"metrics": list(values), "settings": ["conditional", "guidance", "scale"]}
    path = project.write_spec(spec)
    assert main_guard(main)(["table", "--spec", str(path), "--out-dir", "report"]) == 0
    wide, *_, clipped = look(project.folder / "report" / "table3.html", tmp_path, 1280)
    assert (wide, clipped) == (0, 0)


def test_labels_are_text_not_markup(report, tmp_path):
    page = (report / "table3.html").read_text()
    assert "<b>a</b>" not in page and "&lt;b&gt;a&lt;/b&gt; &amp; co" in page


@pytest.mark.parametrize("width_px", [390, 1280])
@pytest.mark.parametrize("agreement", [None, {"reference_images": 1000}])
def test_figures_fit_and_their_words_are_readable(
    guided_spec, project, tmp_path, width_px, agreement
):
    labels = {"uncond": "<script>$x$</script>" * 9, "cond": "数字" * 60}
    path = project.write_spec(guided_spec(labels=labels, agreement=agreement))
    assert main_guard(main)(["table", "--spec", str(path), "--out-dir", "report"]) == 0
    page = project.folder / "report" / "table3.html"
    num_figures, seen, *wrong = look(page, tmp_path, width_px, MEASURE_FIGURES)
    assert num_figures == seen == (1 if agreement else 2)
    assert wrong == [0, 0, 0, 0, 0]
