"""One row per underlying and session: what its chain of option quotes says, aggregated."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence

import polars as pl

from openbell.core.declare import Feature
from openbell.core.errors import BadInput
from openbell.quant.chain_expressions import CHAIN_READS, EXPIRIES, STRIKES, is_call, is_put
from openbell.quant.reach import feature_reach

#: Quotes more than so long before the last ones of their session are of another moment.
ONE_MOMENT = dt.timedelta(minutes=30)
#: Sessions aggregated at once: ten years of a deep chain do not fit in memory with their sort.
SESSIONS_AT_ONCE = 64
#: Longest expiry that a smile is read off, days: a neighbour of 90 days lies at most three times as far.
_LONGEST = 270.0
#: Distance of a strike from the forward, and of a delta from 0.25, that still counts as near.
_NEAR_STRIKE, _NEAR_DELTA = 0.10, 0.15
#: Expiries whose Greeks are read, days: those within 20 of 30.
_GREEKS = (10.0, 50.0)

_DAY = ("underlying", "session")
_EXPIRY = (*_DAY, "years", "root", "settlement")
_READ = (
    "underlying", "session", "quote_at", "expiry", "root", "settlement", "strike", "right", "multiplier", "volume",
    "open_interest", "modelled", "years", "forward", "iv", "delta", "gamma", "theta", "vega",
)  # fmt: skip
#: Columns beside the features.
ABOUT = {
    "underlying": pl.String,
    "session": pl.Date,
    "modelled": pl.Boolean,
    "contracts": pl.Int64,
    "contracts_without_iv": pl.Int64,
    "left_out": pl.Int64,
    "parity_forward": pl.Float64,
    "parity_days": pl.Float64,
}


def chain_day_features(
    quotes: pl.LazyFrame | pl.DataFrame, features: Sequence[Feature], *, sessions_at_once: int = SESSIONS_AT_ONCE
) -> pl.DataFrame:
    """Aggregate chains: one row per underlying and session, sorted by them.

    Parameters
    ----------
    quotes : rows of `core.quotes.QUOTES`, one per contract and session, as ``View.chain`` gives them. Where a session
        has real and modelled ones the modelled are left out; so are quotes over 30 minutes older than its last.
    features : declared features; those that read a table of one chain are computed, the others passed over.

    Returns
    -------
    polars.DataFrame
        ``underlying``, ``session``, ``modelled`` (any quote), ``contracts``, ``contracts_without_iv``, ``left_out``
        (rows), ``parity_forward`` and ``parity_days`` (of the shortest expiry that has one, a day or more ahead), then
        one Float64 column per feature, null where the chain does not hold what it needs, never NaN or infinite. The
        order of the rows handed in changes nothing, to the last bit.

    Raises
    ------
    BadInput : where a column lacks. LeakFound : for a feature that reaches outside its chain.
    """
    chosen = [each for each in features if each.reads in CHAIN_READS]
    for each in chosen:
        feature_reach(each)
    rows = quotes.lazy()
    columns = rows.collect_schema().names()
    lacking = [name for name in _READ if name not in columns]
    if lacking:
        raise BadInput(f"The quotes have no column {', '.join(f'`{name}`' for name in lacking)}. Price them first.")
    # Rho came later than the others: quotes that were priced before it have none.
    rows = rows.select(*_READ, pl.col("rho") if "rho" in columns else pl.lit(None, dtype=pl.Float64).alias("rho"))
    parts = [_days(part, chosen) for part in _parts(rows, sessions_at_once)]
    empty = pl.DataFrame(schema={**ABOUT, **{each.name: pl.Float64 for each in chosen}})
    return pl.concat([empty, *parts]).sort(_DAY)


def _parts(rows: pl.LazyFrame, size: int) -> Iterator[pl.DataFrame]:
    sessions = rows.select(pl.col("session").unique().sort()).collect()["session"]
    for start in range(0, len(sessions), size):
        some = sessions[start : start + size]
        yield rows.filter(pl.col("session").is_between(some[0], some[-1])).collect()


def _days(rows: pl.DataFrame, features: Sequence[Feature]) -> pl.DataFrame:
    rows = _of_one_moment(rows).sort("underlying", "session", "years", "root", "settlement", "strike", "right")
    rows = rows.with_columns((pl.col("years") * 365.0).alias("days"))
    tables = {"contracts": rows, "expiries": _expiries(rows), "strikes": _strikes(rows)}
    days = rows.group_by(_DAY, maintain_order=True).agg(*_about())
    for name, table in tables.items():
        wanted = [each.expression.cast(pl.Float64).alias(each.name) for each in features if each.reads == name]
        days = days.join(table.group_by(_DAY, maintain_order=True).agg(*wanted), on=_DAY, how="left")
    names = [each.name for each in features]
    return days.select(*ABOUT, *(pl.when(pl.col(name).is_finite()).then(pl.col(name)).alias(name) for name in names))


def _of_one_moment(rows: pl.DataFrame) -> pl.DataFrame:
    """The rows that belong to one moment of each session, with ``left_out``, how many of the session do not."""
    real = ~pl.col("modelled").fill_null(True)
    rows = rows.with_columns((real | ~real.any().over(_DAY)).alias("kept"))
    last = pl.when("kept").then("quote_at").max().over(_DAY)
    late = (pl.col("quote_at") >= last - ONE_MOMENT).fill_null(True)
    rows = rows.with_columns(pl.col("kept") & late)
    return rows.with_columns((~pl.col("kept")).sum().over(_DAY).cast(pl.Int64).alias("left_out")).filter("kept")


def _about() -> list[pl.Expr]:
    ahead = (pl.col("days") >= 1.0) & pl.col("forward").is_not_null()
    return [
        pl.col("modelled").fill_null(True).any(),
        pl.len().cast(pl.Int64).alias("contracts"),
        (~_has_volatility()).sum().cast(pl.Int64).alias("contracts_without_iv"),
        pl.col("left_out").first(),
        pl.col("forward").filter(ahead).first().alias("parity_forward"),
        pl.col("days").filter(ahead).first().alias("parity_days"),
    ]


def _has_volatility() -> pl.Expr:
    return ((pl.col("iv") > 0) & pl.col("iv").is_finite()).fill_null(False)


def _expiries(rows: pl.DataFrame) -> pl.DataFrame:
    """The table ``expiries``: volatilities read off each smile, and the Greeks at its forward."""
    near = ((pl.col("strike") / pl.col("forward") - 1.0).abs() <= _NEAR_STRIKE).fill_null(False)
    winged = ((pl.col("delta").abs() - 0.25).abs() <= _NEAR_DELTA).fill_null(False)
    ahead = (pl.col("days") > 0.0) & (pl.col("days") <= _LONGEST)
    read = rows.filter(_has_volatility() & ahead & (near | winged)).with_columns(
        near.alias("near"), winged.alias("winged")
    )
    smiles = read.group_by(_EXPIRY, maintain_order=True).agg(
        pl.col("days").first(), pl.col("forward").first(), *_at_the_forward(), *_at_25_delta()
    )
    smiles = smiles.with_columns(_between("forward", "low_strike", "low_iv", "high_strike", "high_iv").alias("atm_iv"))
    for right in ("put", "call"):
        inner, outer = (f"{right}_{side}" for side in ("inner", "outer"))
        value = _between(pl.lit(0.25), f"{outer}_delta", f"{outer}_iv", f"{inner}_delta", f"{inner}_iv")
        smiles = smiles.with_columns(value.alias(f"{right}_iv_25"))
    greeks = _greeks(read.filter(pl.col("near") & pl.col("days").is_between(*_GREEKS)))
    return smiles.join(greeks, on=_EXPIRY, how="left", maintain_order="left").select(*_EXPIRY, *EXPIRIES)


def _at_the_forward() -> Iterator[pl.Expr]:
    """The out-of-the-money quotes next to the forward; strikes stand in rising order."""
    low = is_put & pl.col("near") & (pl.col("strike") <= pl.col("forward"))
    high = is_call & pl.col("near") & (pl.col("strike") > pl.col("forward"))
    for name in ("strike", "iv"):
        yield pl.col(name).filter(low).last().alias(f"low_{name}")
        yield pl.col(name).filter(high).first().alias(f"high_{name}")


def _at_25_delta() -> Iterator[pl.Expr]:
    """The quotes whose deltas lie next to 0.25 on both sides, of each right."""
    size = pl.col("delta").abs()
    for right, rows in (("put", is_put), ("call", is_call)):
        outer, inner = rows & pl.col("winged") & (size <= 0.25), rows & pl.col("winged") & (size >= 0.25)
        for name, value in (("delta", size), ("iv", pl.col("iv"))):
            far = value.filter(outer).get(size.filter(outer).arg_max(), null_on_oob=True)
            yield far.alias(f"{right}_outer_{name}")
            yield value.filter(inner).get(size.filter(inner).arg_min(), null_on_oob=True).alias(f"{right}_inner_{name}")


def _between(at: str | pl.Expr, x1: str, y1: str, x2: str, y2: str) -> pl.Expr:
    """The line through two points, at a place between them; the first where they coincide."""
    place = pl.col(at) if isinstance(at, str) else at
    width = pl.col(x2) - pl.col(x1)
    share = pl.when(width > 0).then((place - pl.col(x1)) / width).otherwise(pl.when(width == 0).then(0.0))
    return pl.col(y1) + share * (pl.col(y2) - pl.col(y1))


def _greeks(read: pl.DataFrame) -> pl.DataFrame:
    """Greeks of the strike nearest the forward that has both rights, the lower of two, at each expiry."""
    key = [*_EXPIRY, "strike"]
    names = ["delta", "gamma", "theta", "vega"]
    calls = read.filter(is_call).select(*key, "forward", *names).drop_nulls()
    puts = read.filter(is_put).select(*key, *names).drop_nulls()
    both = calls.join(puts, on=key, suffix="_put")
    distance = (pl.col("strike") - pl.col("forward")).abs().alias("distance")
    nearest = (
        both.with_columns(distance)
        .sort(*_EXPIRY, "distance", "strike")
        .unique(_EXPIRY, keep="first", maintain_order=True)
    )
    means = [((pl.col(name) + pl.col(f"{name}_put")) / 2.0).alias(name) for name in names[1:]]
    return nearest.select(
        *_EXPIRY, pl.col("delta").alias("delta_call"), pl.col("delta_put"), *means
    )  # fmt: skip


def _strikes(rows: pl.DataFrame) -> pl.DataFrame:
    """The table ``strikes``: open interest of both rights times the multiplier, where there is any."""
    interest = pl.col("open_interest") * pl.col("multiplier")
    return (
        rows.filter(pl.col("open_interest") > 0)
        .group_by(*_DAY, "strike")
        .agg(interest.filter(is_call).sum().alias("call_interest"), interest.filter(is_put).sum().alias("put_interest"))
        .sort(*_DAY, "strike")
        .select(*_DAY, *STRIKES)
    )
