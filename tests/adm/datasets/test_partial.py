import hashlib
import io
import zipfile

import pytest

from adm.datasets.partial import LAYOUT, PartialZip, make_image_name

ALL = 10**9


def fill(folder, num_images=6, unusable=(2,)):
    """An unfinished zip; returns what its images are."""
    folder.mkdir(exist_ok=True)
    partial = PartialZip(folder, ALL)
    pngs = {one: bytes([one]) * (50 + one) for one in range(num_images) if one not in unusable}
    for one in range(num_images):
        if one in unusable:
            partial.append_unusable(label=one % 3)
        else:
            digest = hashlib.sha256(pngs[one]).digest()
            partial.append_image(pngs[one], label=one % 3, traits=one, pixels_sha256=digest)
    partial.close()
    return pngs


def about():
    yield b'{"labels": '
    yield b"null}"


def finish(folder, num_valid=ALL):
    partial = PartialZip(folder, num_valid)
    sha256, num_bytes = partial.finish(about)
    partial.close()
    content = (folder / "images.part").read_bytes()
    assert (hashlib.sha256(content).hexdigest(), len(content)) == (sha256, num_bytes)
    return content


def test_names_are_those_of_the_places_in_the_source():
    assert make_image_name(7) == "00000/img00000007.png"
    assert make_image_name(1_281_166) == "01281/img01281166.png"


def test_a_finished_zip_holds_the_images_that_could_be_used(tmp_path):
    pngs = fill(tmp_path / "x")
    with zipfile.ZipFile(io.BytesIO(finish(tmp_path / "x"))) as archive:
        assert archive.testzip() is None
        names = [*(make_image_name(one) for one in pngs), "dataset.json"]
        assert archive.namelist() == names
        assert [archive.read(make_image_name(one)) for one in pngs] == list(pngs.values())
        assert archive.read("dataset.json") == b'{"labels": null}'


def test_records_tell_what_was_appended(tmp_path):
    pngs = fill(tmp_path / "x")
    partial = PartialZip(tmp_path / "x", ALL)
    assert (partial.num_records, partial.num_usable) == (6, 5)
    records = list(partial.iterate_records())
    partial.close()
    assert [one.usable for one in records] == [1, 1, 0, 1, 1, 1]
    assert [one.label for one in records] == [0, 1, 2, 0, 1, 2]
    assert [one.traits for one in records] == [0, 1, 0, 3, 4, 5]
    assert records[3].pixels_sha256 == hashlib.sha256(pngs[3]).digest()


def cut_zip(folder):
    path = folder / "images.part"
    path.write_bytes(path.read_bytes()[:-1])


def cut_records(folder):
    path = folder / "records.bin"
    path.write_bytes(path.read_bytes()[:-1])


def damage_zip(folder):
    path = folder / "images.part"
    path.write_bytes(path.read_bytes().replace(bytes([4]) * 54, bytes([4]) * 53 + b"x"))


def add_zeros(folder):
    """What a file system may leave after a power cut."""
    for name in ("images.part", "records.bin"):
        with open(folder / name, "ab") as file:
            file.write(bytes(3 * LAYOUT.size))


@pytest.mark.parametrize(
    ("damage", "num_left"),
    [(cut_zip, 5), (cut_records, 5), (damage_zip, 4), (add_zeros, 6), (lambda folder: None, 6)],
)
def test_what_does_not_fit_is_cut_off(tmp_path, damage, num_left):
    folder = tmp_path / "x"
    fill(folder)
    damage(folder)
    partial = PartialZip(folder, ALL)
    if damage is add_zeros:  # zeros read as images that could not be used: those are tried again
        assert partial.num_usable == 5
    else:
        assert partial.num_records == num_left
    partial.close()


@pytest.mark.parametrize("num_valid", range(7))
def test_going_on_gives_the_same_bytes(tmp_path, num_valid):
    pngs = fill(tmp_path / "x")
    whole = finish(tmp_path / "x")
    folder = tmp_path / "y"
    fill(folder)
    finish(folder)  # killed after the directory was written: it is cut off again
    partial = PartialZip(folder, num_valid)
    assert partial.num_records == num_valid
    for one in range(num_valid, 6):
        if one in pngs:
            digest = hashlib.sha256(pngs[one]).digest()
            partial.append_image(pngs[one], label=one % 3, traits=one, pixels_sha256=digest)
        else:
            partial.append_unusable(label=one % 3)
    partial.close()
    assert finish(folder) == whole
