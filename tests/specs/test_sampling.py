"""Specs of samples: files of earlier versions stay what they were, and guidance is whole."""

import pytest

from records.errors import UserError
from records.files import spec_digest
from specs.sampling import PublishedSamples, SampleSpec
from specs.strict import validated

WEIGHTS = {"name": "a", "digest": "0" * 64, "mark": "final", "iteration": 3}
SPEC = {
    "recipe": 1,
    "name": "b",
    "task": "digits",
    "num_images": 10,
    "seed": 0,
    "label_policy": "random",
    "num_classes": 10,
    "model": WEIGHTS,
    "sampler": {
        "method": "ddim",
        "respacing": "ddim10",
        "eta": 0.5,
        "guidance_scale": 1.5,
        "schedule": "cosine",
        "num_timesteps": 100,
    },
    "classifier": WEIGHTS,
    "low_res": {"name": "c", "digest": "1" * 64},
}
UNGUIDED = {**SPEC["sampler"], "guidance_scale": None}


def test_a_spec_is_written_as_it_was_read_and_keeps_its_digest():
    spec = validated(SampleSpec, SPEC, "x")
    assert spec.content() == SPEC and spec.digest == spec_digest(SPEC)
    assert spec.num_samples == 10
    assert spec.model_copy(update={"num_samples": 11}).content() == {**SPEC, "num_images": 11}


def test_the_code_names_samples_and_files_name_images():
    published = {"recipe": 1, "name": "b", "task": "t", "released": "x.npz"}
    spec = PublishedSamples(**published, num_samples=3)
    assert spec.content() == {**published, "num_images": 3}
    with pytest.raises(UserError) as error:
        validated(PublishedSamples, {**published, "num_samples": 3}, "x")
    assert str(error.value).splitlines() == [
        "x: num_images: missing; write this key",
        "x: num_samples: unknown key; did you mean 'num_images'?",
    ]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"classifier": None}, "sampler: guidance_scale 1.5 with classifier None; guidance needs"),
        ({"sampler": UNGUIDED}, "sampler: guidance_scale None with classifier a; guidance needs"),
        ({"num_classes": None}, "num_classes: got None; a classifier guides to a class: write"),
        ({"num_images": 0}, "num_images: got 0 (int); Input should be greater than 0"),
        ({"label_policy": "all"}, "label_policy: got 'all' (str); Input should be 'random' or"),
        ({"sampler": {**UNGUIDED, "respacing": "ddim99"}}, "sampler: respacing 'ddim99': no integ"),
        ({"sampler": {**UNGUIDED, "respacing": "200"}}, "sampler: respacing '200' asks for 200"),
        (
            {"sampler": {**UNGUIDED, "schedule": "linear", "num_timesteps": 10}},
            "sampler: num_timesteps is 10, but the linear schedule needs at least 20",
        ),
        (
            {"sampler": {**UNGUIDED, "classifier": "a"}},
            "sampler: classifier: unknown key; the keys",
        ),
        ({"model": {**WEIGHTS, "marks": 1}}, "model: marks: unknown key; did you mean 'mark'?"),
        ({"low_res": {"name": "c"}}, "low_res: digest: missing; write this key"),
        ({"classifier": "a"}, "classifier: got 'a'; a mapping is needed"),
    ],
)
def test_what_contradicts_itself_is_refused(changes, words):
    with pytest.raises(UserError) as error:
        validated(SampleSpec, {**SPEC, **changes}, "x")
    assert str(error.value).startswith(f"x: {words}")


def test_neither_half_of_guidance_is_a_spec_too():
    spec = {**SPEC, "sampler": UNGUIDED, "classifier": None, "num_classes": None}
    assert validated(SampleSpec, spec, "x").content() == spec
