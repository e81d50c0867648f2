"""What a signal may rest on and how much it may ask for. A signal that a check holds back is no signal at all."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from openbell.core.declare import check
from openbell.core.signal import Call, Signal
from openbell.core.types import Book, Decision, Outcome, Verdict

#: Weights are compared to this: below it lies the rounding of floating point.
ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class SeenBar:
    """The bar a signal is made of.

    `at` is its end, `age_seconds` how long the market has been open since then, `previous_close` the adjusted close of
    the bar before it on the same scale as `close`, None where there is none.
    """

    at: dt.datetime
    close: float
    previous_close: float | None
    age_seconds: float


@dataclass(frozen=True, slots=True)
class SignalMarket:
    """The market as the checks of signals see it at one moment.

    Attributes
    ----------
    opens, closes : of the session that the decision belongs to. bars : by symbol. active : the active signals of other
        moments, whose sizes count.
    """

    as_of: dt.datetime
    opens: dt.datetime
    closes: dt.datetime
    bars: Mapping[str, SeenBar]
    active: Iterable[Signal] = field(default_factory=tuple)


def traded(decision: Decision) -> tuple[Signal, ...]:
    """The signals of a decision that say to buy or sell."""
    return tuple(each for each in decision.details["signals"] if each.call is not Call.HOLD)


def _held(name: str, held: Mapping[str, str], measured: Mapping[str, float], fine: str) -> Verdict:
    """The verdict that holds back some symbols, each with its sentence."""
    if not held:
        return Verdict(name, Outcome.ALLOW, fine, measured=measured)
    why = " ".join(held[symbol] for symbol in sorted(held))
    return Verdict(name, Outcome.SHRINK, why, by_symbol=dict.fromkeys(sorted(held), 0.0), measured=measured)


@check(desks=("signals",))
def signal_fresh_bar(
    decision: Decision, book: Book, market: SignalMarket, *, max_bar_seconds: float = 300.0
) -> Verdict:
    """The bar of a signal ended at the moment it is given, in its session, at most so many open seconds ago."""
    held, oldest = {}, 0.0
    for each in traded(decision):
        bar = market.bars.get(each.symbol)
        if bar is None:
            held[each.symbol] = f"{each.symbol} has no bar."
            continue
        oldest = max(oldest, bar.age_seconds)
        if bar.at != each.created_at:
            held[each.symbol] = (
                f"The bar of {each.symbol} ended {bar.at.isoformat()}, not at {each.created_at.isoformat()}."
            )
        elif not market.opens < bar.at <= market.closes:
            held[each.symbol] = f"The bar of {each.symbol} ended {bar.at.isoformat()}, outside the session."
        elif not 0.0 <= bar.age_seconds <= max_bar_seconds:
            held[each.symbol] = (
                f"The market was open for {bar.age_seconds:,.0f} s since the bar of {each.symbol} ended; the limit is "
                f"{max_bar_seconds:,.0f} s."
            )
    measured = {"value": oldest, "limit": max_bar_seconds}
    return _held("signal_fresh_bar", held, measured, "Every signal stands on the bar that has just ended.")


@check(desks=("signals",))
def signal_price_jump(decision: Decision, book: Book, market: SignalMarket, *, max_price_jump: float = 0.25) -> Verdict:
    """The close did not move by more than this fraction within one bar: news that big is not in any model."""
    held, largest = {}, 0.0
    for each in traded(decision):
        bar = market.bars.get(each.symbol)
        if bar is None or bar.previous_close is None or not bar.previous_close > 0:
            held[each.symbol] = f"{each.symbol} has no bar before this one, so nobody knows whether its price jumped."
            continue
        jump = abs(bar.close / bar.previous_close - 1.0)
        largest = max(largest, jump)
        if not jump <= max_price_jump:
            held[each.symbol] = f"{each.symbol} moved by {jump:.1%} within one bar; the limit is {max_price_jump:.1%}."
    measured = {"value": largest, "limit": max_price_jump}
    return _held("signal_price_jump", held, measured, f"The largest move within one bar was {largest:.1%}.")


@check(desks=("signals",))
def signal_position(
    decision: Decision, book: Book, market: SignalMarket, *, max_signal_position: float = 0.10
) -> Verdict:
    """No signal asks for more than this fraction of the account, nor for one that nobody sized."""
    held, largest = {}, 0.0
    for each in traded(decision):
        if each.position_size is None:
            held[each.symbol] = f"The {each.call} of {each.symbol} has no size."
            continue
        largest = max(largest, each.position_size)
        if each.position_size > max_signal_position + ROUNDING:
            held[each.symbol] = (
                f"The {each.call} of {each.symbol} asks for {each.position_size:.2%} of the account; the limit is "
                f"{max_signal_position:.2%}."
            )
    measured = {"value": largest, "limit": max_signal_position}
    return _held("signal_position", held, measured, f"The largest signal asks for {largest:.2%} of the account.")


@check(desks=("signals",))
def signal_gross_exposure(
    decision: Decision, book: Book, market: SignalMarket, *, max_signal_gross: float = 1.0
) -> Verdict:
    """The sizes of all active signals, long and short, are at most this fraction of the account.

    The surest new signals come first; those for which there is no room left are held back.
    """
    name = "signal_gross_exposure"
    if not any(each.position_size for each in traded(decision)):
        return Verdict(name, Outcome.ALLOW, "No signal asks for anything.")
    gross = sum(each.position_size or 0.0 for each in market.active if each.call is not Call.HOLD)
    held = {}
    for each in sorted(traded(decision), key=lambda signal: (-signal.confidence, signal.symbol)):
        size = each.position_size or 0.0
        if size > 0 and gross + size > max_signal_gross + ROUNDING:
            held[each.symbol] = (
                f"With {size:.2%} for {each.symbol} the active signals would reach {gross + size:.2%} of the account; "
                f"the limit is {max_signal_gross:.2%}."
            )
        else:
            gross += size
    measured = {"value": gross, "limit": max_signal_gross}
    return _held(name, held, measured, f"The active signals reach {gross:.2%} of the account.")
