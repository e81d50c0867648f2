"""The session desk: what kind of day it is at the cut-off, and a position until the close where it is sure enough."""

from __future__ import annotations

from openbell.core.declare import desk
from openbell.core.session import NO_CALL, SIDES, WHOLE_DAY, SessionSaid
from openbell.core.types import Book, Decision

UNPROVEN = "This model has never known more than the base rates out of sample: the call has no size until it has."
WHOLE = "Part of a day's class has happened at the cut-off: to know it earns nothing from here on, so it has no size."


@desk(
    name="session",
    label="direction_from_cutoff",
    candidates=("logistic", "lightgbm_classifier", "xgboost_classifier"),
    families=("early_session", "cross_market", "session_regime"),
    rebalance_sessions=1,
)
def decide(
    forecast: SessionSaid,
    book: Book,
    *,
    min_confidence: float = 0.6,
    risk_per_session: float = 0.005,
    max_position: float = 0.25,
) -> Decision:
    """The likeliest class of the day if its probability is at least `min_confidence`, else no call, which never trades.

    Pure. A class that goes up is bought at the next bar's open, one that goes down is sold, to be closed at the regular
    close; a range or a reversal is not traded. The size is such that a move of one average true range against it costs
    `risk_per_session` of the account, at most `max_position`; it is 0 as long as the walk-forward of the model has not
    known more than the base rates, and for labels of the whole day. `targets` are signed fractions of the account.
    """
    call, confidence = called(forecast, min_confidence)
    size = _size(forecast, risk_per_session, max_position) if SIDES.get(call, 0) else 0.0
    targets = {forecast.symbol: SIDES[call] * size} if size > 0 else {}
    return Decision(
        desk="session",
        session=forecast.session,
        as_of=forecast.as_of,
        targets=targets,
        cash_weight=1.0 - sum(targets.values()),
        why=_why(forecast, call, confidence, min_confidence),
        details={"call": call, "confidence": confidence, "symbol": forecast.symbol, "said": forecast},
        made_of={name: str(value) for name, value in forecast.made_of.items()},
    )


def called(said: SessionSaid, min_confidence: float) -> tuple[str, float | None]:
    """The call and its confidence: the likeliest class, or `NO_CALL` where it is not sure enough or nobody spoke."""
    if said.probabilities is None:
        return NO_CALL, None
    confidence = max(said.probabilities)
    likeliest = said.classes[said.probabilities.index(confidence)]
    return (likeliest if confidence >= min_confidence else NO_CALL), confidence


def _size(said: SessionSaid, risk: float, most: float) -> float:
    """Fraction of the account; 0 without proof of what is still to come, or without a measure of how far a day goes."""
    if not said.proven or said.label in WHOLE_DAY or said.atr is None or not said.atr > 0:
        return 0.0
    return min(risk * said.price / said.atr, most)


def _why(said: SessionSaid, call: str, confidence: float | None, least: float) -> tuple[str, ...]:
    if said.probabilities is None or confidence is None:
        return (f"No call for {said.symbol} on {said.session}: {said.silent}",)
    odds = ", ".join(f"{name} {p:.1%}" for name, p in zip(said.classes, said.probabilities, strict=True))
    if call == NO_CALL:
        head = f"No call for {said.symbol} on {said.session}: nothing reaches {least:.0%} ({odds}), by {said.model}."
        return (head, *said.reasons)
    head = f"{call} for {said.symbol} on {said.session} with {confidence:.1%} ({odds}), by {said.model}."
    still = [] if SIDES[call] else [f"A day of {call} is not traded."]
    unsized = [*([] if said.proven else [UNPROVEN]), *([WHOLE] if said.label in WHOLE_DAY and SIDES[call] else [])]
    return (head, *still, *unsized, *said.reasons)
