"""Features of proposed trades: one function for stored rows and for the row of a request, and the market beside them.

The order of the work: `with_market` sets the market as of each session's open beside the trades, `trade_facts.facts`
adds what their price says, `trade_features` evaluates the declared features. Each looks at one row at a time, so what a
request is told is what training saw.
"""

from __future__ import annotations

import datetime as dt
import functools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from openbell.core.declare import Feature
from openbell.core.errors import BadInput, DeclarationError, nearest
from openbell.core.trade_rows import OUTCOME, SHEET_SYMBOLS, TRADES
from openbell.quant.expressions import SESSIONS_PER_YEAR
from openbell.quant.reach import feature_reach
from openbell.quant.row_programs import Program, program
from openbell.research.trade_clock import SESSION
from openbell.research.trade_facts import FACTS, MARKET_VOLATILITY, OUTCOME_FACTS

#: Columns of the market as of a session's open. previous_close : of the session before; sma20 : mean of its last 20
#: closes; momentum5 : return over five sessions; volatility20 : standard deviation of 20 daily log returns per year;
#: rsi14 : Wilder's; price_position : of the close in the range of its last 20 sessions. vix, vix_sma20, vix_change : of
#: the volatility index, points. market_volatility : per year, a fraction.
MARKET = (
    "previous_close", "sma20", "momentum5", "volatility20", "rsi14", "price_position", "vix", "vix_sma20",
    "vix_change", MARKET_VOLATILITY,
)  # fmt: skip
#: Symbols whose volatility the index measures; that of the others is their own of the last 20 sessions.
MEASURED_BY_THE_INDEX = ("SPX", "SPY", "XSP")
#: A close that is older than this, in days, is not that of the session before.
_STALE_DAYS = 7
#: Up to so many rows the features are evaluated one row after the other (`quant.row_programs`), which takes a tenth of
#: the time that a query does; more rows share one query.
FEW_ROWS = 16
_KNOWN = tuple(name for name in (*TRADES, *FACTS, *MARKET) if name not in OUTCOME | OUTCOME_FACTS)


def market_columns(
    bars: pl.DataFrame, volatility_index: pl.DataFrame, *, symbols: Sequence[str] = SHEET_SYMBOLS
) -> pl.DataFrame:
    """What the close of each session made known of each symbol and of the volatility index.

    Parameters
    ----------
    bars : daily ``symbol``, ``session``, ``high``, ``low``, ``close``. volatility_index : ``session``, ``close``,
        points per year. Any order; duplicates are refused.
    symbols : that have rows even without bars, for the volatility index; those of `bars` have theirs.

    Returns
    -------
    polars.DataFrame
        ``symbol``, ``session`` (the one that closed) and `MARKET`, sorted; null where a window is not full or the
        session has no bar. It is known from the close of ``session`` on; `with_market` sets it beside the next one.
    """
    for name, rows, keys in (
        ("bars", bars, ["symbol", "session"]),
        ("volatility index", volatility_index, ["session"]),
    ):
        if rows.select(pl.struct(keys).is_duplicated().any()).item():
            raise BadInput(f"The {name} has a session twice. Keep one bar of each.")
    own = bars.select("symbol", "session", *(pl.col(x).cast(pl.Float64) for x in ("high", "low", "close")))
    own = own.sort("symbol", "session").with_columns(each.over("symbol").alias(name) for name, each in _OF_BARS.items())
    index = volatility_index.select("session", pl.col("close").cast(pl.Float64).alias("vix")).sort("session")
    index = index.with_columns(
        pl.col("vix").rolling_mean(20).alias("vix_sma20"), pl.col("vix").diff().alias("vix_change")
    )
    names = pl.DataFrame({"symbol": sorted({*symbols, *own["symbol"].to_list()})}, schema={"symbol": pl.String})
    days = pl.concat([own["session"], index["session"]]).unique().sort().to_frame()
    grid = (
        names.join(days, how="cross")
        .join(own, on=["symbol", "session"], how="left")
        .join(index, on="session", how="left")
    )
    measured = pl.col("symbol").is_in(MEASURED_BY_THE_INDEX)
    volatility = pl.when(measured).then(pl.col("vix") / 100.0).otherwise("volatility20")
    return (
        grid.with_columns(volatility.alias(MARKET_VOLATILITY))
        .select("symbol", "session", *MARKET)
        .sort("symbol", "session")
    )


def with_market(trades: pl.DataFrame, market: pl.DataFrame | None) -> pl.DataFrame:
    """`trades` with `MARKET` as the last session before theirs closed it, at most a week ago; null without one.

    The session of a trade is the exchange day of its ``known_at``, and only earlier sessions are looked at: nothing of
    a day stands beside its own trades. Columns of that name are replaced; rows and order are kept.
    """
    again = [name for name in MARKET if name in trades.columns]
    kept = trades.drop(again) if again else trades
    if market is None:
        return kept.with_columns(pl.lit(None, dtype=pl.Float64).alias(name) for name in MARKET)
    if trades.height <= FEW_ROWS:
        return kept.hstack(_looked_up(kept, market))
    beside = kept.select("symbol", SESSION.alias("_session")).with_row_index("_place").sort("_session")
    found = beside.join_asof(
        market.sort("session"), left_on="_session", right_on="session", by="symbol", strategy="backward",
        allow_exact_matches=False, tolerance=f"{_STALE_DAYS}d", check_sortedness=False,
    )  # fmt: skip
    return kept.hstack(found.sort("_place").select(MARKET))


def _looked_up(trades: pl.DataFrame, market: pl.DataFrame) -> pl.DataFrame:
    """`MARKET` of a few trades: the newest of the few rows that the week before each has."""
    said: list[tuple[float | None, ...]] = []
    for symbol, session in trades.select("symbol", SESSION).rows():
        if session is None:
            said.append((None,) * len(MARKET))
            continue
        near = pl.col("session").is_between(session - dt.timedelta(days=_STALE_DAYS), session, closed="left")
        week = market.filter((pl.col("symbol") == symbol) & near)
        newest = week["session"].arg_max()
        said.append((None,) * len(MARKET) if newest is None else week.select(MARKET).row(newest))
    return pl.DataFrame(said, schema=dict.fromkeys(MARKET, pl.Float64), orient="row")


def trade_features(rows: pl.DataFrame, features: Mapping[str, Feature]) -> pl.DataFrame:
    """The declared `features` of each row: one Float64 column each by its name, in the order of the rows.

    Parameters
    ----------
    rows : of `trade_facts.facts`; the columns of `with_market` where they are not there are null.
    features : by name; those of the catalogue that read ``trades``.

    Returns
    -------
    polars.DataFrame
        Null where a feature has no value; never NaN and never infinite.

    Raises
    ------
    DeclarationError
        For a feature that reads something else, an outcome, or a column that trades do not have.
    """
    for each in features.values():
        check_trade_feature(each)
    if not rows.height or not features:
        return pl.DataFrame(schema=dict.fromkeys(features, pl.Float64)) if not rows.height else rows.select()
    there = set(rows.columns)
    lacking = [name for name in MARKET if name not in there]
    if lacking:
        rows = rows.with_columns(pl.lit(None, dtype=pl.Float64).alias(name) for name in lacking)
    if rows.height <= FEW_ROWS:
        found = _program(tuple(features.items()))
        if len(found.results) == len(features):
            return _run(found, rows)
    return _evaluated(rows, features)


def _evaluated(rows: pl.DataFrame, features: Mapping[str, Feature]) -> pl.DataFrame:
    rows = rows.with_columns(pl.col(pl.Float64).fill_nan(None))
    values = rows.select(each.expression.cast(pl.Float64).alias(name) for name, each in features.items())
    numbers = values.to_numpy()
    if np.isfinite(numbers).sum() == numbers.size - sum(column.null_count() for column in values.get_columns()):
        return values
    return values.with_columns(pl.when(pl.all().is_finite()).then(pl.all()))


@functools.lru_cache(maxsize=16)
def _program(features: tuple[tuple[str, Feature], ...]) -> Program:
    return program({name: each.expression for name, each in features})


def _run(found: Program, rows: pl.DataFrame) -> pl.DataFrame:
    """The program of the features over a few rows; a number that is none is missing before it is worked with."""
    place_of = {name: place for place, name in enumerate(rows.columns)}
    places = [place_of[name] for name in found.columns]
    said = []
    for row in rows.rows():
        values = [row[place] for place in places]
        said.append(found.run([None if value != value else value for value in values]))
    flat = [value for column in zip(*said, strict=True) for value in column]
    whole = pl.Series("", flat, dtype=pl.Float64)
    return pl.DataFrame([whole.slice(i * rows.height, rows.height).alias(name) for i, name in enumerate(found.results)])


def row_features(rows: Sequence[Mapping[str, Any]], features: Mapping[str, Feature]) -> list[dict[str, float | None]]:
    """`trade_features` of a few rows that are no table: the same numbers, None where a feature has no value.

    Each row has the columns of `trade_facts.facts` by name, None where missing; those of `MARKET` may be left out.
    """
    for each in features.values():
        check_trade_feature(each)
    found = _program(tuple(features.items()))
    if len(found.results) < len(features):
        table = _evaluated(pl.DataFrame([{**_no_market, **row} for row in rows], schema=_SCHEMA), features)
        return list(table.iter_rows(named=True))
    names, columns = tuple(found.results), found.columns
    told = []
    for row in rows:
        values = [row[name] if name in row else _no_market[name] for name in columns]
        told.append(dict(zip(names, found.run(values), strict=True)))
    return told


_no_market: Mapping[str, None] = dict.fromkeys(MARKET)
_SCHEMA = pl.Schema({**TRADES, **FACTS, **dict.fromkeys(MARKET, pl.Float64)})


def null_counts(features: pl.DataFrame) -> pl.Series:
    """How many features of each row are missing, ``null_features``."""
    return pl.Series("null_features", np.isnan(features.to_numpy()).sum(axis=1), dtype=pl.UInt32)


_checked: set[Feature] = set()


def check_trade_feature(feature: Feature) -> None:
    """Refuse a feature that does not read one row of a trade as it was known when it was proposed."""
    if feature in _checked:
        return
    if feature.reads != "trades":
        raise DeclarationError(f"The feature `{feature.name}` reads `{feature.reads}`; here only `trades` are read.")
    feature_reach(feature)
    for name in feature.expression.meta.root_names():
        if name not in _KNOWN:
            raise DeclarationError(
                f"The feature `{feature.name}` ({feature.module}) reads `{name}`, which no proposed trade has. "
                f"{nearest(name, _KNOWN)}"
            )
    _checked.add(feature)


def _rsi(window: int) -> pl.Expr:
    """Wilder's index; the mean of a recursion that began with the first bar, null for the first `window` rows."""
    change = pl.col("close").diff()
    up, down = (
        part.ewm_mean(alpha=1.0 / window, adjust=False, min_samples=window, ignore_nulls=False)
        for part in (change.clip(lower_bound=0.0), -change.clip(upper_bound=0.0))
    )
    return pl.when(up + down > 0).then(100.0 * up / (up + down))


_close = pl.col("close")
_low, _high = pl.col("low").rolling_min(20), pl.col("high").rolling_max(20)
_OF_BARS: Mapping[str, pl.Expr] = {
    "previous_close": _close,
    "sma20": _close.rolling_mean(20),
    "momentum5": _close / _close.shift(5) - 1.0,
    "volatility20": _close.log().diff().rolling_std(20) * SESSIONS_PER_YEAR**0.5,
    "rsi14": _rsi(14),
    "price_position": pl.when(_high > _low).then((_close - _low) / (_high - _low)),
}
