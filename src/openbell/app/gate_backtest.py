"""The gate's past in an account: the walk-forward's own forecasts, beside taking everything and beside the price."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from openbell.app.files import write_whole
from openbell.app.gate_training import DESK, GateTraining, needed_gate
from openbell.app.outputs import finite
from openbell.research.gate_backtest import Account, account

if TYPE_CHECKING:
    from openbell.app.home import Home

ALL, PRICE = "take every trade", "price"


@dataclass(frozen=True, slots=True, eq=False)
class Done:
    """The accounts by name, the model's own first."""

    training: GateTraining
    accounts: Mapping[str, Account]
    capital_usd: float
    out: Path | None

    @property
    def first(self) -> dt.date:
        """First day on which anything was proposed."""
        found: dt.date = self.accounts[ALL].days["session"][0]
        return found

    @property
    def last(self) -> dt.date:
        """Last day on which anything was proposed."""
        found: dt.date = self.accounts[ALL].days["session"][-1]
        return found

    def table(self) -> pl.DataFrame:
        """A row per account: trades, profit, and the measures of its daily marks with the Sharpe ratio's interval."""
        return pl.DataFrame([_row(name, each, self.capital_usd) for name, each in self.accounts.items()])

    def lines(self) -> list[str]:
        """What has to be said beside it."""
        training, leader = self.training, self.training.leader
        said = [training.payload["why"][0]]
        if not training.proven(leader):
            said.append(
                f"{leader} is not proven, so the gate would have refused all of these; it was chosen on the same days."
            )
        if training.payload["made_up"]:
            said.append("The trades were made up: nobody traded them.")
        left = self.accounts[leader].over_budget
        said.append(
            f"{left:,} trades were left because the day's budget of risk was spent. One unit each, to the close."
        )
        return [*said, *([f"Daily marks: {self.out / 'daily.csv'}"] if self.out else [])]

    def as_json(self) -> dict[str, Any]:
        """For a program to read."""
        return finite({"first": str(self.first), "last": str(self.last), "accounts": self.table().to_dicts(),
                       "notes": self.lines()})  # fmt: skip


def backtest_gate(
    home: Home,
    session: dt.date | None = None,
    *,
    capital_usd: float | None = None,
    day_risk: float = 0.20,
    out: Path | None = None,
) -> Done:
    """Walk accounts through the out-of-sample forecasts of the last training before `session`."""
    from openbell.app.clock import now

    training = needed_gate(home, home.as_of(session) if session else now())
    walked, capital = training.walked, capital_usd or home.settings.run.capital
    how = {
        "capital_usd": capital,
        "trade_risk": home.settings.desks[DESK]["gate_risk_fraction"],
        "day_risk": day_risk,
        "seed": home.settings.train.seed,
    }
    leader = walked.filter(pl.col("model") == training.leader)
    found = {
        training.leader: account(leader, **how),
        ALL: account(leader.with_columns(pl.lit(value=True).alias("take")), **how),
        PRICE: account(walked.filter(pl.col("model") == PRICE), **how),
    }
    if out is not None:
        daily = pl.concat([each.days.select(pl.lit(name).alias("account"), pl.all()) for name, each in found.items()])
        write_whole(out / "daily.csv", daily.write_csv())
    return Done(training, found, capital, out)


def _row(name: str, made: Account, capital_usd: float) -> dict[str, Any]:
    measured, days = made.performance, made.days
    sharpe = measured.sharpe if measured else None
    return {
        "account": name,
        "days": days.height,
        "proposed": int(days["proposed"].sum()),
        "trades": int(days["trades"].sum()),
        "profit_usd": float(days["profit_usd"].sum()),
        "end_usd": float(days["equity_usd"][-1]) if days.height else capital_usd,
        "sharpe": sharpe.value if sharpe else None,
        "sharpe_low": sharpe.low if sharpe else None,
        "sharpe_high": sharpe.high if sharpe else None,
        "max_drawdown": measured.max_drawdown if measured else None,
        "days_won": measured.win_rate if measured else None,
    }
