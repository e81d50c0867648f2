"""The continuous series of a future: out of the stored contracts, through the gate, into the tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from openbell.app.clock import now
from openbell.app.minutes import take_in_minutes
from openbell.core.errors import BadInput, DataMissing
from openbell.market import products
from openbell.market.continuous import Continuous, continuous
from openbell.market.providers.minutes import RECEIVED, MinuteBatch
from openbell.quant.bar_frames import fields_of

if TYPE_CHECKING:
    from openbell.app.home import Home
    from openbell.market.minute_importing import MinutesReport

TABLE = "rolls"
_KEY = ["symbol", "freq", "session"]


def join_contracts(
    home: Home, code: str, *, freq: str = "1m", by: str = "volume", days: int = 5, adjust: str = "ratio"
) -> tuple[Continuous, MinutesReport]:
    """Join the stored contracts of a product: bars under its code, and the rolls with the moments they were known."""
    product = products.product(code, exchange=home.sessions.exchange)
    if product.kind != "FUTURE":
        raise BadInput(f"{product.code} ({product.name}) is no future: it has no contracts to join.")
    contracts = _contracts(home, product.code, freq)
    series = continuous(contracts, product, freq, by=by, days=days, adjust=adjust)
    _refuse_mixed(home, product.code, freq, series)
    bars = series.bars.with_columns(pl.lit(product.code).alias("symbol")).select(
        pl.col(name).cast(kind) for name, kind in RECEIVED.items()
    )
    name = f"continuous:{product.code} {by} {adjust}"
    # A contract's bar that was corrected later is known later, and so is what is made of it.
    known = contracts.select(pl.col("symbol").alias("contract"), "at", "known_at")
    known = series.bars.select("contract", "at").join(known, on=["contract", "at"]).drop("contract")
    known = known.with_columns(pl.lit(product.code).alias("symbol"))
    batch = MinuteBatch(name, bars, freq, fields_of(bars), series.notes, product, known)
    news = _news(home, series.rolls)
    if not news.is_empty():
        home.tables.append_all({TABLE: news})
    return series, take_in_minutes(home, batch, 0)


def _contracts(home: Home, code: str, freq: str) -> pl.DataFrame:
    """Stored bars of the contracts of `code`, the latest version of each."""
    columns = ["symbol", "session", "at", *(name for name in RECEIVED if name not in ("symbol", "at")), "known_at"]
    if not home.tables.exists("minutes"):
        raise DataMissing("There is no table `minutes` yet. Import contracts with `openbell data import minutes`.")
    mine = pl.col("symbol").str.contains(rf"^{code}_\d{{6}}$") & (pl.col("freq") == freq)
    rows = home.tables.scan("minutes").filter(mine).select(columns).collect()
    return rows.sort("symbol", "at", "known_at").unique(["symbol", "at"], keep="last", maintain_order=True)


def _refuse_mixed(home: Home, code: str, freq: str, series: Continuous) -> None:
    """A series joined by one rule is not gone on with by another, nor with bars that were imported as they were."""
    mine = (pl.col("symbol") == code) & (pl.col("freq") == freq)
    made = series.rolls.row(0, named=True)
    if home.tables.exists(TABLE):
        held = home.tables.scan(TABLE).filter(mine).select("rule", "adjust").unique().collect()
        other = held.filter((pl.col("rule") != made["rule"]) | (pl.col("adjust") != made["adjust"]))
        if other.height:
            raise BadInput(
                f"{code} was joined by {other['rule'][0]} and adjusted by {other['adjust'][0]}; going on by "
                f"{made['rule']} and {made['adjust']} would put a jump into it. Use another --home, or the same rule."
            )
    if home.tables.exists("minutes"):
        sources = home.tables.scan("minutes").filter(mine).select("source").unique().collect()["source"].to_list()
        strange = sorted(each for each in sources if not each.startswith("continuous:"))
        if strange:
            raise BadInput(
                f"Bars of {code} were imported as they are from {strange[0]}; a series of contracts under the same "
                "code would restate them. Use another --home."
            )


def _news(home: Home, rolls: pl.DataFrame) -> pl.DataFrame:
    """Rolls that are not stored; one told otherwise now is stored again, known from now on."""
    if not home.tables.exists(TABLE):
        return rolls
    held = home.tables.scan(TABLE).collect().sort(*_KEY, "known_at").unique(_KEY, keep="last", maintain_order=True)
    told = [name for name in rolls.columns if name != "known_at"]
    news = rolls.join(held.select(told), on=told, how="anti", nulls_equal=True, maintain_order="left")
    again = news.join(held.select(_KEY), on=_KEY, how="semi").select(_KEY).with_columns(pl.lit(True).alias("again"))
    moment = pl.when(pl.col("again")).then(pl.lit(now()).cast(rolls.schema["known_at"])).otherwise(pl.col("known_at"))
    return (
        news.join(again, on=_KEY, how="left", maintain_order="left")
        .with_columns(moment.alias("known_at"))
        .drop("again")
    )
