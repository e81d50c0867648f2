"""What option decisions would have been worth: each decided before an open, filled at that session's closing quotes.

The order of a session, which is what makes it causal:

1. before the open, ``decide(row)`` proposes; it is sized on the equity and the quotes of the close before;
2. at the open, cash earns its interest, dividends are paid, delivered shares are closed and AM contracts settle;
3. at the close, everything held is marked, PM contracts settle or deliver, exits are judged on the liquidation value,
   and then the proposal is filled at the quotes of this close if they, the cash and the margin allow it;
4. after the close, holders exercise what pays them to (`quant.assignment`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl

from openbell.core.errors import BadInput
from openbell.quant.option_account import OPEN
from openbell.quant.option_paths import Costs, Exits
from openbell.quant.performance import Performance, performance
from openbell.research.option_orders import REFUSALS, Decide, Entry, NoTrade, Rules, decisions
from openbell.research.option_quotes import Quotes, Spots
from openbell.research.option_steps import DAILY, NOTES, REFUSED, Steps

__all__ = ["Decide", "Entry", "NoTrade", "OptionBacktest", "Rules", "decisions", "option_backtest"]


@dataclass(frozen=True, slots=True, eq=False)
class OptionBacktest:
    """An account through time.

    Attributes
    ----------
    daily : a row per session, the first being the capital at the close before the first decision: ``session``,
        ``equity_usd`` (cash, marks at mid, shares at the close), ``cash_usd``, ``options_usd``, ``shares_usd``,
        ``margin_usd`` (Reg T), ``interest_usd`` of the session, ``positions`` (open), ``delta_usd`` (worth of the
        underlying that moves alike), ``gamma_usd`` (change of it for 1 % of the underlying), ``theta_usd`` (per
        calendar day), ``vega_usd`` (for 0.01 of volatility), null where a Greek of a held contract is unknown,
        ``stale_marks`` and ``modelled_marks`` (contracts), ``deficit_usd`` (margin that the account did not cover).
    trades : a row per fill, expiry, settlement, assignment, exercise, delivery, share trade and dividend;
        ``quantity`` is the signed change of contracts or shares, ``cash_usd`` the change of the cash, fees included.
    positions : a row per structure entered; ``pnl_usd`` includes all costs, and marks while it is ``OPEN``;
        ``max_loss_usd`` includes the costs of the entry, ``premium_usd`` (above 0 paid) does not.
    refusals : ``session``, ``structure``, ``kind``, ``why`` of every proposal that became no position.
    counts : refusals by kind, and what else was counted. notes : the counts in sentences.
    """

    daily: pl.DataFrame
    trades: pl.DataFrame
    positions: pl.DataFrame
    refusals: pl.DataFrame
    counts: Mapping[str, int]
    notes: tuple[str, ...]

    @property
    def sessions(self) -> list[dt.date]:
        """Dates of the marks, as `quant.performance` and the tear sheet want them."""
        return list(self.daily["session"])

    @property
    def curve_usd(self) -> np.ndarray:
        """Capital, then the equity at each close, shape (n + 1,)."""
        return self.daily["equity_usd"].to_numpy()

    @property
    def modelled(self) -> bool:
        """Whether any of it rests on generated quotes."""
        return bool(self.positions["modelled"].any())

    def performance(self, *, horizon_sessions: int = 21, replications: int = 1000, seed: int = 0) -> Performance:
        """Every measure of the equity curve."""
        return performance(
            self.sessions, self.curve_usd, horizon_sessions=horizon_sessions, replications=replications, seed=seed
        )


def option_backtest(
    decide: Decide,
    quotes: Quotes,
    spots: Spots,
    *,
    rules: Rules | None = None,
    exits: Exits | None = None,
    costs: Costs | None = None,
    cash_rate: float | np.ndarray = 0.0,
    first: int = 1,
    last: int | None = None,
) -> OptionBacktest:
    """Walk `decide` through the sessions `first` to `last`.

    Parameters
    ----------
    decide : called once per session, before its open; it must use nothing later than the close of ``row - 1``.
    quotes, spots : of one underlying, on the same sessions.
    cash_rate : per year, continuously compounded, earned on cash and owed where it is negative; a number or, per
        session, the rate that was known at its close, shape (n,).
    first, last : places of the first and the last session, both included; the capital stands at the close before.

    Returns
    -------
    OptionBacktest

    Raises
    ------
    BadInput
        On sessions that do not exist, or a proposal with fewer than one contract.
    DataMissing
        On a held contract without a quote for longer than `Rules.staleness_sessions`: a missing price is never 0.
    """
    n = len(spots.sessions)
    stop = n if last is None else last + 1
    if not 1 <= first < stop <= n:
        raise BadInput(f"A back-test of {n} sessions runs from 1 or later to {n - 1}; was asked for {first} to {last}.")
    rate = np.broadcast_to(np.asarray(cash_rate, dtype=np.float64), (n,))
    if not np.isfinite(rate[first - 1 : stop]).all():
        raise BadInput("`cash_rate` must be a finite number for every session; had NaN. Carry the last known rate.")
    steps = Steps(quotes, spots, rules or Rules(), exits or Exits(), costs or Costs(), rate)
    steps.record(first - 1, 0.0)
    for row in range(first, stop):
        steps.session(decide, row, ends=row == stop - 1)
    return _result(steps, stop - 1)


def _result(steps: Steps, last: int) -> OptionBacktest:
    sessions, account = steps.spots.sessions, steps.account
    daily = pl.DataFrame(steps.daily, schema=dict(DAILY), orient="row")
    daily = daily.select(_dates(sessions, daily["row"]), pl.all().exclude("row"))
    refusals = pl.DataFrame(steps.refused, schema=dict(REFUSED), orient="row")
    refusals = refusals.select(_dates(sessions, refusals["row"]), pl.all().exclude("row"))
    kinds = dict(refusals.group_by("kind").len().sort("kind").iter_rows())
    counts = {**{kind: kinds[kind] for kind in REFUSALS if kind in kinds}, **dict(sorted(steps.counted.items()))}
    words = {**REFUSALS, **NOTES}
    notes = [f"{count} {words[name]}." for name, count in counts.items()]
    positions = _positions(steps, last)
    if len(positions) and positions["modelled"].any():
        notes.append("Quotes of these results are modelled: nobody traded at them.")
    return OptionBacktest(
        daily.with_columns(pl.selectors.float().fill_nan(None)),
        account.trades(sessions), positions, refusals, counts, tuple(notes),
    )  # fmt: skip


def _dates(sessions: np.ndarray, rows: pl.Series, name: str = "session") -> pl.Series:
    """The session of each row; null for a row of -1."""
    at = rows.to_numpy()
    days = pl.Series(name, sessions[np.maximum(at, 0)]).cast(pl.Date)
    return days.zip_with(pl.Series(at >= 0), pl.Series([None], dtype=pl.Date))


def _positions(steps: Steps, last: int) -> pl.DataFrame:
    account, spot = steps.account, float(steps.spots.close[last])
    sessions, made = steps.spots.sessions, account.positions
    frame = pl.DataFrame(
        {
            "position": pl.Series([each.key for each in made], dtype=pl.Int64),
            "structure": pl.Series([each.structure for each in made], dtype=pl.String),
            "entry": pl.Series([each.entry for each in made], dtype=pl.Int64),
            "exit": pl.Series([each.exit for each in made], dtype=pl.Int64),
            "contracts": pl.Series([each.contracts for each in made], dtype=pl.Int64),
            "premium_usd": pl.Series([each.premium_usd for each in made], dtype=pl.Float64),
            "max_loss_usd": pl.Series([each.max_loss_usd for each in made], dtype=pl.Float64),
            "margin_usd": pl.Series([each.margin_usd for each in made], dtype=pl.Float64),
            "fees_usd": pl.Series([each.fees_usd for each in made], dtype=pl.Float64),
            "pnl_usd": pl.Series([account.pnl_usd(each, spot) for each in made], dtype=pl.Float64),
            "reason": pl.Series([each.reason for each in made], dtype=pl.String),
            "modelled": pl.Series([each.modelled for each in made], dtype=pl.Boolean),
            "why": pl.Series([each.why for each in made], dtype=pl.String),
        }
    )
    ends = pl.when(pl.col("reason") == OPEN).then(last).otherwise(pl.col("exit"))
    return frame.with_columns(
        _dates(sessions, frame["entry"], "entry_session"),
        _dates(sessions, frame["exit"], "exit_session"),
        (ends - pl.col("entry")).alias("held_sessions"),
    ).select(
        "position", "structure", "entry_session", "exit_session", "held_sessions", "contracts", "premium_usd",
        "max_loss_usd", "margin_usd", "fees_usd", "pnl_usd",
        (pl.col("pnl_usd") / pl.col("max_loss_usd")).alias("pnl_per_max_loss"), "reason", "modelled", "why",
    )  # fmt: skip
