import numpy as np
import pytest

from reports.seed_variance import Layout, pool_differences, pool_values


def layout(values, models="abcdefgh", sampling=0.0):
    values = np.array(values, dtype=float)
    return Layout(models[: len(values)], values, np.full((len(values),) * 2, sampling))


def test_rows_of_different_models_have_the_residual_mean_square_of_blocks():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(7, 3)) + 5 * rng.normal(size=3) + np.arange(7)[:, None]
    residual = values - values.mean(axis=0) - values.mean(axis=1, keepdims=True) + values.mean()
    pooled = pool_differences(layout(values), models_differ=True)
    assert pooled is not None
    assert pooled.dof == 12
    assert pooled.size == pytest.approx((residual**2).sum() / 12)


def test_rows_of_one_model_are_pooled_by_model():
    # What the model does to all its rows drops out; two rows of each model differ by +-1.
    values = [[0, 10], [1, 12], [5, 30], [7, 30]]
    pooled = pool_differences(layout(values, "aabb", 0.25), models_differ=False)
    assert pooled is not None
    assert (pooled.dof, pooled.sampling) == (2, 0.25)
    assert pooled.size == pytest.approx((0.5 / 2 + 2.0 / 2) / 2)


def test_without_pairs_or_seeds_nothing_is_known():
    assert pool_differences(layout([[1, 2]]), models_differ=True) is None
    assert pool_differences(layout([[1, 2], [2, 3]], "aa"), models_differ=True) is None
    assert pool_differences(layout([[1], [2]]), models_differ=True) is None
    assert pool_values(layout([[1], [2]])) is None


def test_a_single_cell_keeps_what_all_rows_have_in_common():
    pooled = pool_values(layout([[1, 2, 3]]))
    assert pooled is not None and (pooled.size, pooled.dof) == (1.0, 2.0)
    both = pool_values(layout([[1, 2, 3], [11, 12, 13]]))
    assert both is not None and (both.size, both.dof) == (1.0, 2.0)
    rng = np.random.default_rng(0)
    own = pool_values(layout(rng.normal(size=(50, 3))))
    assert own is not None
    assert own.dof > 50 and own.size == pytest.approx(1.0, abs=0.3)
