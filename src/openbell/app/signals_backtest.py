"""The signals desk's past in an account: the walk-forward's own forecasts followed bar by bar, beside the market."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from openbell.app.clock import now
from openbell.app.outputs import finite
from openbell.app.signals_data import DESK, regimes_of
from openbell.app.signals_training import SignalsTraining, needed_signals
from openbell.core.errors import unknown
from openbell.core.view import View
from openbell.quant.barriers import BARRIER
from openbell.quant.signal_account import Rules
from openbell.research.signal_backtest import BENCHMARKS, Policy, SignalBacktest, backtest
from openbell.research.signal_search import SignalSearch, search, tried

if TYPE_CHECKING:
    from openbell.app.backtests import Kept
    from openbell.app.home import Home

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True, slots=True, eq=False)
class Done:
    """What following the signals of one model was worth, and the record of it."""

    kept: Kept
    training: SignalsTraining
    found: SignalBacktest
    searched: SignalSearch | None
    report: Path

    def table(self) -> pl.DataFrame:
        """A row for the signals and for each benchmark."""
        rows = []
        for name, each in self.found.metrics.items():
            sharpe = each.sharpe
            rows.append((name, each.total_return, sharpe.value, sharpe.low, sharpe.high, each.max_drawdown,
                         each.volatility))  # fmt: skip
        names = ("curve", "total_return", "sharpe", "sharpe_low", "sharpe_high", "max_drawdown", "volatility")
        return pl.DataFrame(rows, schema=dict.fromkeys(names, pl.Float64) | {"curve": pl.String}, orient="row")

    def lines(self) -> list[str]:
        """What has to be said beside it."""
        said = [self.found.verdict()]
        if self.training.payload["made_up"]:
            said.append("The bars were made up: this says nothing about any real market.")
        if self.searched is not None:
            said += self.searched.why
        return [*said, *self.found.notes, self.kept.line, f"Report: {self.report}"]

    def as_json(self) -> dict[str, Any]:
        """For a program to read."""
        searched = None if self.searched is None else {"why": list(self.searched.why),
                                                       "judged": self.searched.judged.record}  # fmt: skip
        return finite({"id": self.kept.key, **self.found.record, "search": searched, "report": str(self.report)})


def backtest_signals(
    home: Home,
    session: dt.date | None = None,
    *,
    candidate: str | None = None,
    min_confidence: float | None = None,
    require_single: bool | None = None,
    capital_usd: float | None = None,
    searching: bool = False,
    progress: Progress | None = None,
) -> Done:
    """Follow the out-of-sample forecasts of the last training before `session`; kept on record, once each.

    `min_confidence` and `require_single` are those of the desk unless they are given. `searching` looks for how the
    signals are best followed on the first part of the walk, and judges that on the rest.
    """
    training = needed_signals(home, home.as_of(session) if session else now())
    name = candidate or training.leader
    walked = training.evidence("walk")
    if name not in walked["model"].unique():
        raise unknown("model of the training", name, walked["model"].unique().sort())
    forecasts, bars = walked.filter(pl.col("model") == name), training.evidence("bars")
    policy = policy_of(home, training, min_confidence, require_single, capital_usd)
    beside = {
        "benchmark_bars": _benchmarks(home, training),
        "regimes": _regimes(home, training),
        "replications": home.settings.train.replications,
        "seed": home.settings.train.seed,
    }
    made_of = {"training": training.payload["training"], "data": training.payload["data"],
               "model": training.payload["manifests"].get(name, ""), "settings": home.settings.hash}  # fmt: skip
    tries = tried(forecasts, policy, ledger=home.trials, at=now())
    found = backtest(forecasts, bars, policy, tries=tries, made_of=made_of, **beside)
    searched = None
    if searching:
        searched = search(forecasts, bars, policy, ledger=home.trials, at=now(), progress=progress, **beside)
    return _kept(home, training, found, searched)


def policy_of(
    home: Home,
    training: SignalsTraining,
    min_confidence: float | None = None,
    require_single: bool | None = None,
    capital_usd: float | None = None,
) -> Policy:
    """How the desk follows its signals, by the settings."""
    desk, trade = home.settings.desks[DESK], home.settings.trade
    rules = Rules(
        horizon_bars=int(training.payload["horizon_bars"]),
        exit_at="close" if training.payload["label"].startswith("barrier_") else "open",
        overnight=training.payload["base"] == "1d",
        max_positions=home.settings.signals.max_positions,
        conflict_margin=home.settings.signals.conflict_margin,
        commission_bp=trade.commission_bp,
        slippage_bp=trade.slippage_bp,
        capital_usd=capital_usd or home.settings.run.capital,
    )
    return Policy(
        rules,
        min_confidence=desk["min_confidence"] if min_confidence is None else min_confidence,
        require_single=desk["require_single"] if require_single is None else require_single,
        risk_per_signal=desk["risk_per_signal"],
        max_position=desk["max_position"],
        min_risk_reward=desk["min_risk_reward"],
        barrier=BARRIER,
    )


def _benchmarks(home: Home, training: SignalsTraining) -> pl.DataFrame | None:
    """Daily bars of the benchmarks, as the training's own moment knew them."""
    return _daily(home, training, BENCHMARKS)


def _regimes(home: Home, training: SignalsTraining) -> pl.DataFrame | None:
    """The market's regime in each session, as the training's own moment knew it; None without the benchmark's bars."""
    session = dt.date.fromisoformat(training.payload["session"])
    known = regimes_of(home, View(home.tables, home.as_of(session), home.sessions))
    return pl.DataFrame({"session": known.keys(), "regime": known.values()}) if known else None


def _daily(home: Home, training: SignalsTraining, symbols: tuple[str, ...]) -> pl.DataFrame | None:
    if not home.tables.exists("bars"):
        return None
    session = dt.date.fromisoformat(training.payload["session"])
    found = View(home.tables, home.as_of(session), home.sessions).bars("1d", symbols=symbols)
    bars = found.select("symbol", "session", "open", "close").collect()
    return None if bars.is_empty() else bars


def _kept(home: Home, training: SignalsTraining, found: SignalBacktest, searched: SignalSearch | None) -> Done:
    """The back-test on record, with its report beside the training."""
    from openbell.app.backtest_records import keep_signals
    from openbell.app.signals_report import write_report

    at = home.as_of(dt.date.fromisoformat(training.payload["session"]))
    kept = keep_signals(home, found, at=at, search=searched, facts={"made_up": training.payload["made_up"]})
    return Done(kept, training, found, searched, write_report(home, training, found, searched))
