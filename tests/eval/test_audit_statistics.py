import numpy as np
import pytest

from eval.audit_statistics import describe_statistics

RNG = np.random.default_rng(0)


def make_statistics(dims=5, dims_s=4, **changed):
    """Make statistics of 100 random features."""
    features, features_s = RNG.normal(size=(100, dims)), RNG.normal(size=(100, dims_s))
    return {
        "mu": features.mean(axis=0),
        "sigma": np.cov(features, rowvar=False),
        "mu_s": features_s.mean(axis=0),
        "sigma_s": np.cov(features_s, rowvar=False),
        **changed,
    }


def judge(stored, num_stored=10):
    return describe_statistics(stored, num_stored=num_stored)[1]


def has(stored, words, **options):
    return any(words in sentence for sentence in judge(stored, **options))


def test_what_they_are():
    stored = make_statistics(num_images=np.array(100), network_sha256=np.array("abc"))
    about, _ = describe_statistics(stored, num_stored=10)
    assert about == {
        "names": ["mu", "sigma", "mu_s", "sigma_s"],
        "dims": {"mu": 5, "mu_s": 4},
        "num_images": 100,
        "network_sha256": "abc",
    }


def test_nothing_to_say_where_there_are_none():
    about, odd = describe_statistics({}, num_stored=10)
    assert about == {"names": [], "dims": {}, "num_images": None, "network_sha256": None}
    assert odd == []


@pytest.mark.slow
def test_statistics_as_published_are_not_odd():
    """Inception's dimensions, fewer images than those (a singular covariance), 32-bit too."""
    for dtype in (np.float64, np.float32):
        stored = make_statistics(2048, 2023)
        assert judge({name: array.astype(dtype) for name, array in stored.items()}) == []


def test_other_networks_dimensions():
    stored = make_statistics()
    assert len(judge(stored)) == 2
    assert has(stored, "mu has 5 dimensions, those of Inception have 2048: FID with it is not")
    assert has(stored, "mu_s has 4 dimensions, those of Inception have 2023: sFID with it is not")


@pytest.mark.parametrize(
    ("removed", "words"),
    [
        (("sigma",), "statistics are incomplete: sigma missing; FID needs mu and sigma"),
        (("mu_s", "sigma_s"), "statistics are incomplete: mu_s, sigma_s missing"),
        (("mu",), "statistics are incomplete: mu missing"),
    ],
)
def test_incomplete(removed, words):
    stored = make_statistics()
    assert not has(stored, "incomplete")
    assert has({name: one for name, one in stored.items() if name not in removed}, words)


@pytest.mark.parametrize("name", ["mu", "sigma", "mu_s", "sigma_s"])
def test_nan_and_other_types(name):
    stored = make_statistics()
    words = f"{name} holds NaN, infinity or no floating-point numbers"
    assert not has(stored, words)
    for bad in (np.nan, np.inf):
        array = stored[name].copy()
        array.flat[1] = bad
        assert has({**stored, name: array}, words)
    assert has({**stored, name: np.zeros(stored[name].shape, np.int64)}, words)


def test_what_is_no_covariance():
    stored = make_statistics()
    sigma = stored["sigma"].copy()
    sigma[0, 1] += 0.5
    assert has({**stored, "sigma": sigma}, "sigma is not symmetric (by up to 0.5); a covariance is")
    assert has({**stored, "sigma": -stored["sigma"]}, "sigma has an eigenvalue of -")
    assert has({**stored, "mu": stored["mu"] + 1e200}, "mu reaches 1e+200; features are float32")
    assert has({**stored, "sigma": np.zeros((5, 5))}, "sigma is zero: all its features were equal")
    assert has({**stored, "sigma": np.eye(6)}, "sigma is [6, 6], but mu has 5 dimensions")
    assert has(
        {**stored, "sigma_s": np.ones((4, 3))}, "sigma_s is [4, 3]; a covariance is a square"
    )
    assert has({**stored, "sigma": np.array(1.0)}, "sigma is []; a covariance is a square matrix")
    assert has({**stored, "sigma": np.ones((0, 0))}, "sigma is [0, 0]; a covariance is a square")


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_rounding_is_not_odd(dtype):
    features = RNG.normal(size=(3, 5))
    sigma = np.cov(features, rowvar=False).astype(dtype)  # three of five eigenvalues are 0
    sigma[0, 1] *= 1 + np.finfo(dtype).eps
    assert len(judge(make_statistics(sigma=sigma))) == 2


def test_counts():
    stored = make_statistics(num_images=np.array("many"))
    assert describe_statistics(stored, num_stored=1)[0]["num_images"] is None
    assert has(stored, "num_images is <U4 [], not a whole number")
    stored = make_statistics(num_images=np.array(8))
    assert has(stored, "statistics are of 8 images, fewer than the 10 in the file")
    assert not has(stored, "fewer than", num_stored=8)
    stored = make_statistics(num_images=np.array(5))
    assert has(stored, "statistics of 5 images in 5 dimensions: the covariance is singular")
    assert not has(make_statistics(num_images=np.array(6)), "singular")
