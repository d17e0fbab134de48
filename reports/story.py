"""The first screen: what was found, as facts and three sentences made from numbers."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from reports import format as words
from reports.claims import (
    CONTRADICTED,
    INCONCLUSIVE,
    NOT_RUN,
    PUBLISHED_ONLY,
    SUPPORTED,
    find_surviving,
)
from reports.deciding import find_claim_need

TESTED = (SUPPORTED, CONTRADICTED, INCONCLUSIVE)


def make_facts(
    tables: Sequence[Mapping[str, Any]], costs: Mapping[str, Any]
) -> list[tuple[str, str]]:
    """Return when and where the numbers were made, and what they cost, as name and words."""
    scales = dict.fromkeys(table["scale"] for table in tables)
    sources = dict.fromkeys(table["source"] for table in tables)
    facts = [("scale", ", ".join(scales)), ("source", ", ".join(sources))]
    for key, name, write in (
        ("last_ended", "finished", lambda text: text[:16].replace("T", " ") + " UTC"),
        ("machine", "machine", str),
        ("total_wall_seconds", "wall time", words.format_seconds),
        ("total_cpu_seconds", "CPU time", words.format_seconds),
        ("peak_memory_mb", "peak memory of a job", words.format_memory),
        ("price", "price", str),
    ):
        if costs.get(key):
            facts.append((name, write(costs[key])))
    return facts


def mark_surviving(tables: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Give every claim `survives`: whether it stays decided by Holm's correction; None untested."""
    claims = [claim for table in tables for claim in table["claims"]]
    tested = [claim for claim in claims if claim.get("p") is not None]
    surviving = find_surviving([claim["p"] for claim in tested])
    survives = {id(claim): found for claim, found in zip(tested, surviving, strict=True)}
    return [
        {
            **table,
            "claims": [{**claim, "survives": survives.get(id(claim))} for claim in table["claims"]],
        }
        for table in tables
    ]


def make_sentences(tables: Sequence[Mapping[str, Any]]) -> list[str]:
    """Write what was found: how many claims hold, which way effects point, what would decide more.

    Args:
        tables: evaluated tables (`mark_surviving`) in the order of the paper.
    """
    claims = [(table, claim) for table in tables for claim in table["claims"]]
    counts = Counter(claim["verdict"] for _, claim in claims)
    tested = [
        claim for _, claim in claims if claim["verdict"] in (SUPPORTED, CONTRADICTED, INCONCLUSIVE)
    ]
    if not tested:
        return [f"None of the {len(claims)} claims has been tested here yet."]
    rest = [
        f"{counts[kind]} {text}"
        for kind, text in ((PUBLISHED_ONLY, "cannot be tested here"), (NOT_RUN, "not run yet"))
        if counts[kind]
    ]
    sentences = [
        f"{len(tested)} claims were tested here: {counts[SUPPORTED]} supported, "
        f"{counts[CONTRADICTED]} contradicted, {counts[INCONCLUSIVE]} undecided"
        + (f" (of the others {', '.join(rest)})." if rest else ".")
    ]
    sentences += _describe_places(claims)
    effects = [claim["comparisons"][claim["deciding"]]["effect"] for claim in tested]
    known = [effect for effect in effects if effect is not None]
    last = (
        f"{sum(effect > 0 for effect in known)} of the {len(known)} effects point the paper’s way"
    )
    needs = sorted(
        need.seeds if (need := find_claim_need(claim["comparisons"])) else math.inf
        for claim in tested
        if claim["verdict"] == INCONCLUSIVE
    )
    if needs and math.isfinite(num_seeds := needs[len(needs) // 2]):
        num = sum(one <= num_seeds for one in needs)
        last += (
            f"; if effects stay as they are, {num_seeds} training seeds would decide {num} of the "
            f"{len(needs)} undecided claims"
        )
    return [*sentences, f"{last}."]


def _describe_places(claims: Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]]) -> list[str]:
    """Write in which tables claims hold and fail."""
    parts = []
    for verdict, word in ((SUPPORTED, "supported"), (CONTRADICTED, "contradicted")):
        places = Counter(
            words.table_number(table) for table, claim in claims if claim["verdict"] == verdict
        )
        if places:
            listed = ", ".join(f"{place} ({count})" for place, count in places.items())
            parts.append(f"those {word} are in {listed}")
    return [words.start_sentence("; ".join(parts)) + "."] if parts else []


def describe_chance(tables: Sequence[Mapping[str, Any]], confidence: float) -> str:
    """Say what many tests at once do by chance; empty for a single test."""
    tested = [one for table in tables for one in table["claims"] if one.get("p") is not None]
    if len(tested) < 2:
        return ""
    decided = [one for one in tested if one["verdict"] in (SUPPORTED, CONTRADICTED)]
    return (
        f"Many claims at once: {len(tested)} tests at 95 % would decide "
        f"{(1 - confidence) * len(tested):.1f} by chance alone, half of them in each direction, if "
        f"no effect were real. {sum(one['survives'] for one in tested)} of the {len(decided)} "
        "decided here stay so by Holm’s correction, which lets one in twenty whole pages hold a "
        "false verdict; the others are marked."
    )
