"""The call of one session at its cut-off: what is known by then, what the model says, the desk, safety, the journal."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

import openbell
from openbell.app.outputs import finite
from openbell.app.production import in_office
from openbell.app.session_data import DESK, Venue, features_of
from openbell.app.session_training import SessionTraining, desk_of, needed_session
from openbell.app.trainings import named
from openbell.core.bars import FRAMES
from openbell.core.errors import BadInput, DataMissing
from openbell.core.session import SessionSaid
from openbell.core.types import Book, Decision, Outcome, Verdict
from openbell.core.view import View
from openbell.safety.session_limits import SessionMarket
from openbell.trade.judging import judge

if TYPE_CHECKING:
    from openbell.app.home import Home

#: Calendar days of bars that the features of one session reach back over, at most.
_BACK_DAYS = 850


@dataclass(frozen=True, slots=True, eq=False)
class Done:
    """The decision of one session, judged."""

    decision: Decision
    held: str
    recorded: bool

    @property
    def said(self) -> SessionSaid:
        """What the model said."""
        found: SessionSaid = self.decision.details["said"]
        return found

    @property
    def call(self) -> str:
        """The class that was called, or that there is no call."""
        return str(self.decision.details["call"])

    def lines(self) -> list[str]:
        """What has to be said: the call, why, what safety holds against it."""
        told = [*self.decision.why, *([self.held] if self.held else [])]
        for symbol, weight in self.decision.targets.items():
            word = "Buy" if weight > 0 else "Sell"
            told.append(f"{word} {abs(weight):.1%} of the account of {symbol} at the next bar's open, until the close.")
        if not self.decision.targets:
            told.append("Nothing is traded.")
        return [*told, "In the journal." if self.recorded else "Not in the journal: a dry run."]

    def as_json(self) -> dict[str, Any]:
        """For a program to read."""
        return finite(payload_of(self.decision, self.held))


def payload_of(decision: Decision, held: str) -> dict[str, Any]:
    """What the journal keeps of a decision."""
    said: SessionSaid = decision.details["said"]
    spoken = said.probabilities
    return {
        "desk": DESK,
        "product": said.symbol,
        "session": decision.session.isoformat(),
        "as_of": decision.as_of.isoformat(),
        "model": said.model,
        "label": said.label,
        "call": decision.details["call"],
        "confidence": decision.details["confidence"],
        "probabilities": None if spoken is None else dict(zip(said.classes, spoken, strict=True)),
        "price": said.price,
        "targets": dict(decision.targets),
        "why": list(decision.why),
        "held": held,
        "verdicts": [{"check": v.check, "outcome": v.outcome.value, "why": v.why} for v in decision.verdicts],
        "features": dict(said.features),
        "lineage": {name: dict(each) for name, each in said.lineage.items()},
        "made_of": dict(decision.made_of),
    }


def run_session(home: Home, session: dt.date | None = None, *, product: str | None = None, dry: bool = False) -> Done:
    """The call of `session` (default: the last with bars) at the cut-off of the settings, by what was known then.

    The champion in office speaks, else the best of the newest training. Unless `dry`, the decision is journalled, once.

    Raises
    ------
    DataMissing
        Without a training, or without bars of the session up to the cut-off.
    """
    venue = Venue.of(home, product)
    session = venue.session(session) if session else venue.span[1]
    as_of = venue.cutoff(session)
    training, name = _speaker(home, as_of, venue.product.code)
    _matching(home, training)
    said, market = _said(home, venue, session, training, name)
    decision, held = _judged(home, said, market)
    if not dry:
        home.journal.append("decision", finite(payload_of(decision, held)), at=as_of, key=decision.key)
    return Done(decision, held, not dry)


def _speaker(home: Home, as_of: dt.datetime, product: str) -> tuple[SessionTraining, str]:
    office = in_office(home, as_of, desk_of(product))
    if office is not None:
        payload, folder, name = named(home, desk_of(product), office.version)
        return SessionTraining(payload, folder), name
    training = needed_session(home, as_of, product)
    return training, training.leader


def _matching(home: Home, training: SessionTraining) -> None:
    """Refuse a model that was made for another cut-off or other bars than the settings name."""
    for key in ("base", "cutoff", "label"):
        made, wanted = training.payload[key], getattr(home.settings.session, key)
        if made != wanted:
            raise BadInput(
                f"The model of {training.product} was trained with session.{key} {made}, and the settings name "
                f"{wanted}. Set it to {made}, or train again."
            )


def _said(
    home: Home, venue: Venue, session: dt.date, training: SessionTraining, name: str
) -> tuple[SessionSaid, SessionMarket]:
    from openbell.research.session_reasons import reasons

    as_of = venue.cutoff(session)
    view = View(home.tables, as_of, home.sessions)
    made, bars = venue.rows(view, first=session - dt.timedelta(days=_BACK_DAYS), last=session, label=None)
    row = made.rows.filter(pl.col("session") == session)
    if row.is_empty():
        raise DataMissing(
            f"There are no bars of {venue.product.code} on {session} up to the cut-off {home.settings.session.cutoff}."
        )
    model = training.model(name)
    spoken = model.probabilities(row)[0]
    abstained = bool(np.isnan(spoken).any())
    lineage = {each["feature"]: _told(each) for each in made.lineage.iter_rows(named=True)}
    units = {each.name: each.unit for each in features_of(home)}
    likeliest = [] if abstained else [model.classes[int(spoken.argmax())]]
    values = row.row(0, named=True)
    said = SessionSaid(
        symbol=venue.product.code,
        session=session,
        as_of=as_of,
        label=training.payload["label"],
        probabilities=None if abstained else tuple(float(p) for p in spoken),
        price=values["price"],
        atr=values["atr"],
        model=training.version(name),
        proven=training.proven(name),
        silent="The model abstains: a feature that it needs has no value." if abstained else "",
        features={each: values[each] for each in model.features},
        lineage=lineage,
        reasons=() if abstained else reasons(model, row, likeliest, units=units, lineage=lineage)[0],
        made_of={
            "training": training.payload["training"],
            "data": training.payload["data"],
            "model": training.payload["manifests"][name],
            "settings": home.settings.hash,
            "code": openbell.__version__,
        },
    )
    return said, _market(home, venue, session, bars)


def _told(line: Mapping[str, Any]) -> dict[str, str]:
    """Where a feature comes from and when its latest part was known; the calendar was always known."""
    return {"source": line["source"], "as_of": "always" if line["as_of"] is None else line["as_of"].isoformat()}


def _market(home: Home, venue: Venue, session: dt.date, bars: pl.DataFrame) -> SessionMarket:
    """What the checks see at the cut-off itself."""
    hours = venue.hours.filter(pl.col("session") == session).row(0, named=True)
    as_of, opens = venue.cutoff(session), hours["regular_open_at"]
    window = bars.filter((pl.col("session") == session) & (pl.col("at") > opens) & (pl.col("at") <= as_of))
    minutes = FRAMES[home.settings.session.base] or 1
    expected = max(int((as_of - opens).total_seconds() // 60) // minutes, 0)
    return SessionMarket(
        as_of=as_of,
        opens=opens,
        closes=hours["regular_close_at"],
        last_at=window["at"].max(),  # type: ignore[arg-type]
        missing_bars=max(expected - window.height, 0),
        window_bars=expected,
    )


def _judged(home: Home, said: SessionSaid, market: SessionMarket) -> tuple[Decision, str]:
    """The decision with the verdicts of every check, without the position that one of them holds back."""
    desk, checks = home.catalogue.desks[DESK], home.catalogue.checks_of(DESK)
    limits = {each.name: home.settings.safety[each.name] for each in checks}
    book = Book(said.as_of, home.settings.run.capital)
    decision: Decision = desk.decide(said, book, **home.settings.desks[DESK])
    verdicts = judge(checks, decision, book, market, limits)  # type: ignore[arg-type]
    decision = dataclasses.replace(decision, verdicts=verdicts)
    stopped = next((each for each in verdicts if each.outcome is Outcome.BLOCK), None)
    if stopped is not None:
        held = f"Held back by {stopped.check}: {stopped.why}"
        return dataclasses.replace(decision, targets={}, cash_weight=1.0), held
    return _shrunk(decision, verdicts), ""


def _shrunk(decision: Decision, verdicts: tuple[Verdict, ...]) -> Decision:
    scale = min((each.scale for each in verdicts if each.outcome is Outcome.SHRINK), default=1.0)
    targets = {symbol: weight * scale for symbol, weight in decision.targets.items()}
    return dataclasses.replace(decision, targets=targets, cash_weight=1.0 - sum(targets.values()))
