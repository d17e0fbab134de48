"""Batches drawn shard by shard: a stopped job goes on, and shards leave no trace in the batch."""

import errno
import json
import os

import numpy as np
import pytest

from adm.sampling import draw as drawing
from adm.sampling.shards import KEPT_NAME, cut_range, is_finished, split_range, write_samples
from records.batches import read_batch, write_batch
from records.errors import UserError
from records.locks import exclusive_lock
from records.manifest import read_manifest
from tests.adm.sample_specs import (
    classifier_architecture,
    make_networks,
    make_random,
    make_sample,
    model_spec,
    randomise,
    sample_spec,
    unet_architecture,
    weights,
)


class Stop(Exception):
    """Ends a job in the middle."""


@pytest.fixture
def drawn(monkeypatch):
    """Count the images drawn; the job stops before image `stop_before`, if that is set."""
    draw, counts = drawing.draw_samples, {"images": 0, "stop_before": None}

    def count(indices, **options):
        if counts["stop_before"] in indices:
            raise Stop
        counts["images"] += len(indices)
        return draw(indices, **options)

    monkeypatch.setattr(drawing, "draw_samples", count)
    return counts


def draw(folder, spec, name="s", *, stop=10, per_shard=4, **options):
    write_samples(
        spec,
        weights_path=folder / "m",
        classifier_path=None,
        low_res_path=None,
        out_path=folder / f"{name}.npz",
        batch_size=2,
        images_per_shard=per_shard,
        **{"start": 0, "stop": stop, **options},
    )
    return (folder / f"{name}.npz").read_bytes()


def test_a_range_is_cut_at_multiples_of_the_size():
    assert list(split_range(0, 10, 4)) == [(0, 4), (4, 8), (8, 10)]
    assert list(split_range(3, 9, 4)) == [(3, 4), (4, 8), (8, 9)]
    assert list(split_range(5, 7, 4)) == [(5, 7)]
    assert list(split_range(0, 4, 4)) == [(0, 4)]


@pytest.mark.parametrize(
    ("finished", "spans"),
    [
        ([], [(0, 4), (4, 8), (8, 10)]),
        ([(4, 8)], [(0, 4), (4, 8), (8, 10)]),
        ([(3, 9)], [(0, 3), (3, 9), (9, 10)]),  # of another size
        ([(0, 10), (0, 4)], [(0, 10)]),
        ([(0, 5), (4, 10)], [(0, 4), (4, 10)]),  # less is left to draw than between 5 and 10
        ([(0, 3), (3, 6), (0, 4), (4, 8)], [(0, 4), (4, 8), (8, 10)]),
    ],
)
def test_finished_shards_of_any_size_leave_as_little_as_possible_to_draw(finished, spans):
    assert cut_range(0, 10, 4, finished) == spans


def test_the_batch_is_the_same_for_any_size_of_shard(tmp_path):
    spec = make_sample(tmp_path, num_samples=10)
    whole = draw(tmp_path, spec, "whole", per_shard=10)
    assert draw(tmp_path, spec, "cut", per_shard=4) == whole
    assert draw(tmp_path, spec, "odd", per_shard=6) == whole
    images, labels = read_batch(tmp_path / "cut.npz")
    assert images.shape == (10, 8, 8, 3) and labels.shape == (10,)
    manifest = read_manifest(tmp_path / "cut.npz")
    assert manifest["range"] == [0, 10] and manifest["num_images"] == 10
    assert [one["range"] for one in manifest["shards"]] == [[0, 10]]  # all by the same machine
    assert manifest["shards"] == read_manifest(tmp_path / "whole.npz")["shards"]
    assert not (tmp_path / "cut.shards").exists()


def test_a_batch_says_in_which_precision_it_was_drawn(tmp_path):
    for precision in ("float32", "bf16"):
        spec = make_sample(tmp_path, num_samples=4, sampler={"precision": precision})
        draw(tmp_path, spec, precision, stop=4)
        assert read_manifest(tmp_path / f"{precision}.npz")["precision"] == precision


def test_a_stopped_job_goes_on_from_its_finished_shards(tmp_path, drawn):
    spec = make_sample(tmp_path, num_samples=10)
    drawn["stop_before"] = 6
    with pytest.raises(Stop):
        draw(tmp_path, spec)
    assert not (tmp_path / "s.npz").exists()
    assert sorted(path.name for path in (tmp_path / "s.shards").glob("*.npz")) == [
        "000000-000004.npz"
    ]
    drawn.update(images=0, stop_before=None)
    resumed = draw(tmp_path, spec)
    assert drawn["images"] == 6
    assert resumed == draw(tmp_path, spec, "whole", per_shard=10)


@pytest.mark.parametrize("parts", [[(0, 10)], [(0, 5), (5, 10)], [(0, 3), (3, 7), (7, 10)]])
def test_parts_that_several_jobs_draw_are_the_whole_batch(tmp_path, drawn, parts):
    spec, state = make_sample(tmp_path, num_samples=10), tmp_path / "state"
    whole = draw(tmp_path, spec, "whole", per_shard=10)
    expected = read_manifest(tmp_path / "whole.npz")
    drawn["images"] = 0
    for start, stop in parts:
        note = tmp_path / f"{start}.json"
        options = {"state_dir": state, "start": start, "stop": stop, "out_path": note}
        for _ in range(2):  # the second time everything is there
            draw_part(tmp_path, spec, **options)
        assert json.loads(note.read_text())["range"] == [start, stop]
    assert drawn["images"] == 10 and not (tmp_path / "s.npz").exists()
    assert draw(tmp_path, spec, state_dir=state, only="join") == whole and drawn["images"] == 10
    manifest = read_manifest(tmp_path / "s.npz")
    cost = manifest.pop("run")["shards"]
    assert cost["cpu_seconds"] > 0 and cost["wall_seconds"] > 0
    assert manifest == {key: value for key, value in expected.items() if key != "run"}
    # The batch that is kept is enough for a part, which is noted without a drawing.
    note.unlink()
    draw_part(tmp_path, spec, **options)
    assert note.exists() and drawn["images"] == 10


def draw_part(folder, spec, **options):
    write_samples(
        spec,
        weights_path=folder / "m",
        classifier_path=None,
        low_res_path=None,
        batch_size=2,
        images_per_shard=4,
        only="draw",
        **options,
    )


def test_parts_at_a_time_do_not_lock_each_other_out(tmp_path):
    spec, state = make_sample(tmp_path, num_samples=10), tmp_path / "state"
    options = {"state_dir": state, "out_path": tmp_path / "n.json"}
    with exclusive_lock(state / "lock-000000-000004", "samples"):
        draw_part(tmp_path, spec, **options, start=4, stop=10)
        with pytest.raises(UserError, match="already being worked on"):
            draw_part(tmp_path, spec, **options, start=0, stop=4)


def test_what_is_missing_is_told_and_not_drawn_where_shards_are_only_joined(tmp_path, drawn):
    spec, state = make_sample(tmp_path, num_samples=10), tmp_path / "state"
    draw_part(tmp_path, spec, state_dir=state, start=0, stop=8, out_path=tmp_path / "n.json")
    damaged = state / "000000-000004.npz"
    damaged.write_bytes(damaged.read_bytes()[:-50])
    words = r"state: lacks samples 0 to 3 of .*; start the same run again, which draws what is"
    with pytest.raises(UserError, match=words):
        draw(tmp_path, spec, state_dir=state, only="join")
    assert [path.name for path in state.glob("*.npz")] == ["000004-000008.npz"]
    assert drawn["images"] == 8 and not (tmp_path / "s.npz").exists()


@pytest.mark.parametrize(
    "damage", ["cut short", "other bytes", "no manifest", "other spec", "other weights"]
)
def test_a_shard_that_is_not_what_it_should_be_is_drawn_anew(tmp_path, drawn, damage):
    spec = make_sample(tmp_path, num_samples=10)
    drawn["stop_before"] = 9
    with pytest.raises(Stop):
        draw(tmp_path, spec)
    shard = tmp_path / "s.shards" / "000000-000004.npz"
    if damage == "cut short":
        shard.write_bytes(shard.read_bytes()[:-50])
    if damage == "other bytes":
        write_batch(shard.with_name("x.npz"), np.zeros((4, 8, 8, 3), np.uint8), None, {})
        shard.with_name("x.npz").rename(shard)
    if damage == "no manifest":
        shard.with_suffix(".json").write_text("{")
    if damage == "other spec":
        spec = spec.model_copy(update={"seed": 1})
    if damage == "other weights":  # of the same spec, as a second training on a GPU gives
        model = randomise(make_networks()[0], 9)
        weights(tmp_path / "m", model_spec("diffusion", unet_architecture()), model)
    drawn.update(images=0, stop_before=None)
    resumed = draw(tmp_path, spec)
    assert drawn["images"] == (10 if damage.startswith("other ") and damage != "other bytes" else 6)
    assert resumed == draw(tmp_path, spec, "whole", per_shard=10)


def test_another_machine_or_commit_makes_no_shard_stale_and_another_version_does(tmp_path):
    path = tmp_path / "000000-000002.npz"
    made = {"digest": "d", "precision": "float32", "versions": {"torch": "1"}, "inputs": {}}
    write_batch(
        path, np.zeros((2, 8, 8, 3), np.uint8), None, {**made, "git_commit": "a", "cpus": 2}
    )
    assert is_finished(path, {**made, "cpus": 64, "git_commit": "b"})
    assert not is_finished(path, {**made, "versions": {"torch": "2"}})
    assert not is_finished(path, {**made, "precision": "bf16"})
    assert not is_finished(path, {**made, "inputs": {"weights": "0"}})


def test_what_others_left_in_the_folder_stays(tmp_path):
    spec = make_sample(tmp_path, num_samples=4)
    state = tmp_path / "s.shards"
    state.mkdir()
    (state / "mine.txt").write_text("kept")
    draw(tmp_path, spec, stop=4)
    assert [path.name for path in state.iterdir()] == ["mine.txt"]


def test_a_batch_that_was_deleted_is_not_drawn_again(tmp_path, drawn, capsys):
    spec, state = make_sample(tmp_path, num_samples=10), tmp_path / "state"
    whole = draw(tmp_path, spec, state_dir=state)
    assert sorted(path.name for path in state.glob("*.npz")) == [KEPT_NAME]
    assert os.path.samefile(state / KEPT_NAME, tmp_path / "s.npz")
    for path in (tmp_path / "s.npz", tmp_path / "s.json"):
        path.unlink()
    renamed = spec.model_copy(update={"name": "renamed"})
    assert draw(tmp_path, renamed, "t", state_dir=state) == whole and drawn["images"] == 10
    assert "t.npz: drawn before; taken from " in capsys.readouterr().err
    manifest = read_manifest(tmp_path / "t.npz")
    assert manifest["name"] == manifest["spec"]["name"] == "renamed"
    assert manifest["run"] == read_manifest(state / KEPT_NAME)["run"]
    draw(tmp_path, spec, state_dir=state, stop=9)
    assert drawn["images"] == 19 and len(read_batch(tmp_path / "s.npz")[0]) == 9


def test_without_hard_links_the_shards_stay(tmp_path, drawn, monkeypatch):
    spec, state = make_sample(tmp_path, num_samples=10), tmp_path / "state"

    def refuse(source, target):
        raise PermissionError(errno.EPERM, "no hard links here")

    monkeypatch.setattr(os, "link", refuse)
    whole = draw(tmp_path, spec, state_dir=state)
    assert not (state / KEPT_NAME).exists()
    (tmp_path / "s.npz").unlink()
    assert draw(tmp_path, spec, state_dir=state) == whole and drawn["images"] == 10


def test_two_jobs_do_not_draw_the_same_batch(tmp_path):
    spec = make_sample(tmp_path, num_samples=4)
    with (
        exclusive_lock(tmp_path / "state" / "lock", "samples"),
        pytest.raises(UserError, match=f"samples {spec.name}: already being worked on"),
    ):
        draw(tmp_path, spec, stop=4, state_dir=tmp_path / "state")


def test_a_guided_unconditional_model_stores_the_label_it_was_guided_to(tmp_path):
    architecture = unet_architecture(num_classes=None)
    unconditional = model_spec("diffusion", architecture)
    guide = model_spec("classifier", classifier_architecture())
    named = {
        "num_images": 6,
        "label_policy": "balanced",
        "model": weights(tmp_path / "u", unconditional, make_random(architecture, 8)),
    }
    sampler = {"method": "ddim", "respacing": "ddim5"}
    spec = sample_spec(
        **named,
        classifier=weights(tmp_path / "c", guide, make_networks()[1]),
        sampler={**sampler, "guidance_scale": 10.0},
    )
    options = {"weights_path": tmp_path / "u", "low_res_path": None, "start": 0, "stop": 6}
    write_samples(
        spec, classifier_path=tmp_path / "c", out_path=tmp_path / "g.npz", batch_size=6, **options
    )
    guided, labels = read_batch(tmp_path / "g.npz")
    assert labels.tolist() == [0, 1, 2, 3, 4, 5]
    bare = sample_spec(**named, num_classes=None, sampler=sampler)
    write_samples(bare, classifier_path=None, out_path=tmp_path / "b.npz", batch_size=6, **options)
    unguided, none = read_batch(tmp_path / "b.npz")
    assert none is None and (guided != unguided).any()
