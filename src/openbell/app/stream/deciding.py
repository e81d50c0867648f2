"""From what was said to signals: the desk decides, an A/B test picks whose word counts, safety has the last one."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from openbell.core.declare import Check, Desk
from openbell.core.experiment import ArmWord
from openbell.core.signal import Call, Said, Signal
from openbell.core.types import Book, Decision, Outcome
from openbell.safety.signal_limits import SignalMarket
from openbell.trade.judging import judge

#: ``(symbol, moment) -> arm``; see `core.experiment.Definition.arm_of`.
ArmOf = Callable[[str], ArmWord]


def question_id(symbol: str, as_of: dt.datetime) -> str:
    """The id by which an A/B test assigns the signal of `symbol` at one moment: the same wherever it is asked."""
    return f"{symbol}@{as_of.astimezone(dt.UTC).isoformat()}"


@dataclass(frozen=True, slots=True)
class Decided:
    """What became of one moment.

    `signals` are those to be written, HOLD included; `held` says by symbol which check held a signal back, and why.
    """

    decision: Decision
    signals: tuple[Signal, ...]
    held: Mapping[str, tuple[str, str]] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Deciding:
    """The desk with its settings, and the checks with their limits."""

    desk: Desk
    wanted: Mapping[str, Any]
    checks: tuple[Check, ...]
    limits: Mapping[str, Mapping[str, Any]]
    capital_usd: float

    def decided(
        self, said: Said, market: SignalMarket, beside: Said | None = None, arm_of: ArmOf | None = None
    ) -> Decided:
        """The judged signals of one moment.

        With `beside`, what the challenger said, and `arm_of`, each symbol of the moment belongs to one arm; the signal
        of that arm is the desk's, and what the other one would have said is kept inside it, under ``made_of.beside``.
        It has no row of its own, so nobody can follow it.
        """
        book = Book(said.as_of, self.capital_usd)
        decision: Decision = self.desk.decide(said, book, **self.wanted)
        if beside is not None and arm_of is not None:
            other: Decision = self.desk.decide(beside, book, **self.wanted)
            decision = _by_arms(decision, other, arm_of)
        return self.judged(decision, book, market)

    def judged(self, decision: Decision, book: Book, market: SignalMarket) -> Decided:
        """`decision` with the verdicts of every check, without the signals that one of them holds back."""
        verdicts = judge(self.checks, decision, book, market, self.limits)  # type: ignore[arg-type]
        held: dict[str, tuple[str, str]] = {}
        kept = []
        for each in decision.details["signals"]:
            stopped = None if each.call is Call.HOLD else _stopped(each, verdicts)
            if stopped is None:
                kept.append(each)
            else:
                held[each.symbol] = stopped
        return Decided(replace(decision, verdicts=verdicts), tuple(kept), held)


def _stopped(signal: Signal, verdicts: Sequence[Any]) -> tuple[str, str] | None:
    """The first check that holds `signal` back, with its sentence."""
    for each in verdicts:
        blocked = each.outcome is Outcome.BLOCK
        if blocked or (each.outcome is Outcome.SHRINK and each.by_symbol.get(signal.symbol, each.scale) < 1.0):
            return each.check, each.why
    return None


def _by_arms(control: Decision, test: Decision, arm_of: ArmOf) -> Decision:
    """The decision whose signals are those of the arm that each symbol belongs to."""
    mine = {each.symbol: each for each in control.details["signals"]}
    theirs = {each.symbol: each for each in test.details["signals"]}
    signals = []
    for symbol in sorted(mine.keys() | theirs.keys()):
        arm = arm_of(question_id(symbol, control.as_of))
        chosen, other = (theirs, mine) if arm == "test" else (mine, theirs)
        if symbol in chosen:  # an arm that is silent is not stood in for: that would mix the arms
            signals.append(_with_beside(chosen[symbol], other.get(symbol), arm))
    targets = {
        each.symbol: each.position_size * (1.0 if each.call is Call.BUY else -1.0)
        for each in signals
        if each.call is not Call.HOLD and each.position_size
    }
    return replace(
        control,
        targets=targets,
        cash_weight=1.0 - sum(targets.values()),
        why=(*control.why, *test.why),
        details={**control.details, "signals": tuple(signals)},
    )


def _with_beside(signal: Signal, other: Signal | None, arm: ArmWord) -> Signal:
    told = None if other is None else {
        "model_version": other.model_version,
        "call": other.call.value,
        "confidence": other.confidence,
        "probabilities": list(other.probabilities),
    }  # fmt: skip
    return replace(signal, made_of={**signal.made_of, "arm": arm, "beside": told})
