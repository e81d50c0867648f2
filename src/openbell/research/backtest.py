"""What the desk's own decisions would have been worth: the live desk function, replayed before each past open."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl

from openbell.core.errors import BadInput, DataMissing
from openbell.core.types import Book, Decision, Forecast, Market
from openbell.core.view import View
from openbell.quant.accounting import Account, Holdings, Targets, account
from openbell.quant.evaluation import regime_performance
from openbell.quant.intervals import Estimate, estimate, mean_block
from openbell.quant.performance import Performance, marks_per_year, performance
from openbell.quant.regime import regime
from openbell.research.snapshot import STALE_SESSIONS, Snapshots, is_equal_weight, prepared
from openbell.research.universe import is_survivorship_biased

CURVES = ("policy", "equal_weight", "benchmark")
#: The desk function that is used live, its settings already bound.
Decide = Callable[[Forecast, Book, Market], Decision]
Progress = Callable[[int, int, str], None]


@dataclass(frozen=True, slots=True)
class Costs:
    """What a trade costs, and what a mark may be worth: handed to all three curves alike."""

    commission_bp: float = 1.0
    slippage_bp: float = 2.0
    impact: float = 0.0
    cash_return: float = 0.0
    staleness_sessions: int = STALE_SESSIONS
    delisting_return: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class Backtest:
    """The desk's policy beside the equal-weight universe and the benchmark, all total return after the same costs.

    Attributes
    ----------
    equity : ``session`` and a value for each of ``policy``, ``equal_weight``, ``benchmark``; the first row is the
        capital at the close before the first decision, then one row for *every* session.
    weights : ``session``, ``symbol``, ``weight`` after each rebalance of the policy, without cash.
    rebalances : ``session``, ``regime``, ``view`` (had one), ``names`` (held), ``cash_weight``, ``turnover``,
        ``cost_usd``, ``unfilled`` (orders without a price).
    vanished : ``curve``, ``session``, ``symbol``: holdings turned into cash at their last price.
    metrics : measures of each curve. excess : annualised mean log return of the policy over each other curve.
    regimes : performance of the policy by the regime in force (S2.19).
    parameters : what it was computed with. notes : what was missing or left out, in sentences.
    """

    equity: pl.DataFrame
    weights: pl.DataFrame
    rebalances: pl.DataFrame
    vanished: pl.DataFrame
    metrics: Mapping[str, Performance]
    excess: Mapping[str, Estimate]
    regimes: pl.DataFrame
    parameters: Mapping[str, Any]
    notes: tuple[str, ...] = ()


@dataclass(slots=True, eq=False)
class _Log:
    """What the policy's calls leave behind."""

    sessions: list[dt.date] = field(default_factory=list)
    regimes: list[int] = field(default_factory=list)
    views: list[bool] = field(default_factory=list)
    notes: set[str] = field(default_factory=set)


def backtest(
    view: View,
    decide: Decide,
    scores: pl.DataFrame | None,
    *,
    first: dt.date,
    last: dt.date,
    universe: str | None,
    benchmark: str,
    rebalance_sessions: int = 5,
    lead_minutes: int = 30,
    capital_usd: float = 100_000.0,
    costs: Costs | None = None,
    horizon_sessions: int = 5,
    replications: int = 1000,
    seed: int = 0,
    progress: Progress | None = None,
) -> Backtest:
    """Replay `decide` on the markets of the past and account for its targets every day.

    Parameters
    ----------
    view : knows the closes up to `last`. decide : the live desk function ``(forecast, book, market) -> Decision``.
    scores : out-of-sample scores, columns ``session`` (of the decision), ``symbol``, ``score`` and, if known,
        ``model``; a session without any is decided without a view. None: never a view.
    first, last : decision sessions between which it runs. A rebalance falls on every session whose number on the
        calendar is a multiple of `rebalance_sessions` (as the rows of a panel do), so it does not depend on `first`;
        the curve begins at the first of them.
    universe, benchmark : as in `research.snapshot.prepared`. costs : for all three curves.
    horizon_sessions, replications, seed : of the bootstrap intervals.

    Returns
    -------
    Backtest
        Where the data hold opens, orders fill at the open of the decision session; else at its close.

    Raises
    ------
    BadInput
        On a range without a rebalance, or scores with a session twice for one symbol. DataMissing: where bars or
        benchmark are missing, or bars end before `last`.
    """
    costs = costs or Costs()
    days = accounted_days(view, first, last, rebalance_sessions)
    rows = [row for row, day in enumerate(days) if view.sessions.index(day) % rebalance_sessions == 0]
    ready = prepared(
        view,
        [days[row] for row in rows],
        universe=universe,
        benchmark=benchmark,
        lead_minutes=lead_minutes,
        bars_until=days[-1],
    )
    prices = Prices.read(ready, days)
    by_session, dropped = _by_session(scores)
    log = _Log(notes=set(dropped))
    policy = _policy(decide, ready, prices, by_session, log, progress, len(rows))
    accounts = {
        "policy": prices.account(policy, rows, capital_usd, costs),
        "equal_weight": prices.account(equal_weight_targets(ready, prices), rows, capital_usd, costs),
    }
    accounts["benchmark"] = (
        accounts["equal_weight"]  # the index *is* the universe at equal weights
        if is_equal_weight(ready.benchmark)
        else benchmark_account(ready, prices, rows[:1], capital_usd, costs)
    )
    before = view.sessions.shift(days[0], -1)
    notes = [*sorted(log.notes), *_notes(ready, prices, accounts, universe)]
    how = {"horizon_sessions": horizon_sessions, "replications": replications, "seed": seed}
    dates = (before, *days)
    return Backtest(
        equity=pl.DataFrame({"session": dates, **{name: accounts[name].curve_usd for name in CURVES}}),
        weights=_weights(accounts["policy"], prices),
        rebalances=_rebalances(accounts["policy"], prices, log),
        vanished=_vanished(accounts, prices),
        metrics={
            name: performance(dates, each.curve_usd, turnovers=each.turnovers, **how) for name, each in accounts.items()
        },
        excess=_excess(dates, accounts, **how),
        regimes=_by_regime(dates, accounts["policy"], log, prices, **how),
        parameters={
            "first": days[0],
            "last": days[-1],
            "universe": universe,
            "benchmark": ready.benchmark,
            "rebalance_sessions": rebalance_sessions,
            "lead_minutes": lead_minutes,
            "capital_usd": capital_usd,
            "commission_bp": costs.commission_bp,
            "slippage_bp": costs.slippage_bp,
            "cash_return": costs.cash_return,
            "staleness_sessions": costs.staleness_sessions,
            "execution": "close" if prices.opens is None else "open",
            **how,
        },
        notes=tuple(notes),
    )


def accounted_days(view: View, first: dt.date, last: dt.date, every: int) -> tuple[dt.date, ...]:
    """The sessions accounted for: from the first rebalance to `last`."""
    if every < 1:
        raise BadInput(f"`rebalance_sessions` must be at least 1; was {every}.")
    calendar = view.sessions
    days = calendar.between(first, last)
    starts = [at for at, day in enumerate(days) if calendar.index(day) % every == 0 and calendar.index(day) > 0]
    if not starts:
        raise BadInput(
            f"There is no rebalance between {first} and {last} at one in {every} sessions. Give a longer range."
        )
    days = days[starts[0] :]
    if calendar.close(days[-1]) > view.as_of:
        raise DataMissing(
            f"The back-test ends on {days[-1]}, which had not closed at {view.as_of:%Y-%m-%d %H:%M} UTC. "
            "End it earlier."
        )
    return days


@dataclass(frozen=True, slots=True, eq=False)
class Prices:
    """Total-return prices of the accounted days, columns as the snapshots' symbols."""

    days: tuple[dt.date, ...]
    symbols: tuple[str, ...]
    place: Mapping[str, int]
    opens: np.ndarray | None
    closes: np.ndarray

    @classmethod
    def read(cls, ready: Snapshots, days: tuple[dt.date, ...]) -> Prices:
        """Prices of `days`, and those of the columns of `ready`."""
        wide, start = ready.wide, ready.wide.row(days[0])
        there = np.flatnonzero(np.isfinite(wide.close).any(axis=1))
        if not there.size or wide.sessions[there[-1]] != days[-1]:
            end = wide.sessions[there[-1]] if there.size else "before it begins"
            raise DataMissing(f"The back-test is to end on {days[-1]}, but the bars end on {end}. End it there.")
        opens = wide.open[start:] if np.isfinite(wide.open[start:]).any() else None
        return cls(days, wide.symbols, wide.place, opens, wide.close[start:])

    def account(self, targets: Targets, rows: Sequence[int], capital_usd: float, costs: Costs) -> Account:
        """`targets` through these days."""
        return _account(targets, self.closes, self.opens, rows, capital_usd, costs)

    def column(self, symbol: str) -> int:
        """Column of a target; a name without any bar cannot be one."""
        if symbol not in self.place:
            raise DataMissing(f"The desk wants {symbol}, which is no member of the universe and has no bars here.")
        return self.place[symbol]


def _account(
    targets: Targets,
    closes: np.ndarray,
    opens: np.ndarray | None,
    rows: Sequence[int],
    capital_usd: float,
    costs: Costs,
) -> Account:
    return account(
        targets,
        closes,
        opens,
        decide_at=rows,
        capital_usd=capital_usd,
        commission_bp=costs.commission_bp,
        slippage_bp=costs.slippage_bp,
        cash_return=costs.cash_return,
        staleness_sessions=costs.staleness_sessions,
        delisting_return=costs.delisting_return,
    )


def _by_session(scores: pl.DataFrame | None) -> tuple[dict[dt.date, pl.DataFrame], list[str]]:
    """Scores of each decision session; rows without a finite score are left out and counted."""
    if scores is None:
        return {}, ["No model had earned a view: every decision was made without one."]
    missing = {"session", "symbol", "score"} - set(scores.columns)
    if missing:
        raise BadInput(
            f"The scores lack the column {', '.join(sorted(missing))}; they have {', '.join(scores.columns)}."
        )
    finite = scores.filter(pl.col("score").cast(pl.Float64).is_finite().fill_null(False))
    if finite.select(pl.struct("session", "symbol").is_duplicated().any()).item():
        raise BadInput("The scores hold a symbol twice on one session; each name has one score per decision.")
    left_out = scores.height - finite.height
    notes = [f"{left_out} scores were missing or not finite and were left out."] if left_out else []
    return {key[0]: part for key, part in finite.partition_by("session", as_dict=True).items()}, notes  # type: ignore[misc]


def _forecast(market: Market, scores: pl.DataFrame | None) -> Forecast:
    if scores is None or scores.is_empty():
        empty = pl.DataFrame(schema={"symbol": pl.String, "score": pl.Float64})
        return Forecast(market.as_of, empty, None, why=("There was no out-of-sample score for this session.",))
    model = str(scores["model"][0]) if "model" in scores.columns else "walk-forward"
    return Forecast(market.as_of, scores.select("symbol", pl.col("score").cast(pl.Float64)).sort("symbol"), model)


def _book(holdings: Holdings, market: Market, prices: Prices) -> Book:
    """The account as the desk sees it: whole shares at the last close, the rest in cash."""
    held = [prices.symbols[at] for at in np.flatnonzero(holdings.notional_usd > 0)]
    price = dict(
        market.names.filter(pl.col("symbol").is_in(pl.Series(held, dtype=pl.String).implode()))
        .drop_nulls("price_usd")
        .select("symbol", "price_usd")
        .iter_rows()
    )
    worth = dict(zip(prices.symbols, holdings.notional_usd, strict=True))
    shares = {symbol: int(worth[symbol] // price[symbol]) for symbol in held if symbol in price}
    shares = {symbol: count for symbol, count in shares.items() if count}
    invested = sum(count * price[symbol] for symbol, count in shares.items())
    equity = pl.DataFrame(
        {"session": prices.days[: holdings.row], "equity_usd": holdings.past_equity_usd},
        schema={"session": pl.Date, "equity_usd": pl.Float64},
    )
    return Book(market.as_of, holdings.value_usd - invested, shares, {each: price[each] for each in shares}, equity)


def _policy(
    decide: Decide,
    ready: Snapshots,
    prices: Prices,
    scores: Mapping[dt.date, pl.DataFrame],
    log: _Log,
    progress: Progress | None,
    total: int,
) -> Targets:
    def targets(holdings: Holdings) -> np.ndarray:
        session = prices.days[holdings.row]
        held = [prices.symbols[at] for at in np.flatnonzero(holdings.notional_usd > 0)]
        market = ready.at(session, held)
        forecast = _forecast(market, scores.get(session))
        decision = decide(forecast, _book(holdings, market, prices), market)
        log.sessions.append(session)
        log.regimes.append(regime(market.benchmark))
        log.views.append(forecast.has_view)
        weights = np.zeros(len(prices.symbols))
        for symbol, weight in decision.targets.items():
            weights[prices.column(symbol)] = weight
        if progress is not None:
            progress(len(log.sessions), total, "back-test")
        return weights

    return targets


def equal_weight_targets(ready: Snapshots, prices: Prices) -> Targets:
    """The members of the session with a fresh known close, at one weight each."""

    def targets(holdings: Holdings) -> np.ndarray:
        session = prices.days[holdings.row]
        columns = ready.wide.columns(ready.member[session])
        row = ready.wide.row(session)
        moment = ready.as_of[session].timestamp() * 1e6
        fresh = (ready.wide.known_us[max(row - STALE_SESSIONS, 0) : row][:, columns] <= moment).any(axis=0)
        weights = np.zeros(len(prices.symbols))
        if fresh.any():
            weights[columns[fresh]] = 1.0 / fresh.sum()
        return weights

    return targets


def benchmark_account(
    ready: Snapshots, prices: Prices, rows: Sequence[int], capital_usd: float, costs: Costs
) -> Account:
    """The benchmark's symbol, bought once and held; without opens of its own, at the first close."""
    at = [prices.column(ready.benchmark)]
    opens = None if prices.opens is None else prices.opens[:, at]
    if opens is not None and not np.isfinite(opens).any():
        opens = None
    return _account(lambda holdings: np.ones(1), prices.closes[:, at], opens, rows, capital_usd, costs)


def _weights(policy: Account, prices: Prices) -> pl.DataFrame:
    frames = [
        pl.DataFrame({"session": prices.days[each.row], "symbol": list(prices.symbols), "weight": each.weights})
        for each in policy.rebalances
    ]
    return pl.concat(frames).filter(pl.col("weight") > 0)


def _rebalances(policy: Account, prices: Prices, log: _Log) -> pl.DataFrame:
    done = policy.rebalances
    return pl.DataFrame(
        {
            "session": [prices.days[each.row] for each in done],
            "regime": log.regimes,
            "view": log.views,
            "names": [int((each.weights > 0).sum()) for each in done],
            "cash_weight": [each.cash_weight for each in done],
            "turnover": [each.turnover for each in done],
            "cost_usd": [each.cost_usd for each in done],
            "unfilled": [len(each.unfilled) for each in done],
        }
    )


def _vanished(accounts: Mapping[str, Account], prices: Prices) -> pl.DataFrame:
    rows = [
        (name, prices.days[row], prices.symbols[column])
        for name in ("policy", "equal_weight")
        for row, column in accounts[name].vanished
    ]
    return pl.DataFrame(rows, schema={"curve": pl.String, "session": pl.Date, "symbol": pl.String}, orient="row")


def _excess(
    dates: Sequence[dt.date],
    accounts: Mapping[str, Account],
    *,
    horizon_sessions: int,
    replications: int,
    seed: int,
) -> dict[str, Estimate]:
    """Mean log return of the policy over each other curve, per year (calendar time), with its interval."""
    per_year = marks_per_year(dates)
    ours = np.log1p(accounts["policy"].returns)
    return {
        name: estimate(
            ours - np.log1p(accounts[name].returns),
            lambda samples: samples.mean(axis=1) * per_year,
            block=mean_block(horizon_sessions, len(ours)),
            replications=replications,
            seed=seed,
        )
        for name in CURVES[1:]
    }


def _by_regime(dates: Sequence[dt.date], policy: Account, log: _Log, prices: Prices, **how: int) -> pl.DataFrame:
    """S2.19 with the regime of the last decision before each session's return."""
    place = {day: at for at, day in enumerate(prices.days)}
    starts = [place[session] for session in log.sessions]
    in_force = np.array(log.regimes)[np.searchsorted(starts, np.arange(len(prices.days)), side="right") - 1]
    return regime_performance(policy.returns, in_force, per_year=marks_per_year(dates), **how)


def _notes(ready: Snapshots, prices: Prices, accounts: Mapping[str, Account], universe: str | None) -> list[str]:
    policy = accounts["policy"]
    unfilled = sum(len(each.unfilled) for each in policy.rebalances)
    counted = [
        (unfilled, "orders of the policy found no price in their session and were not filled"),
        (policy.carried, "position-days of the policy were marked at an older price"),
        (len(policy.vanished), "holdings of the policy vanished and were turned into cash at their last price"),
        (ready.wide.off_calendar, "bars on days without a session were left out"),
    ]
    notes = [f"{count} {what}." for count, what in counted if count]
    if prices.opens is None:
        notes.append("The data hold no opens: orders fill at the close of the decision session.")
    if is_survivorship_biased(universe):
        notes.append("The universe is survivorship-biased: names that left it before the data were made are missing.")
    if is_equal_weight(ready.benchmark):
        notes.append("The benchmark is the universe itself at equal weights, rebalanced as the policy is.")
    return notes
