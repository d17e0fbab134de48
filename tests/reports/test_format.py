import pytest

from reports.format import (
    describe_comparison,
    describe_effect,
    escape_markdown,
    format_exact,
    format_interval,
    format_measured,
    format_number,
    format_published,
    format_seconds,
    format_setting,
    format_share,
    split_effect,
    start_sentence,
)


@pytest.mark.parametrize(
    "value, metric, text",
    [
        (12.345, "fid", "12.35"),
        (-0.21, "fid", "\u22120.21"),
        (0.0123, "fid", "0.012"),
        (0.6549, "precision", "0.655"),
        (0.0, "fid", "0.00"),
        (-1e-12, "fid", "0.00"),
        (None, "fid", "\u2013"),
    ],
)
def test_numbers(value, metric, text):
    assert format_number(value, metric) == text


@pytest.mark.parametrize(
    "value, half, words",
    [
        (12.345, 3.6, ("12.3", "8.7 to 15.9")),
        (123.45, 36.0, ("123", "87 to 159")),
        (0.7071, 0.0231, ("0.707", "0.684 to 0.730")),
        (5.0, 0.0996, ("5.00", "4.90 to 5.10")),
        (0.5, 0.0, ("0.50", "0.50 to 0.50")),
    ],
)
def test_numbers_are_rounded_to_the_second_digit_of_their_interval(value, half, words):
    cell = {"measured": value, "low": value - half, "high": value + half, "metric": "fid"}
    assert format_measured(cell) == words
    assert format_measured({**cell, "low": None}) == (format_number(value, "fid"), "")


def test_differences_carry_their_sign():
    assert format_number(0.5, "fid", signed=True) == "+0.50"
    assert format_number(0.0, "fid", signed=True) == "0.00"
    assert format_published(-3.0, signed=True) == "\u22123.00"
    assert format_published(0.16, signed=True) == "+0.16"


def test_intervals_shares_and_seconds():
    assert format_interval(1.0, 2.0, "fid") == "1.00 to 2.00"
    assert format_interval(1.0, 1.0, "fid") == "1.00 to 1.00"
    assert format_interval(None, None, "fid") == ""
    assert format_share(0.5512) == "55.1 %"
    assert [format_seconds(s) for s in (3, 90, 7200)] == ["3.0 s", "1.5 min", "2.0 h"]


def test_settings():
    values = (True, None, 1.0, 0.25, 160, [32, 16, 8], "AdaGN")
    words = ["yes", "\u2013", "1.0", "0.25", "160", "32, 16, 8", "AdaGN"]
    assert [format_setting(value) for value in values] == words


def test_exact_values_lose_nothing():
    assert format_exact(0.1 + 0.2) == "0.3"
    assert format_exact(None) == ""
    assert format_exact(False) == "false"


def test_hostile_text_is_harmless_in_markdown():
    assert escape_markdown("<script>|a_b*\n") == r"&lt;script&gt;\|a\_b\* "


def comparison(relation, factor=1.0, margin=0.0):
    cells = [{"label": label, "after": ""} for label in "ABC"]
    return {
        "metric": "fid",
        "relation": relation,
        "factor": factor,
        "margin": margin,
        "cells": cells,
    }


def test_comparisons_in_words():
    assert describe_comparison(comparison("less")) == "FID of “A” is less than that of “B”"
    assert describe_comparison(comparison("greater", margin=0.02)).endswith("that of “B” less 0.02")
    assert "less than 2.1 times that of “B”" in describe_comparison(comparison("less", 2.1))
    assert describe_comparison(comparison("nearer", 0.5)) == (
        "FID of “A” is nearer to that of “C” than 0.5 times the distance of “B”"
    )


def test_effects_in_words():
    effect = {"metric": "fid", "statistic": "difference", "effect": 1.5, "low": -0.5, "high": 3.5}
    ratio = {**effect, "statistic": "ratio", "effect": 0.1, "low": -0.05, "high": 0.25}
    assert describe_effect(ratio) == "+11\u00a0% (95\u00a0%: \u22125\u00a0% to +28\u00a0%)"
    wild = describe_effect({**ratio, "low": -1e33, "high": 1e33})  # a verdict of next to nothing
    assert wild.startswith("+11\u00a0% (95\u00a0%: \u2212100\u00a0% to +1.01e+306")
    assert describe_effect(effect) == "+1.5 (95\u00a0%: \u22120.5 to +3.5)"
    assert describe_effect({**effect, "low": None, "high": None}) == "+1.50"
    assert describe_effect({**effect, "effect": None}) == ""
    assert split_effect(ratio) == ("+11\u00a0%", "\u22125\u00a0% to +28\u00a0%")
    assert split_effect({**effect, "effect": None}) == ("", "")


def test_sentences_keep_their_names():
    assert start_sentence("the FID of ADM") == "The FID of ADM"
