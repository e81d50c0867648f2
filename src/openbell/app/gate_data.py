"""What the gate is trained on: proposed trades as they were known, with their facts, features and the market around."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from openbell.core.declare import Feature
from openbell.core.errors import DataMissing
from openbell.core.view import View
from openbell.market.trade_importing import stored_trades
from openbell.research.gate_drift import feature_drift
from openbell.research.gate_reasons import computed
from openbell.research.trade_facts import fact_counts, facts
from openbell.research.trade_features import market_columns, trade_features, with_market

if TYPE_CHECKING:
    from openbell.app.home import Home

#: What a row of `trades` made up by the house says of its source.
MADE_UP = "made up"
#: Columns of a row that a model is handed besides the features.
KEPT = (
    "session", "known_at", "outcome_known_at", "symbol", "strategy", "price_probability", "logit_price", "win",
    "profit_usd", "risk_usd", "win_usd", "loss_usd", "ratio", "fair_probability",
)  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """Trades with a known outcome, ready to be learned from.

    Attributes
    ----------
    rows : the columns `KEPT` and the features, by moment. features : their names. session, as_of : what was known
        before its open. made_up : the word that stands beside every figure where rows were generated, else empty.
    computed : of how many trades what is known, and why not of the rest. drift : of the features.
    notes : what was left out, counted, in sentences.
    """

    rows: pl.DataFrame
    features: tuple[str, ...]
    session: dt.date
    as_of: dt.datetime
    made_up: str
    computed: pl.DataFrame
    drift: pl.DataFrame
    notes: tuple[str, ...]


def features_of(home: Home) -> dict[str, Feature]:
    """The features of a proposed trade."""
    return {name: each for name, each in home.catalogue.features.items() if each.reads == "trades"}


def market_of(home: Home, view: View, symbols: list[str]) -> pl.DataFrame | None:
    """The market of each symbol and session as of its open, from the stored daily bars; None without bars."""
    if not view.tables.exists("bars"):
        return None
    index = home.settings.options.volatility_index
    bars = view.bars("1d", symbols=[*symbols, index]).collect()
    return market_columns(bars.filter(pl.col("symbol") != index), bars.filter(pl.col("symbol") == index))


def prepared(home: Home, session: dt.date | None = None) -> Prepared:
    """Every trade whose outcome was known before the open of `session`; by default the one after the last outcome."""
    moment = _as_of(home, session)
    view = View(home.tables, moment, home.sessions)
    trades = stored_trades(home.tables, known_by=moment)
    market = market_of(home, view, trades["symbol"].unique().sort().to_list())
    beside = with_market(trades, market)
    whole = facts(beside, commission_usd=home.settings.gate.commission_usd, sessions=home.sessions)
    features = trade_features(whole, features_of(home))
    table = whole.select(KEPT).hstack(features)
    usable = pl.col("win").is_not_null() & pl.col("price_probability").is_not_null() & pl.col("risk_usd").is_not_null()
    rows = table.filter(usable)
    return Prepared(
        rows=rows,
        features=tuple(features.columns),
        session=home.sessions.dates[home.sessions.index(home.sessions.last_closed(moment)) + 1],
        as_of=moment,
        made_up="generated" if (trades["source"] == MADE_UP).any() else "",
        computed=computed(whole),
        drift=feature_drift(rows, features.columns),
        notes=tuple(_notes(table, rows, fact_counts(whole))),
    )


def _as_of(home: Home, session: dt.date | None) -> dt.datetime:
    """The moment before the open of `session`; by default of the session after the last stored outcome."""
    if session is not None:
        return home.as_of(session)
    last = stored_trades(home.tables)["outcome_known_at"].max()
    if not isinstance(last, dt.datetime):
        raise DataMissing("No stored trade has an outcome yet, so there is nothing to learn from.")
    return home.as_of(home.sessions.shift(home.sessions.last_closed(last), 1))


def _notes(table: pl.DataFrame, rows: pl.DataFrame, counts: dict[str, int]) -> list[str]:
    """What became of the rows, each left-out one with its reason (S1.20)."""
    missing = table["win"].null_count()
    priced = table.filter(pl.col("win").is_not_null())
    odds = priced["price_probability"].null_count()
    risk = priced.filter(pl.col("price_probability").is_not_null())["risk_usd"].null_count()
    bases = ", ".join(f"{each.removeprefix('basis: ')} {n:,}" for each, n in counts.items() if each.startswith("basis"))
    return [
        f"{table.height:,} trades: {rows.height:,} are learned from; {missing:,} have no outcome (it is no loss), "
        f"{odds:,} a price that says nothing of their odds, {risk:,} a loss without a bound.",
        f"The odds of the price come from: {bases}.",
    ]
