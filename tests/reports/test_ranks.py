import pytest

from reports.ranks import describe_order, rank_rows


def make_rows(metric, *values):
    """Rows of (published, measured, half-width), a half-width of None for no interval."""
    rows = []
    for place, (published, measured, half) in enumerate(values):
        low, high = (None, None) if half is None else (measured - half, measured + half)
        cell = {"metric": metric, "after": "", "published": published, "measured": measured}
        cell |= {"low": low, "high": high, "rank": None, "absolute": None}
        rows.append({"label": f"row {place}", "cells": [cell]})
    return rows


def ranks_of(rows):
    return [row["cells"][0]["rank"] for row in rows]


@pytest.mark.parametrize("metric, ranks", [("fid", [1, 1, 3]), ("is", [2, 2, 1])])
def test_rows_whose_intervals_overlap_share_a_rank(metric, ranks):
    rows = make_rows(metric, (1.0, 5.0, 1.0), (2.0, 6.5, 1.0), (3.0, 9.0, 1.0))
    rank_rows(rows)
    assert ranks_of(rows) == ranks


def test_pairs_are_counted_in_the_order_of_the_paper():
    rows = make_rows("fid", (1.0, 9.0, 0.1), (2.0, 5.0, 1.0), (3.0, 6.5, 1.0), (3.0, 20.0, 0.1))
    (order,) = rank_rows(rows)
    assert (order["same"], order["reversed"], order["undecided"]) == (2, 2, 1)
    one = {"same": 0, "reversed": 0, "undecided": 1}
    assert describe_order(one) == "0 of 1 pair in the paper’s order, 0 reversed, 1 undecided"
    assert describe_order(order) == "2 of 5 pairs in the paper’s order, 2 reversed, 1 undecided"
    assert [row["paper"] for row in order["rows"]] == [1, 2, 3, 4]
    assert [row["here"] for row in order["rows"]] == [3, 1, 2, 4]


def test_higher_is_better_turns_the_order():
    rows = make_rows("recall", (0.9, 0.8, 0.01), (0.5, 0.4, 0.01))
    (order,) = rank_rows(rows)
    assert order["same"] == 1 and ranks_of(rows) == [1, 2]


def test_rows_without_interval_or_published_value_have_no_place():
    rows = make_rows("fid", (1.0, 5.0, None), (None, 6.0, 0.1), (3.0, 8.0, 0.1))
    assert rank_rows(rows) == [] and ranks_of(rows) == [None, 1, 2]
    alone = make_rows("fid", (1.0, 5.0, 0.1), (2.0, 6.0, None))
    assert rank_rows(alone) == [] and ranks_of(alone) == [None, None]
