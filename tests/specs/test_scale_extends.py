"""A scale that extends another says what differs, and nothing else."""

from pathlib import Path

import pytest
import yaml

from records.errors import UserError
from specs.scale import load_scale, make_model_spec

SCALES = Path(__file__).resolve().parents[2] / "params" / "scales"


def write_scale(folder, file="own.yaml", /, **content):
    path = folder / file
    path.write_text(yaml.safe_dump(content))
    return path


def test_what_is_not_written_is_that_of_the_other(tmp_path):
    path = write_scale(
        tmp_path,
        extends=str(SCALES / "digits.yaml"),
        name="own",
        tasks={"imagenet_64": {"num_samples": 7}},
        models={"arch_baseline": {"seeds": [5], "marks": {"1200K": 9}}},
    )
    own, digits = load_scale(path), load_scale(SCALES / "digits.yaml")
    changed = digits.tasks["imagenet_64"].model_copy(update={"num_samples": 7})
    assert own.name == "own" and own.about == digits.about
    assert own.tasks == {**digits.tasks, "imagenet_64": changed}
    assert own.models["arch_baseline"].seeds == own.models["arch_heads"].seeds == [5]
    assert own.models["arch_baseline"].marks == {"1200K": 9}  # marks are those written, no others
    assert own.models["arch_baseline"].training == digits.models["arch_baseline"].training
    assert own.models["lsun_horse"] == digits.models["lsun_horse"]


def test_a_scale_over_a_scale_over_a_scale(tmp_path):
    write_scale(tmp_path, "one.yaml", extends=str(SCALES / "digits.yaml"), about="one", notes=[])
    path = write_scale(tmp_path, "two.yaml", extends="one.yaml", name="two")
    scale = load_scale(path)
    assert (scale.name, scale.about, scale.notes) == ("two", "one", [])


@pytest.mark.parametrize(
    ("base", "words"),
    [
        ("own.yaml", "own.yaml: extends: own.yaml extends this file in turn; remove one"),
        ("other.yaml", "other.yaml: extends: own.yaml extends this file in turn; remove one"),
        ("none.yaml", "none.yaml: no such file"),
        (7, "own.yaml: extends: got 7; needed: the path of a scale, from this folder"),
        (None, "own.yaml: extends: got None; needed: the path of a scale, from this folder"),
    ],
)
def test_what_cannot_be_extended(tmp_path, base, words):
    write_scale(tmp_path, "other.yaml", extends="own.yaml")
    with pytest.raises(UserError) as caught:
        load_scale(write_scale(tmp_path, extends=base))
    assert words in str(caught.value)


def test_the_scale_that_decides_trains_the_models_of_the_embedded_one():
    digits, decide = (load_scale(SCALES / f"{name}.yaml") for name in ("digits", "decide"))
    assert decide.models.keys() == digits.models.keys()
    for name, model in digits.models.items():
        other = decide.models[name]
        assert other.seeds[: len(model.seeds)] == model.seeds and other.marks == model.marks
        specs = [
            make_model_spec(scale, name, scale.models[name], model.seeds[-1])
            for scale in (digits, decide)
        ]
        assert specs[0].digest == specs[1].digest
