"""What is read strictly, and what is said of a mistake: the place, what was got, what is needed."""

from typing import Annotated, Any, Literal

import pytest
from pydantic import ConfigDict, Field, model_validator

from records.errors import UserError
from records.files import spec_digest
from specs.strict import MAX_SHOWN, Spec, Strict, read_yaml, validated
from tests.specs.scale_case import SCALES, TABLES


class Cat(Strict):
    animal: Literal["cat", "lion"]
    lives: Annotated[int, Field(gt=0)]
    # A word that the other animal is called by: the place must not take it for one of a union.
    likes: Literal["dog", "cream"] | None = None


class Dog(Strict):
    animal: Literal["dog"]
    tricks: list[str]


Animal = Annotated[Cat | Dog, Field(discriminator="animal")]


class House(Spec):
    rooms: Annotated[dict[Annotated[str, Field(pattern="^[a-z]+$")], int], Field(min_length=1)]
    area_m2: float = 1.0
    guest: Cat | None = None
    animals: dict[str, Animal] = Field(default={})
    queue: list[Animal] = Field(default=[])
    extra: dict[str, bool | int | list[int] | None] = Field(default={})
    renamed: int = Field(default=1, alias="named")
    cellar: dict[str, dict[str, float]] = Field(default={})

    @model_validator(mode="after")
    def _check(self) -> "House":
        if self.area_m2 < 1:
            raise ValueError(f"area_m2: got {self.area_m2}; build a larger house")
        return self


class Costs(Strict):
    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, int | str]


CAT = {"animal": "cat", "lives": 9}


def refuse(kind: Any, content: Any) -> list[str]:
    with pytest.raises(UserError) as error:
        validated(kind, content, "f")
    return str(error.value).splitlines()


@pytest.mark.parametrize(
    ("content", "lines"),
    [
        ([1], ["f: got [1]; a mapping is needed"]),
        (None, ["f: got None; a mapping is needed"]),
        ({}, ["f: rooms: missing; write this key"]),
        ({"rooms": []}, ["f: rooms: got []; a mapping is needed"]),
        ({"room": {}}, ["f: rooms: missing; write this key", "f: room: unknown key; did you mean"]),
        (
            {"rooms": {"a": 1}, "zzzz": 1},
            ["f: zzzz: unknown key; the keys are: rooms, area_m2, guest, animals, queue, extra, "],
        ),
        ({"rooms": {"a": 1}, "renamed": 1}, ["f: renamed: unknown key; did you mean 'named'?"]),
        ({"rooms": {"a": 1}, "named": "x"}, ["f: named: got 'x' (str); Input should be a valid i"]),
        ({"rooms": {"a": True}}, ["f: rooms: a: got True (bool); Input should be a valid integer"]),
        ({"rooms": {"A": 1}}, ["f: rooms: got the name 'A' (str); String should match pattern"]),
        (
            {"rooms": {3: 1}},
            ["f: rooms: got the name 3 (int); Input should be a valid string; write quotes around"],
        ),
        (
            {"rooms": {"a": 1}, True: 1},
            ["f: got the key True (bool); Keys should be strings; write quotes around it"],
        ),
        ({"rooms": {"a": 1}, None: 1}, ["f: got the key None (NoneType); Keys should be strings"]),
        (
            {"rooms": {"a": 1}, "guest": {"animal": "cat", "live": 9}},
            ["f: guest: lives: missing", "f: guest: live: unknown key; did you mean 'lives'?"],
        ),
        (
            {"rooms": {"a": 1}, "area_m2": 0},
            ["f: area_m2: got 0.0; build a larger house"],
        ),
        ({"rooms": {"a": 1}, "area_m2": float("nan")}, ["f: area_m2: got nan (float); Input shou"]),
        (
            {"rooms": {"a": "x", "b": 1.5}, "area_m2": None},
            [
                "f: rooms: a: got 'x' (str)",
                "f: rooms: b: got 1.5 (float)",
                "f: area_m2: got None (",
            ],
        ),
        (
            {"rooms": {"a": 1}, "cellar": {"wine": {"red": "many"}}},
            ["f: cellar: wine: red: got 'many' (str); Input should be a valid number"],
        ),
    ],
)
def test_every_mistake_is_a_line(content, lines):
    got = refuse(House, content)
    assert len(got) == len(lines)
    for found, start in zip(got, lines, strict=True):
        assert found.startswith(start)


@pytest.mark.parametrize(
    ("entry", "line"),
    [
        (3, "got 3; a mapping is needed"),
        (None, "got None; a mapping is needed"),
        ({}, "animal: missing; needed: cat, lion, dog"),
        ({"animal": None}, "animal: got None; needed: cat, lion, dog"),
        ({"animal": "cow"}, "animal: got 'cow'; needed: cat, lion, dog"),
        ({"animal": ["cat"]}, "animal: got ['cat']; needed: cat, lion, dog"),
        ({**CAT, "tricks": []}, "tricks: unknown key; the keys are: animal, lives, likes"),
        ({**CAT, "live": 9}, "live: unknown key; did you mean 'lives'?"),
        ({"animal": "lion"}, "lives: missing; write this key"),
        (
            {"animal": "dog", "tricks": ["sit", 1]},
            "tricks: 1: got 1 (int); Input should be a valid",
        ),
        ({**CAT, "lives": 0}, "lives: got 0 (int); Input should be greater than 0"),
        ({**CAT, 5: 1}, "got the key 5 (int); Keys should be strings; write quotes around it"),
    ],
)
def test_the_place_in_a_union_has_only_what_the_file_has(entry, line):
    """Also where a name is that of a member of the union, or a word that a member knows."""
    place = f"f: {line}"
    assert refuse(Animal, entry)[0].startswith(place)
    for name in ("cat", "dog", "cream", "tom"):
        (found,) = refuse(House, {"rooms": {"a": 1}, "animals": {name: entry}})
        assert found.startswith(f"f: animals: {name}: {line}")
    (found,) = refuse(House, {"rooms": {"a": 1}, "queue": [CAT, entry]})
    assert found.startswith(f"f: queue: 1: {line}")


def test_a_value_of_several_types_is_one_line_with_all_of_them():
    for value in ({"a": 1}, 1.5, "x"):
        (line,) = refuse(House, {"rooms": {"a": 1}, "extra": {"x": value}})
        needed = "needed: one of bool, int, list[int]"
        assert line == f"f: extra: x: got {value!r} ({type(value).__name__}); {needed}"
    lines = refuse(House, {"rooms": {"a": 1}, "extra": {"x": [1, "2"]}})
    assert lines[0].startswith("f: extra: x: got [1, '2'] (list); needed: one of bool")
    assert lines[1:] == [
        "f: extra: x: 1: got '2' (str); Input should be a valid integer; this is read as text: "
        "write 2 for the number"
    ]
    assert refuse(Costs, {"hours": []}) == ["f: hours: got [] (list); needed: one of int, str"]


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("1e-4", "write 1.0e-04 for the number"),
        ("1.25e-4", "write 0.000125 for the number"),
        ("1.25e-7", "write 1.25e-07 for the number"),
        ("3", "write 3.0e+00 for the number"),
        ("nan", None),
        ("1e999", None),
        ("x", None),
    ],
)
def test_a_number_that_yaml_takes_for_a_text(tmp_path, text, hint):
    (line,) = refuse(House, {"rooms": {"a": 1}, "area_m2": text})
    assert line.startswith(f"f: area_m2: got '{text}' (str); Input should be a valid number")
    assert line.endswith(f"; this is read as text: {hint}" if hint else "valid number")
    if hint:  # what is hinted at is read as the number that was meant
        path = tmp_path / "x.yaml"
        path.write_text(f"a: {hint.split()[1]}\n")
        assert read_yaml(path) == {"a": float(text)}


def test_a_whole_number_that_yaml_takes_for_a_text():
    for text, hint in (("1e4", "write 10000 for the number"), ("1.5", None), ("x", None)):
        (line,) = refuse(House, {"rooms": {"a": text}})
        assert line.endswith(f"; this is read as text: {hint}" if hint else "valid integer")


def test_what_is_long_is_cut():
    (line,) = refuse(House, {"rooms": {"a": {"b": list(range(1000))}}})
    assert line.startswith("f: rooms: a: got {'b': [0, 1, 2") and len(line) < MAX_SHOWN + 80
    (line,) = refuse(House, {"rooms": list(range(1000))})
    assert line.endswith("...; a mapping is needed") and len(line) < MAX_SHOWN + 80


def test_a_right_value_is_typed_and_does_not_change():
    content = {"rooms": {"a": 1}, "animals": {"tom": CAT}, "named": 2}
    house = validated(House, content, "f")
    assert isinstance(house.animals["tom"], Cat) and house.renamed == 2
    assert house.content() == content  # what was left out stays so
    assert house.digest == spec_digest(content)
    with pytest.raises(ValueError, match="frozen"):
        house.area_m2 = 3.0


@pytest.mark.parametrize("path", [TABLES, *SCALES], ids=lambda path: path.stem)
def test_snakemake_dvc_and_we_read_the_same(path):
    from dvc.utils.serialize import load_yaml
    from snakemake.common.configfile import load_configfile

    ours = read_yaml(path)
    assert load_yaml(str(path)) == ours
    assert load_configfile(str(path)) == ours


def test_yaml_itself(tmp_path):
    path = tmp_path / "x.yaml"
    with pytest.raises(UserError, match="no such file"):
        read_yaml(path)
    with pytest.raises(UserError, match="cannot be read"):
        read_yaml(tmp_path)
    path.write_text("a: 1\na: 2\n")
    with pytest.raises(UserError, match="'a' is there twice"):
        read_yaml(path)
    path.write_text("a: [1\n")
    with pytest.raises(UserError, match="not valid YAML"):
        read_yaml(path)
    path.write_bytes(b"a: \xff\n")
    with pytest.raises(UserError, match="not valid YAML"):
        read_yaml(path)
    path.write_text("- 1\n")
    with pytest.raises(UserError, match="a mapping is needed"):
        read_yaml(path)


def make_bomb():
    lists = [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    return "\n".join(["a0: &a0 [1, 1]", *lists])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (make_bomb(), "nested more than 50 deep, or more than 1000000 values"),
        ("a: " + "[" * 1_000_000, "nested more than 50 deep"),
        ("a: " + "{a: " * 1_000_000, "nested more than 50 deep"),
        ("a: &a [*a]", r"\*a is a part of itself"),
        ("a: *b", "found undefined alias"),
        ("a: " + "1" * 5000, "Exceeds the limit"),
        ("a: 2020-99-99", "month must be in 1..12"),
        ("a: \xff", "can't decode byte"),
    ],
)
def test_a_file_that_would_exhaust_the_machine_is_refused(tmp_path, text, words):
    path = tmp_path / "a.yaml"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(UserError, match=f"a.yaml: not valid YAML: .*{words}"):
        read_yaml(path)


def test_aliases_are_read(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text("a: &a {b: [1, 2]}\nc: [*a, *a]")
    assert read_yaml(path)["c"] == [{"b": [1, 2]}] * 2


def test_a_number_that_python_does_not_write_is_refused(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text("a: 0x" + "f" * 100_000)
    with pytest.raises(UserError, match="got a number of thousands of digits"):
        validated(dict[str, Annotated[int, Field(lt=9)]], read_yaml(path), "f")
