"""Networks that cannot be built are refused before any is made, with what would do."""

import pytest

from records.errors import UserError
from specs.architecture import (
    PUBLISHED,
    ClassifierArchitecture,
    UNetArchitecture,
    make_architecture,
)
from tests.specs.small_architectures import CLASSIFIER, UNET


def refuse(kind, **keywords):
    with pytest.raises(UserError) as error:
        make_architecture(kind, "here", **keywords)
    return str(error.value)


def test_what_is_left_out_is_as_in_the_published_models():
    for kind, given in ((UNetArchitecture, UNET), (ClassifierArchitecture, CLASSIFIER)):
        made = make_architecture(kind, "here", **given)
        rest = {key: value for key, value in PUBLISHED[kind].items() if key not in given}
        assert made == kind(**given, **rest)
        assert made.content() == given | rest
    assert made.pool == "attention" and made.widths == [16, 32]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"image_size_px": 6, "channel_mult": [1, 1, 1]},
            "channel_mult has 3 levels, which halve image_size_px 6 2 times; the image must be a "
            "multiple of 4 px and the smallest map at least 2 px: take fewer levels",
        ),
        ({"channel_mult": [1, 1, 1, 1]}, "channel_mult has 4 levels, which halve image_size_px 8"),
        ({"image_size_px": 0}, "image_size_px: got 0 (int); Input should be greater than 0"),
        (
            {"heads": 5},
            "heads 5 does not divide the 32 channels of an attention block; take a divisor",
        ),
        ({"heads": 0}, "heads: got 0 (int); Input should be greater than 0"),
        (
            {"heads": None, "head_channels": 12},
            "head_channels 12 does not divide the 32 channels of an attention block; take a",
        ),
        (
            {"attention_resolutions": [], "heads": 3},
            "heads 3 does not divide the 32 channels of an attention block",
        ),
        ({"heads_upsample": 3}, "heads_upsample 3 does not divide the 32 channels"),
        (
            {"heads": None, "head_channels": 8, "heads_upsample": 2},
            "heads_upsample is 2, which counts heads, but head_channels 8 sets their width "
            "everywhere; give one of the two",
        ),
        (
            {"head_channels": 8},
            "heads 2 and head_channels 8; give exactly one of them: the number of attention heads, "
            "or the channels of each",
        ),
        ({"heads": None}, "heads None and head_channels None; give exactly one of them"),
        (
            {"num_groups": 12},
            "num_groups 12 for a width of 32 channels; every width of [32, 32] must be a ",
        ),
        ({"num_groups": 64}, "num_groups 64 for a width of 32 channels; every width"),
        ({"channel_mult": [0.01, 1]}, "num_groups 8 for a width of 0 channels; every width of [0,"),
        (
            {"channel_mult": [-1, 1]},
            "num_groups 8 for a width of -32 channels; every width of [-32, 32] must be",
        ),
        (
            {"attention_resolutions": [16, 8, 2]},
            "attention_resolutions: [16, 2] px are not among the maps of this model, [8, 4] px; "
            "list only these (the middle block, at the last, always attends)",
        ),
        ({"attention_resolutions": [4.0]}, "attention_resolutions: 0: got 4.0 (float); Input"),
        ({"channel_mult": []}, "channel_mult: got [] (list); List should have at least 1 item"),
        ({"channel_mult": [1, "2"]}, "channel_mult: 1: got '2' (str); Input should be a valid num"),
        ({"channels": 0}, "channels: got 0 (int); Input should be greater than 0"),
        ({"depth": 0}, "depth: got 0 (int); Input should be greater than 0"),
        ({"num_groups": 0}, "num_groups: got 0 (int); Input should be greater than 0"),
        ({"dropout": 1.0}, "dropout: got 1.0 (float); Input should be less than 1"),
        ({"dropout": -0.1}, "dropout: got -0.1 (float); Input should be greater than or equal"),
        ({"embedding": "film"}, "embedding: got 'film' (str); Input should be 'adagn' or 'addi"),
        ({"qkv_order": "old"}, "qkv_order: got 'old' (str); Input should be 'legacy' or 'new'"),
        (
            {"low_res_px": 8},
            "low_res_px is 8 for images of 8 px; an upsampler needs a smaller size, a diffusion "
            "model none at all",
        ),
        (
            {"out_channels": 5},
            "out_channels is 5 for in_channels 3; give in_channels to predict the noise alone, or "
            "twice that to learn the variance too",
        ),
        ({"num_classes": 0}, "num_classes: got 0 (int); Input should be greater than 0"),
        ({"chanels": 3}, "chanels: unknown key; did you mean 'channels'?"),
        ({"zzz": 3}, "zzz: unknown key; the keys are: channels, depth, channel_mult, heads"),
        ({"pool": "attention"}, "pool: unknown key; the keys are: channels, depth"),
    ],
)
def test_a_unet_that_cannot_be_built_is_refused(changes, message):
    assert refuse(UNetArchitecture, **{**UNET, **changes}).startswith(f"here: {message}")


def test_every_missing_keyword_is_a_line():
    given = {key: value for key, value in UNET.items() if key not in ("channels", "depth")}
    assert refuse(UNetArchitecture, **given).splitlines() == [
        "here: channels: missing; write this key",
        "here: depth: missing; write this key",
    ]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"pool": "max"},
            "pool: got 'max' (str); Input should be 'attention', 'adaptive', 'spatial' or "
            "'spatial_v2'",
        ),
        (
            {"head_channels": None, "heads": 2},
            "head_channels: got null; pool attention needs it, not heads: give the channels of "
            "each head, or choose another pool",
        ),
        (
            {"pool": "spatial_v2", "num_groups": 6, "channels": 48},
            "pool spatial_v2 normalises 2048 features, which num_groups 6 does not divide; choose "
            "a power of two up to 2048, or another pool",
        ),
        ({"num_classes": 0}, "num_classes: got 0 (int); Input should be greater than 0"),
        ({"num_classes": None}, "num_classes: got None (NoneType); Input should be a valid int"),
        ({"in_channels": 0}, "in_channels: got 0 (int); Input should be greater than 0"),
        ({"image_size_px": 7}, "channel_mult has 2 levels, which halve image_size_px 7 1 times"),
        (
            {"attention_resolutions": [16]},
            "attention_resolutions: [16] px are not among the maps of this model, [8, 4] px",
        ),
        ({"head_channels": 5}, "head_channels 5 does not divide the 32 channels of an attention"),
        ({"num_groups": 32}, "num_groups 32 for a width of 16 channels; every width of [16, 32]"),
        ({"dropout": 1.0}, "dropout: got 1.0 (float); Input should be less than 1"),
        ({"out_channels": 3}, "out_channels: unknown key; did you mean 'channels'?"),
        ({"low_res_px": 4}, "low_res_px: unknown key; the keys are: channels, depth"),
    ],
)
def test_a_classifier_that_cannot_be_built_is_refused(changes, message):
    words = refuse(ClassifierArchitecture, **{**CLASSIFIER, **changes})
    assert words.startswith(f"here: {message}")


@pytest.mark.parametrize("pool", ["adaptive", "spatial", "spatial_v2"])
def test_pools_without_attention_take_heads(pool):
    changes = {"pool": pool, "head_channels": None, "heads": 2}
    assert make_architecture(ClassifierArchitecture, "here", **{**CLASSIFIER, **changes}).heads == 2
