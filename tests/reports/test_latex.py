"""LaTeX: every table compiles alone in a text block of 469 pt, and nothing sticks out of it."""

import os
import re
import shutil
import subprocess

import pytest

from reports.export import render_markdown
from reports.latex import TEXT_WIDTH_PT, escape_tex, render_latex
from tests.reports.conftest import evaluate

HOSTILE = r'\input{x} & 50% $#~^<>|_{} "quoted" `y` 256×256 naïve 数字 =1+1'
ARTICLE = r"""\documentclass{article}
\usepackage{array,booktabs}
\setlength{\textwidth}{%.0fpt}
\begin{document}
\input{table.tex}
\end{document}
"""


def compile_alone(table, folder):
    """What pdflatex complains of."""
    if shutil.which("pdflatex") is None:
        if os.environ.get("CI"):
            pytest.fail("pdflatex is missing; install texlive-latex-base, as .ci/run does")
        pytest.skip("pdflatex is missing (texlive-latex-base)")
    (folder / "table.tex").write_text(render_latex(table))
    (folder / "alone.tex").write_text(ARTICLE % TEXT_WIDTH_PT)
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "alone.tex"]
    process = subprocess.run(command, cwd=folder, capture_output=True, timeout=120)
    log = (folder / "alone.log").read_text(errors="replace")
    assert process.returncode == 0, log[-2000:]
    return re.findall(r"^(?:Overfull .*|.*Float too large.*|.*Missing character.*)$", log, re.M)


@pytest.fixture
def make_wide(project, make_spec, make_row):
    """A table of five metrics with as many settings as asked for, and labels of some length."""
    values = {"fid": (123.456, 0.1), "sfid": (26.02, 3.1), "is": (100.98, 0.7)}
    values |= {"precision": (0.691, 0.002), "recall": (0.633, 0.002)}

    def make(num_settings, label, num_rows=3, layout="plain", **options):
        rows = []
        for place in range(num_rows):
            path = project.write_metrics(f"m{place}", **values)
            row = make_row(f"r{place}", path, label=f"{label} {place}", notes=[HOSTILE])
            row["settings"] = {f"some_setting_{one}": "32, 16, 8" for one in range(num_settings)}
            row["published"]["final"] = {key: value for key, (value, _) in values.items()}
            rows.append(row)
        differences = [{"what": HOSTILE, "paper": "x" * 80, "here": HOSTILE}] * 3
        spec = make_spec(rows, layout=layout, differences=differences, **options)
        spec["ceilings"] = {
            "imagenet_256": {"path": project.write_metrics("real", **values), "digest": "d" * 64}
        }
        spec["table"] |= {"metrics": [*values], "settings": [*rows[0]["settings"]]}
        return evaluate(spec)

    return make


@pytest.mark.slow
@pytest.mark.parametrize("layout", ["plain", "deltas", "by_task"])
def test_sixteen_columns_fit(make_wide, tmp_path, layout):
    table = make_wide(5, "a row with quite a long label", layout=layout)
    assert 1 + 5 + 2 * 5 == 16
    assert compile_alone(table, tmp_path) == []


@pytest.mark.slow
@pytest.mark.parametrize("num_settings, num_rows", [(0, 90), (3, 45), (6, 2), (9, 1)])
def test_long_labels_many_rows_and_hostile_words_fit(make_wide, tmp_path, num_settings, num_rows):
    table = make_wide(num_settings, HOSTILE + "unbreakable" * 4, num_rows)
    table["about"] = HOSTILE
    assert compile_alone(table, tmp_path) == []


def test_intervals_are_exponent_and_index(project, make_spec, make_row):
    row = make_row("a", project.write_metrics("a", fid=(12.0, 0.5)))
    content = (project.folder / "a.json").read_text().replace("11.0, 13.0", "11.0, 13.5")
    (project.folder / "a.json").write_text(content)
    text = render_latex(evaluate(make_spec([row])))
    assert "12.0 & $^{+1.5}_{-1.0}$" in text and r"\multicolumn{3}{c}{FID}" in text
    assert r"\cmidrule(lr){3-5}\cmidrule(lr){6-8}" in text


def test_marks_are_a_level_of_the_head(project, make_spec, make_row):
    rows = [make_row("a", project.write_metrics("a"))]
    spec = make_spec(rows)
    rows[0]["cells"] = dict.fromkeys(("half", "full"), rows[0]["cells"]["final"])
    spec["table"] |= {"marks": ["half", "full"], "metrics": ["fid"]}
    spec["table"]["after"] = {"half": " after 5 iterations", "full": " after 10 iterations"}
    text = render_latex(evaluate(spec))
    assert r"\multicolumn{3}{c}{after 5 iterations} & \multicolumn{3}{c}{after 10" in text
    assert text.index("after 10 iterations") < text.index(r"\multicolumn{3}{c}{FID}")


def test_verdicts_are_signs_that_a_note_explains(project, make_spec, make_row):
    row = make_row("a", project.write_metrics("a", fid=15.0), published={"final": {"fid": 15.0}})
    table = evaluate(make_spec([row], agreement={"reference_images": 1000}))
    text = render_latex(table)
    assert "15.000 & $^{+0.020}_{-0.020}$$^{=}$" in text and r"$^{\neq}$differs" in text
    assert "agrees" in render_markdown(table)


def test_hostile_text_is_harmless():
    assert escape_tex(r"a_b & 50% \x{y} $#~^<>") == (
        r"a\_b \& 50\% \textbackslash{}x\{y\} \$\#\textasciitilde{}\textasciicircum{}"
        r"\textless{}\textgreater{}"
    )
    assert escape_tex("256×256 naïve 数") == r"256$\times$256 na\"{i}ve U+6570 "
    assert escape_tex("x" * 21) == rf"{'x' * 10}\allowbreak{{}}{'x' * 10}\allowbreak{{}}x"
