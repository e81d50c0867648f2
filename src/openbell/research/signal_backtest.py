"""What following a model's signals out of sample would have been worth, beside holding the market, after costs."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import polars as pl

from openbell.core.errors import BadInput
from openbell.core.signal import CALLS, FORECASTS, PROBABILITIES, Call
from openbell.quant.deflation import Deflated, deflated_sharpe
from openbell.quant.intervals import Estimate, estimate, mean_block
from openbell.quant.performance import Performance, marks_per_year, performance
from openbell.quant.signal_account import OUTCOMES, BarRows, Rules, SignalAccount, signal_account, sized
from openbell.quant.signal_rule import called
from openbell.research.signal_benchmarks import BENCHMARKS, benchmark_curves, daily_bars, regimes_before
from openbell.research.signal_trades import described, grouped

#: Benchmarks and regimes are asked for here too: who wants a back-test need not know which file holds which.
__all__ = ["BENCHMARKS", "SIGNALS", "Policy", "SignalBacktest", "backtest", "regimes_before"]

SIGNALS = "signals"
#: Idle cash, most of such an account, earns nothing here; so nothing is deducted from what the rest earns.
RISK_FREE_ANNUAL = 0.0
_NEEDED = ("symbol", "session", "as_of", "close", "sigma", "model", *PROBABILITIES, "in_sell", "in_hold", "in_buy")
#: What the counts of an account mean, in sentences; see `quant.signal_account.SignalAccount.counts`.
_COUNTED: Mapping[str, str] = {
    "short_refused": "SELL signals were not followed: short sales are off",
    "without_size": "signals had no volatility above 0 and so no stop to size by",
    "after_bars": "signals had no bar after them",
    "after_session": "signals came at the end of their session, where nothing is entered any more",
    **{name: f"signals {what}" for name, what in OUTCOMES.items() if name != "taken"},
    "shrunk": "entries found less room than their size and were made smaller",
    "carried": "marks of a holding were at an older price, for its symbol had no bar",
    "vanished": "holdings had no price for too long and were given up",
}


@dataclass(frozen=True, slots=True)
class Policy:
    """What makes a forecast a position: the rule of the desk, and how its signals are followed.

    `barrier` is the distance of stop and target in volatilities of the horizon, which is `rules.horizon_bars`; the rest
    is as in `desks.signals.decide`. That a model is not proven sets its live signals to no size; here it does not.
    """

    rules: Rules
    min_confidence: float = 0.6
    require_single: bool = True
    risk_per_signal: float = 0.005
    max_position: float = 0.10
    min_risk_reward: float = 1.0
    barrier: float = 1.0

    def __post_init__(self) -> None:
        for name in ("risk_per_signal", "max_position", "min_risk_reward", "barrier"):
            if not getattr(self, name) > 0:
                raise BadInput(f"`{name}` must be above 0; was {getattr(self, name)}.")

    @property
    def parameters(self) -> dict[str, Any]:
        """Every choice by name, those of its rules among them."""
        return {**{name: value for name, value in asdict(self).items() if name != "rules"}, **asdict(self.rules)}

    def orders(self, forecasts: pl.DataFrame) -> pl.DataFrame:
        """`forecasts` with what the desk makes of each: ``call``, ``confidence``, ``side``, levels and ``fraction``."""
        said = called(forecasts, min_confidence=self.min_confidence, require_single=self.require_single)
        return sized(
            said, barrier=self.barrier, horizon_bars=self.rules.horizon_bars, risk=self.risk_per_signal,
            most=self.max_position, reward=self.min_risk_reward,
        )  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class SignalBacktest:
    """The account of one model's signals and what stood beside it.

    Attributes
    ----------
    model : whose forecasts. policy : how they were followed.
    calls : how many forecasts became ``BUY``, ``SELL`` and ``HOLD``, and ``silent`` ones without probabilities.
    trades : `quant.signal_account.SignalAccount.trades` with ``call``, ``label``, ``band`` of confidence, ``regime``.
    equity : ``session`` and a value for each curve, ``signals`` first; the first row is the capital before.
    metrics : measures of each curve; ``signals`` is missing where nothing was traded, or everything was lost.
    excess : annualised mean log return of the signals over each other curve.
    groups : by ``call``, ``band``, ``symbol``, ``regime``, ``reason``: trades, wins and returns with intervals.
    counts : what became of orders. deflated : of the Sharpe ratio for the number of `tries`, None without one.
    parameters : what it was computed with. notes : what was missing or left out, in sentences.
    """

    model: str
    policy: Policy
    calls: Mapping[str, int]
    trades: pl.DataFrame
    equity: pl.DataFrame
    metrics: Mapping[str, Performance]
    excess: Mapping[str, Estimate]
    groups: Mapping[str, pl.DataFrame]
    counts: Mapping[str, int]
    cost_usd: float
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
        """Of the account; None where no position was ever held, for then there is nothing to measure."""
        return self.metrics.get(SIGNALS)

    @property
    def luck(self) -> float | None:
        """Probability that the true Sharpe ratio is above the best that luck would have found in as many tries."""
        found = None if self.deflated is None else float(self.deflated.probability)
        return None if found is None or not np.isfinite(found) else found

    @property
    def earns(self) -> bool:
        """Whether the Sharpe ratio lies above 0 with its whole interval, and above luck's best after all tries."""
        measured = self.performance
        low = None if measured is None else measured.sharpe.low
        return low is not None and low > 0 and self.luck is not None and self.luck >= 0.95

    def verdict(self) -> str:
        """The answer in one sentence or two."""
        measured, asked = self.performance, self.calls["BUY"] + self.calls["SELL"]
        if not asked:
            return (
                f"No signal was issued: none of {sum(self.calls.values()):,} forecasts of `{self.model}` was a BUY or "
                f"SELL at a confidence of {self.policy.min_confidence:g}, so nothing was traded and there is no result."
            )
        if self.trades.is_empty():
            return f"{asked:,} signals of `{self.model}` were issued and none could be followed; there is no result."
        if measured is None:
            return f"The account lost everything by following `{self.model}`."
        sharpe = measured.sharpe
        between = (
            "too few sessions for an interval"
            if sharpe.low is None
            else f"95 % {sharpe.low:+.2f} to {sharpe.high:+.2f}"
        )
        luck = "" if self.luck is None else (
            f" After {self.tries:,} {'try' if self.tries == 1 else 'tries'} the probability that it is more than the "
            f"best of luck is {self.luck:.0%}."
        )  # fmt: skip
        ratio = "no Sharpe ratio" if sharpe.value is None else f"a Sharpe ratio of {sharpe.value:+.2f} ({between})"
        head = "It is shown to earn something" if self.earns else "It is not shown to earn anything"
        return (
            f"{head}: following {self.trades.height:,} signals of `{self.model}` from {measured.first} to "
            f"{measured.last} returned {measured.total_return:+.1%} after costs, with {ratio}.{luck}"
        )

    @property
    def record(self) -> dict[str, Any]:
        """What is kept for comparison; numbers without an interval have None."""
        measured = self.performance
        return {
            "model": self.model,
            "first": self.sessions[0].isoformat(),
            "last": self.sessions[-1].isoformat(),
            "calls": dict(self.calls),
            "trades": self.trades.height,
            "counts": dict(self.counts),
            "cost_usd": self.cost_usd,
            "borrow_usd": float(self.trades["borrow_usd"].sum()),
            "tries": self.tries,
            "deflated": self.luck,
            "metrics": {name: asdict(each) for name, each in self.metrics.items()},
            "total_return": None if measured is None else measured.total_return,
            "excess": {name: asdict(each) for name, each in self.excess.items()},
            "parameters": dict(self.parameters),
            "notes": list(self.notes),
            "verdict": self.verdict(),
        }


def backtest(
    forecasts: pl.DataFrame,
    bars: pl.DataFrame,
    policy: Policy,
    *,
    benchmark_bars: pl.DataFrame | None = None,
    regimes: pl.DataFrame | None = None,
    beside: bool = True,
    tries: int = 1,
    replications: int = 1000,
    seed: int = 0,
    made_of: Mapping[str, str] | None = None,
) -> SignalBacktest:
    """Follow the forecasts of one model through the bars that they were decided on.

    Parameters
    ----------
    forecasts : columns of `core.signal.FORECASTS` of one model, out of sample. Its calls are made anew by `policy`.
    bars : ``symbol session at open high low close``, sorted by symbol and time, over the forecasts and what follows.
    benchmark_bars : ``symbol session open close`` of SPY and QQQ, of whatever bars; those in `bars` need not be given.
    regimes : ``session`` and ``regime`` in force in it, known before it; see `signal_benchmarks.regimes_before`.
    beside : whether the market stands beside the account at all; the trials of a search do without.
    tries : trials of the desk in the ledger, for the deflation. replications, seed : of the bootstrap intervals.
    made_of : hashes of data, recipe, model, settings.

    Returns
    -------
    SignalBacktest
        From the session of the first forecast to the last in which anything could still be held. Without a single
        trade it has no measures of its own.

    Raises
    ------
    BadInput
        On forecasts of several models or none, missing columns, or bars that lack a decision's own.
    """
    model = _one_model(forecasts)
    spoken = forecasts.filter(pl.all_horizontal(pl.col(name).is_finite() for name in PROBABILITIES))
    orders = policy.orders(spoken)
    own = _spanned(bars, forecasts, policy.rules)
    rows = BarRows(own)
    followed = signal_account(orders, rows, policy.rules)
    trades = described(followed.trades, orders, regimes)
    daily = daily_bars(own)
    curve = _curve(followed, daily, bars)
    horizon = policy.rules.horizon_bars if policy.rules.overnight else 1
    how = {"horizon_sessions": horizon, "replications": replications, "seed": seed}
    curves, missing = benchmark_curves(daily, benchmark_bars, curve, policy.rules) if beside else ({}, [])
    equity = curve.with_columns(pl.Series(name, values) for name, values in curves.items())
    metrics = _metrics(equity, trades, followed, how)
    return SignalBacktest(
        model=model,
        policy=policy,
        calls=_calls(orders, forecasts.height - spoken.height),
        trades=trades,
        equity=equity,
        metrics=metrics,
        excess=_excess(equity, how) if SIGNALS in metrics else {},
        groups=grouped(trades, **how),
        counts=followed.counts,
        cost_usd=followed.cost_usd,
        tries=tries,
        deflated=_deflated(equity, tries) if SIGNALS in metrics else None,
        parameters={**policy.parameters, "symbols": rows.symbols, "bars": own.height, **how},
        notes=(*_notes(followed, policy), *missing),
        made_of=dict(made_of or {}),
    )  # fmt: skip


def _one_model(forecasts: pl.DataFrame) -> str:
    missing = [name for name in _NEEDED if name not in forecasts.columns]
    if missing:
        raise BadInput(f"Forecasts have the columns {', '.join(FORECASTS)}; these lack {', '.join(missing)}.")
    models = forecasts["model"].unique().sort().to_list()
    if len(models) != 1:
        raise BadInput(
            f"A back-test follows the forecasts of one model; these are of {len(models)}"
            f"{': ' + ', '.join(map(str, models)) if models else ''}. Choose one."
        )
    return str(models[0])


def _spanned(bars: pl.DataFrame, forecasts: pl.DataFrame, rules: Rules) -> pl.DataFrame:
    """The bars from the session of the first forecast to the last in which a position can still be held."""
    first, last = forecasts["session"].min(), forecasts["session"].max()
    days = bars["session"].unique().sort()
    after = days.filter(days > last)
    more = 0 if not rules.overnight else min(rules.horizon_bars + 1, len(after))
    end = after[more - 1] if more else last
    return bars.filter(pl.col("session").is_between(pl.lit(first), pl.lit(end)))


def _curve(followed: SignalAccount, daily: pl.DataFrame, bars: pl.DataFrame) -> pl.DataFrame:
    """``session`` and the value of the account at its close, after a row of the capital on the eve."""
    marks = followed.marks.group_by("session", maintain_order=True).agg(pl.col("equity_usd").last())
    first = marks["session"][0]
    before = bars["session"].filter(bars["session"] < first).max()
    eve = before if before is not None else first - dt.timedelta(days=1)
    capital = pl.DataFrame({"session": [eve], "equity_usd": [followed.rules.capital_usd]}, schema=marks.schema)
    return pl.concat([capital, marks]).rename({"equity_usd": SIGNALS})


def _metrics(
    equity: pl.DataFrame, trades: pl.DataFrame, followed: SignalAccount, how: Mapping[str, int]
) -> dict[str, Performance]:
    days = list(equity["session"])
    found = {}
    for name in equity.columns[1:]:
        ours = name == SIGNALS
        if ours and (trades.is_empty() or followed.ruined_at is not None):
            continue
        turnovers = _turnovers(equity, trades) if ours else None
        found[name] = performance(
            days, equity[name].to_numpy(), turnovers=turnovers, risk_free_annual=RISK_FREE_ANNUAL, **how
        )
    return found


def _turnovers(equity: pl.DataFrame, trades: pl.DataFrame) -> np.ndarray:
    """One-sided turnover of each session in which anything was traded, of the equity before it."""
    left = pl.col("units").abs() * pl.col("exit_price")
    traded = pl.concat(
        [trades.select(pl.col("entry_session").alias("session"), pl.col("notional_usd").alias("usd")),
         trades.filter(pl.col("reason") != "open").select(pl.col("exit_session").alias("session"), left.alias("usd"))]
    ).group_by("session").agg(pl.col("usd").sum())  # fmt: skip
    both = equity.select("session", pl.col(SIGNALS).shift().alias("before")).join(traded, on="session", how="inner")
    return both.sort("session").select(pl.col("usd") / (2.0 * pl.col("before"))).to_series().to_numpy()


def _returns(equity: pl.DataFrame, name: str) -> np.ndarray:
    values = equity[name].to_numpy()
    return np.asarray(values[1:] / values[:-1] - 1.0)


def _excess(equity: pl.DataFrame, how: Mapping[str, int]) -> dict[str, Estimate]:
    """Mean log return over each other curve, per year, with its interval."""
    days = list(equity["session"])
    per_year, ours = marks_per_year(days), np.log1p(_returns(equity, SIGNALS))
    return {
        name: estimate(
            ours - np.log1p(_returns(equity, name)), lambda samples: samples.mean(axis=1) * per_year,
            block=mean_block(how["horizon_sessions"], len(ours)), replications=how["replications"], seed=how["seed"],
        )
        for name in equity.columns[2:]
    }  # fmt: skip


def _deflated(equity: pl.DataFrame, tries: int) -> Deflated | None:
    """Of the returns; every try counts as its own, which is the strictest reading."""
    earned = _returns(equity, SIGNALS)
    return None if len(earned) < 2 else deflated_sharpe(earned, trials=float(max(tries, 1)))


def _calls(orders: pl.DataFrame, silent: int) -> dict[str, int]:
    found = dict(orders.group_by("call").len().iter_rows())
    return {**{each.value: int(found.get(each.value, 0)) for each in (*CALLS[::-2], Call.HOLD)}, "silent": silent}


def _notes(followed: SignalAccount, policy: Policy) -> list[str]:
    rules = policy.rules
    notes = [f"{followed.counts[name]:,} {what}." for name, what in _COUNTED.items() if followed.counts[name]]
    notes.append(
        f"Each side of a trade costs {rules.commission_bp + rules.slippage_bp:g} bp; cash earns nothing; shares are "
        "not whole; whether the model is proven is not asked here, as it is for a live signal."
    )
    if rules.short:
        notes.append(f"Short sales are allowed and cost {rules.borrow_annual:.1%} a year for every night.")
    if not rules.overnight:
        notes.append("Nothing is held over night: what is open at the end of a session is left at its close.")
    if followed.ruined_at is not None:
        notes.append(f"The account was worth nothing at {followed.ruined_at}; nothing was traded from then on.")
    return notes
