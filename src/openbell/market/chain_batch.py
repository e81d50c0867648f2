"""What a provider of option chains hands over: quotes as received, and what must be known about them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import polars as pl

from openbell.core.errors import BadInput
from openbell.core.quotes import RECEIVED
from openbell.core.time import MOMENT, Sessions
from openbell.market.contracts import class_columns, root_of

#: A row as received, and the moment of the contract's last trade, which the gate reads and no table keeps.
CHAIN: Mapping[str, pl.DataType | type[pl.DataType]] = MappingProxyType({**RECEIVED, "last_trade_at": MOMENT})


@dataclass(frozen=True, eq=False)
class ChainBatch:
    """Quotes out of one file.

    Attributes
    ----------
    name : provider and file; the `source` of every row.
    quotes : columns of `CHAIN`, rows in the order of the file.
    notes : sentences for every report on these quotes.
    """

    name: str
    quotes: pl.DataFrame
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if dict(self.quotes.schema) != dict(CHAIN):
            raise BadInput(
                f"The quotes of `{self.name}` must have the columns {dict(CHAIN)}; had {dict(self.quotes.schema)}."
            )
        if self.quotes.is_empty():
            raise BadInput(f"`{self.name}` holds no quotes; there is nothing to import.")


def chain_batch(name: str, rows: pl.DataFrame, sessions: Sessions, notes: tuple[str, ...] = ()) -> ChainBatch:
    """A batch out of `rows` that hold at least contract, moment and quotes.

    What a class implies (settlement, exercise, multiplier, underlying) is filled in from its root; a missing root from
    the underlying and the expiry. Numbers that are not finite become null.
    """
    rows = rows if "root" in rows.columns else _with_root(rows, sessions)
    facts = class_columns(rows["root"]).drop("adjusted").rename({"underlying": "_underlying"})
    rows = rows.join(facts, on="root", how="left", maintain_order="left", suffix="_class")
    own = pl.col("underlying") if "underlying" in rows.columns else pl.lit(None, dtype=pl.String)
    rows = rows.with_columns(pl.coalesce(own, "_underlying").alias("underlying"), pl.lit(name).alias("source"))
    rows = rows.with_columns(pl.lit(False).alias("modelled")) if "modelled" not in rows.columns else rows
    quotes = rows.select(
        (pl.col(column) if column in rows.columns else pl.lit(None)).cast(kind).alias(column)
        for column, kind in CHAIN.items()
    )
    finite = [
        pl.when(pl.col(column).is_finite()).then(pl.col(column)).alias(column)
        for column, kind in CHAIN.items()
        if kind == pl.Float64
    ]
    return ChainBatch(name, quotes.with_columns(finite), notes)


def _with_root(rows: pl.DataFrame, sessions: Sessions) -> pl.DataFrame:
    pairs = rows.select("underlying", "expiry").unique().drop_nulls()
    roots = [root_of(underlying, expiry, sessions) for underlying, expiry in pairs.iter_rows()]
    return rows.join(
        pairs.with_columns(pl.Series("root", roots, dtype=pl.String)),
        on=["underlying", "expiry"],
        how="left",
        maintain_order="left",
    )
