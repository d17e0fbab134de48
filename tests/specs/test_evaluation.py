"""Which settings of the grading change a number, and so its identity."""

from tests.specs.scale_case import load_shipped


def test_a_number_depends_on_neither_batches_nor_where_references_are_from():
    evaluation = load_shipped("digits").evaluation
    same = evaluation.model_copy(update={"batch_size": evaluation.batch_size + 1})
    assert same.identity() == evaluation.identity()
    more = evaluation.model_copy(update={"loss_timesteps": 3})  # of the losses alone
    assert more.identity() == evaluation.identity()
    for changes in ({"seed": 5}, {"metrics": ["fid"]}, {"recipe": 9}, {"reference_images": 7}):
        changed = evaluation.model_copy(update=changes)
        assert changed.identity() == {**evaluation.identity(), **changes}
        assert changed.identity() != evaluation.identity()


def test_a_published_reference_holds_what_it_holds():
    evaluation = load_shipped("paper").evaluation
    assert evaluation.reference == "released"
    more = evaluation.model_copy(update={"reference_images": 3})
    assert more.identity() == evaluation.identity()
    assert "reference_images" in load_shipped("digits").evaluation.identity()


def test_the_arithmetic_of_precision_and_recall_is_part_of_the_identity_where_it_is_chosen():
    """What was graded before it could be chosen keeps its digest."""
    evaluation = load_shipped("digits").evaluation
    assert "half_distances" not in evaluation.identity()
    changed = evaluation.model_copy(update={"half_distances": True})
    assert changed.identity() == {**evaluation.identity(), "half_distances": True}
    assert load_shipped("paper").evaluation.half_distances
