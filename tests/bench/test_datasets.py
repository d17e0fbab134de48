"""The benchmark of dataset preparation, at tiny sizes."""

import re

import pytest

from bench import datasets


@pytest.fixture
def tiny(monkeypatch):
    monkeypatch.setattr(datasets, "JPEG_SHAPE", (200, 150))
    monkeypatch.setattr(datasets, "SIZES_PX", (8,))
    monkeypatch.setattr(datasets, "CHUNK_IMAGES", 2)  # fewer images at the ends to leave out


@pytest.mark.slow
def test_speed_and_memory_are_printed(tiny, capsys):
    datasets.main(["--workers", "2", "--num-images", "80", "--rounds", "1"])
    said = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"80 JPEGs of 200x150 px, \d+ kB each", said[0])
    numbers = [float(one) for one in re.findall(r"\d+\.\d+", said[1])]
    loop, workers, ratio, target = numbers[:4]
    assert ("on idle cores (" in said[1]) != ("too few images to measure" in said[1])
    assert said[1].startswith("   8 px: loop ") and target == datasets.TARGET_RATIO
    assert ratio == pytest.approx(workers / loop, abs=0.01) and min(numbers) > 0
    assert ("reached" in said[1]) == (ratio >= target)
    for line, count in zip(said[2:], (80, 320), strict=True):
        found = re.fullmatch(r"memory, +(\d+) images: parent (\S+) MB, with workers (\S+) MB", line)
        number, parent, everything = map(float, found.groups())
        assert number == count and 10 < parent < everything


def test_processor_time_below_the_clocks_tick_is_said():
    said = datasets.describe_processor(0.004, 0.005, 2)
    assert said == "processor ms per image 4.00 and 5.00: 1.60 on idle cores"
    assert "too few images" in datasets.describe_processor(0.004, 0.0, 2)


def test_photographs_differ_and_fill_their_classes(tiny, tmp_path):
    mean = datasets.write_photographs(tmp_path / "one", 6, num_classes=3)
    files = sorted((tmp_path / "one").rglob("*.jpg"))
    assert [one.parent.name for one in files] == ["000", "000", "001", "001", "002", "002"]
    contents = [one.read_bytes() for one in files]
    assert len(set(contents)) == 6 and mean == sum(map(len, contents)) / 6


def test_too_few_images_to_measure(tiny, capsys):
    with pytest.raises(SystemExit) as ended:
        datasets.main(["--workers", "2", "--num-images", "32"])
    assert ended.value.code == 2
    assert "--num-images 32: 2 workers need more than 32" in capsys.readouterr().err
