"""The 84 features of one underlying, day by day: one function behind training, serving and the audit."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from openbell.core.declare import Feature
from openbell.core.errors import BadInput, DeclarationError, FeatureUnavailable, unknown
from openbell.core.time import Sessions
from openbell.quant.chain_expressions import BENCHMARK, CHAIN_READS, DAYS, HISTORY, INDEX, NUMBER
from openbell.quant.feature_groups import EIGHTY_FOUR
from openbell.quant.reach import feature_reach, lookback
from openbell.research.chain_days import chain_day_features
from openbell.research.compute import evaluated, stages
from openbell.research.grid import BAR_COLUMNS, lacking_columns
from openbell.research.unavailable import Sources, reasons, with_counts

__all__ = ["OptionFeatures", "chain_day_features", "eighty_four", "features_at", "option_features", "sessions_needed"]

#: A chain whose parity forward lies farther from the price belongs to another underlying, or another moment.
FARTHEST_FORWARD = 0.02
#: Bars from which on one can tell that ranges are made up.
FEWEST_BARS = 60
#: Days of implied volatility that the longest window holds: `modelled` looks back as far.
_WINDOW = 252


@dataclass(frozen=True, slots=True, eq=False)
class OptionFeatures:
    """The 84 features of one underlying.

    Attributes
    ----------
    frame : ``session`` (of the bar: what is known at its close), the 84 as Float64 in their order, null where one is
        unavailable, never NaN or infinite, and ``modelled``: whether any input of the row is. Sorted by session; a
        session without a bar has no row.
    unavailable : ``session``, ``feature``, ``reason``: one row for each null, in full sentences.
    notes : what was refused or was not finite, in sentences.
    """

    underlying: str
    frame: pl.DataFrame
    unavailable: pl.DataFrame
    notes: tuple[str, ...] = ()

    @property
    def complete(self) -> pl.DataFrame:
        """The rows on which none of the 84 is missing."""
        return self.frame.drop_nulls(EIGHTY_FOUR)


def eighty_four(declared: Mapping[str, Feature]) -> list[Feature]:
    """The 84 of the declared features, in their order; one that is not declared is refused by its name."""
    lacking = [name for name in EIGHTY_FOUR if name not in declared]
    if lacking:
        raise DeclarationError(f"Of the 84 features of options {', '.join(lacking)} are not declared.")
    return [declared[name] for name in EIGHTY_FOUR]


def sessions_needed(features: Sequence[Feature]) -> int:
    """Sessions of history after which the newest row is what the whole history would give, to 1e-9.

    Half as much again where there is a recursion, as for the features of bars.
    """
    return max(lookback(each) * 3 // 2 if feature_reach(each).recursive else lookback(each) for each in features)


def option_features(
    underlying: str,
    bars: pl.DataFrame | pl.LazyFrame,
    *,
    benchmark: pl.DataFrame | pl.LazyFrame,
    volatility_index: pl.DataFrame | pl.LazyFrame,
    chain_days: pl.DataFrame,
    sessions: Sessions,
    features: Sequence[Feature],
    first: dt.date | None = None,
    last: dt.date | None = None,
    benchmark_name: str = "the benchmark",
    index_name: str = "VIX",
) -> OptionFeatures:
    """Compute the 84 of `underlying` at its bars from `first` to `last`, from the frames handed in.

    Nothing is filled: what lacks an input is null, with its reason. Returns and indicators are of forward-adjusted
    prices; ``current_price``, averages, bands, levels, MACD and ATR are in dollars of the row's own day, so that they
    compare with that day's strikes.

    Parameters
    ----------
    bars : of the underlying, as ``View.bars`` gives them: ``session``, adjusted ``open high low close volume`` and
        ``raw_*``; with ``symbol``, every row must be of the underlying.
    benchmark : ``session`` and ``close`` (adjusted) of SPY or what stands for it.
    volatility_index : ``session`` and ``close`` in points. A null or a value of 0 or less is a missing day.
    chain_days : of `chain_day_features`. A day whose parity forward lies over 2 % from the raw close is refused.
    sessions : the calendar; windows count its sessions.
    features : the 84, see `eighty_four`. first, last : sessions, both included; None leaves the side open. Rows before
        `first` still serve as history. benchmark_name, index_name : what the sentences call them.

    Raises
    ------
    BadInput : for bars of another symbol, two rows of one session, or a column that lacks.
    """
    _check_declared(features)
    days, notes = _days(underlying, bars, benchmark, volatility_index, chain_days, sessions)
    days = with_counts(_with_history(days))
    lacking = _made_up(days)
    sources = Sources(underlying, benchmark_name, index_name, lacking)
    values = evaluated(days, [_column(each, sources) for each in features], [])
    values, odd = _finite(values)
    wanted = pl.col("is_bar")
    wanted = wanted if first is None else wanted & (pl.col("session") >= first)
    wanted = wanted if last is None else wanted & (pl.col("session") <= last)
    table = pl.concat([days, values.select(pl.all().name.prefix("=")), _modelled(days)], how="horizontal").filter(
        wanted
    )
    frame = table.select("session", *(pl.col(f"={name}").alias(name) for name in (*EIGHTY_FOUR, "modelled")))
    return OptionFeatures(underlying, frame, reasons(table, features, sources), (*notes, *odd))


def features_at(found: OptionFeatures, session: dt.date) -> dict[str, float]:
    """The 84 numbers of one session, in their order.

    Raises
    ------
    FeatureUnavailable : where one of them is missing, with the reason of each; no default is put in its place.
    """
    row = found.frame.filter(pl.col("session") == session).drop("session", "modelled")
    if row.is_empty():
        raise FeatureUnavailable(f"There is no bar of {found.underlying} on {session}, so it has no features.")
    why = found.unavailable.filter(pl.col("session") == session)
    if why.height:
        by_reason = why.group_by("reason", maintain_order=True).agg("feature")
        said = " ".join(f"{_named(names)}: {reason}" for reason, names in by_reason.rows())
        raise FeatureUnavailable(
            f"{why.height} of the 84 features of {found.underlying} on {session} are unavailable, and nothing is put "
            f"in their place. {said}"
        )
    return row.row(0, named=True)


def _named(names: Sequence[str]) -> str:
    shown = ", ".join(f"`{name}`" for name in names[:4])
    return f"{shown} and {len(names) - 4} more" if len(names) > 4 else shown


def _check_declared(features: Sequence[Feature]) -> None:
    names = tuple(each.name for each in features)
    if names != EIGHTY_FOUR:
        raise BadInput(
            f"The features must be the 84 in their order; there were {len(names)}. Use `eighty_four(declared)`."
        )
    for each in features:
        feature_reach(each)
        if each.reads not in ("bars", DAYS, *CHAIN_READS):
            raise unknown(f"table of `{each.name}`", each.reads, ("bars", DAYS, *CHAIN_READS))


def _column(feature: Feature, sources: Sources) -> pl.Expr:
    """The values of a feature over the days; null throughout where a column it stands on is made up."""
    if sources.rests_on(feature) is not None:
        return pl.when(pl.col("close") < 0).then(pl.col("close")).alias(feature.name)
    expression = pl.col(feature.name) if feature.reads in CHAIN_READS else feature.expression
    return expression.cast(pl.Float64).alias(feature.name)


def _days(
    underlying: str,
    bars: pl.DataFrame | pl.LazyFrame,
    benchmark: pl.DataFrame | pl.LazyFrame,
    volatility_index: pl.DataFrame | pl.LazyFrame,
    chain_days: pl.DataFrame,
    sessions: Sessions,
) -> tuple[pl.DataFrame, list[str]]:
    """The days of the underlying on the session grid, from its first bar to its last, with everything beside them."""
    own = _bars(underlying, bars)
    calendar = sessions.frame.select("session", pl.col("number").cast(pl.Int64).alias(NUMBER))
    days = calendar.filter(pl.col("session").is_between(own["session"].min(), own["session"].max()))
    outside = own.join(days, on="session", how="anti")
    notes = [f"{outside.height:,} bars of {underlying} lie on no session and are left out."] if outside.height else []
    days = days.join(own, on="session", how="left", maintain_order="left")
    days = days.join(_closes(benchmark, BENCHMARK, "benchmark"), on="session", how="left", maintain_order="left")
    days = days.join(_closes(volatility_index, INDEX, "index"), on="session", how="left", maintain_order="left")
    chains, said = _chains(underlying, chain_days)
    days = days.join(chains, on="session", how="left", maintain_order="left")
    days = _identified(days.with_columns(pl.lit(underlying).alias("symbol"), pl.col("is_bar").fill_null(False)))
    refused = days.filter(pl.col("refused")).height
    if refused:
        said.append(f"{refused:,} chains were refused: their parity forward lies over 2 % from {underlying}'s price.")
    return days, [*notes, *said]


def _bars(underlying: str, bars: pl.DataFrame | pl.LazyFrame) -> pl.DataFrame:
    found = bars.lazy().collect()
    lacking = [name for name in ("session", *BAR_COLUMNS) if name not in found.columns]
    if lacking:
        raise BadInput(f"The bars of {underlying} have no column {', '.join(f'`{name}`' for name in lacking)}.")
    if "symbol" in found.columns:
        others = found.filter(pl.col("symbol").ne_missing(pl.lit(underlying)))["symbol"].unique().sort().to_list()
        if others:
            raise BadInput(f"The bars handed in for {underlying} are of {', '.join(map(str, others))} too.")
    if found.is_empty():
        raise BadInput(f"There are no bars of {underlying}.")
    return _one_per_session(found, f"bar of {underlying}").select(
        "session", *(pl.col(name).cast(pl.Float64) for name in BAR_COLUMNS), pl.lit(True).alias("is_bar")
    )


def _one_per_session(found: pl.DataFrame, what: str) -> pl.DataFrame:
    twice = found.filter(pl.col("session").is_duplicated())
    if twice.height:
        raise BadInput(
            f"There is more than one {what} on {twice['session'].sort()[0]}. Hand in the newest known alone."
        )
    return found


def _closes(rows: pl.DataFrame | pl.LazyFrame, name: str, what: str) -> pl.DataFrame:
    found = rows.lazy().select("session", pl.col("close").cast(pl.Float64)).collect()
    value = pl.when((pl.col("close") > 0) & pl.col("close").is_finite()).then(pl.col("close"))
    return _one_per_session(found, f"close of the {what}").select("session", value.alias(name))


def _chains(underlying: str, chain_days: pl.DataFrame) -> tuple[pl.DataFrame, list[str]]:
    names = sorted(set(chain_days["underlying"].unique().to_list()))
    own = chain_days.filter(pl.col("underlying") == underlying)
    said = []
    if own.is_empty() and names:
        said.append(f"The chains handed in are of {', '.join(names)}, not of {underlying}; none of them is used.")
    return _one_per_session(own, f"chain of {underlying}").drop("underlying"), said


def _made_up(days: pl.DataFrame) -> dict[str, str]:
    """Columns of the bars that are not really there (check 12); too few bars tell nothing."""
    bars = days.filter("is_bar")
    lacking = lacking_columns(bars.lazy()) if bars.height >= FEWEST_BARS else {}
    return {**lacking, **{f"raw_{name}": reason for name, reason in lacking.items()}}


def _identified(days: pl.DataFrame) -> pl.DataFrame:
    """The days with the chain taken out where it is not of this underlying at this moment (check 11)."""
    away = (pl.col("parity_forward") / pl.col("raw_close") - 1.0).abs()
    refused = (away > FARTHEST_FORWARD).fill_null(False)
    values = [name for name in days.columns if name in _chain_columns(days)]
    return days.with_columns(
        pl.col("contracts").is_not_null().alias("has_chain"), refused.alias("refused"), away.alias("away")
    ).with_columns(pl.when(~pl.col("refused")).then(pl.col(name)).alias(name) for name in values)


def _chain_columns(days: pl.DataFrame) -> set[str]:
    return set(EIGHTY_FOUR) & set(days.columns)


def _with_history(days: pl.DataFrame) -> pl.DataFrame:
    """The days with what is computed on those of them alone that have an implied volatility."""
    those = days.filter(pl.col("iv_atm").is_not_null())
    for stage in stages([pl.col(name) for name in HISTORY], HISTORY):
        those = those.with_columns(stage)
    return days.join(those.select(NUMBER, *HISTORY), on=NUMBER, how="left", maintain_order="left")


def _modelled(days: pl.DataFrame) -> pl.DataFrame:
    """Whether a chain of the row, or of the window behind it, is modelled."""
    used = pl.col("modelled").fill_null(False) & ~pl.col("refused")
    window = used.cast(pl.Int8).rolling_max(_WINDOW + math.ceil(0.05 * _WINDOW), min_samples=1)
    return days.select(window.cast(pl.Boolean).alias("=modelled"))


def _finite(values: pl.DataFrame) -> tuple[pl.DataFrame, list[str]]:
    odd = values.select((~pl.all().is_finite()).sum()).row(0, named=True)
    notes = [
        f"{count:,} values of `{name}` were not finite and are unavailable." for name, count in odd.items() if count
    ]
    return values.select(pl.when(pl.all().is_finite()).then(pl.all())), notes
