import json
import zipfile

import pytest

from adm.datasets.classes import sort_classes
from adm.datasets.image_archive import open_image_archive
from adm.datasets.image_tree import open_image_folder
from adm.datasets.own_images import HIDDEN, LOOSE, OTHERS
from records.errors import UserError
from tests.adm.datasets.test_image_archive import edm

PREFIXES = ("cat_0.png", "dog_0.png", "sub/cat_10.png", "sub/dog_10.png", "sub/a/cat_2.png")
MIXED = ("a/1.png", "a/b/2.jfif", "c/3.png", "a/notes.txt", ".x", "c/.y/4.png", "__MACOSX/z.png")
LAYOUTS = {
    "prefix": dict.fromkeys(PREFIXES, b"1"),
    "prefix, all in folders": dict.fromkeys((one for one in PREFIXES if "/" in one), b"1"),
    "folders": dict.fromkeys(MIXED, b"1"),
    "loose": dict.fromkeys((*MIXED, "5.png", "read.me"), b"1"),
    "wrapped": {f"all/in/{name}": b"1" for name in MIXED} | {"about.txt": b"1"},
    "numbers": {f"{number}/1.png": b"1" for number in (10, 9, 2, 0)},
    "order": dict.fromkeys(("a/b/1.png", "a/b-1.png", "a/b.png", "c/1.png"), b"1"),
    "list": {
        "0/a.png": b"1",
        "0/b.png": b"2",
        "dataset.json": edm([["0/b.png", 0], ["0/a.png", 2]]),
    },
    "list without labels": {"0/a.png": b"1", "dataset.json": edm(None)},
    "short list": {"a.png": b"1", "b.png": b"2", "dataset.json": edm([["b.png", 0]])},
    "no images": {"a/notes.txt": b"1"},
    "flat": {"1.png": b"1", "2.png": b"1", "empty/read.me": b"1"},
}


def write(tmp_path, files):
    """The same files as a folder and as a zip."""
    folder = tmp_path / "same"
    with zipfile.ZipFile(tmp_path / "same.zip", "w") as archive:
        for name, content in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
            archive.write(folder / name, name)
    return folder, tmp_path / "same.zip"


def describe(open_images, path, labels):
    """All that is listed of images, or the words of the refusal."""
    try:
        images = open_images(path, labels=labels)
    except UserError as error:
        return str(error).replace(str(path), "PATH")
    listed = list(images.iterate_images())
    used = [(one.name, one.label) for one in listed if one.place]
    left_out = sorted((one.name, one.why) for one in listed if not one.place)
    return images.class_names, images.labelled, used, left_out


@pytest.mark.parametrize("labels", ["auto", "folders", "prefix", "none"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_folder_and_a_zip_of_it_are_alike(tmp_path, layout, labels):
    folder, archive = write(tmp_path, LAYOUTS[layout])
    got = describe(open_image_folder, folder, labels)
    assert got == describe(open_image_archive, archive, labels)
    if not isinstance(got, str):
        assert len(got[2]) + len(got[3]) == len(LAYOUTS[layout])  # nothing is left uncounted


def test_prefixes_in_folders(tmp_path):
    folder, _ = write(tmp_path, LAYOUTS["prefix"])
    names, labelled, used, _ = describe(open_image_folder, folder, "prefix")
    assert (names, labelled) == (("cat", "dog"), True)
    assert used == [(name, int("dog" in name)) for name in sorted(PREFIXES)]


def test_loose_images_beside_class_folders_are_counted(tmp_path):
    folder, _ = write(tmp_path, LAYOUTS["loose"])
    names, _, used, left_out = describe(open_image_folder, folder, "folders")
    assert names == ("a", "c")
    assert used == [("a/1.png", 0), ("a/b/2.jfif", 0), ("c/3.png", 1)]
    assert left_out == [
        (".x", HIDDEN),
        ("5.png", LOOSE),
        ("__MACOSX/z.png", HIDDEN),
        ("a/notes.txt", OTHERS),
        ("c/.y/4.png", HIDDEN),
        ("read.me", OTHERS),
    ]


def test_an_unpacked_list_is_read(tmp_path):
    folder, _ = write(tmp_path, LAYOUTS["list"])
    assert describe(open_image_folder, folder, "auto")[1:3] == (
        True,
        [("0/a.png", 2), ("0/b.png", 0)],
    )


def test_names_of_a_list(tmp_path):
    for names, expected in ((["x", "y", "z"], ("x", "y", "z")), (["x"], None), ("xyz", None)):
        about = {"labels": [["0/a.png", 2]], "class_names": names}
        path, _ = write(tmp_path, {"0/a.png": b"1", "dataset.json": json.dumps(about)})
        assert open_image_folder(path).class_names == expected


def test_numbers_are_ordered_as_numbers():
    assert sort_classes(["10", "9", "0", "2"]) == ("0", "2", "9", "10")
    assert sort_classes(["10", "9", "x"]) == ("10", "9", "x")
    assert sort_classes(["01", "1", "0"]) == ("0", "01", "1")
    assert sort_classes(["\u0662", "10"]) == ("10", "\u0662")  # another script's digits
