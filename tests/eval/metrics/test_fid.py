import numpy as np
import pytest

from eval.metrics.fid import (
    compute_factor,
    compute_frechet_distance,
    compute_moments,
    make_count_warning,
)
from records.errors import UserError

SINGULAR = ("fewer_samples_than_dims", "dead_dims")


def make_covariance(dims, seed, decay=0.0, rank=None):
    rng = np.random.default_rng(seed)
    factor = rng.normal(size=(dims, rank or dims)) * np.exp(-decay * np.arange(rank or dims))
    return factor @ factor.T


@pytest.mark.parametrize(
    "name", ["mixture", "fewer_samples_than_dims", "dead_dims", "float16_overflow", "few_points"]
)
def test_the_authors_numbers(metrics_reference, name):
    arrays, expected = metrics_reference.arrays, metrics_reference.results[name]
    samples = compute_moments(arrays[f"{name}.samples"])
    reference = compute_moments(arrays[f"{name}.reference"])
    distance = compute_frechet_distance(*samples, *reference)
    tolerance = 1e-5 if name in SINGULAR else 1e-6
    assert distance == pytest.approx(expected["fid"], rel=tolerance)
    assert distance == pytest.approx(expected["fid_exact_float64"], rel=tolerance)


@pytest.mark.parametrize("name", ["mixture", "fewer_samples_than_dims", "dead_dims"])
def test_singular_or_not_the_distance_is_that_of_the_centred_features(metrics_reference, name):
    """Without covariances: the root's trace is the sum of the singular values of A^T B."""
    factors, moments = [], []
    for part in ("samples", "reference"):
        features = metrics_reference.arrays[f"{name}.{part}"].astype(np.float64)
        moments.append(compute_moments(features))
        factors.append((features - features.mean(axis=0)).T / np.sqrt(len(features) - 1))
    root = np.linalg.svd(factors[0].T @ factors[1], compute_uv=False).sum()
    (mu1, sigma1), (mu2, sigma2) = moments
    exact = ((mu1 - mu2) ** 2).sum() + np.trace(sigma1 + sigma2) - 2 * root
    assert compute_frechet_distance(mu1, sigma1, mu2, sigma2) == pytest.approx(exact, rel=1e-11)


@pytest.mark.parametrize("name", ["mixture", "dead_dims"])
def test_moments_are_the_authors(metrics_reference, name):
    arrays = metrics_reference.arrays
    mu, sigma = compute_moments(arrays[f"{name}.samples"])
    assert mu.dtype == sigma.dtype == np.float64
    np.testing.assert_allclose(mu, arrays[f"{name}.samples.mu"], rtol=1e-5, atol=1e-6)
    stored = arrays[f"{name}.samples.sigma"]
    np.testing.assert_allclose(sigma, stored, rtol=1e-9, atol=1e-12 * stored.max())


def test_one_dimension_has_a_closed_form():
    distance = compute_frechet_distance([1.0], [[4.0]], [3.5], [[9.0]])
    assert distance == pytest.approx(2.5**2 + (3 - 2) ** 2)


def test_commuting_covariances_have_a_closed_form():
    basis = np.linalg.qr(np.random.default_rng(0).normal(size=(20, 20)))[0]
    first, second = np.linspace(0, 4, 20), np.linspace(5, 1e-6, 20)
    mu = np.ones(20)
    distance = compute_frechet_distance(
        mu, basis * first @ basis.T, 0 * mu, basis * second @ basis.T
    )
    assert distance == pytest.approx(20 + ((np.sqrt(first) - np.sqrt(second)) ** 2).sum(), rel=1e-9)


def test_general_covariances_agree_with_a_matrix_square_root():
    from scipy.linalg import sqrtm

    first, second = make_covariance(30, 0), make_covariance(30, 1)
    expected = np.trace(first + second - 2 * sqrtm(first @ second).real)
    assert compute_frechet_distance(np.zeros(30), first, np.zeros(30), second) == pytest.approx(
        expected, rel=1e-8
    )


@pytest.mark.parametrize(("decay", "rank"), [(0, None), (0.3, None), (0, 10), (0.3, 20), (1, 64)])
def test_equal_inputs_are_at_distance_zero(decay, rank):
    sigma = make_covariance(64, 0, decay, rank)
    distance = compute_frechet_distance(np.ones(64), sigma, np.ones(64), sigma)
    assert abs(distance) < 1e-9 * 2 * np.trace(sigma)


@pytest.mark.parametrize("ranks", [(64, 64), (64, 5), (5, 64), (7, 5), (1, 1)])
def test_symmetric_and_not_negative(ranks):
    first, second = (make_covariance(64, seed, 0.2, rank) for seed, rank in enumerate(ranks))
    mu = np.zeros(64)
    forth = compute_frechet_distance(mu, first, mu, second)
    back = compute_frechet_distance(mu, second, mu, first)
    traces = np.trace(first) + np.trace(second)
    assert forth >= 0
    assert abs(forth - back) < 1e-9 * traces


def test_a_zero_covariance_is_a_point():
    mu, sigma = np.ones(3), np.zeros((3, 3))
    assert compute_frechet_distance(mu, sigma, 0 * mu, np.eye(3)) == pytest.approx(6)
    assert compute_frechet_distance(mu, sigma, 0 * mu, sigma) == pytest.approx(3)


def test_statistics_of_another_dimension_are_refused():
    with pytest.raises(UserError, match=r"\[2\], \[2, 2\], \[3\], \[3, 3\].*same number of dim"):
        compute_frechet_distance(np.zeros(2), np.eye(2), np.zeros(3), np.eye(3))


def test_not_finite_statistics_are_refused():
    with pytest.raises(UserError, match="NaN or infinity in a mean or covariance"):
        compute_frechet_distance([np.nan], [[1.0]], [0.0], [[1.0]])


def test_not_finite_features_are_refused():
    with pytest.raises(UserError, match="moments: 1 of 2 rows"):
        compute_moments(np.array([[np.nan], [0.0]]))


def test_one_row_has_no_covariance():
    with pytest.raises(UserError, match="got 1 row of features; a covariance needs 2 or more"):
        compute_moments(np.zeros((1, 3)))


SPECTRA = {
    "even": lambda index: np.ones(len(index)),
    "like an image network's": lambda index: (index + 1.0) ** -1.2 * np.exp(-index / 24),
    "steep": lambda index: np.exp(-index / 9),
    "cliff": lambda index: np.where(index < len(index) // 2, 1, 1e-9),
    "deep cliff": lambda index: np.where(index < len(index) // 2, 1, 1e-12),
    "one large": lambda index: np.where(index < 1, 1, 1e-6),
}


def make_rotated(name, dims, seed):
    basis = np.linalg.qr(np.random.default_rng(seed).normal(size=(dims, dims)))[0]
    return basis * SPECTRA[name](np.arange(dims)) @ basis.T


@pytest.mark.parametrize("first", SPECTRA)
@pytest.mark.parametrize("second", SPECTRA)
def test_small_eigenvalues_keep_their_roots(first, second):
    """In unrelated bases, against the singular values of A^T B, which square nothing."""
    mu = np.zeros(120)
    sigmas = make_rotated(first, 120, 0), make_rotated(second, 120, 1)
    factors = [compute_factor(sigma) for sigma in sigmas]
    traces = np.trace(sigmas[0]) + np.trace(sigmas[1])
    exact = traces - 2 * np.linalg.svd(factors[0].T @ factors[1], compute_uv=False).sum()
    assert abs(compute_frechet_distance(mu, sigmas[0], mu, sigmas[1]) - exact) < 2e-10 * traces


@pytest.mark.parametrize("rank", [40, 17, 1, 0])
def test_a_factor_has_the_covariances_rank(rank):
    sigma = make_covariance(40, 0, rank=rank) if rank else np.zeros((40, 40))
    factor = compute_factor(sigma)
    assert factor.shape == (40, rank)
    np.testing.assert_allclose(factor @ factor.T, sigma, atol=1e-12 * max(1, np.trace(sigma)))


def test_distances_of_other_counts_are_not_compared_without_a_word():
    assert make_count_warning(50_000, 50_000) is None
    warning = make_count_warning(50_000, 10_000)
    assert "50,000 and 10,000 samples do not compare" in warning and "bias" in warning
    for unknown in ((None, 10), (10, None), (None, None)):
        assert "an unknown number of" in make_count_warning(*unknown)
