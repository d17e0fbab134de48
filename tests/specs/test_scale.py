"""Scales as shipped, and every mistake in one: refused with file, model and key."""

import pytest

from specs.scale import load_scale
from specs.tables import load_tables_at
from tests.specs.scale_case import SCALES, TABLES, change_scale, on, refuse_scale


def refuse(folder, change):
    return refuse_scale(folder, "digits", change)


@pytest.mark.parametrize("path", SCALES, ids=lambda path: path.stem)
def test_shipped_scales_fit_the_shipped_tables(path):
    scale = load_scale(path)
    assert scale.name == path.stem
    assert load_tables_at(TABLES, scale)


def test_the_scales_are_shipped():
    assert [path.stem for path in SCALES] == ["cifar10", "decide", "digits", "paper"]


@pytest.mark.parametrize(
    ("architecture", "words"),
    [
        ({"channel_mult": [1, 2, 2, 2, 2]}, "must be a multiple of 16 px"),
        ({"channel_mult": [1, 1, 1, 1]}, "smallest map at least 2 px"),
        ({"attention_resolutions": [16]}, r"[16] px are not among"),
        ({"channels": 36}, "num_groups 8 for a width of 36"),
        ({"channels": 8, "head_channels": 8}, "at least 2 channels each"),
        ({"heads": 3, "head_channels": None}, "heads 3 does not divide"),
        ({"head_channels": 48}, "head_channels 48 does not divide"),
        ({"heads": 2}, "give exactly one of them"),
        ({"embedding": "film"}, "embedding: got 'film' (str); Input should be 'adagn' or 'addi"),
        ({"chanels": 32}, "chanels: unknown key; did you mean 'channels'?"),
        ({"low_res_px": 4}, "low_res_px: unknown key; the keys are: channels, depth"),
        (None, "got None; a mapping is needed"),
    ],
)
def test_bad_architecture(tmp_path, architecture, words):
    message = refuse(tmp_path, on("models", "imagenet_256", architecture=architecture))
    assert "digits.yaml: models: imagenet_256: architecture: " in message and words in message


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"imagenet_256": {"extends": "nothing"}},
            "imagenet_256: extends: no model 'nothing'; write the name of another model",
        ),
        ({"imagenet_256": {"extends": "arch_al"}}, "no model 'arch_al'; did you mean 'arch_all'?"),
        ({"imagenet_256": {"extends": 3}}, "extends: no model 3; write the name of another"),
        (
            {"arch_baseline": {"extends": "arch_all"}},
            "arch_baseline: extends: arch_baseline -> arch_all -> arch_baseline goes in a circle",
        ),
        (
            {"imagenet_256": {"kind": "gan"}},
            "imagenet_256: kind: got 'gan'; needed: diffusion, upsampler, classifier",
        ),
        (
            {"arch_baseline": {"kind": None}},
            "arch_baseline: kind: got None; needed: diffusion, upsampler, classifier",
        ),
        ({"imagenet_256": {"task": "imagenet_1"}}, "imagenet_256: task: no task 'imagenet_1'; did"),
        (
            {"lsun_cat": {"class_conditional": True}},
            "lsun_cat: task lsun_cat_256 has no labels, and this model needs them; set",
        ),
        ({"classifier_256": {"task": "lsun_cat_256"}}, "lsun_cat_256 has no labels, and this"),
        (
            {"classifier_256": {"class_conditional": True}},
            "classifier_256: class_conditional: unknown key; the keys are: recipe, task",
        ),
        ({"classifier_256": {"task": "imagenet_64"}}, "must be a multiple of 4 px"),
        (
            {"imagenet_256": {"training": {"microbatch_size": 7}}},
            "imagenet_256: training: microbatch_size is a fact of the machine now and changes no",
        ),
        (
            {"imagenet_256": {"training": {"learning_rate": "1e-4"}}},
            "imagenet_256: training: learning_rate: got '1e-4' (str); Input should be a valid "
            "number; this is read as text: write 1.0e-04 for the number",
        ),
        (
            {"imagenet_256": {"training": {"batchsize": 8}}},
            "imagenet_256: training: batchsize: unknown key; did you mean 'batch_size'?",
        ),
        ({"arch_baseline": {"training": None}}, "training: got None; a mapping is needed"),
        (
            {"upsampler_64_256": {"low_res_task": "imagenet_256"}},
            "upsampler_64_256: low_res_task imagenet_256 has 8 px and 1 channels, task "
            "imagenet_256 8 px and 1; the smaller size must divide the larger",
        ),
        (
            {"upsampler_64_256": {"low_res_task": "imagenet_65"}},
            "upsampler_64_256: low_res_task: no task 'imagenet_65'; did you mean",
        ),
        (
            {"arch_baseline": {"marks": {"700K": 5, "1200K": 5}}},
            "arch_baseline: marks: {'700K': 5, '1200K': 5}; two marks at one iteration",
        ),
        (
            {"arch_baseline": {"marks": {"700_K": 5}}},
            "arch_baseline: marks: got '700_K'; a mark is named by letters and digits",
        ),
        ({"lsun_cat": {"marks": {7: 5}}}, "marks: got the name 7 (int); Input should be a valid"),
        ({"lsun_cat": {"marks": {}}}, "lsun_cat: marks: got {} (dict); Dictionary should have at"),
        (
            {"arch_baseline": {"seeds": [0, 0]}},
            "arch_baseline: seeds: got [0, 0]; each seed is written once",
        ),
        ({"arch_baseline": {"seeds": []}}, "seeds: got [] (list); List should have at least 1"),
        ({"arch_baseline": {"recipe": 0}}, "recipe: got 0 (int); Input should be greater than 0"),
    ],
)
def test_bad_model(tmp_path, changes, words):
    def change(content):
        for name, values in changes.items():
            content["models"][name].update(values)

    message = refuse(tmp_path, change)
    assert message.startswith(f"{tmp_path}/digits.yaml: models: ") and words in message


@pytest.mark.parametrize(
    ("model", "values", "words"),
    [
        (
            "classifier_256",
            {"objective": "hybrid"},
            "objective: got hybrid for kind classifier; cross_entropy is for classifiers, and only",
        ),
        (
            "arch_baseline",
            {"objective": "cross_entropy"},
            "objective: got cross_entropy for kind diffusion; cross_entropy is for classifiers",
        ),
        (
            "arch_baseline",
            {"schedule": "linear", "num_timesteps": 10},
            "num_timesteps is 10, but the linear schedule needs at least 20",
        ),
        ("arch_baseline", {"schedule": "sqrt"}, "schedule: got 'sqrt' (str); Input should be 'lin"),
    ],
)
def test_a_training_that_cannot_be_run_is_refused(tmp_path, model, values, words):
    message = refuse(tmp_path, on("models", model, "training", **values))
    assert f"digits.yaml: models: {model}: training: {words}" in message


def test_a_classifier_with_attention_at_its_end_needs_head_channels(tmp_path):
    values = {"heads": 4, "head_channels": None}
    message = refuse(tmp_path, on("models", "classifier_256", "architecture", **values))
    assert "architecture: head_channels: got null; pool attention needs it, not heads" in message


def test_a_mistake_is_said_of_the_model_that_has_it_not_of_those_that_extend_it(tmp_path):
    """A base model is extended by most others; the second mistake here is one of its own."""

    def change(content):
        content["models"]["arch_baseline"]["training"]["schedule"] = "sqrt"
        content["models"]["classifier_256"].update(seeds=3, recipe=0)

    lines = refuse(tmp_path, change).splitlines()
    places = [line.partition("digits.yaml: models: ")[2].rpartition(": got")[0] for line in lines]
    assert places == [
        "arch_baseline: training: schedule",
        "classifier_256: recipe",
        "classifier_256: seeds",
    ]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (on("models", lsun_cat=None), "models: lsun_cat: got None; a mapping is needed"),
        (on(models=None), "models: got None; a mapping of names is needed"),
        (
            on("models", **{"bad name": {"extends": "arch_all"}}),
            "models: got the name 'bad name'; take letters, digits and _",
        ),
        (lambda content: content["models"].update({3: {}}), "models: got the name 3; take letters"),
        (
            on(same_as={"tasks": {"imagenet_64": "imagenet_64"}, "models": {}}),
            "same_as: tasks: imagenet_64: the scale has imagenet_64 itself; remove one",
        ),
        (
            on(same_as={"tasks": {}, "models": {"x": "lsun_ca"}}),
            "same_as: models: x: no model 'lsun_ca'; did you mean 'lsun_cat'?",
        ),
        (on(same_as={"tasks": {"x": "imagenet"}, "models": {}}), "same_as: tasks: x: no task 'im"),
        (on(same_as={"task": {}}), "same_as: task: unknown key; did you mean 'tasks'?"),
        (on("network", kind="inceptoin"), "network: kind: got 'inceptoin'; needed: small, incepti"),
        (on(network={"recipe": 1}), "network: kind: missing; needed: small, inception"),
        (on(network=None), "network: got None; a mapping is needed"),
        (on("network", tasks="x"), "network: tasks: unknown key; did you mean 'task'?"),
        (on("network", task="imagenet_65"), "network: task: no task 'imagenet_65'; did you mean"),
        (
            on("evaluation", metrics=["fidd"]),
            "evaluation: metrics: 0: got 'fidd' (str); Input should be 'is', 'fid', 'sfid'",
        ),
        (on("evaluation", reference="own "), "evaluation: reference: got 'own ' (str); Input"),
        (on(evaluations={}), "evaluations: unknown key; did you mean 'evaluation'?"),
        (
            on("sampling", respacing={"250": 100}),
            "sampling: respacing: 250: got 100 (int); Input should be a valid string; write quotes",
        ),
        (on("compute", device="gpu"), "compute: device: got 'gpu'; needed: cpu"),
        (on("compute", threads=0), "compute: threads: got 0 (int); Input should be greater than 0"),
        (
            lambda content: content["compute"].update({True: 1}),
            "compute: got the key True (bool); Keys should be strings; write quotes around it",
        ),
    ],
)
def test_mistakes_elsewhere(tmp_path, change, words):
    assert any(
        line.startswith(f"{tmp_path}/digits.yaml: {words}")
        for line in refuse(tmp_path, change).splitlines()
    )


def test_published_weights_of_a_network_are_named_by_their_hash(tmp_path):
    message = refuse_scale(tmp_path, "paper", on("network", sha256="abc"))
    assert message.startswith(f"{tmp_path}/paper.yaml: network: sha256: got 'abc' (str); String")


def test_a_model_that_extends_changes_single_switches(tmp_path):
    def change(content):
        content["models"]["own"] = {
            "extends": "arch_baseline",
            "seeds": [4, 5],
            "architecture": {"dropout": 0.25},
            "training": {"learning_rate": 0.5},
        }

    models = load_scale(change_scale(tmp_path, "digits", change)).models
    own, base = models["own"], models["arch_baseline"]
    assert own.seeds == [4, 5] != base.seeds
    assert own.architecture == base.architecture.model_copy(update={"dropout": 0.25})
    assert own.training == base.training.model_copy(update={"learning_rate": 0.5})
    assert own.architecture != base.architecture and own.training != base.training
