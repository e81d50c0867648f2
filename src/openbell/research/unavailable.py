"""Why a feature of options has no value on a day, in a sentence: the input that lacks, or what is undefined."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from openbell.core.declare import Feature
from openbell.quant.chain_expressions import BENCHMARK, CHAIN_READS, HISTORY, HISTORY_DAYS, INDEX, NUMBER
from openbell.quant.expressions import SHARED
from openbell.quant.reach import feature_reach, lookback
from openbell.research.compute import roots

#: Why a chain that is there may still not hold a feature.
_NO_ATM = "the chain has no expiries around 30 days with quoted volatilities on both sides of the forward."
_OF_THE_CHAIN: Mapping[str, str] = {
    "iv_atm": _NO_ATM,
    "iv_term_structure": "the chain has no volatility at the forward around 30 or around 90 days.",
    "iv_skew": "the chain has no quoted puts and calls on both sides of 25 delta around 30 days.",
    "put_call_volume_ratio": "no call of the chain was traded.",
    "put_call_oi_ratio": "no call of the chain is open.",
    "total_option_volume": "the chain says no volumes.",
    "total_open_interest": "the chain says no open interest.",
    "max_pain_strike": "no contract of the chain is open.",
    "gamma_exposure": "the chain has no open interest with a gamma of our own in calls and puts.",
    "delta_exposure": "the chain has no open interest with a delta of our own.",
    "options_flow_sentiment": "no contract of the chain was traded.",
}
_NO_GREEKS = "the chain has no strike near the forward with both rights quoted, at an expiry within 20 days of 30."
_UNDEFINED = "it is undefined here: its window holds no movement, no volume or no width to divide by."


@dataclass(frozen=True, slots=True, eq=False)
class Sources:
    """What the features of `underlying` stand on; `lacking` are columns of bars that are not really there."""

    underlying: str
    benchmark: str
    index: str
    lacking: Mapping[str, str]

    def rests_on(self, feature: Feature) -> str | None:
        """Why a column that `feature` stands on is made up; None where all are real."""
        named = [name for name in columns_of(feature) if name in self.lacking]
        return "; ".join(dict.fromkeys(self.lacking[name] for name in named)) + "." if named else None


@functools.lru_cache(maxsize=1024)
def columns_of(feature: Feature) -> tuple[str, ...]:
    """Columns of the days that a feature stands on, computed ones included."""
    return roots(feature.expression, {**SHARED, **HISTORY})


def with_counts(days: pl.DataFrame) -> pl.DataFrame:
    """The days with how many values each source has so far, and how long ago it last lacked one."""
    sources = {"bar": "close", "index": INDEX, "benchmark": BENCHMARK, "iv": "iv_atm"}
    counted = [pl.col(of).is_not_null().cum_sum().cast(pl.Int64).alias(f"{name} count") for name, of in sources.items()]
    gaps = [
        (pl.col(NUMBER) - pl.when(pl.col(of).is_null()).then(NUMBER).forward_fill()).alias(f"{name} gap")
        for name, of in sources.items()
    ]
    return days.with_columns(*counted, *gaps)


def reasons(table: pl.DataFrame, features: Sequence[Feature], sources: Sources) -> pl.DataFrame:
    """``session``, ``feature``, ``reason`` of each null of the columns ``=<feature>``, by session."""
    empty = pl.DataFrame(schema={"session": pl.Date, "feature": pl.String, "reason": pl.String})
    parts = []
    for at, each in enumerate(features):
        rows = table.filter(pl.col(f"={each.name}").is_null())
        if rows.height:
            said = rows.select("session", pl.lit(each.name).alias("feature"), _reason(each, sources).alias("reason"))
            parts.append(said.with_columns(pl.lit(at).alias("at")))
    if not parts:
        return empty
    return pl.concat(parts).sort("session", "at").select(empty.columns)


def _reason(feature: Feature, sources: Sources) -> pl.Expr:
    made_up = sources.rests_on(feature)
    if made_up is not None:
        return pl.lit(made_up)
    cases: list[tuple[pl.Expr, pl.Expr]] = []
    named = columns_of(feature)
    if feature.reads in CHAIN_READS:
        cases = _without_chain(sources)
        last = _OF_THE_CHAIN.get(feature.name, _NO_GREEKS)
    else:
        cases = [*_of_history(named, sources), *_of_context(feature, named, sources), *_of_bars(feature)]
        last = _UNDEFINED
    chosen = pl.lit(last)
    for applies, sentence in reversed(cases):
        chosen = pl.when(applies).then(sentence).otherwise(chosen)
    return chosen


def _without_chain(sources: Sources) -> list[tuple[pl.Expr, pl.Expr]]:
    refused = pl.format(
        f"the chain is not of {sources.underlying} at that moment: its parity forward {{}} lies {{}} % from the price "
        "{}, and at most 2 % is allowed.",
        pl.col("parity_forward").round(2), (100.0 * pl.col("away")).round(1), pl.col("raw_close").round(2),
    )  # fmt: skip
    return [
        (pl.col("refused"), refused),
        (~pl.col("has_chain"), pl.lit(f"there is no chain of {sources.underlying} for that session.")),
    ]


def _of_history(named: Sequence[str], sources: Sources) -> list[tuple[pl.Expr, pl.Expr]]:
    needed = [HISTORY_DAYS[name] for name in named if name in HISTORY_DAYS]
    chain = [name for name in named if name == "iv_atm" or name in _OF_THE_CHAIN]
    if not needed and not chain:
        return []
    cases = _without_chain(sources)
    for name in chain if not needed else ["iv_atm", *chain]:
        cases.append((pl.col(name).is_null(), pl.lit(_OF_THE_CHAIN[name])))
    if needed:
        days = max(needed)
        short = pl.format(
            f"it needs {days} days with an implied volatility; there are {{}}.", pl.col("iv count")
        )  # fmt: skip
        cases.append((pl.col("iv count") < days, short))
        missing = f"its last {days} days with an implied volatility are spread over too many sessions without one."
        cases.append((pl.col("iv gap") < 2 * days, pl.lit(missing)))
    return cases


def _of_context(feature: Feature, named: Sequence[str], sources: Sources) -> list[tuple[pl.Expr, pl.Expr]]:
    cases: list[tuple[pl.Expr, pl.Expr]] = []
    told = {INDEX: ("index", f"the volatility index {sources.index}"), BENCHMARK: ("benchmark", sources.benchmark)}
    rows = lookback(feature)
    for column, (name, words) in told.items():
        if column in named:
            cases += _of_source(column, name, words, rows)
    return cases


def _of_source(column: str, name: str, words: str, rows: int) -> list[tuple[pl.Expr, pl.Expr]]:
    count = pl.col(f"{name} count")
    return [
        (pl.col(column).is_null(), pl.lit(f"there is no close of {words} for that session.")),
        (count < rows, pl.format(f"its window of {rows} sessions is not full: {{}} of them have {words}.", count)),
        (pl.col(f"{name} gap") < rows, pl.lit(f"a session of its last {rows} has no close of {words}.")),
    ]


def _of_bars(feature: Feature) -> list[tuple[pl.Expr, pl.Expr]]:
    rows, count = lookback(feature), pl.col("bar count")
    words = f"it needs {rows} sessions of history; there are {{}}."
    if feature_reach(feature).recursive:
        words = "its windows are not full yet after {} sessions of history."
    return [
        (count < rows, pl.format(words, count)),
        (pl.col("bar gap") < rows, pl.lit(f"a session of its last {rows} has no bar.")),
    ]
