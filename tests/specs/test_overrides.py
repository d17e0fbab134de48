"""Settings of samplers that an experiment changes."""

import pytest
import yaml

from records.errors import UserError
from specs.overrides import load_overrides
from specs.row_facts import load_named_tables
from tests.specs.scale_case import TABLES, load_shipped


def write(path, overrides):
    run = {"scale": "digits", "source": "retrain", "overrides": overrides}
    path.write_text(yaml.safe_dump(run))
    return path


def test_a_row_has_the_settings_that_are_given_and_no_published_samples(tmp_path):
    path = write(tmp_path / "run.yaml", {"t3_cond_guided_1": {"guidance_scale": 2.5}})
    before, after = (
        load_named_tables(TABLES, load_shipped("paper"), one)["table3"].rows for one in (None, path)
    )
    own = after.pop("t3_cond_guided_1")
    old = before.pop("t3_cond_guided_1")
    assert own.sampler == old.sampler.model_copy(update={"guidance_scale": 2.5})
    assert old.released and not own.released and own.published == old.published
    assert after == before


@pytest.mark.parametrize("overrides", [None, {}, {"t3_cond": {}}])
def test_nothing_is_changed_by_nothing(tmp_path, overrides):
    assert load_overrides(write(tmp_path / "run.yaml", overrides)) == {}


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (
            {"t3_cond_guide": {"guidance_scale": 2.0}},
            "t3_cond_guide: no row at scale digits 't3_cond_guide'; did you mean "
            "'t3_cond_guided_1'?",
        ),
        (
            {"t3_cond_guided_1": {"guidance_scael": 2.0}},
            "t3_cond_guided_1: guidance_scael: unknown key; did you mean 'guidance_scale'?",
        ),
        (
            {"t3_cond_guided_1": {"guidance_scale": None}},
            "t3_cond_guided_1: guidance_scale None with classifier classifier_256; guidance needs "
            "both, no guidance neither",
        ),
        (
            {"t4_256_sr3": {"eta": 1.0}},
            "t4_256_sr3: a baseline, which draws no samples here; name another row",
        ),
        ({"t3_cond": 3}, "t3_cond: got 3; a mapping is needed"),
        ([1], "got [1]; a mapping is needed"),
    ],
)
def test_what_a_row_cannot_have_is_named(tmp_path, overrides, words):
    path = write(tmp_path / "run.yaml", overrides)
    with pytest.raises(UserError) as caught:
        load_named_tables(TABLES, load_shipped("digits"), path)
    assert str(caught.value) == f"{path}: overrides: {words}"


def test_an_impossible_number_of_steps_names_the_row(tmp_path):
    path = write(tmp_path / "run.yaml", {"t3_cond": {"respacing": "9999"}})
    with pytest.raises(UserError, match=r"rows: t3_cond: sampler: respacing: .* asks for 9999"):
        load_named_tables(TABLES, load_shipped("digits"), path)
