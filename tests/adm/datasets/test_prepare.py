import contextlib
import errno
import hashlib
import io
import json
import os
import re
import signal
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image

from adm.datasets import prepare as module
from adm.datasets.conversion import convert_image
from adm.datasets.image_zip import ImageZip
from adm.datasets.order import Order
from adm.datasets.prepare import Stopped, broken_path, prepare_dataset, state_folder
from records.errors import UserError
from records.locks import exclusive_lock
from specs.datasets import OwnImagesSpec
from tests.adm.datasets.small_sources import (
    encode,
    make_classes,
    make_jpeg,
    make_pixels,
    prepare,
    write_imagenet_tar,
    write_lmdb,
    write_tree,
)


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_imagenet_from_its_tar(tmp_path, capsys):
    classes = make_classes(num_images=4)
    path = write_imagenet_tar(tmp_path / "in.tar", classes)
    out, manifest = prepare(tmp_path, path, dataset="imagenet", num_classes=3)
    assert f"{path}: 12 images of 3 classes" in capsys.readouterr().err
    dataset = ImageZip(out, image_size_px=16)
    assert (len(dataset), dataset.num_classes, dataset.image_channels) == (12, 3, 3)
    assert dataset.labels.tolist() == [0] * 4 + [1] * 4 + [2] * 4
    for index, (wnid, number) in enumerate((a, b) for a in sorted(classes) for b in range(4)):
        content = classes[wnid][f"{wnid}_{number}.JPEG"]
        png = convert_image(content, image_size_px=16, crop="centre").png
        np.testing.assert_array_equal(dataset.read(index), np.asarray(Image.open(io.BytesIO(png))))
    assert manifest["sha256"] == sha256(out)
    assert manifest["num_bytes"] == out.stat().st_size
    assert manifest["images_per_class"] == [4, 4, 4]
    assert manifest == json.loads((tmp_path / "x.manifest.json").read_text())
    assert "non-commercial research" in manifest["licence"]
    assert manifest["versions"]["pillow"]
    assert manifest["images_per_second"] > 0
    assert sorted(one.name for one in tmp_path.iterdir()) == ["in.tar", "x.manifest.json", "x.zip"]


def test_dataset_json_has_the_layout_of_the_other_sets(tmp_path):
    out, _ = prepare(tmp_path, write_tree(tmp_path / "in", make_classes()), words="photographs")
    with zipfile.ZipFile(out) as archive:
        content = archive.read("dataset.json")
        assert all(one.compress_type == zipfile.ZIP_STORED for one in archive.infolist())
    about = json.loads(content)
    assert content == json.dumps(about, sort_keys=True).encode()
    assert about["labels"][:4] == [
        ["00000/img00000000.png", 0],
        ["00000/img00000001.png", 0],
        ["00000/img00000002.png", 0],
        ["00000/img00000003.png", 1],
    ]
    assert about["class_names"] == ["n01", "n02", "n03"]
    assert (about["name"], about["count"], about["image_size_px"]) == ("x", 9, 16)
    assert (about["source"], about["licence"]) == ("photographs", "not stated")


def test_lsun_has_no_labels(tmp_path):
    values = {
        b"%02d" % one: encode(make_pixels(20, 16, one), "WEBP", lossless=True) for one in (2, 1)
    }
    path = write_lmdb(tmp_path / "cat_lmdb", values)
    out, manifest = prepare(tmp_path, path, dataset="lsun", crop="centre_box")
    dataset = ImageZip(out, image_size_px=16)
    assert (dataset.labels, dataset.num_classes, len(dataset)) == (None, None, 2)
    np.testing.assert_array_equal(dataset.read(0), make_pixels(20, 16, 1)[:, 2:18])
    assert manifest["images_per_class"] is None


def test_whole_images_keep_their_sizes_for_random_crops(tmp_path):
    images = {f"{one}.png": encode(make_pixels(20 + one, 16), "PNG") for one in range(2)}
    path = write_tree(tmp_path / "in", {"a": images})
    out, _ = prepare(tmp_path, path, crop="none", image_size_px=None)
    dataset = ImageZip(out)
    assert dataset.image_size_px is None
    np.testing.assert_array_equal(dataset.read(1), make_pixels(21, 16))


def test_a_finished_set_can_be_prepared_again_smaller(tmp_path):
    out, _ = prepare(tmp_path, write_tree(tmp_path / "in", make_classes()))
    small, manifest = prepare(tmp_path, out, name="small", image_size_px=8)
    assert ImageZip(small, 8).labels.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert manifest["class_names"] == ["n01", "n02", "n03"]


def test_the_same_bytes_whatever_the_number_of_workers(tmp_path):
    path = write_tree(tmp_path / "in", make_classes(num_images=12))
    digests = set()
    for num_workers in (1, 2, 3):
        (tmp_path / str(num_workers)).mkdir()
        out, manifest = prepare(tmp_path / str(num_workers), path, num_workers=num_workers)
        digests.add((sha256(out), manifest["sha256"], manifest["pixels_sha256"]))
    assert len(digests) == 1


def break_some(classes):
    classes["n01"]["n01_1.JPEG"] = b"no image"
    classes["n03"]["n03_2.JPEG"] = classes["n03"]["n03_2.JPEG"][:300]
    return classes


def test_all_broken_images_are_found_in_one_run(tmp_path):
    path = write_tree(tmp_path / "in", break_some(make_classes()))
    with pytest.raises(UserError) as caught:
        prepare(tmp_path, path)
    words = str(caught.value)
    assert "2 of 9 images cannot be used; all are listed in" in words
    assert "--skip-broken" in words
    lines = broken_path(tmp_path / "x.zip").read_text().splitlines()
    assert [one.split(": ")[0] for one in lines] == ["n01/n01_1.JPEG", "n03/n03_2.JPEG"]
    assert "n01/n01_1.JPEG: no image of a known format" in words
    assert not (tmp_path / "x.zip").exists()


def test_many_broken_images_are_shown_in_part(tmp_path):
    images = {f"{one:02d}.png": b"x" for one in range(25)}
    with pytest.raises(UserError, match=r"(?s)25 of 26 images .*and 15 more") as caught:
        prepare(tmp_path, write_tree(tmp_path / "in", {"a": {**images, "99.jpg": make_jpeg()}}))
    assert len(broken_path(tmp_path / "x.zip").read_text().splitlines()) == 25
    assert str(caught.value).count("no image of a known format") == 10


@pytest.mark.parametrize("tried_before", [False, True])
def test_skipping_broken_images_lists_them_in_the_manifest(tmp_path, tried_before):
    path = write_tree(tmp_path / "in", break_some(make_classes()))
    if tried_before:
        with pytest.raises(UserError):
            prepare(tmp_path, path)
    out, manifest = prepare(tmp_path, path, skip_broken=True)
    assert manifest["num_from_earlier_run"] == (9 if tried_before else 0)
    assert [name for name, _ in manifest["skipped"]] == ["n01/n01_1.JPEG", "n03/n03_2.JPEG"]
    assert manifest["images_per_class"] == [2, 3, 2]
    dataset = ImageZip(out, 16)
    assert dataset.labels.tolist() == [0, 0, 1, 1, 1, 2, 2]
    with zipfile.ZipFile(out) as archive:
        names = archive.namelist()
    assert names[:2] == ["00000/img00000000.png", "00000/img00000002.png"]
    assert not broken_path(out).exists()


def test_a_mended_image_is_taken(tmp_path):
    path = write_tree(tmp_path / "in", break_some(make_classes()))
    with pytest.raises(UserError):
        prepare(tmp_path, path)
    for name in ("n01/n01_1.JPEG", "n03/n03_2.JPEG"):
        (path / name).write_bytes(make_jpeg(seed=3))
    out, manifest = prepare(tmp_path, path)
    assert manifest["num_from_earlier_run"] == 1
    other, _ = prepare(tmp_path, path, name="y")
    assert ImageZip(out).load(range(9)).tobytes() == ImageZip(other).load(range(9)).tobytes()


def test_an_image_that_could_not_be_read_for_a_while(tmp_path, monkeypatch):
    """The file is the same, but now it can be read: as after a failure of the network."""
    path = write_tree(tmp_path / "in", make_classes())
    monkeypatch.setattr("adm.datasets.own_images.MAX_FILE_BYTES", 10)
    with pytest.raises(UserError, match="9 of 9 images cannot be used"):
        prepare(tmp_path, path)
    monkeypatch.undo()
    _, manifest = prepare(tmp_path, path)
    assert (manifest["count"], manifest["num_from_earlier_run"]) == (9, 0)


def test_nothing_left_of_a_class(tmp_path):
    path = write_tree(tmp_path / "in", {**make_classes(), "n00": {"1.png": b"x"}})
    with pytest.raises(UserError, match="no image that can be used in 1 classes: n00; fix or"):
        prepare(tmp_path, path, skip_broken=True)
    path = write_tree(tmp_path / "none", {"n00": {"1.png": b"x"}})
    with pytest.raises(UserError, match="none of its images can be used"):
        prepare(tmp_path, path, skip_broken=True, name="y")


def test_notes_tell_of_rotations_and_enlargement(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 3
    images = {"1.jpg": encode(make_pixels(30, 30), exif=exif), "2.jpg": make_jpeg(8, 8)}
    _, manifest = prepare(tmp_path, write_tree(tmp_path / "in", {"a": images}))
    enlarged, rotated = manifest["notes"]
    assert enlarged == "1 of 2 images were smaller than the size asked for and were enlarged"
    assert rotated.startswith("1 of 2 images carry an EXIF rotation, which is not applied")
    assert manifest["traits"]["exif_rotation_ignored"] == 1


def test_memory_does_not_grow_with_the_number_of_images(tmp_path):
    content = make_jpeg(16, 16)
    peaks = {}
    for num_classes in (10, 40):
        path = tmp_path / str(num_classes)
        images = {f"{one:02d}.jpg": content for one in range(20)}
        write_tree(path, {f"{one:03d}": images for one in range(num_classes)})
        several = []
        for _ in range(3):  # the interpreter's own tables grow now and then, once
            tracemalloc.start()
            prepare(tmp_path, path, name=f"x{num_classes}", image_size_px=8)
            several.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
        peaks[num_classes] = min(several)
    assert peaks[40] < peaks[10] + 30_000  # bytes, for 600 images more


def read_workers_peak():
    """Return the largest peak memory of the workers so far, in bytes."""
    peaks = []
    for child in psutil.Process().children():
        with contextlib.suppress(psutil.Error, OSError):  # it may have ended since
            if "spawn_main" in " ".join(child.cmdline()):  # the other one is a tracker
                status = Path(f"/proc/{child.pid}/status").read_text()
                peaks += [1024 * int(one) for one in re.findall(r"VmHWM:\s+(\d+) kB", status)]
    return max(peaks)


def test_memory_of_the_workers_does_not_grow_with_the_number_of_images(tmp_path, monkeypatch):
    noise = np.random.default_rng(0).integers(0, 256, (120, 160, 3), np.uint8)
    content = encode(noise, quality=97)
    assert len(content) > 20_000
    convert, peaks = module.convert_in_order, {}

    def convert_and_watch(places, work, *, num_workers):
        for number, result in enumerate(convert(places, work, num_workers=num_workers), 1):
            if number % 40 == 0:  # the workers live as long as results are awaited
                peaks[Path(work.path).name] = read_workers_peak()
            yield result

    monkeypatch.setattr(module, "convert_in_order", convert_and_watch)
    for num_classes in (2, 16):
        images = {f"{one:02d}.jpg": content for one in range(40)}
        path = write_tree(
            tmp_path / str(num_classes), {f"{c:02d}": images for c in range(num_classes)}
        )
        prepare(tmp_path, path, name=f"x{num_classes}", image_size_px=8, num_workers=2)
    # 280 images more for each: were their files kept, that would be 6 MB, and decoded 16 MB.
    assert peaks["16"] < peaks["2"] + 3_000_000


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"image_size_px": 0}, "image_size_px: got 0; needed: a number from 1 to 4096"),
        ({"image_size_px": 10000}, "image_size_px: got 10000"),
        ({"image_size_px": None}, "image_size_px: got None"),
        ({"image_size_px": 1.5}, r"image_size_px: got 1\.5"),
        ({"crop": "random"}, "crop: got 'random'; needed: one of centre, centre_box, none"),
        ({"crop": "none"}, "with crop none images keep their sizes; leave it out"),
        ({"num_classes": 0}, "num_classes: got 0; needed: 1 or more"),
        ({"num_workers": 0}, "workers: got 0; needed: 1 or more"),
    ],
)
def test_impossible_orders(tmp_path, options, words):
    with pytest.raises(UserError, match=words):
        prepare(tmp_path, write_tree(tmp_path / "in", make_classes()), **options)


def test_outputs_that_cannot_be_written(tmp_path):
    path = write_tree(tmp_path / "in", make_classes())
    (tmp_path / "file").write_bytes(b"")
    for out, words in [
        (tmp_path / "x.png", r"x\.png: the output is one zip; give a name that ends in \.zip"),
        (tmp_path / "file" / "x.zip", r"cannot be written \(Not a directory\); choose another pl"),
    ]:
        with pytest.raises(UserError, match=words):
            prepare_dataset(Order("images", path, out, 16))


@pytest.mark.parametrize(
    ("number", "words"),
    [(errno.ENOSPC, "the disk is full; free some"), (errno.EACCES, "no permission to write")],
)
def test_no_space_and_no_permission(tmp_path, monkeypatch, number, words):
    """What was finished before is kept, and the same command goes on when there is space."""
    path = write_tree(tmp_path / "in", make_classes())

    def refuse(*arguments, **options):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(module.PartialZip, "finish", refuse)
    with pytest.raises(UserError, match=words):
        prepare(tmp_path, path)
    monkeypatch.undo()
    _, manifest = prepare(tmp_path, path)
    assert manifest["num_from_earlier_run"] == 9


def test_too_little_space_is_said_before(tmp_path, monkeypatch, capsys):
    path = write_tree(tmp_path / "in", make_classes())
    usage = module.shutil.disk_usage(tmp_path)
    monkeypatch.setattr(module.shutil, "disk_usage", lambda _: usage._replace(free=10))
    prepare(tmp_path, path)
    assert (
        "photographs of that size take about 0.0 GB, and 0.0 GB are free" in capsys.readouterr().err
    )


def test_nothing_is_left_behind_where_nothing_could_be_listed(tmp_path):
    path = write_tree(tmp_path / "in", {"a": {"notes.txt": b"1"}})
    with pytest.raises(UserError, match="no image in it"):
        prepare(tmp_path, path)
    assert not state_folder(tmp_path / "x.zip").exists()


def test_two_runs_of_one_output(tmp_path):
    path = write_tree(tmp_path / "in", make_classes())
    with (
        exclusive_lock(state_folder(tmp_path / "x.zip") / "lock", "x"),
        pytest.raises(UserError, match=r"x\.zip: already being worked on by process"),
    ):
        prepare(tmp_path, path)


def test_what_another_size_left_behind_is_thrown_away(tmp_path, capsys):
    path = write_tree(tmp_path / "in", break_some(make_classes()))
    with pytest.raises(UserError):
        prepare(tmp_path, path)
    out, manifest = prepare(tmp_path, path, image_size_px=8, skip_broken=True)
    assert "another size or version; starting afresh" in capsys.readouterr().err
    assert manifest["num_from_earlier_run"] == 0
    assert ImageZip(out).image_size_px == 8


def test_stopped_by_a_signal(tmp_path, monkeypatch, request):
    path = write_tree(tmp_path / "in", make_classes())
    convert = module.convert_in_order

    def convert_and_stop(places, work, *, num_workers):
        for number, result in enumerate(convert(places, work, num_workers=num_workers)):
            if number == 4:
                os.kill(os.getpid(), module.signal_of_test)
            yield result

    monkeypatch.setattr(module, "convert_in_order", convert_and_stop)
    # A shell that starts the tests in the background has Ctrl-C ignored.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    request.addfinalizer(lambda: signal.signal(signal.SIGINT, before))
    for name, number, code in (("SIGTERM", 15, 143), ("the keyboard", 2, 130)):
        monkeypatch.setattr(module, "signal_of_test", number, raising=False)
        with pytest.raises(
            Stopped, match=f"stopped by {name} after . of 9 images; they are"
        ) as got:
            prepare(tmp_path, path, name=f"x{number}")
        assert got.value.exit_code == code
    monkeypatch.undo()
    _, manifest = prepare(tmp_path, path, name="x15")
    assert manifest["num_from_earlier_run"] == 5


def test_a_set_of_the_workflow_keeps_a_second_name(tmp_path):
    """Snakemake deletes outputs for reasons of its own; the images are not converted again."""
    source = write_tree(tmp_path / "in", make_classes())
    order = Order(dataset="images", path=source, out=tmp_path / "x.zip", image_size_px=16)
    spec = OwnImagesSpec(dataset="images", image_size_px=16)
    made = prepare_dataset(order, spec=spec)
    kept = state_folder(order.out) / module.KEPT_NAME
    assert os.path.samefile(kept, order.out)
    for elsewhere in (None, tmp_path / "elsewhere.zip"):  # a name that is still there is untouched
        if elsewhere is not None:
            os.link(order.out, elsewhere)
        order.out.unlink()
        again = prepare_dataset(order, spec=spec)
        assert (again["sha256"], again["num_from_earlier_run"]) == (made["sha256"], 9)
        assert sha256(order.out) == made["sha256"] and os.path.samefile(kept, order.out)
    assert sha256(elsewhere) == made["sha256"] and not os.path.samefile(elsewhere, order.out)
    prepare_dataset(order)  # by hand: nothing is left behind
    assert not state_folder(order.out).exists() and sha256(order.out) == made["sha256"]
