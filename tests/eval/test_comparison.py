"""Several batches against one reference: the command, and the table that it ends with."""

import csv
import io
import json
import re
from dataclasses import replace

import numpy as np
import pytest

from eval.cli import run
from eval.comparison import find_kind, format_table
from eval.pairs import Comparison, Difference
from eval.result import GradingResult, Metric
from records.errors import UserError


def make_result(name, interval=None, **values):
    return GradingResult(
        name=name,
        metrics={key: Metric(value, 0.1, interval) for key, value in values.items()},
        warnings=(),
        counts={"samples": 50_000, "reference": None, "reference_precision_recall": 1},
        protocol={"network": {"name": "n"}},
    )


RESULTS = [
    make_result("a|b_%", fid=3.94255741, fid_infinity=2.0),
    make_result("c", (10.0, 12.0), fid=11.0, fid_infinity=11.0),
]


def test_a_spread_over_subsets_is_called_so():
    details = {"num_subsets": 100, "std": 0.00025}
    one = replace(RESULTS[0], metrics={"kid_subsets": Metric(0.0125, details=details)})
    (line,) = one.describe_metrics()
    assert line == "KID (subsets): 0.0125 (standard deviation over 100 subsets 0.00025)"


def test_text_is_aligned():
    lines = format_table(RESULTS).splitlines()
    assert len({len(line) for line in lines}) == 1
    assert lines[1].split() == ["a|b_%", "50,000", "3.9426", "2"]
    assert lines[2].endswith("11 (10 to 12)  11 (10 to 12)")


def test_csv_has_numbers_in_full():
    rows = list(csv.DictReader(io.StringIO(format_table(RESULTS, "csv"))))
    assert rows[0] == {
        "name": "a|b_%",
        "samples": "50000",
        "fid": "3.94255741",
        "fid_low": "",
        "fid_high": "",
        "fid_infinity": "2.0",
        "fid_infinity_low": "",
        "fid_infinity_high": "",
    }
    assert (rows[1]["fid_low"], rows[1]["fid_high"]) == ("10.0", "12.0")


def test_markdown_and_latex_take_names_as_they_are():
    head, rule, first, second = format_table(RESULTS, "md").splitlines()
    assert head == "|  | Samples | FID | FID∞ |" and rule == "| --- | ---: | ---: | ---: |"
    assert first == r"| a\|b\_% | 50,000 | 3.9426 | 2 |"
    assert second == "| c | 50,000 | 11 (10 to 12) | 11 (10 to 12) |"
    latex = format_table(RESULTS, "tex").splitlines()
    assert latex[0] == r"\begin{tabular}{lrrr}" and latex[-1] == r"\end{tabular}"
    assert latex[2] == r" & Samples & FID & FID$_\infty$ \\"
    assert latex[4] == r"a|b\_\% & 50,000 & 3.9426 & 2 \\"


def test_the_kind_is_told_by_the_ending():
    assert [find_kind(f"a.{end}") for end in ("txt", "CSV", "md", "tex")] == [
        "txt",
        "csv",
        "md",
        "tex",
    ]
    with pytest.raises(UserError, match=r"a.xls: a table is .txt, .csv, .md, .tex by its ending"):
        find_kind("a.xls")


@pytest.mark.parametrize(("results", "kind"), [(RESULTS, "html"), ([], "md")])
def test_no_table_is_told(results, kind):
    with pytest.raises(UserError, match=f"table: got kind '{kind}' and {len(results)} results"):
        format_table(results, kind)


@pytest.fixture
def batches(samples_path, tmp_path):
    """Two good batches with one name, and one that is none."""
    (tmp_path / "other").mkdir()
    second, bad = tmp_path / "other" / "noisy.npz", tmp_path / "bad.npz"
    with np.load(samples_path) as arrays:
        np.savez(second, arrays["arr_0"][:200])
    bad.write_text("no zip")
    return samples_path, bad, second


def test_several_are_graded_as_each_alone_and_a_bad_one_costs_no_other(
    batches, reference_path, network_path, tmp_path, capsys, monkeypatch
):
    """Features are kept, too: what was graded once is not computed again."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    options = ["--weights", str(network_path), "--threads", "1", "--intervals"]
    alone = []
    for path in (batches[0], batches[2]):
        assert run([str(reference_path), str(path), *options, "--json", "-"]) == 0
        alone.append(json.loads(capsys.readouterr().out))
    out, table = tmp_path / "out.json", tmp_path / "table.csv"
    command = [str(reference_path), *map(str, batches), *options, "--json", str(out)]
    for cache in ([], ["--cache"], ["--cache"]):
        assert run([*command, "--table", str(table), *cache]) == 2
        printed = capsys.readouterr()
        error, warning = printed.err.splitlines()
        assert error.startswith(f"error: {batches[1]}: not a readable .npz")
        assert warning == (
            f"warning: {batches[2]} against {batches[0]}: not paired: "
            "it has 200 samples, the other 300"
        )
        found = json.loads(out.read_text())
        assert found["format"] == 1
        assert [one["name"] for one in found["results"]] == [str(batches[0]), str(batches[2])]
        for one, before in zip(found["results"], alone, strict=True):
            assert {**one, "name": "noisy"} == before
        rows = list(csv.DictReader(io.StringIO(table.read_text())))
        assert [float(row["fid"]) for row in rows] == [
            one["metrics"]["fid"]["value"] for one in alone
        ]
        assert format_of(found) in printed.out
        (difference,) = found["comparisons"]
        assert printed.out.endswith(format_difference(difference))
        assert (difference["paired"], difference["against"]) == (False, str(batches[0]))
        ratio = difference["metrics"]["fid"]
        assert ratio["value"] == pytest.approx(float(rows[1]["fid"]) / float(rows[0]["fid"]))
        assert [rows[0][key] for key in ("against", "paired", "fid_ratio")] == ["", "", ""]
        assert (rows[1]["against"], rows[1]["paired"]) == (str(batches[0]), "False")
        assert [float(rows[1][f"fid_ratio{end}"]) for end in ("", "_low", "_high")] == [
            ratio["value"], *ratio["interval"],
        ]  # fmt: skip
    kept = sorted(one.name[33:] for one in (tmp_path / "cache/adm-tables/features").iterdir())
    assert kept == sorted(["pool.npz"] * 3 + ["softmax.npz", "spatial.npz"] * 2)


def format_difference(found):
    """The last line of the table of differences."""
    one = found["metrics"]["recall"]
    return "{:.5g} ({:.5g} to {:.5g})\n".format(one["value"], *one["interval"])


def test_batches_that_share_label_and_noise_are_compared_in_pairs(
    batches, reference_path, network_path, capsys
):
    """The word of the user counts where no manifest speaks."""
    pair = [str(batches[0]), str(batches[2])]
    options = ["--weights", str(network_path), "--threads", "1", "--num-images", "200"]
    command = [str(reference_path), *pair, *options, "--metrics", "fid,precision", "--intervals"]
    assert run([*command, "--paired"]) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    *_, head, line = printed.out.splitlines()
    assert head.split("  ")[0] == f"Against {pair[0]}"
    assert head.split()[-4:] == ["FID", "ratio", "Precision", "difference"]
    # The same images: nothing differs.
    assert line.split()[:2] == [pair[1], "paired"] and "  1 (1 to 1)  " in line
    assert run(command) == 0
    printed = capsys.readouterr()
    assert "not paired: no manifest says that sample i of both has the same label" in printed.err
    assert printed.out.splitlines()[-1].split()[:4] == [pair[1], "unpaired", "1", "(0.61751"]


DIFFERENCES = [
    Comparison("c", "a|b_%", True, None, {"fid": Difference(0.5, (0.25, 1.0)), "sfid": None})
]


def test_differences_follow_the_values():
    text = format_table(RESULTS, "txt", DIFFERENCES).splitlines()
    assert text[:3] == format_table(RESULTS).splitlines() and text[3] == ""
    assert re.split("  +", text[4]) == ["Against a|b_%", "Errors", "FID ratio", "sFID ratio"]
    assert re.split("  +", text[5]) == ["c", "paired", "0.5 (0.25 to 1)", "none"]
    *_, head, rule, line = format_table(RESULTS, "md", DIFFERENCES).splitlines()
    assert head == r"| Against a\|b\_% | Errors | FID ratio | sFID ratio |"
    assert rule == "| --- | ---: | ---: | ---: |"
    assert line == "| c | paired | 0.5 (0.25 to 1) | none |"
    latex = format_table(RESULTS, "tex", DIFFERENCES)
    assert latex.count(r"\end{tabular}") == 2
    assert r"c & paired & 0.5 (0.25 to 1) & none \\" in latex
    rows = list(csv.DictReader(io.StringIO(format_table(RESULTS, "csv", DIFFERENCES))))
    assert rows[1]["against"] == "a|b_%" and rows[1]["paired"] == "True"
    assert [rows[1][f"fid_ratio{end}"] for end in ("", "_low", "_high")] == ["0.5", "0.25", "1.0"]
    assert [row["sfid_ratio"] for row in rows] == ["", ""] and rows[0]["fid_ratio"] == ""


def format_of(found):
    """The end of the table of values on the screen."""
    one = found["results"][-1]["metrics"]["recall"]
    return "{:.5g} ({:.5g} to {:.5g})\n".format(one["value"], *one["interval"])


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        (["--name", "a"], "--name and --digest are of one SAMPLES; leave them out for several"),
        (["--paired"], "--paired: is of several SAMPLES with --intervals"),
        (["--paired", "--intervals", "--shuffle"], "leave --shuffle out"),
        (["--table", "a.xls"], "a.xls: a table is .txt, .csv, .md, .tex by its ending"),
        (["--table", "{samples}"], "is an input of the same command"),
        (["gone.npz"], "gone.npz: no such file or folder"),
    ],
)
def test_what_is_asked_for_is_checked_first(
    batches, reference_path, tmp_path, capsys, monkeypatch, extra, words
):
    monkeypatch.chdir(tmp_path)
    pair = [str(batches[0]), str(batches[2])]
    extra = [one.format(samples=batches[0]) for one in extra]
    assert run([str(reference_path), *pair, *extra]) == 2
    assert words in capsys.readouterr().err
