"""Whether the figures of a model of the session desk are evidence, in words, and how long it would take to know."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from openbell.core.session import WHOLE_DAY
from openbell.quant.intervals import observations_needed

#: Accuracies of a direction of which it is told how many sessions they take to be seen (S4.26), and with which power.
ACCURACIES = (0.53, 0.55, 0.57)
POWER = 0.8
PARTLY_SEEN = (
    "The label is of the whole day, a part of which had happened at the cut-off, so that a part of any skill is "
    "arithmetic on what was seen. What could still be earned is told by the back-test, not by this figure."
)


def sessions_needed(base: float, classes: int, alpha: float) -> pl.DataFrame:
    """Sessions after which an accuracy is told from the share `base` of the commonest of `classes`.

    Returns
    -------
    polars.DataFrame
        ``accuracy`` (`ACCURACIES` of two classes; of more, as far above `base` as these are above one half),
        ``base_rate``, ``power``, ``sessions`` (independent ones, a test at `alpha`, one-sided; null where the accuracy
        is not above `base` or not below 1).
    """
    wanted = [each if classes == 2 else base + each - 0.5 for each in ACCURACIES]
    possible = [each < 1.0 and 0.0 < base < 1.0 for each in wanted]
    counts = [
        observations_needed(each, base, alpha=alpha, power=POWER) if can else None
        for each, can in zip(wanted, possible, strict=True)
    ]
    return pl.DataFrame(
        {"accuracy": wanted, "base_rate": base, "power": POWER, "sessions": counts},
        schema={"accuracy": pl.Float64, "base_rate": pl.Float64, "power": pl.Float64, "sessions": pl.Int64},
    )


def verdict(row: Mapping[str, Any], classes: int, tries: int, alpha: float, min_sessions: int, label: str = "") -> str:
    """Whether the figures of one model are evidence, in sentences, with what they rest on.

    `row` is that of `SessionScores.models`; `tries` is how many candidates stood in the test; `label` is what they
    were taught, for the caution that a label of `WHOLE_DAY` asks for.
    """
    gain = f"{row['skill_nats']:+.4f} nats per decision over the base rates{_between(row, 'skill_nats', '+.4f')}"
    told = (
        f"`{row['model']}` made {row['n']:,} forecasts in {row['sessions']:,} sessions: {gain}; it was right in "
        f"{row['accuracy']:.1%}{_between(row, 'accuracy', '.1%')}, {row['commonest_class']} alone would have been in "
        f"{row['commonest']:.1%}."
    )
    if row["kind"] == "baseline":
        return f"{told} It is what every candidate has to beat."
    if row["proven"]:
        caution = f" {PARTLY_SEEN}" if label in WHOLE_DAY else ""
        return f"Evidence: {told} It survives {_test(row, tries, alpha)}.{caution}"
    if row["skill_nats_high"] is not None and row["skill_nats_high"] < 0:
        return f"Worse than the base rates: {told}"
    why = " and ".join(_reasons(row, tries, alpha, min_sessions))
    return f"Not enough evidence: {why}. {told} {_patience(sessions_needed(row['commonest'], classes, alpha))}"


def _reasons(row: Mapping[str, Any], tries: int, alpha: float, min_sessions: int) -> list[str]:
    found = []
    if row["sessions"] < min_sessions:
        found.append(f"{row['sessions']:,} sessions are fewer than the {min_sessions:,} below which nothing counts")
    if row["skill_nats_low"] is None:
        found.append("they are too few for an interval")
    elif row["skill_nats_low"] <= 0:
        found.append("the interval of the gain holds 0")
    elif row["sessions"] >= min_sessions:
        found.append(f"the gain does not survive {_test(row, tries, alpha)}")
    return found


def _test(row: Mapping[str, Any], tries: int, alpha: float) -> str:
    p = row["p_value"]
    shown = "not made" if p is None else "p below 0.001" if p < 0.001 else f"p {p:.3f}"
    return f"the test of {tries} {'try' if tries == 1 else 'tries'} at {alpha:.1%} ({shown})"


def _between(row: Mapping[str, Any], name: str, how: str) -> str:
    low, high = row[f"{name}_low"], row[f"{name}_high"]
    return " (no interval)" if low is None else f" (95 % interval {low:{how}} to {high:{how}})"


def _patience(needed: pl.DataFrame) -> str:
    """How many sessions an accuracy takes to be told from the commonest class."""
    base, parts = needed["base_rate"][0], []
    for accuracy, count in needed.select("accuracy", "sessions").iter_rows():
        parts.append(f"{accuracy:.1%} {'is not above it' if count is None else f'after {count:,}'}")
    return f"With {POWER:.0%} power an accuracy is told from {base:.1%} after so many sessions: {', '.join(parts)}."
