"""Back-tests put on record: figures in the journal, the curve and the trades beside it, whatever desk they are of."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import polars as pl

from openbell.app.backtests import EQUITY, FIGURES, KIND, OURS, Kept, folder_of, kept, span
from openbell.app.evidence_files import write_evidence
from openbell.app.outputs import finite
from openbell.core.hashing import digest, frame_digest
from openbell.quant.intervals import wilson
from openbell.quant.performance import Performance
from openbell.research.gate_judged import bounded

if TYPE_CHECKING:
    from openbell.app.gate_backtest import Done
    from openbell.app.home import Home
    from openbell.app.options_backtest import BacktestDone
    from openbell.research.session_backtest import SessionBacktest
    from openbell.research.signal_backtest import SignalBacktest
    from openbell.research.signal_search import SignalSearch

#: What the record of a back-test of signals tells besides the figures that every desk has.
_TOLD = (
    "calls", "counts", "trades", "cost_usd", "borrow_usd", "tries", "deflated", "parameters", "notes", "verdict",
    "excess",
)  # fmt: skip
#: And of the session desk.
_OF_SESSION = (
    "symbol", "calls", "counts", "trades", "cost_usd", "tries", "deflated", "parameters", "notes", "verdict",
    "of_trades",
)  # fmt: skip


def keep(
    home: Home,
    *,
    desk: str,
    name: str,
    at: dt.datetime,
    equity: pl.DataFrame,
    measured: Performance | None,
    facts: Mapping[str, Any],
    frames: Mapping[str, pl.DataFrame] | None = None,
) -> Kept:
    """Put a back-test on record: figures in the journal, frames beside it; done twice it is one record.

    Parameters
    ----------
    name : what was followed, for a reader. at : the moment it knew. equity : ``session``, ``value``.
    measured : of the equity, None where nothing was traded. facts : ``trades``, ``tries``, ``costs``, ``made_of`` and
        whatever else it has to say, `FIGURES` among them where they are better than those of the equity.
    """
    own = {EQUITY: equity.select("session", OURS), **(frames or {})}
    told = {"cost_usd": None, "trades": None, "win_of": "sessions", **_figures(measured), **facts}
    body = finite({"desk": desk, "name": name, **span(equity), **told})
    key = digest([KIND, body, {each: frame_digest(frame) for each, frame in own.items()}])
    there = home.journal.get(key)
    folder = folder_of(home, key)
    if there is None or not (folder / "evidence").is_dir():
        hashes = write_evidence(folder, own)
        there = home.journal.append(KIND, {**body, "id": key, "evidence": hashes}, at=at, key=key)
    return kept(home, there)


def keep_signals(
    home: Home,
    found: SignalBacktest,
    *,
    at: dt.datetime,
    search: SignalSearch | None = None,
    facts: Mapping[str, Any] | None = None,
) -> Kept:
    """A back-test of signals, with its trades, its curves and what the search tried."""
    record, trades = found.record, found.trades.filter(pl.col("reason") != "open")
    frames = {"trades": found.trades, "curves": found.equity}
    if search is not None:
        frames["trials"] = search.trials
    return keep(
        home,
        desk="signals",
        name=found.model,
        at=at,
        equity=found.equity.select("session", pl.col("signals").alias(OURS)),
        measured=found.performance,
        frames=frames,
        facts={
            **{each: record[each] for each in _TOLD},
            "costs": {name: record["parameters"][name] for name in ("commission_bp", "slippage_bp", "borrow_annual")},
            **_wins((trades["return"] > 0).sum(), trades.height),
            "groups": {name: table.to_dicts() for name, table in found.groups.items()},
            "benchmarks": {name: _figures(each) for name, each in found.metrics.items() if name != "signals"},
            "search": None if search is None else list(search.why),
            "made_of": dict(found.made_of),
            "model": found.model,
            **(facts or {}),
        },
    )  # fmt: skip


def keep_session(
    home: Home, found: SessionBacktest, *, at: dt.datetime, facts: Mapping[str, Any] | None = None
) -> Kept:
    """A back-test of the session desk, with its trades, days and curves, and what other costs would have left."""
    from openbell.research.session_backtest import OURS as CALLS

    record, won = found.record, int((found.trades["return"] > 0).sum())
    return keep(
        home,
        desk="session",
        name=f"{found.symbol} {found.model}",
        at=at,
        equity=found.equity.select("session", pl.col(CALLS).alias(OURS)),
        measured=found.performance,
        frames={"trades": found.trades, "daily": found.daily, "curves": found.equity, "regimes": found.regimes,
                "by_costs": found.costs},
        facts={
            **{each: record[each] for each in _OF_SESSION},
            "costs": {name: record["parameters"][name] for name in ("commission_bp", "slippage_bp")},
            **_wins(won, found.trades.height),
            "groups": {name: table.to_dicts() for name, table in found.groups.items()},
            "benchmarks": {name: _figures(each) for name, each in found.measures.items() if name != CALLS},
            "made_of": dict(found.made_of),
            "model": found.model,
            **(facts or {}),
        },
    )  # fmt: skip


def keep_options(home: Home, done: BacktestDone) -> Kept:
    """The desk's own account of a back-test of the options desk."""
    from openbell.app.options_backtest import DESK

    found, payload = done.results[DESK], done.training.payload
    row = next(each for each in done.as_json()["strategies"] if each["strategy"] == DESK)
    return keep(
        home,
        desk="options",
        name=f"{done.underlying} {done.training.leader}",
        at=home.as_of(done.last),
        equity=pl.DataFrame({"session": found.sessions, OURS: found.curve_usd}),
        measured=done.performances[DESK],
        facts={
            "trades": row["trades"], "win_of": "trades", **{name: row[name] for name in
            ("win_rate", "win_rate_low", "win_rate_high")}, "cost_usd": float(found.positions["fees_usd"].sum()),
            "tries": int(payload["tries"]), "costs": {}, "modelled": done.modelled, "notes": list(done.notes),
            "made_of": {"training": payload["training"], "settings": home.settings.hash},
        },
    )  # fmt: skip


def keep_gate(home: Home, done: Done) -> Kept:
    """The account of the gate's best model."""
    payload, leader = done.training.payload, done.training.leader
    made = done.accounts[leader]
    eve = made.days["session"][0] - dt.timedelta(days=1)
    days = made.days.select("session", pl.col("equity_usd").alias(OURS))
    return keep(
        home,
        desk="gate",
        name=leader,
        at=home.as_of(home.sessions.shift(done.last, 1)),
        equity=pl.concat([pl.DataFrame({"session": [eve], OURS: [done.capital_usd]}, schema=days.schema), days]),
        measured=made.performance,
        facts={
            "trades": int(made.days["trades"].sum()), "tries": int(payload["tries"]), "costs": {},
            "made_up": payload["made_up"], "notes": done.lines(),
            "made_of": {"training": payload["training"], "settings": home.settings.hash},
        },
    )  # fmt: skip


def _figures(measured: Performance | None) -> dict[str, Any]:
    if measured is None:
        return dict.fromkeys((name for name in FIGURES if name != "cost_usd"), None)
    found = measured.intervals
    return {
        "total_return": measured.total_return, **bounded("annual_return", measured.annual_return),
        **bounded("sharpe", measured.sharpe), "volatility": measured.volatility,
        "max_drawdown": measured.max_drawdown, "value_at_risk_95": measured.value_at_risk_95,
        **bounded("win_rate", found["win_rate"]),
    }  # fmt: skip


def _wins(wins: Any, n: int) -> dict[str, Any]:
    low, high = wilson(int(wins), n)
    known = {"win_rate": int(wins) / n, "win_rate_low": low, "win_rate_high": high} if n else {}
    return {**dict.fromkeys(("win_rate", "win_rate_low", "win_rate_high")), "win_of": "trades", **known}
