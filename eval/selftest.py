"""Does this machine compute the metrics right? Checks with known answers, and what was left out."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from eval.networks.feature_network import FeatureNetwork
from eval.selftest_metrics import check_identity, check_stored_features, check_wrong_pair
from eval.selftest_network import (
    NotCheckedError,
    check_backends,
    check_batch_sizes,
    check_images,
    check_known_result,
    judge_hash,
    load_checked_network,
)
from records.errors import UserError

PASSED, FAILED, NOT_CHECKED = "passed", "failed", "not checked"


@dataclass(frozen=True)
class Check:
    """One check: its name, its outcome (passed, failed or not checked), and what was got."""

    name: str
    outcome: str
    words: str


def run_selftest(
    *,
    weights: str | Path | None = None,
    any_weights: bool = False,
    backend: str = "torch",
    reference: str | Path | None = None,
    samples: str | Path | None = None,
    device: str = "cpu",
    batch_size: int = 64,
) -> list[Check]:
    """Check the metrics, the feature network and the authors' known result on this machine.

    Nothing is downloaded. What is missing is reported as not checked, with the reason.

    Args:
        weights: a feature network's file; None: Inception's, if it is here.
        any_weights: take a frozen graph with other weights than the published ones.
        backend: what runs Inception in these checks, torch or tensorflow.
        reference: the authors' imagenet_256 reference batch; None: from the cache, if it is there.
        samples: their ADM-G, ADM-U samples; None: likewise.
        device: where torch computes.
        batch_size: images at a time.

    Returns:
        All checks, in order.
    """
    loaded: list[FeatureNetwork] = []

    def load() -> str:
        network = load_checked_network(
            weights, backend=backend, device=device, any_weights=any_weights
        )
        loaded.append(network)
        return judge_hash(network)

    def with_network(check: Callable[[FeatureNetwork], str]) -> Callable[[], str]:
        def run() -> str:
            if not loaded:
                raise NotCheckedError("needs the feature network")
            return check(loaded[0])

        return run

    def known_result(network: FeatureNetwork) -> str:
        return check_known_result(network, reference, samples, device, batch_size)

    return [
        _run("stored features", lambda: check_stored_features(device)),
        _run("batch against itself", lambda: check_identity(device)),
        _run("wrong pair", lambda: check_wrong_pair(device)),
        _run("feature network", load),
        _run("batch sizes", with_network(check_batch_sizes)),
        _run("images against themselves", with_network(lambda net: check_images(net, device))),
        _run("torch against tensorflow", with_network(lambda net: check_backends(net, weights))),
        _run("known result", with_network(known_result)),
    ]


def format_checks(checks: list[Check]) -> str:
    """Write checks as lines, and a summary as the last one."""
    width = max(len(check.name) for check in checks)
    lines = [f"{check.outcome:<11}  {check.name:<{width}}  {check.words}" for check in checks]
    counts = {
        outcome: sum(check.outcome == outcome for check in checks)
        for outcome in (PASSED, FAILED, NOT_CHECKED)
    }
    verdict = "all that ran passed"
    if counts[FAILED]:
        verdict = "find out why before this machine's numbers are trusted"
    summary = ", ".join(f"{count} {outcome}" for outcome, count in counts.items())
    return "\n".join([*lines, f"selftest: {summary}; {verdict}"])


def _run(name: str, check: Callable[[], str]) -> Check:
    """Run a check; whatever ends it otherwise than with words is its failure."""
    try:
        return Check(name, PASSED, check())
    except NotCheckedError as reason:
        return Check(name, NOT_CHECKED, str(reason))
    except UserError as error:
        return Check(name, FAILED, str(error))
    # A broken library may raise anything, and that is what a self-test is there to report.
    except Exception as error:
        return Check(name, FAILED, f"{type(error).__name__}: {error}")
