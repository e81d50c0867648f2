"""What following the calls from the cut-off to the close would have been worth, after costs, beside the market."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
import polars as pl

from openbell.core.errors import BadInput, DataMissing
from openbell.core.session import SIDES
from openbell.quant.day_blocks import DayBlocks
from openbell.quant.deflation import Deflated, deflated_sharpe
from openbell.quant.intervals import Estimate
from openbell.quant.measures import SESSIONS_PER_YEAR
from openbell.quant.performance import Performance, performance
from openbell.research.session_account import (
    MULTIPLES,
    booked,
    cost_table,
    growth,
    sharpe_estimate,
    trade_measures,
    with_costs,
)  # fmt: skip
from openbell.research.session_trades import COUNTED, Followed, commonest_calls, followed, one_model, sides_of
from openbell.research.signal_benchmarks import regimes_before
from openbell.research.signal_trades import UNKNOWN, band, grouped

__all__ = ["CURVES", "MULTIPLES", "OURS", "SHORT", "SessionBacktest", "backtest", "cost_table", "with_costs"]

#: The curve of the calls, and what stands beside it, each entered and left at the same prices; see `_curves`.
OURS = "calls"
CURVES: Mapping[str, str] = {
    OURS: "the calls, after costs",
    "without_costs": "the calls, without costs",
    "always_long": "always long from the cut-off to the close",
    "always_short": "always short from the cut-off to the close",
    "commonest": "always the class that was commonest by then",
}
#: The same where there is little room.
SHORT: Mapping[str, str] = {
    OURS: "the calls", "without_costs": "without costs", "always_long": "always long",
    "always_short": "always short", "commonest": "commonest class",
}  # fmt: skip
#: Idle cash, most of such an account, earns nothing here; so nothing is deducted from what the rest earns.
RISK_FREE_ANNUAL = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class SessionBacktest:
    """The account of one model's calls and what stood beside it.

    Attributes
    ----------
    model, symbol : whose forecasts, of which product. calls : how many of each class, and ``no call``.
    trades : a row per position: ``session as_of call confidence band side regime entry_at entry_price stop left_at
        exit_price reason gross_return traded cost return notional_usd profit_usd cost_usd`` (returns and costs are of
        the account, all of which is in each position; `traded` is the value bought and sold over it).
    daily : a row per forecast session: ``session call side regime gross_return traded cost return equity_usd``; 0
        without a trade.
    equity : ``session`` and a value for each of `CURVES`; the first row is the capital before.
    measures : of each curve; the Sharpe ratio is times the root of 252 over a rate of 0. Missing where nothing was
        traded, or everything was lost.
    of_trades : `session_account.trade_measures`: win rate, profit factor, exposure, turnover, costs and more.
    groups : the trades by ``call``, ``band``, ``regime`` and ``reason``. regimes : the account by the regime in force.
    costs : the account at multiples of the costs. counts : what became of forecasts; see `session_trades.COUNTED`.
    deflated : of the Sharpe ratio for the number of `tries`. notes : what was left out, in sentences.
    """

    model: str
    symbol: str
    calls: Mapping[str, int]
    trades: pl.DataFrame
    daily: pl.DataFrame
    equity: pl.DataFrame
    measures: Mapping[str, Performance]
    of_trades: Mapping[str, Estimate]
    groups: Mapping[str, pl.DataFrame]
    regimes: pl.DataFrame
    costs: pl.DataFrame
    counts: Mapping[str, int]
    tries: int
    deflated: Deflated | None
    parameters: Mapping[str, Any]
    notes: tuple[str, ...] = ()
    made_of: Mapping[str, str] = field(default_factory=dict)

    @property
    def sessions(self) -> list[dt.date]:
        """Dates of the marks; the first is the eve."""
        return list(self.equity["session"])

    @property
    def performance(self) -> Performance | None:
        """Of the calls; None where nothing was traded or everything lost, for then there is nothing to measure."""
        return self.measures.get(OURS)

    @property
    def luck(self) -> float | None:
        """Probability that the true Sharpe ratio is above the best that luck would have found in as many tries."""
        found = None if self.deflated is None else float(self.deflated.probability)
        return None if found is None or not np.isfinite(found) else found

    @property
    def earns(self) -> bool:
        """Whether the Sharpe ratio lies above 0 with its whole interval, and above luck's best after all tries."""
        low = None if self.performance is None else self.performance.sharpe.low
        return low is not None and low > 0 and self.luck is not None and self.luck >= 0.95

    def verdict(self) -> str:
        """The answer in one sentence or two."""
        measured, asked = self.performance, sum(self.calls.values())
        if self.trades.is_empty():
            return (
                f"Nothing was traded: none of {asked:,} forecasts of `{self.model}` was a call with a side, so there "
                "is no result."
            )
        if measured is None:
            return f"The account lost everything by following `{self.model}`."
        sharpe = measured.sharpe
        between = (
            "too few sessions for an interval"
            if sharpe.low is None
            else f"95 % {sharpe.low:+.2f} to {sharpe.high:+.2f}"
        )
        ratio = "no Sharpe ratio" if sharpe.value is None else f"a Sharpe ratio of {sharpe.value:+.2f} ({between})"
        luck = "" if self.luck is None else (
            f" After {self.tries:,} {'try' if self.tries == 1 else 'tries'} the probability that it is more than the "
            f"best of luck is {self.luck:.0%}."
        )  # fmt: skip
        head = "It is shown to earn something" if self.earns else "It is not shown to earn anything"
        traded = f"{self.trades.height:,} {'call' if self.trades.height == 1 else 'calls'}"
        return (
            f"{head}: {traded} of `{self.model}` in {self.daily.height:,} sessions from {self.daily['session'][0]} to "
            f"{self.daily['session'][-1]} returned {measured.total_return:+.1%} after costs, with {ratio}.{luck}"
        )

    @property
    def record(self) -> dict[str, Any]:
        """What is kept for comparison; numbers without an interval have None."""
        measured = self.performance
        return {
            "model": self.model,
            "symbol": self.symbol,
            "first": self.sessions[0].isoformat(),
            "last": self.sessions[-1].isoformat(),
            "calls": dict(self.calls),
            "trades": self.trades.height,
            "counts": dict(self.counts),
            "cost_usd": float(self.trades["cost_usd"].sum()),
            "tries": self.tries,
            "deflated": self.luck,
            "measures": {name: asdict(each) for name, each in self.measures.items()},
            "of_trades": {name: asdict(each) for name, each in self.of_trades.items()},
            "total_return": None if measured is None else measured.total_return,
            "parameters": dict(self.parameters),
            "notes": list(self.notes),
            "verdict": self.verdict(),
        }


def backtest(
    forecasts: pl.DataFrame,
    bars: pl.DataFrame | None,
    *,
    commission_bp: float = 1.0,
    slippage_bp: float = 2.0,
    stop_atr: float = 0.0,
    sides: Mapping[str, int] = SIDES,
    capital_usd: float = 100_000.0,
    closes: pl.DataFrame | None = None,
    tries: int = 1,
    replications: int = 1000,
    seed: int = 0,
    made_of: Mapping[str, str] | None = None,
) -> SessionBacktest:
    """Follow the calls of one model: in at the first open after the cut-off, out at the close or at a stop.

    Parameters
    ----------
    forecasts : of one model of the walk, out of sample: `core.session.DECISIONS` with ``model``, ``call`` (a class, or
        null for no call, which never trades), ``confidence`` and a probability of each class.
    bars : ``symbol session at open high low``, the bars it was decided on; see `session_trades.followed`.
    commission_bp, slippage_bp : of the traded value on each side. stop_atr : distance of the stop; 0 is none.
    sides : how each class is traded. capital_usd : the account, all of which is in each position.
    closes : ``session close`` of the product before and during, for the regime of the days before; None takes the exits
        of the forecasts. tries : trials of the desk in the ledger. replications, seed : of the bootstrap intervals.
    made_of : hashes of data, recipe, model, settings.

    Raises
    ------
    BadInput
        On forecasts of several models or products, positions entered before their decision, negative costs, no capital.
    """
    bp = commission_bp + slippage_bp
    for name, value in (("commission_bp", commission_bp), ("slippage_bp", slippage_bp)):
        if not value >= 0:
            raise BadInput(f"`{name}` must be 0 or above; was {value}.")
    if not capital_usd > 0:
        raise BadInput(f"`capital_usd` must be above 0; was {capital_usd}.")
    model = one_model(forecasts)
    found = followed(forecasts, bars, stop_atr=stop_atr, sides=sides)
    if found.days.is_empty():
        raise DataMissing(f"None of {forecasts.height} forecasts of `{model}` has an entry and an exit price yet.")
    regimes, regime_notes = _regimes(found.days, closes)
    trades, daily = booked(found, regimes, bp=bp, capital_usd=capital_usd)
    equity = _curves(found.days, daily, bp, capital_usd, sides)
    how: dict[str, int] = {"replications": replications, "seed": seed}
    blocks = DayBlocks.of(daily["session"].to_numpy(), **how)
    measures, notes = _measures(equity, daily, blocks, how)
    return SessionBacktest(
        model=model,
        symbol=str(forecasts["symbol"][0]),
        calls=_calls(found.days, sides),
        trades=trades,
        daily=daily,
        equity=equity,
        measures=measures,
        of_trades=trade_measures(daily, blocks),
        groups=_groups(trades, how),
        regimes=_by_regime(daily, blocks),
        costs=cost_table(trades, daily, bp, blocks=blocks),
        counts=found.counts,
        tries=tries,
        deflated=_deflated(daily, tries) if OURS in measures else None,
        parameters={"commission_bp": commission_bp, "slippage_bp": slippage_bp, "stop_atr": stop_atr,
                    "capital_usd": capital_usd, **how},
        notes=(*_notes(found, bp, bars is None), *regime_notes, *notes),
        made_of=dict(made_of or {}),
    )  # fmt: skip


def _regimes(days: pl.DataFrame, closes: pl.DataFrame | None) -> tuple[pl.DataFrame, list[str]]:
    """``session`` and ``regime`` of the closes of the days before; `UNKNOWN` where there are too few."""
    own = days.select("session", pl.col("exit").alias("close")) if closes is None else closes.sort("session")
    try:
        known = regimes_before(own)
    except DataMissing as missing:
        return days.select("session", pl.lit(UNKNOWN).alias("regime")), [f"There are no regimes: {missing}"]
    joined = days.select("session").join(known, on="session", how="left", maintain_order="left")
    return joined.with_columns(pl.col("regime").fill_null(UNKNOWN)), []


def _curves(
    days: pl.DataFrame, daily: pl.DataFrame, bp: float, capital_usd: float, sides: Mapping[str, int]
) -> pl.DataFrame:
    """The value of each of `CURVES` at every close, after a row of the capital; those beside have no stop."""
    move = (days["exit"] / days["entry"] - 1.0).to_numpy()
    commonest = sides_of(commonest_calls(days), sides).to_numpy()
    returned = {OURS: daily["return"].to_numpy(), "without_costs": daily["gross_return"].to_numpy()}
    for name, side in (("always_long", 1), ("always_short", -1), ("commonest", commonest)):
        returned[name] = side * move - np.abs(side) * bp * 1e-4 * (2.0 + move)
    first = days["session"][0]
    values = {name: np.concatenate([[1.0], growth(each)]) * capital_usd for name, each in returned.items()}
    return pl.DataFrame({"session": [first - dt.timedelta(days=1), *days["session"]], **values})


def _measures(
    equity: pl.DataFrame, daily: pl.DataFrame, blocks: DayBlocks, how: Mapping[str, int]
) -> tuple[dict[str, Performance], list[str]]:
    days, found, notes = list(equity["session"]), {}, []
    for name in equity.columns[1:]:
        values = equity[name].to_numpy()
        if name in (OURS, "without_costs") and not (daily["side"] != 0).any():
            continue
        if not values[-1] > 0:
            notes.append(f"`{name}` lost everything and has no measures.")
            continue
        measured = performance(days, values, risk_free_annual=RISK_FREE_ANNUAL, horizon_sessions=1, **how)
        ratio = sharpe_estimate(blocks, values[1:] / values[:-1] - 1.0)
        found[name] = replace(measured, sharpe=ratio, intervals={**measured.intervals, "sharpe": ratio})
    return found, notes


def _groups(trades: pl.DataFrame, how: Mapping[str, int]) -> dict[str, pl.DataFrame]:
    found = grouped(trades.with_columns(pl.col("session").alias("entry_session"), band().alias("band")), **how)
    return {name: table.drop("still_open") for name, table in found.items() if name != "symbol"}


def _by_regime(daily: pl.DataFrame, blocks: DayBlocks) -> pl.DataFrame:
    """Per regime in force: sessions, trades, measures of the trades and the Sharpe ratio of its sessions."""
    rows: list[dict[str, Any]] = []
    for name in daily["regime"].unique().sort().to_list():
        mine = (daily["regime"] == name).to_numpy()
        own, part = blocks.part(mine), daily.filter(mine)
        of = {"sharpe": sharpe_estimate(own, part["return"].to_numpy()), **trade_measures(part, own)}
        row: dict[str, Any] = {"regime": name, "sessions": part.height, "trades": int((part["side"] != 0).sum())}
        for measure in ("win_rate", "mean_return", "sharpe"):
            found = of[measure]
            row |= {measure: found.value, f"{measure}_low": found.low, f"{measure}_high": found.high}
        rows.append({**row, "return_sum": float(part["return"].sum())})
    kinds = {name: pl.Float64 for name in (rows[0] if rows else {}) if name not in ("regime", "sessions", "trades")}
    return pl.DataFrame(rows, schema_overrides=kinds)


def _deflated(daily: pl.DataFrame, tries: int) -> Deflated | None:
    """Of the returns; every try counts as its own, which is the strictest reading."""
    earned = daily["return"].to_numpy()
    return None if len(earned) < 2 else deflated_sharpe(earned, trials=float(max(tries, 1)))


def _calls(days: pl.DataFrame, sides: Mapping[str, int]) -> dict[str, int]:
    named = days["call"].cast(pl.String)
    found = {name: int((named == name).sum()) for name in sides}
    return {**{name: n for name, n in found.items() if n}, "no call": days.height - sum(found.values())}


def _notes(found: Followed, bp: float, unseen: bool) -> Sequence[str]:
    notes = [f"{n:,} {COUNTED[name]}." for name, n in found.counts.items() if n]
    notes.append(
        f"Each side of a trade costs {bp:g} bp of what is traded. The whole account is in each position, from the "
        f"first open after the cut-off to the last regular close; cash earns nothing. Sharpe ratios are times the root "
        f"of {SESSIONS_PER_YEAR:g}. Whether the model is proven is not asked here, as it is for a live call."
    )
    if unseen:
        notes.append("No bars were handed in, so the entry prices were not held against them.")
    return notes
