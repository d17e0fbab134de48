import pytest
import torch

from adm.sampling.labels import draw_labels, find_label
from records.errors import UserError

PETS = ("cat", "dog", "red fox")
NUMBERS = ("1", "2", "10")


def test_label_policies():
    random = draw_labels(range(5000), seed=0, num_classes=10, label_policy="random")
    counts = torch.bincount(random, minlength=10)
    assert counts.sum() == 5000 and counts.min() > 400 and counts.max() < 600
    assert len(set(counts.tolist())) > 1
    balanced = draw_labels(range(30), seed=0, num_classes=10, label_policy="balanced")
    assert torch.bincount(balanced).tolist() == [3] * 10


def find(label, names=PETS):
    return find_label(label, where="pets", num_classes=len(names), class_names=names)


@pytest.mark.parametrize(("label", "number"), [(1, 1), ("1", 1), ("dog", 1), ("red fox", 2)])
def test_a_number_or_a_name(label, number):
    assert find(label) == number


def test_a_number_is_a_number_also_where_names_are_some(capsys):
    assert find("2", NUMBERS) == 2
    assert capsys.readouterr().err == "note: label 2 is class '10'; class '2' is label 1\n"
    assert find("0", NUMBERS) == 0 and capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("label", "names", "words"),
    [
        (
            "dgo",
            PETS,
            "pets: no class is called 'dgo' (0 cat, 1 dog, 2 red fox); did you mean 'dog'",
        ),
        ("owl", PETS, "(0 cat, 1 dog, 2 red fox); give a number, 0 to 2"),
        ("10", NUMBERS, "pets: label 10; there are 3 classes: 0 to 2 (0 1, 1 2, 2 10)"),
        (-1, PETS, "label -1; there are 3 classes: 0 to 2"),
        ("9" * 30, PETS, "there are 3 classes"),
        ("1.5", PETS, "no class is called '1.5'"),
        ("", PETS, "no class is called ''"),
    ],
)
def test_no_such_class(label, names, words):
    with pytest.raises(UserError) as error:
        find(label, names)
    assert words in str(error.value)


def test_without_names():
    with pytest.raises(UserError, match=r"^pets: no class is called 'cat'; give a number, 0 to 2$"):
        find_label("cat", where="pets", num_classes=3, class_names=None)
