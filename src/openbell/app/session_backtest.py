"""The session desk's past in an account: the walk-forward's own calls followed from the cut-off to the close."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from openbell.app.clock import now
from openbell.app.outputs import finite
from openbell.app.session_data import DESK, Venue
from openbell.app.session_training import SessionTraining, needed_session
from openbell.core.errors import unknown
from openbell.core.hashing import digest, frame_digest
from openbell.core.session import CLASSES
from openbell.research.session_backtest import SHORT, SessionBacktest, backtest
from openbell.store.trials import Trial

if TYPE_CHECKING:
    from openbell.app.backtests import Kept
    from openbell.app.home import Home


@dataclass(frozen=True, slots=True, eq=False)
class Done:
    """What following the calls of one model was worth, and the record of it."""

    kept: Kept
    training: SessionTraining
    found: SessionBacktest
    report: Path

    def table(self) -> pl.DataFrame:
        """A row for the calls and for each thing that stands beside them."""
        rows = [
            (SHORT[name], each.total_return, each.sharpe.value, each.sharpe.low, each.sharpe.high, each.max_drawdown,
             each.volatility)
            for name, each in self.found.measures.items()
        ]  # fmt: skip
        names = ("curve", "total_return", "sharpe", "sharpe_low", "sharpe_high", "max_drawdown", "volatility")
        return pl.DataFrame(rows, schema=dict.fromkeys(names, pl.Float64) | {"curve": pl.String}, orient="row")

    def lines(self) -> list[str]:
        """What has to be said beside it."""
        said = [self.found.verdict()]
        if self.training.payload["made_up"]:
            said.append("The bars were made up: this says nothing about any real market.")
        return [*said, *self.found.notes, self.kept.line, f"Report: {self.report}"]

    def as_json(self) -> dict[str, Any]:
        """For a program to read."""
        return finite({
            "id": self.kept.key, **self.found.record, "costs": self.found.costs.to_dicts(),
            "regimes": self.found.regimes.to_dicts(), "report": str(self.report),
        })  # fmt: skip


def backtest_session(
    home: Home,
    session: dt.date | None = None,
    *,
    product: str | None = None,
    candidate: str | None = None,
    min_confidence: float | None = None,
    stop_atr: float | None = None,
    capital_usd: float | None = None,
) -> Done:
    """Follow the out-of-sample calls of the last training before `session`; kept on record, once each.

    `min_confidence` is that of the training and `stop_atr` that of the settings unless they are given; every way of
    following is counted as a try before it is looked at.
    """
    from openbell.app.backtest_records import keep_session
    from openbell.app.session_report import write_report

    venue = Venue.of(home, product)
    as_of = venue.before_open(venue.session(session)) if session else now()
    training = needed_session(home, as_of, venue.product.code)
    name = candidate or training.leader
    forecasts = _forecasts(training, name, min_confidence)
    rules = {
        "commission_bp": home.settings.trade.commission_bp,
        "slippage_bp": home.settings.trade.slippage_bp,
        "stop_atr": home.settings.session.stop_atr if stop_atr is None else stop_atr,
        "capital_usd": capital_usd or home.settings.run.capital,
    }
    payload = training.payload
    found = backtest(
        forecasts,
        training.evidence("bars"),
        **rules,
        closes=training.evidence("rows").select("session", pl.col("exit").alias("close")).drop_nulls(),
        tries=tried(home, forecasts, rules),
        replications=home.settings.train.replications,
        seed=home.settings.train.seed,
        made_of={"training": payload["training"], "data": payload["data"],
                 "model": payload["manifests"].get(name, ""), "settings": home.settings.hash},
    )  # fmt: skip
    at = venue.before_open(dt.date.fromisoformat(payload["session"]))
    kept = keep_session(home, found, at=at, facts={"made_up": payload["made_up"], "cutoff": payload["cutoff"]})
    return Done(kept, training, found, write_report(home, training, found))


def _forecasts(training: SessionTraining, name: str, min_confidence: float | None) -> pl.DataFrame:
    """The walk of one model, called anew where another confidence was asked for."""
    from openbell.research.session_walk import called

    walked = training.evidence("walk")
    if name not in walked["model"].unique():
        raise unknown("model of the training", name, walked["model"].unique().sort())
    own = walked.filter(pl.col("model") == name)
    return own if min_confidence is None else called(own, CLASSES[training.payload["label"]], min_confidence)


def tried(home: Home, forecasts: pl.DataFrame, rules: dict[str, Any]) -> int:
    """Record a way of following `forecasts` before it is run; how many trials the desk has then made.

    The account and the costs do not change what is found, so they make no other try; the stop does.
    """
    way = {"stop_atr": rules["stop_atr"]}
    name = str(forecasts["model"][0])
    trial = Trial(DESK, "backtest", name, digest({"follow": way}), frame_digest(forecasts), way)
    home.trials.record([trial], at=now())
    return home.trials.count(DESK)
