import pytest

from reports.cell_plots import MARGIN_PX, WIDTH_PX, find_marks, make_plots


def make_group(*cells, ceiling=None):
    rows = [
        {"cells": [{"metric": "fid", "absolute": None, "difference": None, **cell}]}
        for cell in cells
    ]
    return {"rows": rows, "ceiling": ceiling}


def make_cell(measured, published, half=1.0, is_difference=False):
    ends = {"low": measured - half, "high": measured + half}
    named = {"measured": measured, "published": published, "is_difference": is_difference}
    return {**named, **ends}


def place(plot, cell, view):
    marks = find_marks(plot, cell, view)
    assert marks is not None
    return marks


def test_rows_share_an_axis_and_the_paper_has_its_own():
    cells = [make_cell(10.0, 100.0), make_cell(20.0, 300.0)]
    real = {"cells": [{"metric": "fid", "measured": 4.0}]}
    group = make_group(*cells, ceiling=real)
    (plot,) = make_plots(group, group["rows"][0]["cells"], "values")
    assert (plot["own"], plot["paper"], plot["line"]) == ((4.0, 21.0), (100.0, 300.0), 4.0)
    first, second = (place(plot, row["cells"][0], "values") for row in group["rows"])
    assert first["line"] == second["line"] == MARGIN_PX
    assert (first["paper"], second["paper"]) == (MARGIN_PX, WIDTH_PX - MARGIN_PX)
    assert second["high"] == WIDTH_PX - MARGIN_PX and first["paper_line"] is None
    assert first["measured"] is not None
    share = (first["measured"] - MARGIN_PX) / (WIDTH_PX - 2 * MARGIN_PX)
    assert share == pytest.approx(6 / 17, abs=1e-3)


def test_differences_have_a_line_at_none_and_leave_the_first_row_out():
    first = make_cell(10.0, 15.0)
    step = make_cell(-2.0, -1.0, is_difference=True)
    group = make_group(first, step)
    (plot,) = make_plots(group, group["rows"][0]["cells"], "differences")
    assert (plot["own"], plot["paper"], plot["line"]) == ((-3.0, 0.0), (-1.0, 0.0), 0.0)
    assert find_marks(plot, group["rows"][0]["cells"][0], "differences") is None
    marks = place(plot, group["rows"][1]["cells"][0], "differences")
    assert marks["line"] == marks["paper_line"] == WIDTH_PX - MARGIN_PX


def test_what_is_not_known_is_not_drawn():
    nothing = {"measured": None, "low": None, "high": None, "published": 3.0}
    alone = {**make_cell(5.0, None), "low": None, "high": None}
    group = make_group({**nothing, "is_difference": False}, alone)
    (plot,) = make_plots(group, group["rows"][0]["cells"], "values")
    marks = place(plot, group["rows"][0]["cells"][0], "values")
    assert marks["measured"] is None and marks["paper"] == WIDTH_PX / 2
    nowhere = {**nothing, "published": None, "is_difference": False}
    assert find_marks(plot, nowhere, "values") is None
    marks = place(plot, group["rows"][1]["cells"][0], "values")
    assert marks["measured"] == WIDTH_PX / 2 and marks["low"] is marks["paper"] is None
