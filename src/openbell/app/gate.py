"""The gate: proposed trades in, assessments out. Pure once it is opened, and safe to be asked by many threads."""

from __future__ import annotations

import bisect
import datetime as dt
import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from openbell.app.gate_data import features_of, market_of
from openbell.app.gate_payoffs import Bounds, bounds_of
from openbell.app.gate_rows import fits_a_row, last_moment, strategy_of, symbol_days, trade_rows
from openbell.app.gate_training import DESK, GateTraining, latest_gate
from openbell.core.assessment import Answer, Asked, Assessment, Offer, PriceOdds, Word
from openbell.core.declare import Check, Desk, Feature
from openbell.core.ticket import Ticket
from openbell.core.time import Sessions
from openbell.core.trade_rows import LEVELS, SHEET_SYMBOLS
from openbell.core.types import Book, Decision, Outcome, Verdict
from openbell.core.view import View
from openbell.research.trade_features import MARKET, with_market
from openbell.research.trade_row_facts import told_rows
from openbell.trade.judging import judge

if TYPE_CHECKING:
    from openbell.app.home import Home


@dataclass(frozen=True, eq=False)
class Gate:
    """Everything that answers a question, opened once.

    `training` is None where nobody was trained; then the price alone speaks, and nothing is accepted. `arms` names the
    model of each arm of the A/B test. `market` holds the daily market of each symbol as of the opens of its sessions.
    """

    training: GateTraining | None
    features: Mapping[str, Feature]
    market: pl.DataFrame | None
    desk: Desk
    checks: tuple[Check, ...]
    limits: Mapping[str, Mapping[str, Any]]
    wanted: Mapping[str, Any]
    arms: Mapping[str, str]
    commission_usd: float
    capital_usd: float
    sessions: Sessions
    _known: dict[dt.date, Mapping[str, Mapping[str, float | None]]] = field(default_factory=dict, repr=False)

    @classmethod
    def open(cls, home: Home, as_of: dt.datetime) -> Gate:
        """The gate of `home` with the last training before `as_of` and the market known by then."""
        training = latest_gate(home, as_of)
        settings, checks = home.settings, home.catalogue.checks_of(DESK)
        return cls(
            training=training,
            features=features_of(home),
            market=market_of(home, View(home.tables, as_of, home.sessions), list(SHEET_SYMBOLS)),
            desk=home.catalogue.desks[DESK],
            checks=checks,
            limits={each.name: settings.safety[each.name] for each in checks},
            wanted=settings.desks[DESK],
            arms={"control": settings.gate.ab_control, "test": settings.gate.ab_test},
            commission_usd=settings.gate.commission_usd,
            capital_usd=settings.run.capital,
            sessions=home.sessions,
        )

    def model_of(self, arm: str | None) -> str | None:
        """Name of the model that answers `arm`; without an arm the leader of the training."""
        if self.training is None:
            return None
        return self.training.leader if arm is None else self.arms[arm]

    def assess(self, asked: Sequence[Asked]) -> list[Assessment]:
        """One assessment for each question, in their order; each is what it would be alone."""
        return [self._assessment(offer) for offer in self.offers(asked)]

    def offers(self, asked: Sequence[Asked]) -> list[Offer]:
        """What the desk is asked to decide on: payoff, odds of the price, and the word of the model."""
        bounds = [bounds_of(each, self.commission_usd, self.sessions) for each in asked]
        days = [self._session(each.at) for each in asked]
        fitting = [
            place for place, each in enumerate(asked) if bounds[place].refused is None and fits_a_row(each.ticket)
        ]
        rows, words = self._rows([asked[place] for place in fitting], [days[place] for place in fitting])
        known = {place: (row, word) for place, row, word in zip(fitting, rows, words, strict=True)}
        return [
            self._offer(each, days[place], bounds[place], *known.get(place, (None, None)))
            for place, each in enumerate(asked)
        ]

    def _offer(
        self, asked: Asked, session: dt.date, bounds: Bounds, row: Mapping[str, Any] | None, word: Word | None
    ) -> Offer:
        ticket = asked.ticket
        return Offer(
            asked=asked,
            strategy=strategy_of(ticket),
            session=session,
            payoff=bounds.payoff,
            odds=bounds.odds if row is None else _odds(row, ticket.multiplier),
            word=word,
            contracts=contracts_of(ticket),
            features={name: row[name] for name in self._used} if row is not None else {},
            silent=None if word is not None else self._silence(asked, bounds, row),
            notes=(*ticket.flags, *bounds.notes),
            last_moment=last_moment(ticket, self.sessions),
            market_age_seconds=self._age(asked),
        )

    @property
    def _used(self) -> Sequence[str]:
        return tuple(self.features) if self.training is None else self.training.payload["features"]

    def _rows(self, asked: Sequence[Asked], days: Sequence[dt.date]) -> tuple[list[dict[str, Any]], list[Word | None]]:
        """Facts, features and, where a model was trained, its word on each of these questions."""
        if not asked:
            return [], []
        beside = [self._beside(day).get(each.ticket.underlying, {}) for each, day in zip(asked, days, strict=True)]
        rows = trade_rows(asked, days, beside)
        told = told_rows(rows, self.features, commission_usd=self.commission_usd, sessions=self.sessions)
        return told, self._words(told, asked)

    def _beside(self, session: dt.date) -> Mapping[str, Mapping[str, float | None]]:
        """The market of each symbol as of the open of `session`; looked up once."""
        found = self._known.get(session)
        if found is None:
            days = symbol_days(SHEET_SYMBOLS, session, self.sessions.open(session))
            rows = with_market(days, self.market).select("symbol", *MARKET)
            found = {row.pop("symbol"): row for row in rows.iter_rows(named=True)}
            self._known[session] = found
        return found

    def _words(self, rows: Sequence[Mapping[str, Any]], asked: Sequence[Asked]) -> list[Word | None]:
        """The calibrated word of the model of each row's arm; None where the price says nothing to start from.

        Each row is asked alone: sums over many at once may differ in the last bit, and company must change no answer.
        """
        if self.training is None:
            return [None] * len(asked)
        return [
            None if row["logit_price"] is None else self._word(self.model_of(each.arm) or "", row)
            for row, each in zip(rows, asked, strict=True)
        ]

    def _word(self, name: str, row: Mapping[str, Any]) -> Word:
        """The word of the model `name` on one row."""
        assert self.training is not None
        said = self.training.models.forecast(name, row)
        return Word(
            float(said.probability[0]),
            str(said.level[0]),
            {level: float(each) for level, each in zip(LEVELS, said.weights[0], strict=True) if each},
            float(said.effective_n[0]),
            float(self.training.models.threshold(name, row)[0]),
            self.training.version(name),
            self.training.proven(name),
        )

    def _silence(self, asked: Asked, bounds: Bounds, row: Mapping[str, Any] | None) -> str:
        """Why no model speaks."""
        ticket = asked.ticket
        if bounds.refused is not None:
            return bounds.refused
        if self.training is None:
            return "no training is on record; run `openbell train gate`."
        ended = last_moment(ticket, self.sessions)
        if ended is not None and ended <= asked.at:
            return f"its first leg ended at {ended.isoformat()}."
        if row is None:
            called = ticket.strategy.lower()
            return f"the models know structures of up to four legs that end on one known day; this {called} is none."
        return f"the price of {ticket.underlying} says nothing of its odds: a price or a volatility is missing."

    def _session(self, at: dt.datetime) -> dt.date:
        """The session in which, or before whose open, the question is asked."""
        place = bisect.bisect_right(self.sessions.closes, at)
        return self.sessions.dates[min(place, len(self.sessions.dates) - 1)]

    def _age(self, asked: Asked) -> float | None:
        """Seconds of trading since the market was seen."""
        if asked.market is None:
            return None
        seen, at = asked.market.observed_at, asked.at
        first = max(bisect.bisect_right(self.sessions.closes, seen), 0)
        total = 0.0
        for opened, closed in zip(self.sessions.opens[first:], self.sessions.closes[first:], strict=True):
            if opened >= at:
                break
            total += (min(at, closed) - max(seen, opened)).total_seconds()
        return total

    def _assessment(self, offer: Offer) -> Assessment:
        """The desk's decision on an offer, and what safety leaves of it."""
        book = Book(offer.asked.at, self.capital_usd)
        decision = self.desk.decide(offer, book, **self.wanted)
        verdicts = judge(self.checks, decision, book, offer, self.limits)  # type: ignore[arg-type]
        return assessment(offer, decision, verdicts)


def assessment(offer: Offer, decision: Decision, verdicts: Sequence[Verdict]) -> Assessment:
    """The answer: the desk's units, less what a check takes; a check that blocks leaves none."""
    asked, ticket, word = offer.asked, offer.asked.ticket, offer.word
    scale = min((each.scale for each in verdicts if each.outcome is Outcome.SHRINK), default=1.0)
    blocks = any(each.outcome is Outcome.BLOCK for each in verdicts)
    units = 0 if blocks else math.floor(decision.details["units"] * scale + 1e-9)
    answer = Answer.REFUSE if units == 0 else Answer.ACCEPT if units == ticket.quantity else Answer.REDUCE
    spoken = [each.why for each in verdicts if each.outcome is not Outcome.ALLOW]
    expected = decision.details["expected_usd"]
    return Assessment(
        symbol=ticket.underlying,
        strategy=offer.strategy,
        at=asked.at,
        answer=answer,
        quantity=units,
        why=(_head(decision.why[0], answer, units, ticket.quantity), *decision.why[1:], *spoken),
        risk_usd=_times(offer.payoff.max_loss_usd, ticket.quantity),
        reward_usd=_times(offer.payoff.max_profit_usd, ticket.quantity),
        ratio=offer.payoff.ratio,
        breakevens=offer.payoff.breakevens,
        fair_probability=offer.odds.fair_probability,
        price_probability=offer.odds.probability,
        win_probability=word.probability if word else None,
        model_level=word.level if word else None,
        level_weights=word.level_weights if word else {},
        effective_n=word.effective_n if word else None,
        model_version=word.version if word else None,
        threshold=word.threshold if word else None,
        expected_value_usd=_times(expected, ticket.quantity),
        features=offer.features,
        features_hash=_hash(offer.features) if offer.features else None,
        data_source=asked.market.source if asked.market else None,
        data_age_seconds=(asked.at - asked.market.observed_at).total_seconds() if asked.market else None,
        trade_id=asked.trade_id,
        arm=asked.arm,
        proven=word.proven if word else False,
    )


def _head(said: str, answer: Answer, units: int, asked: int) -> str:
    """The desk's first sentence, with the word that stands after safety has spoken."""
    _, _, rest = said.partition(" ")
    what = rest.partition(" to ")[0].rstrip(".")
    return f"{answer} {what} to {units}." if answer is Answer.REDUCE else f"{answer} {what}."


def _hash(features: Mapping[str, float | None]) -> str:
    """Of names and values; every bit of every value counts."""
    values = np.array([np.nan if each is None else each for each in features.values()], dtype=np.float64)
    return hashlib.sha256("\0".join(features).encode() + b"\0\0" + values.tobytes()).hexdigest()


def _times(value: float | None, quantity: int) -> float | None:
    return None if value is None else round(value * quantity, 6)


def _odds(row: Mapping[str, Any], multiplier: float) -> PriceOdds:
    """What the facts of a row say of its price, USD of one unit."""
    return PriceOdds(
        row["fair_probability"], row["price_probability"], row["win_usd"], row["loss_usd"], row["price_basis"]
    )


def contracts_of(ticket: Ticket) -> dict[str, int]:
    """Signed contracts of one unit by name: OCC's where the leg has an expiry."""
    found: dict[str, int] = {}
    for leg in ticket.legs:
        root = leg.root or ticket.underlying
        day = f"{leg.expiry:%y%m%d}" if leg.expiry else "no expiry"
        name = f"{root} {day} {leg.right.value[0]}{leg.strike:g}"
        found[name] = found.get(name, 0) + leg.ratio
    return {name: count for name, count in found.items() if count}
