"""`openbell backtest options`: the desk and its baselines walked through the past in one and the same account."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from openbell.app.files import write_whole
from openbell.app.options_account import quotes_of, rules_of, spots_of
from openbell.app.options_history import costs_of, full_table
from openbell.app.options_market import OptionMarketData, market_data
from openbell.app.options_price_market import rates_of
from openbell.app.options_proposals import Chains, Contractor, desk_decisions, mean_outcomes, past_forecasts
from openbell.app.options_training import OptionTraining, latest_options
from openbell.core.errors import BadInput, DataMissing
from openbell.quant.intervals import wilson
from openbell.quant.option_account import OPEN
from openbell.quant.option_paths import Costs
from openbell.quant.performance import DAYS_PER_YEAR, Performance
from openbell.quant.structures import STRUCTURES
from openbell.research.option_backtest import Decide, OptionBacktest, option_backtest
from openbell.research.option_baselines import at_random, best_so_far, buy_and_hold, on_first_of_week, rules_ladder
from openbell.research.option_orders import REFUSALS
from openbell.research.option_quotes import SurfaceQuotes
from openbell.research.option_scores import HORIZON

if TYPE_CHECKING:
    from openbell.app.home import Home

Progress = Callable[[int, int, str], None]

DESK, LADDER, CONSTANT, CHANCE, HOLD = "desk", "rules ladder", "best constant so far", "random", "buy and hold"


@dataclass(frozen=True, eq=False)
class BacktestDone:
    """Every strategy's account over the same sessions.

    Attributes
    ----------
    first, last : first and last decision. results : by strategy, the desk first. notes : sentences. folder : of files.
    closes : (n + 1,) closes of the underlying, points: at the close before the first decision, then at each.
    """

    underlying: str
    training: OptionTraining
    first: dt.date
    last: dt.date
    results: Mapping[str, OptionBacktest]
    notes: tuple[str, ...]
    folder: Path
    closes: np.ndarray

    @cached_property
    def performances(self) -> Mapping[str, Performance]:
        """Every measure of every curve, its blocks twice as long as a position may live."""
        return {name: each.performance(horizon_sessions=HORIZON) for name, each in self.results.items()}

    @property
    def modelled(self) -> bool:
        """Whether any of it rests on generated quotes."""
        return any(each.modelled for each in self.results.values())

    def table(self) -> pl.DataFrame:
        """A row per strategy, in words that fit a terminal; `as_json` has every number."""
        return pl.DataFrame([_told(self._row(name)) for name in self.results])

    def _row(self, name: str) -> dict[str, Any]:
        found, measured = self.results[name], self.performances[name]
        closed = found.positions.filter(pl.col("reason") != OPEN)
        wins, n = int((closed["pnl_usd"] > 0).sum()), closed.height
        low, high = wilson(wins, n)
        refused = sum(count for kind, count in found.counts.items() if kind in REFUSALS and kind != "NO_TRADE")
        return {
            "strategy": name,
            "total_return": measured.total_return,
            "cagr": measured.annual_return.value,
            "sharpe": measured.sharpe.value,
            "sharpe_low": measured.sharpe.low,
            "sharpe_high": measured.sharpe.high,
            "max_drawdown": measured.max_drawdown,
            "trades": found.positions.height,
            "open": found.positions.height - n,
            "win_rate": wins / n if n else None,
            "win_rate_low": low if n else None,
            "win_rate_high": high if n else None,
            "pnl_usd": float(found.curve_usd[-1] - found.curve_usd[0]),
            "no_trade": found.counts.get("NO_TRADE", 0),
            "refused": refused,
            "modelled": found.modelled,
        }

    def lines(self) -> list[str]:
        """What must be known of the table, in sentences."""
        said = [
            f"{name}: {note}" for name, each in self.results.items() for note in each.notes if "modelled" not in note
        ]
        return [*self.notes, *self._too_small(), *said, f"Report: {self.folder / 'report.html'}"]

    def _too_small(self) -> list[str]:
        """A hint where the account was too small for most of what the desk proposed."""
        found = self.results[DESK]
        over = found.counts.get("OVER_BUDGET", 0)
        if over <= found.positions.height:
            return []
        return [
            f"Of the desk's proposals {over} risked more with one contract than the budget of an account of "
            f"{found.curve_usd[0]:,.0f} USD, and {found.positions.height} were traded. Walk it with a larger --capital "
            "to see what they were worth."
        ]

    def as_json(self) -> dict[str, Any]:
        """For a program to read."""
        return {
            "underlying": self.underlying,
            "training": self.training.payload["training"],
            "model": self.training.leader,
            "first": self.first.isoformat(),
            "last": self.last.isoformat(),
            "modelled": self.modelled,
            "strategies": [self._row(name) for name in self.results],
            "counts": {name: dict(each.counts) for name, each in self.results.items()},
            "notes": list(self.notes),
            "folder": str(self.folder),
            "report": str(self.folder / "report.html"),
        }


def _told(row: Mapping[str, Any]) -> dict[str, str]:
    """One strategy for the terminal; a dash where a number is not defined."""

    def said(form: str, *names: str) -> str:
        values = [row[name] for name in names]
        return "-" if any(value is None for value in values) else form.format(*values)

    return {
        "strategy": f"{row['strategy']}{' (modelled)' if row['modelled'] else ''}",
        "return": said("{:+.1%}", "total_return"),
        "a year": said("{:+.1%}", "cagr"),
        "Sharpe": said("{:+.2f}", "sharpe"),
        "95 %": said("{:+.2f} to {:+.2f}", "sharpe_low", "sharpe_high"),
        "drawdown": said("{:.1%}", "max_drawdown"),
        "trades": said("{}", "trades"),
        "won": said("{:.0%} ({:.0%} to {:.0%})", "win_rate", "win_rate_low", "win_rate_high"),
        "P&L USD": said("{:+,.0f}", "pnl_usd"),
        "refused": said("{}", "refused"),
    }


def backtest_options(
    home: Home,
    underlying: str,
    session: dt.date,
    *,
    years: float = 4.0,
    capital_usd: float | None = None,
    out: Path | None = None,
    progress: Progress | None = None,
) -> BacktestDone:
    """Walk the desk and its baselines through the last `years` before `session`, and write what became of them.

    The forecasts are those of the walk-forward that the latest training kept: each by a model that was fitted on what
    was known before it, with the parameters that days alike spoke for at the time.

    Raises
    ------
    DataMissing
        Where nothing was trained before `session`. BadInput: where none of its forecasts lies in the years asked for.
    """
    session = home.decision_session(session)
    view = home.view(session)
    training = latest_options(home, underlying, view.as_of)
    if training is None:
        raise DataMissing(
            f"Stage 1 of the options desk was not trained on {underlying} before {view.as_of:%Y-%m-%d %H:%M} UTC, so "
            "there are no forecasts to walk. "
            f"Train it with `openbell train options --underlying {underlying} --as-of {session}`."
        )
    data = market_data(home, view, underlying)
    walk = _Walk.of(home, data, training, session, years, capital_usd)
    results = {}
    deciders = walk.deciders()
    for done, (name, decide) in enumerate(deciders.items(), start=1):
        results[name] = walk.account(name, decide)
        if progress is not None:
            progress(done, len(deciders), name)
    dates = [data.sessions[row].item() for row in (walk.first, walk.last)]
    folder = out or Path(home.settings.run.output_dir) / underlying / "backtest"
    closes = spots_of(data).close[walk.first - 1 : walk.last + 1]
    found = BacktestDone(underlying, training, dates[0], dates[1], results, walk.notes(years), folder, closes)
    _write(found)
    return found


@dataclass(frozen=True, eq=False)
class _Walk:
    """The span that is walked and everything that the strategies share on it; rows are places in the data."""

    home: Home
    data: OptionMarketData
    training: OptionTraining
    capital_usd: float
    first: int
    last: int

    @classmethod
    def of(
        cls,
        home: Home,
        data: OptionMarketData,
        training: OptionTraining,
        session: dt.date,
        years: float,
        capital_usd: float | None,
    ) -> _Walk:
        days = training.frame("chosen")["session"].to_numpy().astype("datetime64[D]")
        begin = np.datetime64(session) - np.timedelta64(round(years * DAYS_PER_YEAR), "D")
        days = days[(days >= begin) & np.isin(days, data.sessions[1:])]
        if not len(days):
            raise BadInput(
                f"The training of {training.payload['session']} holds forecasts of {training.payload['first']} to "
                f"{training.payload['last']}, none in the {years:g} years before {session}. Ask for more years, or "
                "train again on newer bars."
            )
        capital = home.settings.run.capital if capital_usd is None else capital_usd
        first, last = (int(row) for row in np.searchsorted(data.sessions, days[[0, -1]]))
        return cls(home, data, training, capital, first, last)

    @property
    def weekly(self) -> bool:
        """Whether a week has one decision: positions of one every day might need more room than there is."""
        return self.home.settings.options.max_positions < HORIZON

    def deciders(self) -> dict[str, Decide]:
        """Each strategy; those that trade options decide equally often."""
        home, data = self.home, self.data
        desk = home.settings.desks["options"]
        _, costs = costs_of(home)
        contractor = Contractor.of(data, quotes_of(data), costs)
        chains = Chains(data, SurfaceQuotes(data.surfaces, data.american, data.calendar), contractor.stored)
        past = past_forecasts(
            self.training.frame("forecasts"), self.training.frame("chosen"), self.training.leader, data.sessions
        )
        table, sessions = data.table, data.sessions
        opens = [data.view.sessions.open(day.item()) for day in sessions]
        found = {
            DESK: desk_decisions(
                past,
                contractor,
                min_risk_reward=desk["min_risk_reward"],
                min_confidence=desk["min_confidence"],
            ),
            LADDER: rules_ladder(table, sessions, chains),
            CONSTANT: best_so_far(mean_outcomes(full_table(data), tuple(STRUCTURES)), opens, table, sessions, chains),
            CHANCE: at_random(table, sessions, chains, seed=home.settings.train.seed),
        }
        if self.weekly:
            found = {name: on_first_of_week(each, sessions) for name, each in found.items()}
        lots = int(0.99 * self.capital_usd // data.surfaces.spot[self.first - 1])
        return found | ({HOLD: buy_and_hold(lots, self.first)} if lots else {})

    def account(self, name: str, decide: Decide) -> OptionBacktest:
        """`decide` through the account; the underlying itself is held share by share, without a commission."""
        rules = rules_of(self.home, self.data, self.capital_usd)
        exits, costs = costs_of(self.home)
        if name == HOLD:
            costs = Costs(commission_usd=0.0, spread_fraction=costs.spread_fraction, multiplier=1)
            rules = replace(rules, max_contracts=2**31)
        return option_backtest(
            decide,
            quotes_of(self.data),
            spots_of(self.data),
            rules=rules,
            exits=exits,
            costs=costs,
            cash_rate=self.cash_rate,
            first=self.first,
            last=self.last,
        )

    @cached_property
    def cash_rate(self) -> np.ndarray:
        """(n,) what cash earns, per year: the newest rate from before each session, 0 without the setting."""
        rates = rates_of(self.data.view, self.home.settings.data.cash_rate)
        if rates is None:
            return np.zeros(len(self.data.sessions))
        days = pl.DataFrame({"session": pl.Series(self.data.sessions).cast(pl.Date)})
        known = days.join_asof(rates.sort("session"), on="session", allow_exact_matches=False)
        return known["rate"].fill_null(0.0).to_numpy()

    def notes(self, years: float) -> tuple[str, ...]:
        """How it was walked, and what is known to be too kind or missing."""
        options, leader = self.home.settings.options, self.training.leader
        sessions = self.last - self.first + 1
        how = (
            f"One decision a week, on its first session: {options.max_positions} positions may be open at once "
            f"(`options.max_positions`), and one lives up to {HORIZON} sessions."
            if self.weekly
            else f"One decision every session: {options.max_positions} positions may be open at once."
        )
        span = (
            f"{sessions:,} sessions ({sessions / 252:.1f} years) have forecasts; {years:g} years were asked for."
            if sessions < round(0.97 * years * 252)
            else f"{sessions:,} sessions."
        )
        said = [
            f"{span} {how}",
            f"The desk is `{leader}`, walked forward. It was chosen among {self.training.payload['tries']} candidates "
            "by these very days, so its row is kinder than the future; whether it earned anything is what the training "
            "says, adjusted for that.",
        ]
        if self.training.champion is None:
            said.append("It never earned more than no trade: `run options` would not trade it (`require_edge`).")
        if not self.home.settings.data.cash_rate:
            said.append("Cash earns nothing (`data.cash_rate`).")
        if not self.data.american:
            said.append("Buy and hold is of the index, without its dividends.")
        return (*said, *self._modelled())

    def _modelled(self) -> list[str]:
        part = self.data.surfaces.modelled[self.first - 1 : self.last + 1]
        if not part.any():
            return []
        return ["Every option result here rests on modelled quotes: nobody traded at them.", *self.data.remarks]


def _write(done: BacktestDone) -> None:
    """The tables of every strategy, and the page."""
    from openbell.app.reports.options_backtest import backtest_report

    for name in ("daily", "trades", "positions"):
        parts = [
            getattr(each, name).select(pl.lit(at).alias("strategy"), pl.all()) for at, each in done.results.items()
        ]
        write_whole(done.folder / f"{name}.csv", pl.concat(parts).write_csv(float_precision=6))
    page = backtest_report(
        done.results,
        done.first,
        done.last,
        done.underlying,
        done.closes,
        performances=done.performances,
        tries=int(done.training.payload["tries"]),
        notes=done.notes,
    )
    write_whole(done.folder / "report.html", page)
