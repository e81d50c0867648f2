"""The daily run of the stocks desk (S2.01): one function, read from top to bottom."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from openbell.app import account, outputs
from openbell.app.evidence import Evidence, load
from openbell.app.reporting import daily_report, monitoring_log
from openbell.app.seat import Seat, seated
from openbell.app.training import Trained, benchmark_symbol, bound_desk, features_of, latest_training, universe_of
from openbell.app.watch.notify import notify
from openbell.core.hashing import digest, frame_digest
from openbell.core.types import Book, Decision, Forecast, Market, Outcome
from openbell.core.view import Tables, View
from openbell.research.forecasting import forecast, no_view
from openbell.research.reasons import Reasons, reasons
from openbell.research.snapshot import snapshots
from openbell.store.journal import Journal
from openbell.trade.judging import Trading, judged
from openbell.trade.orders import orders

if TYPE_CHECKING:
    from openbell.app.home import Home

#: Told before each step begins; a run that is killed at any of them is finished by the next one.
OnStep = Callable[[str], None]
STEPS = (
    "pre-flight",
    "bring the account up to date",
    "load the champion",
    "score the universe",
    "look at the market and its regime",
    "decide, trade and judge",
    "put the decision on record",
    "write the decision",
    "execute",
    "write positions and performance",
    "write the report",
    "notify",
)


@dataclass(frozen=True)
class Decided:
    """A judged decision and everything it was made from.

    `training` and `evidence` are what the version that speaks was chosen on; where nobody is in office, the latest
    training of all. `alerts` say which files of the champion could not be loaded. `reasons` explain the scores of what
    is held; nothing is decided by them.
    """

    decision: Decision
    forecast: Forecast
    book: Book
    market: Market
    training: Trained | None
    evidence: Evidence | None
    view: View
    universe: str
    alerts: tuple[str, ...] = ()
    reasons: Reasons = field(default_factory=Reasons)


@dataclass(frozen=True)
class Done:
    """What a run did, for the command line."""

    decided: Decided
    folder: Path
    executed: bool
    fills: int
    notes: tuple[str, ...]

    @property
    def exit_code(self) -> int:
        """1 where a safety check blocked; else 0, also where nothing is traded."""
        return 1 if self.decided.decision.blocked else 0

    def as_json(self) -> dict[str, Any]:
        """The run in short."""
        decision = self.decided.decision
        return {
            "session": decision.session.isoformat(),
            "as_of": decision.as_of.isoformat(),
            "decision": decision.key,
            "view": self.decided.forecast.has_view,
            "model": self.decided.forecast.model,
            "regime": decision.details.get("regime_name"),
            "trades": decision.trades.height,
            "blocked": decision.blocked,
            "executed": self.executed,
            "fills": self.fills,
            "folder": str(self.folder),
            "report": str(self.folder / "report.html"),
            "alerts": list(self.decided.alerts),
            "notes": list(self.notes),
        }


def run_stocks(
    home: Home,
    wanted: dt.date | None,
    *,
    execute: bool = False,
    capital_usd: float | None = None,
    out: Path | None = None,
    on_step: OnStep = lambda step: None,
) -> Done:
    """Decide for one session before its open, judge, record, and, where told to, order.

    Every step can be done again: records have keys, files are whole or absent. So a run that was killed anywhere is
    finished by running it again, with the same outputs.
    """
    on_step(STEPS[0])
    session = home.decision_session(wanted)
    capital = home.settings.run.capital if capital_usd is None else capital_usd
    place = out or Path(home.settings.run.output_dir)
    before = home.sessions.shift(session, -1)

    on_step(STEPS[1])
    if execute:
        account.settle(home, home.journal, home.view(session), before, capital)
        decided = decide_stocks(home, session, capital, home.journal, on_step=on_step)
        account.refuse_hindsight(home.journal, decided.decision)
        notes = account.told(home.journal, session)
    else:
        with account.shadow(home) as journal:
            account.settle(home, journal, home.view(session), before, capital)
            decided = decide_stocks(home, session, capital, journal, on_step=on_step)
            notes = account.told(journal, session)
    decision = decided.decision

    on_step(STEPS[6])
    record(home, decided, execute)

    on_step(STEPS[7])
    folder = place / session.isoformat()
    outputs.write_files(folder, decision_files(decided))

    on_step(STEPS[8])
    fills = 0
    if execute and not decision.blocked:
        broker = account.paper_broker(home, home.journal, capital)
        broker.submit(orders(decision), at=decision.as_of)
        # The world, not the decision: an open that is in the tables already is what the order meets.
        if session <= home.stored[1]:
            after = home.view(home.sessions.shift(session, 1))
            account.settle(home, home.journal, after, session, capital)
        fills, notes = account.fills_of(home.journal, decision), account.told(home.journal, session)

    on_step(STEPS[9])
    history = decided.book.equity
    if execute:
        history = account.history_after(home, home.journal, session, capital)
        # A run of an earlier session, done again, must not turn the account's files back.
        latest = account.latest_execution(home.journal, session)
        outputs.write_files(place, account.account_files(home, home.journal, latest, capital))

    on_step(STEPS[10])
    report = daily_report(home, decided, history, executed=execute, notes=notes)
    outputs.write_files(
        folder,
        {"monitoring_log.json": outputs.json_text(monitoring_log(home, decided, history)), "report.html": report},
    )

    on_step(STEPS[11])
    tell(home, decided, folder)
    return Done(decided, folder, execute and not decision.blocked, fills, notes)


def decide_stocks(
    home: Home,
    session: dt.date,
    capital_usd: float,
    journal: Journal,
    *,
    tables: Tables | None = None,
    on_step: OnStep = lambda step: None,
) -> Decided:
    """From what was known to a judged decision. Reads, and writes nothing."""
    view = home.view(session, tables)
    universe = universe_of(view, home.settings.data.universe)
    settings = home.settings

    on_step(STEPS[2])
    seat = seated(home, view.as_of)
    training = _training(home, seat, view)
    # Read before anything is decided: evidence that is not what was recorded stops a run before its orders, not after.
    found = None if training is None else load(training.folder / "evidence", training.payload["evidence"])

    on_step(STEPS[3])
    said = _forecast(home, view, session, seat, training, universe)

    on_step(STEPS[4])
    book = account.current_book(home, journal, view, capital_usd)
    market = snapshots(
        view,
        [session],
        universe=universe,
        benchmark=settings.data.benchmark,
        lead_minutes=settings.run.lead_minutes,
        held=tuple(book.shares),
    )[session]

    on_step(STEPS[5])
    weighting = seat.production.weighting if seat.production else None
    decision = bound_desk(home, weighting)(said, book, market)
    decision = replace(decision, made_of=_made_of(home, said, market, book, seat, training, universe))
    checks = home.catalogue.checks_of("stocks")
    decision = judged(
        checks,
        decision,
        book,
        market,
        {each.name: settings.safety[each.name] for each in checks},
        trading=Trading(settings.trade.min_trade_usd, settings.trade.commission_bp, settings.trade.slippage_bp),
    )
    if decision.blocked:
        # Whoever reads the trades without the verdicts must find nothing to place.
        decision = replace(decision, trades=decision.trades.clear())
    told = reasons(seat.model, said, decision.targets)
    return Decided(decision, said, book, market, training, found, view, universe, seat.alerts, told)


def decision_files(decided: Decided) -> dict[str, str]:
    """The files that follow from the decision alone, by name."""
    return outputs.decision_files(decided.decision, decided.forecast, decided.book, decided.market, decided.reasons)


def _training(home: Home, seat: Seat, view: View) -> Trained | None:
    """What the version that speaks was chosen on; where nobody is in office, what there is to promote from."""
    if seat.production is not None:
        told = seat.production.training
        return None if told is None else Trained(told, home.models / told["training"])
    # Where the files of the champion are broken, those of its evidence may be too, and nothing rests on them.
    return None if seat.alerts else latest_training(home, view.as_of, ("training", "tournament"))


def _forecast(
    home: Home, view: View, session: dt.date, seat: Seat, training: Trained | None, universe: str
) -> Forecast:
    if seat.production is None or seat.model is None:
        broken = [f"No view: {seat.alerts[0]}", *seat.alerts[1:]] if seat.alerts else []
        return no_view(view.as_of, broken or _nobody(view, training))
    return forecast(
        view,
        seat.model,
        features_of(home, view),
        session,
        universe=universe,
        version=seat.production.version,
        lead_minutes=home.settings.run.lead_minutes,
        benchmark=benchmark_symbol(home),
        why=[*seat.alerts, seat.production.sentence],
    )


def _nobody(view: View, training: Trained | None) -> list[str]:
    """Why there is no view where nobody was promoted."""
    by = f"{view.as_of:%Y-%m-%d %H:%M} UTC"
    if training is None:
        return [
            f"No view: nobody is in office. No training was done by {by}; begin with "
            "`openbell tournament stocks --as-of DATE`."
        ]
    told = training.payload
    what = "tournament" if "plan" in told else "training"
    best = f"{told['champion']} survived it" if told["champion"] else "no candidate survived it"
    cure = (
        "training promotes nobody: `openbell tournament stocks` does, or `openbell promote stocks` by hand."
        if what == "training"
        else "nobody was promoted since; `openbell champion stocks` tells who is, and from when on."
    )
    return [
        f"No view: nobody is in office by {by}. A {what} of {told['session']} is on record ({best}), and {cure}",
        *told["why"][:2],
    ]


def _made_of(
    home: Home, said: Forecast, market: Market, book: Book, seat: Seat, training: Trained | None, universe: str
) -> dict[str, str]:
    """Hashes of what the decision rests on: the data as they were known, the model, the book, settings and code."""
    import openbell

    seen = digest([frame_digest(market.names), market.benchmark.tolist(), frame_digest(said.scores)])
    return {
        "data": seen,
        "universe": universe,
        "model": seat.production.manifest if seat.production else "no view",
        "promotion": str(seat.production.record.key) if seat.production else "nobody in office",
        "training": training.payload["training"] if training else "no training",
        "book": digest([book.cash_usd, book.shares]),
        "settings": home.settings.hash,
        "code": openbell.__version__,
    }


def recorded(decided: Decided, execute: bool) -> dict[str, Any]:
    """What the journal is told of a decision; the same decision derived again tells the same."""
    decision = decided.decision
    return {
        "desk": decision.desk,
        "session": decision.session.isoformat(),
        "decision": decision.key,
        "view": decided.forecast.has_view,
        "model": decided.forecast.model,
        "resolves_at": decided.forecast.resolves_at,
        "targets": decision.targets,
        "cash_weight": decision.cash_weight,
        "regime": decision.details["regime_name"],
        "why": decision.why,
        "trades": decision.trades.select("symbol", "side", "shares", "price").rows(),
        "verdicts": [[each.check, each.outcome.value, each.why] for each in decision.verdicts],
        "scores": decided.forecast.scores.select("symbol", "score").rows(),
        "made_of": decision.made_of,
        "execute": execute,
    }


def record(home: Home, decided: Decided, execute: bool) -> None:
    """Journal the decision and what was forecast before its outcome is known; the same one again changes nothing."""
    decision = decided.decision
    if decided.alerts:
        alert = {
            "desk": decision.desk,
            "session": decision.session.isoformat(),
            "what": "champion",
            "why": list(decided.alerts),
        }
        home.journal.append("alert", alert, at=decision.as_of, key=digest(["alert", alert]))
    payload = recorded(decided, execute)
    home.journal.append("decision", payload, at=decision.as_of, key=digest(["decision", decision.key, execute]))


def tell(home: Home, decided: Decided, folder: Path) -> None:
    """The message at the end of a run: at once where a kill switch stopped it, daily where that is wanted."""
    wanted = home.settings.live.notifications
    blocks = [each for each in decided.decision.verdicts if each.outcome is Outcome.BLOCK]
    if decided.alerts:
        notify(f"The champion cannot be loaded for {decided.decision.session}", decided.alerts, urgent=True)
    stopped = any(each.check == "daily_loss" for each in blocks)
    lines = [*decided.decision.why, *(f"{each.check}: {each.why}" for each in blocks), f"Report: {folder}/report.html"]
    if stopped and wanted.send_on_kill_switch:
        notify(f"Kill switch: no trades for {decided.decision.session}", lines, urgent=True)
    elif blocks or wanted.send_daily_summary:
        notify(f"Decision for {decided.decision.session}", lines, urgent=bool(blocks))
