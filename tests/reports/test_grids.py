import base64
import io
import json
import zipfile

import numpy as np
import pytest
from PIL import Image

from records.errors import UserError
from reports.grids import (
    LINES,
    PER_CLASS,
    choose_images,
    encode_png,
    make_grid,
    make_sheet,
    read_first_images,
)


def decode(uri):
    data = base64.b64decode(uri.removeprefix("data:image/png;base64,"))
    image = Image.open(io.BytesIO(data))
    # Gaps of a grey sheet may be a level that stands for nothing.
    return np.asarray(image.convert("LA") if "transparency" in image.info else image)


def test_few_classes_give_a_line_each():
    indices, classes = choose_images(np.arange(100) % 10, 100)
    assert classes == list(range(10))
    assert indices[: PER_CLASS + 1] == [*range(0, 10 * PER_CLASS, 10), 1]
    assert choose_images(np.arange(100) % 10, 100, 2)[0][:3] == [0, 10, 1]


@pytest.mark.parametrize("labels", [None, np.zeros(100, int), np.arange(100), np.arange(20) % 10])
def test_otherwise_the_first_images(labels):
    count = 100 if labels is None else len(labels)
    assert choose_images(labels, count) == (list(range(min(LINES * PER_CLASS, count))), None)


def test_small_images_are_stored_in_their_size_and_shown_larger_by_whole_pixels(project):
    images = np.full((3, 8, 8, 3), 7, np.uint8)
    sheet = make_sheet(images, columns=2)
    assert sheet.shape == (17, 17, 4)
    seen = sheet[..., 3] == 255
    assert np.all(sheet[seen][:, :3] == 7) and seen.sum() == 3 * 64
    assert not seen[8].any() and not seen[:, 8].any() and not seen[9:, 9:].any()
    path = project.write_samples("a", num_images=12, labels=False)
    for tile_px, factor in ((32, 4), (48, 6), (50, 7)):
        grid = make_grid(path, "A", per_class=4, tile_px=tile_px)
        assert decode(grid["png"]).shape[:2] == (26, 35)
        assert (grid["height_px"], grid["width_px"]) == (26 * factor, 35 * factor)


def test_large_images_are_averaged_down():
    image = np.zeros((1, 256, 256, 3), np.uint8)
    image[0, :, ::2] = 200
    sheet = make_sheet(image, columns=1)
    assert sheet.shape == (64, 64, 4)
    assert np.all(sheet[..., :3] == 100) and np.all(sheet[..., 3] == 255)


def test_grey_images_are_stored_once():
    sheet = np.full((4, 4, 3), 7, np.uint8)
    assert decode(encode_png(sheet)).shape == (4, 4)
    sheet[0, 0, 0] = 9
    assert decode(encode_png(sheet)).shape == (4, 4, 3)


def test_grid_of_a_batch(project):
    grid = make_grid(project.write_samples("a"), "Samples of A")
    assert grid["words"] == f"the first {PER_CLASS} images of each class, one class a line"
    assert grid["alt"].startswith("Samples of A: ")
    again = make_grid("a.npz", "Samples of A")
    assert again == grid


def test_grid_without_labels_or_file(project):
    path = project.write_samples("a", num_images=12, labels=False)
    assert make_grid(path, "A")["words"] == "the first 12 images"
    assert make_grid("none.npz", "A") is None
    assert make_grid(None, "A") is None


def test_grid_of_a_data_set(tmp_path):
    path = tmp_path / "data.zip"
    with zipfile.ZipFile(path, "w") as archive:
        names = [f"{index}.png" for index in range(20)]
        for index, name in enumerate(names):
            buffer = io.BytesIO()
            Image.fromarray(np.full((8, 8), index, np.uint8)).save(buffer, format="PNG")
            archive.writestr(name, buffer.getvalue())
        labels = [[name, index % 2] for index, name in enumerate(names)]
        archive.writestr("dataset.json", json.dumps({"labels": labels}))
    grid = make_grid(path, "Real images")
    sheet = decode(grid["png"])
    assert sheet.shape == (17, 9 * PER_CLASS - 1, 2)
    assert sheet[0, 0, 0] == 0 and sheet[-1, 0, 0] == 1 and sheet[0, -1, 0] == 2 * (PER_CLASS - 1)


def test_only_the_first_images_are_read(project):
    path = project.write_samples("a", num_images=50)
    with np.load(path) as arrays:
        assert np.array_equal(read_first_images(path, 3), arrays["arr_0"][:3])


def test_wrong_batches_are_refused(project):
    np.savez(project.folder / "flat.npz", arr_0=np.zeros(3))
    with pytest.raises(UserError, match=r"flat.npz: no batch of images .*float64 \[3\]"):
        read_first_images("flat.npz", 3)
    (project.folder / "cut.npz").write_bytes(b"PK")
    with pytest.raises(UserError, match=r"cut.npz: labels cannot be read"):
        make_grid("cut.npz", "A")
    (project.folder / "cut.zip").write_bytes(b"PK")
    with pytest.raises(UserError, match=r"cut.zip: no data set can be read"):
        make_grid("cut.zip", "A")


def test_objects_are_never_unpickled(project):
    np.savez(project.folder / "object.npz", arr_0=np.array([{}]), arr_1=np.array([{}]))
    with pytest.raises(UserError, match=r"object\.npz"):
        make_grid("object.npz", "A")


def test_gaps_of_grey_sheets_are_a_level_that_no_image_has():
    images = np.arange(255, dtype=np.uint8).reshape(1, 15, 17, 1)  # all levels but the last
    for last, mode in ((7, "L"), (255, "LA")):
        more = np.full((1, 15, 17, 1), last, np.uint8)
        sheet = make_sheet(np.concatenate([images, more]), 2)
        data = base64.b64decode(encode_png(np.repeat(sheet, [3, 1], axis=-1)).partition(",")[2])
        image = Image.open(io.BytesIO(data))
        assert image.mode == mode
        np.testing.assert_array_equal(np.asarray(image.convert("LA"))[..., 1], sheet[..., 1])
        shown = sheet[..., 1] == 255
        assert np.array_equal(np.asarray(image.convert("LA"))[shown, 0], sheet[shown, 0])
