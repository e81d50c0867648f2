"""What became of the stored signals, from the stored bars after them, as far as these are known."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import polars as pl

from openbell.app.clock import now
from openbell.app.signals_data import bar_seconds, base_bars, with_prices
from openbell.core.view import View

if TYPE_CHECKING:
    from openbell.app.home import Home

#: Prices of a signal, which are those of its own day; a later split or distribution changes the bars' scale.
_PRICES = ("stop_loss", "target_price")
_MADE = ("entry_price", "exit_price")


def track(home: Home, as_of: dt.datetime | None = None) -> int:
    """Join to every stored signal what came of it by `as_of`, where the bars tell; how many were new.

    An outcome is joined once and never changed. It needs the bars of the horizon, so a young signal has none.
    """
    from openbell.research.signal_outcomes import outcomes
    from openbell.store.signal_pages import ALL

    moment = as_of or now()
    store = home.kept_signals
    signals = store.table(ALL)
    if signals.is_empty():
        return 0
    signals = signals.filter(pl.col("known_at").is_null() & (pl.col("created_at") <= moment))
    if signals.is_empty():
        return 0
    bars, _ = with_prices(_bars(home, moment, signals))
    scaled, factors = _scaled(signals, bars)
    found = outcomes(
        scaled,
        bars,
        moment,
        bar_seconds=bar_seconds(home.settings.signals.base),
        label=home.settings.signals.label.partition("_")[0],
        commission_bp=home.settings.trade.commission_bp,
        slippage_bp=home.settings.trade.slippage_bp,
    )
    own = found.join(factors, on="id", how="left", maintain_order="left")
    back = own.with_columns(pl.col(name) / pl.col("factor") for name in _MADE)
    return store.record_outcomes(back.drop("factor"))


def _bars(home: Home, moment: dt.datetime, signals: pl.DataFrame) -> pl.DataFrame:
    """Bars of the symbols from the first signal on, with the moment each opens."""
    symbols, first = signals["symbol"].unique().sort().to_list(), signals["created_at"].min()
    assert isinstance(first, dt.datetime)
    day = home.sessions.last_closed(first)
    view = View(home.tables, moment, home.sessions)
    rows = base_bars(home, view, symbols, day)
    columns = ["symbol", "session", "at", "open", "high", "low", "close"]
    if home.settings.signals.base != "1d":
        return rows.select(columns).collect()
    opens = home.sessions.frame.lazy().select("session", "open_at")
    return rows.join(opens, on="session").select(*columns, "raw_close", "open_at").collect()


def _scaled(signals: pl.DataFrame, bars: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The signals with their prices on the scale of the bars, and the factor of each."""
    if "raw_close" not in bars.columns:
        one = signals.select("id", pl.lit(1.0).alias("factor"))
        return signals, one
    scale = bars.select(
        "symbol", pl.col("at").alias("created_at"), (pl.col("close") / pl.col("raw_close")).alias("factor")
    )
    known = signals.join(scale, on=["symbol", "created_at"], how="left", maintain_order="left")
    known = known.with_columns(pl.col("factor").fill_null(1.0))
    return known.with_columns(pl.col(name) * pl.col("factor") for name in _PRICES), known.select("id", "factor")
