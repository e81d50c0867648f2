"""The latest decision of every desk as the journal has it, who is in office, and what is open."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl

from openbell.app.production import Production, promotions
from openbell.core.errors import DataMissing, OpenbellError
from openbell.core.session import NO_CALL
from openbell.core.types import Outcome
from openbell.store.journal import Record
from openbell.store.journal_pages import Which, counts, page

if TYPE_CHECKING:
    from openbell.app.home import Home
    from openbell.store.prediction_rows import Prediction

#: Desks in the order of the page, with the command that makes the first decision of each.
COMMANDS: Mapping[str, str] = {
    "stocks": "openbell run stocks",
    "options": "openbell run options --underlying SPX",
    "gate": 'openbell odds "BUY +1 BUTTERFLY SPX 100 27 MAR 26 6455/6405/6355 PUT @14.25"',
    "signals": "openbell run signals",
    "session": "openbell run session",
}
DECISIONS = ("decision", "run")
TRAININGS = ("training", "tournament")
#: Decisions of the session desk that are looked through for the last one of each product.
LOOKED_BACK = 100
#: Checks whose block means that nothing is traded until somebody looks: the kill switch.
KILL_SWITCH = ("daily_loss", "rolling_sharpe")
VERDICTS = {"check": pl.String, "verdict": pl.String, "why": pl.String}


@dataclass(frozen=True, slots=True, eq=False)
class DeskToday:
    """What one desk said last.

    Attributes
    ----------
    desk : as in the journal, for example ``options.SPX``. record : its number there, None before the first decision.
    session, as_of : of the decision. headline : what to do, in a few words. why : its sentences. verdicts : columns
        ``check``, ``verdict``, ``why``, the gravest first; empty where the record tells none. champion : who is in
        office, in a sentence. training : the last one on record, in a sentence. command : what makes a first decision.
    """

    desk: str
    record: int | None
    session: str | None
    as_of: dt.datetime | None
    headline: str
    why: tuple[str, ...]
    verdicts: pl.DataFrame
    champion: str
    training: str
    command: str


@dataclass(frozen=True, slots=True)
class Open:
    """What waits for somebody.

    Attributes
    ----------
    blocked : desk and sentence of each check that stopped the latest decision of a desk. switches : those of them that
        are a kill switch. alerts : sentences of the latest alerts. orders : that wait for their open. active_signals :
        None where there is no store of signals.
    """

    blocked: tuple[tuple[str, str], ...]
    switches: tuple[str, ...]
    alerts: tuple[str, ...]
    orders: int
    active_signals: int | None


def desks_today(home: Home, now: dt.datetime) -> tuple[DeskToday, ...]:
    """The latest decision of every desk; a desk that never decided is there with its command.

    Raises
    ------
    DataMissing
        Where there is no journal yet.
    """
    known = counts(home.kept_journal).drop_nulls("desk")["desk"].unique().sort().to_list()
    found = []
    for family in COMMANDS:
        own = [each for each in known if each == family or each.startswith(f"{family}.")] or [family]
        if family == "session":
            found += _sessions(home, own, now)
        else:
            found += [_gate(home, now) if each == "gate" else _desk(home, each, now) for each in own]
    return tuple(found)


def _sessions(home: Home, known: Sequence[str], now: dt.datetime) -> list[DeskToday]:
    """The session desk by product: its decisions are all of `session`, its trainings and champions of each product."""
    latest: dict[str, Record] = {}
    for each in page(home.kept_journal, Which(kinds=DECISIONS, desks=("session",)), LOOKED_BACK):
        latest.setdefault(f"session.{each.payload.get('product', '')}".rstrip("."), each)
    desks = sorted({*latest, *(each for each in known if each != "session")}) or ["session"]
    return [_told(home, each, latest.get(each), now) for each in desks]


def _desk(home: Home, desk: str, now: dt.datetime) -> DeskToday:
    return _told(home, desk, _last(home, desk, DECISIONS), now)


def _told(home: Home, desk: str, latest: Record | None, now: dt.datetime) -> DeskToday:
    """What `desk` said in the record `latest`, and who speaks for it."""
    family = desk.partition(".")[0]
    command = COMMANDS[family]
    payload = {} if latest is None else latest.payload
    return DeskToday(
        desk=desk,
        record=None if latest is None else latest.seq,
        session=payload.get("session"),
        as_of=None if latest is None else latest.at,
        headline=headline(family, payload) if latest is not None else "No decision yet",
        why=tuple(str(each) for each in payload.get("why", ())),
        verdicts=verdicts_of(payload),
        champion=champion(home, desk, now),
        training=trained(home, desk),
        command=command,
    )


def _gate(home: Home, now: dt.datetime) -> DeskToday:
    """The gate decides on what it is asked: its log holds the last answer, the journal its trainings."""
    try:
        rows = home.kept_predictions.history(limit=1).rows
    except DataMissing:
        rows = ()
    said = rows[0].prediction if rows else None
    return DeskToday(
        desk="gate",
        record=None,
        session=None if said is None else str(said.day),
        as_of=None if said is None else said.at,
        headline="No answer in the log yet" if said is None else f"{said.answer} {said.strategy} on {said.symbol}",
        why=() if said is None else _odds(said),
        verdicts=verdicts_of({}),
        champion=champion(home, "gate", now),
        training=trained(home, "gate"),
        command=COMMANDS["gate"],
    )


def _odds(said: Prediction) -> tuple[str, ...]:
    """The odds of an answer as the log holds them."""
    shares = (("the model", said.probability), ("the price", said.price_probability), ("threshold", said.threshold))
    told = ", ".join(f"{name} {share:.1%}" for name, share in shares if share is not None)
    worth = said.expected_value_usd
    return (
        f"Odds of a win: {told or 'not known'}.",
        f"{said.quantity} of it may be traded"
        + ("." if worth is None else f"; {worth:+,.2f} USD are expected after costs."),
    )


def _last(home: Home, desk: str, kinds: Sequence[str]) -> Record | None:
    found = page(home.kept_journal, Which(kinds=tuple(kinds), desks=(desk,)), 1)
    return found[0] if found else None


def champion(home: Home, desk: str, now: dt.datetime) -> str:
    """Who is in office at `now`, as the journal has it."""
    known = [each for each in promotions(home, desk) if each.at <= now]
    if not known:
        return "Nobody is in office."
    return Production(known[-1]).sentence


def trained(home: Home, desk: str) -> str:
    """The last training or tournament on record, in a sentence."""
    last = _last(home, desk, TRAININGS)
    if last is None:
        return "Nothing was trained yet."
    told = last.payload
    survived = told.get("champion")
    what = f"{survived} proved itself" if survived else "no candidate proved itself"
    return f"The last {last.kind} is of {told.get('session', '?')}: {what} (record {last.seq})."


def verdicts_of(payload: Mapping[str, Any]) -> pl.DataFrame:
    """The verdicts that a record tells, the gravest first."""
    order = {Outcome.BLOCK.value: 0, Outcome.SHRINK.value: 1, Outcome.ALLOW.value: 2}
    rows = [_verdict(each) for each in payload.get("verdicts", ())]
    rows.sort(key=lambda row: (order.get(row[1], 3), row[0]))
    return pl.DataFrame(rows, schema=VERDICTS, orient="row")


def _verdict(told: Any) -> tuple[str, str, str]:
    if isinstance(told, Mapping):
        return str(told["check"]).replace("_", " "), str(told["outcome"]), str(told["why"])
    check, outcome, why = told[:3]
    return str(check).replace("_", " "), str(outcome), str(why)


def headline(family: str, payload: Mapping[str, Any]) -> str:
    """What a decision comes to, in a few words, out of what was recorded of it."""
    if any(outcome == Outcome.BLOCK.value for _, outcome, _ in map(_verdict, payload.get("verdicts", ()))):
        return "Blocked by safety: nothing is traded"
    told = {"stocks": _stocks, "options": _options, "signals": _signals, "session": _session}[family](payload)
    return told or "No trade"


def _stocks(payload: Mapping[str, Any]) -> str:
    sides = [str(each[1]) for each in payload.get("trades", ())]
    words = [f"{verb} {sides.count(side)}" for verb, side in (("sell", "SELL"), ("buy", "BUY")) if side in sides]
    executed = " (executed)" if payload.get("execute") and words else ""
    return ", ".join(words).capitalize() + executed if words else "Nothing to trade"


def _options(payload: Mapping[str, Any]) -> str:
    told = payload.get("details", {})
    if told.get("abstained") or told.get("structure") is None:
        return "No call"
    name = str(told["structure"]).replace("_", " ").lower()
    return f"Trade {told['contracts']} × {name}" if payload.get("targets") else f"No trade; first choice {name}"


def _signals(payload: Mapping[str, Any]) -> str:
    calls = [str(each.get("call", each.get("signal_type", ""))) for each in payload.get("signals", ())]
    words = [f"{calls.count(each)} {each}" for each in ("BUY", "SELL", "HOLD") if each in calls]
    return ", ".join(words) if words else "No signal"


def _session(payload: Mapping[str, Any]) -> str:
    call, sure = payload.get("call"), payload.get("confidence")
    of = f" for {payload['product']}" if payload.get("product") else ""
    if call is None or call == NO_CALL:
        return f"No call{of}"
    size = sum(abs(each) for each in payload.get("targets", {}).values())
    traded = f"{size:.1%} of the account" if size else "not traded"
    return f"{call}{of}" + ("" if sure is None else f", {sure:.0%} sure") + f", {traded}"


def what_is_open(home: Home, desks: Sequence[DeskToday], now: dt.datetime) -> Open:
    """What waits for somebody: blocks, alerts, orders before their open, active signals."""
    blocked = [
        (each.desk, check, why)
        for each in desks
        for check, outcome, why in each.verdicts.iter_rows()
        if outcome == Outcome.BLOCK.value
    ]
    alerts = page(home.kept_journal, Which(kinds=("alert",)), 3)
    return Open(
        blocked=tuple((desk, f"{check}: {why}") for desk, check, why in blocked),
        switches=tuple(f"{desk}: {why}" for desk, check, why in blocked if check.replace(" ", "_") in KILL_SWITCH),
        alerts=tuple(f"{each.payload.get('session', '')}: {line}" for each in alerts for line in each.payload["why"]),
        orders=_waiting(home),
        active_signals=_active(home, now),
    )


def _waiting(home: Home) -> int:
    """Orders of the paper account that neither filled nor expired."""
    from openbell.app.account import paper_broker

    return len(paper_broker(home, home.kept_journal, home.settings.run.capital).open_orders())


def _active(home: Home, now: dt.datetime) -> int | None:
    try:
        return sum(len(each) for each in home.kept_signals.active_many(None, now).values())
    except OpenbellError:
        return None
