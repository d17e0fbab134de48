import pytest

from reports.claims import VERDICTS
from reports.forest import GROUPS, make_groups, make_strip
from tests.reports.conftest import evaluate


def compared(effect, low=None, high=None, paper=None, relation="less", **options):
    return {
        "metric": "fid",
        "statistic": "ratio",
        "relation": relation,
        "factor": 1.0,
        "margin": 0.0,
        "effect": effect,
        "low": low,
        "high": high,
        "published_effect": paper,
        **options,
    }


def test_a_strip_has_one_axis_with_none_in_its_middle():
    strip = make_strip(compared(0.5, -0.5, 1.0, paper=-1.0), 1.0, "×2.7")
    assert strip["zero"] == 135 and strip["effect"] - 135 == 135 - strip["low"] == 64
    assert strip["high"] == 263 and strip["paper"] == 7 and not strip["beyond"]
    assert strip["left"] == ("higher FID", "÷2.7") and strip["right"] == ("lower FID", "×2.7")


def test_what_is_beyond_the_axis_stands_at_its_end():
    strip = make_strip(compared(0.5, paper=9.0, relation="greater"), 1.0, "+1")
    assert strip["low"] is None and strip["beyond"] and strip["paper"] == 263
    assert strip["left"] == ("lower FID", "\u22121")
    assert make_strip(compared(0.1), 1.0, "+1")["paper"] is None


@pytest.mark.parametrize(
    ("options", "right"),
    [
        ({"relation": "nearer"}, "FID nearer"),
        ({"margin": 0.02}, "for the claim"),
        ({"factor": 0.5}, "for the claim"),
    ],
)
def test_the_sides_of_other_comparisons_are_named(options, right):
    assert make_strip(compared(0.1, **options), 1.0, "+1")["right"][0] == right


def test_every_verdict_has_its_group_and_every_claim_is_plotted_as_it_is_judged(
    project, make_spec, make_row, make_claim
):
    assert tuple(GROUPS) == VERDICTS
    rows = [
        make_row("a", project.write_metrics("a", fid=(12.0, 0.1))),
        make_row("b", project.write_metrics("b", fid=(14.0, 0.1))),
        make_row("c", project.write_metrics("c", fid=(12.1, 0.1))),
    ]
    claims = [
        make_claim("fid", "a", "less", "b"),
        make_claim("fid", "b", "less", "a"),
        make_claim("fid", "c", "less", "a"),
    ]
    groups = make_groups([evaluate(make_spec(rows, claims=claims))])
    assert [group["verdict"] for group in groups] == ["supported", "contradicted", "inconclusive"]
    for group in groups:
        (claim,) = group["claims"]
        strip = claim["strip"]
        sides = {strip[key] > strip["zero"] for key in ("low", "high")}
        assert (
            sides
            == {
                "supported": {True},
                "contradicted": {False},
                "inconclusive": {True, False},
            }[group["verdict"]]
        )
        assert 0 < strip["low"] < strip["effect"] < strip["high"] < 270
    assert "times as many samples would contradict the claim" in groups[2]["claims"][0]["need"]


def test_an_interval_that_was_not_judged_is_not_plotted(project, make_spec, make_row, make_claim):
    rows = [
        make_row(name, project.write_metrics(name, fid=fid)) for name, fid in (("a", 1), ("b", 2))
    ]
    claim = make_claim("fid", "a", "less", "b", differ=True)  # trained with one seed each
    (group,) = make_groups([evaluate(make_spec(rows, claims=[claim]))])
    strip = group["claims"][0]["strip"]
    assert group["verdict"] == "inconclusive" and group["claims"][0]["need"] == ""
    assert strip["low"] is strip["high"] is None and strip["effect"] > strip["zero"]
