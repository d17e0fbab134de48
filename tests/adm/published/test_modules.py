"""The published modules as objects: made from keywords or specs, and sampled in one call."""

import copy

import numpy as np
import pytest
import torch

from adm import ADM, ADM_G, ADM_U, ADM_classifier
from adm.published.names import find_model, load_catalogue
from adm.sampling.shards import write_samples
from adm.weights.files import save_weights
from records.batches import read_batch
from records.errors import UserError
from tests.adm.sample_specs import randomise
from workflow.settings import load_plan

SHAPE = {
    "image_size_px": 8,
    "channels": 16,
    "depth": 1,
    "channel_mult": [1, 2],
    "attention_resolutions": [4],
    "head_channels": 8,
    "biggan_updown": True,
    "num_groups": 8,
}


def make_adm(**changes):
    torch.manual_seed(0)
    return randomise(ADM(**{**SHAPE, "out_channels": 6, "num_classes": 10, **changes}), 0)


def make_guide(**changes):
    torch.manual_seed(1)
    return randomise(ADM_classifier(**{**SHAPE, "num_classes": 10, **changes}), 1)


def test_modules_have_the_published_names_and_are_torch_modules():
    model, guide = make_adm(), make_guide()
    assert isinstance(model, torch.nn.Module) and next(iter(model.state_dict())).startswith("time")
    assert model(torch.zeros(2, 3, 8, 8), torch.zeros(2), torch.tensor([1, 2])).shape[1] == 6
    assert guide(torch.zeros(2, 3, 8, 8), torch.zeros(2)).shape == (2, 10)
    other = copy.deepcopy(model)
    other.load_state_dict(model.state_dict())
    joined = ADM_G(model, guide)
    assert {name.split(".")[0] for name in joined.state_dict()} == {"model", "classifier"}
    with torch.no_grad():
        x, t, y = torch.zeros(1, 3, 8, 8), torch.zeros(1), torch.tensor([3])
        assert torch.equal(joined(x, t, y), model(x, t, y))


def test_samples_are_those_of_the_workflow(tmp_path):
    plan = load_plan({})
    spec = plan.models["imagenet_64"]
    model = randomise(ADM(spec), 0).train()
    path = tmp_path / "w.safetensors"
    save_weights(path, model, list(model.parameters()), spec=spec, mark="final", iteration=300)
    order = plan.samples["t4_64_adm_dropout"]
    sampler = order.sampler.model_copy(update={"respacing": "4"})
    order = order.model_copy(update={"num_samples": 5, "sampler": sampler})
    write_samples(
        order, weights_path=path, classifier_path=None, low_res_path=None,
        out_path=tmp_path / "s.npz", start=0, stop=5, batch_size=5,
    )  # fmt: skip
    images, labels = read_batch(tmp_path / "s.npz")
    drawn = model.sample(5, seed=order.seed, respacing="4", batch_size=5)
    assert drawn.shape == (5, 4, 4, 1) and np.array_equal(drawn.numpy()[..., 0], images[..., 0])
    part = model.sample(
        2, seed=order.seed, respacing="4", start=3, labels=torch.from_numpy(labels[3:])
    )
    assert np.abs(part.numpy()[..., 0].astype(int) - images[3:, ..., 0]).max() <= 1
    assert model.training  # as it was before
    shown = model.sample(5, seed=order.seed, respacing="4", batch_size=5, progress=True)
    assert torch.equal(shown, drawn)


def test_guidance_moves_samples_and_scale_zero_does_not():
    model, joined = make_adm(), ADM_G(make_adm(), make_guide(), guidance_scale=50.0)
    settings = {"seed": 3, "labels": 4, "respacing": "5"}
    plain = model.sample(3, **settings)
    assert torch.equal(joined.sample(3, guidance_scale=0.0, **settings), plain)
    assert not torch.equal(joined.sample(3, **settings), plain)
    assert all(one.requires_grad for one in joined.classifier.parameters())
    unconditional = ADM_G(make_adm(num_classes=None), make_guide())
    assert unconditional.sample(2, guidance_scale=1.0, **settings).shape == (2, 8, 8, 3)


def test_ddim_is_chosen_by_its_respacing():
    model = make_adm()
    by_name = model.sample(2, seed=0, respacing="5", method="ddim")
    assert not torch.equal(by_name, model.sample(2, seed=0, respacing="5"))
    first, again = (model.sample(2, seed=0, respacing="ddim5") for _ in range(2))
    assert torch.equal(first, again)


def test_an_upsampler_enlarges():
    model = randomise(ADM_U(**SHAPE, out_channels=6, num_classes=10, low_res_px=4), 0)
    low_res = torch.full((2, 4, 4, 3), 200, dtype=torch.uint8)
    images = model.sample(2, seed=0, respacing="4", low_res=low_res, labels=[1, 2])
    assert images.shape == (2, 8, 8, 3)
    assert not torch.equal(
        images, model.sample(2, seed=0, respacing="4", low_res=low_res // 4, labels=[1, 2])
    )


def test_a_spec_makes_what_its_kind_says():
    catalogue = load_catalogue("digits")
    for name, kind in (
        ("imagenet_256", ADM),
        ("classifier_256", ADM_classifier),
        ("upsampler_64_256", ADM_U),
    ):
        spec = find_model(name, catalogue).spec
        model = kind(spec)
        assert model.spec.digest == spec.digest
        wrong = ADM if kind is not ADM else ADM_U
        with pytest.raises(UserError, match=f"the spec is of a {spec.kind}; a "):
            wrong(spec)
    with pytest.raises(UserError, match=r"a spec and keywords \(channels\) are given"):
        ADM_U(spec, channels=3)
    with pytest.raises(UserError, match=r"a spec and keywords \(schedule\) are given"):
        ADM_classifier(find_model("classifier_256", catalogue).spec, schedule="cosine")


@pytest.mark.parametrize(
    ("kind", "change", "words"),
    [
        (ADM, {"chanels": 8}, "ADM: chanels: unknown key; did you mean 'channels'?"),
        (ADM, {"depth": None}, "ADM: depth: got None (NoneType); Input should be a valid integer"),
        (ADM, {"low_res_px": 4}, "ADM: architecture: low_res_px is 4 for kind diffusion"),
        (ADM_U, {}, "ADM_U: architecture: low_res_px is None for kind upsampler"),
        (ADM_classifier, {}, "ADM_classifier: out_channels: unknown key"),
    ],
)
def test_keywords_that_make_no_network_are_refused(kind, change, words):
    with pytest.raises(UserError) as error:
        kind(**{**SHAPE, "out_channels": 6, **change})
    assert words in str(error.value)


@pytest.mark.parametrize(
    ("change", "settings", "words"),
    [
        ({}, {"respacing": None}, "the steps are not known; give respacing"),
        ({"schedule": None}, {}, "ADM: training: schedule: got None (NoneType); Input should be"),
        ({}, {"respacing": "2000"}, "ADM: "),
        ({}, {"method": "euler"}, "method: got 'euler' (str); Input should be 'ancestral' or"),
        ({}, {"labels": 10}, "ADM: label 10; there are 10 classes: 0 to 9"),
        ({}, {"labels": "cat"}, "ADM: no class is called 'cat'; give a number, 0 to 9"),
        ({}, {"labels": [1, 2, 3]}, "3 labels for 2 images; give one for each, or one for all"),
        ({"num_classes": None}, {"labels": 1}, "knows no classes, so a label does nothing"),
        ({}, {"guidance_scale": 1.0}, "give classifier and guidance_scale together"),
        ({}, {"num_images": 0}, "num_images is 0; give at least 1"),
        ({}, {"batch_size": 0}, "batch_size is 0; give at least 1"),
        ({}, {"batch_size": -3}, "batch_size is -3; give at least 1"),
        ({}, {"low_res": torch.zeros(2, 4, 4, 3)}, "takes no low_res"),
    ],
)
def test_settings_that_do_not_fit_are_refused(change, settings, words):
    options = {"num_images": 2, "seed": 0, "respacing": "4", **settings}
    with pytest.raises(UserError) as error:
        make_adm(**change).sample(**options)
    assert words in str(error.value)


def test_pairs_that_do_not_fit_are_refused():
    with pytest.raises(UserError, match="has image_size_px 8 and ADM_classifier 16"):
        ADM_G(make_adm(), make_guide(image_size_px=16, attention_resolutions=[8]))
    with pytest.raises(UserError, match="ADM_classifier as model and ADM as classifier; needed:"):
        ADM_G(make_guide(), make_adm())
    for other in (make_adm(), torch.nn.Identity()):
        with pytest.raises(UserError, match=r"got ADM as model and .* as classifier; needed"):
            make_adm().sample(classifier=other, guidance_scale=1.0, seed=0, respacing="4")
    with pytest.raises(UserError, match="has 10 classes and the classifier 7"):
        ADM_G(make_adm(), make_guide(num_classes=7)).sample(
            guidance_scale=1.0, seed=0, respacing="4"
        )
    with pytest.raises(UserError, match="no guidance_scale is known"):
        ADM_G(make_adm(), make_guide()).sample(seed=0)
    model = randomise(ADM_U(**SHAPE, out_channels=6, low_res_px=4), 0)
    with pytest.raises(UserError, match="needs low_res, images of 4 px"):
        model.sample(seed=0, respacing="4")
    with pytest.raises(UserError, match=r"uint8 \[1, 4, 4, 3\] is needed"):
        model.sample(seed=0, respacing="4", low_res=torch.zeros(1, 8, 8, 3, dtype=torch.uint8))
