"""CSV that every reader takes apart as it was put together."""

import csv
import io

import pytest

from reports.csv_text import render_lines


@pytest.mark.parametrize(
    "text", ["a,b", 'say "x"', "two\nlines", "a\r\nb", "", " spaces ", "数字", "semi;colon", "'"]
)
def test_text_comes_back_as_it_was(text):
    lines = render_lines(["first, name", "second"], [[text, 1], ["x", text]])
    assert lines.endswith("\n") and "\r\n" not in lines.replace(text, "")
    rows = list(csv.reader(io.StringIO(lines, newline="")))
    assert rows == [["first, name", "second"], [text, "1"], ["x", text]]


def test_numbers_keep_every_digit_and_nothing_is_an_empty_cell():
    lines = render_lines(["a", "b", "c"], [[0.1 + 0.2, None, True], [1e-20, 3, float(2)]])
    assert lines == "a,b,c\n0.30000000000000004,,true\n1e-20,3,2.0\n"


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x", "\tx", "\rx"])
def test_text_is_no_formula(text):
    ((_, cell),) = list(
        csv.reader(io.StringIO(render_lines(["a", "b"], [["", text]]), newline=""))
    )[1:]
    assert cell == f"'{text}"
