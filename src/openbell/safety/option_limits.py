"""What an option position may risk, bind and rest on. Every check reads the decision as it would be ordered."""

from __future__ import annotations

import math

from openbell.core.declare import check
from openbell.core.proposal import OptionMarket
from openbell.core.types import Book, Decision, Outcome, Verdict


def _nothing(name: str, decision: Decision) -> Verdict | None:
    """The verdict on a decision that trades nothing."""
    return None if decision.targets else Verdict(name, Outcome.ALLOW, "Nothing is traded.")


def _compared(name: str, what: str, value: float, limit: float) -> Verdict:
    if not math.isfinite(value):
        why = f"{what} has no bound; the limit is {limit:.2%}."
        return Verdict(name, Outcome.BLOCK, why, measured={"limit": limit})
    measured = {"value": value, "limit": limit}
    if value > limit + 1e-9:
        why = f"{what} is {value:.2%} of the account, above the limit of {limit:.2%}."
        return Verdict(name, Outcome.BLOCK, why, measured=measured)
    why = f"{what} is {value:.2%} of the account; the limit is {limit:.2%}."
    return Verdict(name, Outcome.ALLOW, why, measured=measured)


@check(desks=("options",))
def option_risk(decision: Decision, book: Book, market: OptionMarket, *, max_option_risk_pct: float = 0.02) -> Verdict:
    """The maximum loss of a new position is bounded and at most this fraction of the account."""
    name = "option_risk"
    risk = float(decision.details.get("risk_usd") or math.nan)
    return _nothing(name, decision) or _compared(name, "The maximum loss", risk / book.value_usd, max_option_risk_pct)


@check(desks=("options",))
def option_total_risk(
    decision: Decision, book: Book, market: OptionMarket, *, max_open_option_risk_pct: float = 0.20
) -> Verdict:
    """The maximum losses of all positions together are at most this fraction of the account."""
    name = "option_total_risk"
    risk = market.open_risk_usd + float(decision.details.get("risk_usd") or math.nan)
    return _nothing(name, decision) or _compared(
        name, f"With {market.open_positions} open positions the maximum loss of all", risk / book.value_usd,
        max_open_option_risk_pct,
    )  # fmt: skip


@check(desks=("options",))
def option_margin(decision: Decision, book: Book, market: OptionMarket, *, max_margin_pct: float = 0.50) -> Verdict:
    """The margin of all positions together is at most this fraction of the account."""
    name = "option_margin"
    margin = market.margin_usd + float(decision.details.get("margin_usd") or 0.0)
    return _nothing(name, decision) or _compared(
        name, "The margin of all positions", margin / book.value_usd, max_margin_pct
    )


@check(desks=("options",))
def option_quotes(decision: Decision, book: Book, market: OptionMarket, *, max_quoted_spread: float = 1.0) -> Verdict:
    """Every leg has a live quote, and crossing all spreads costs at most this share of the maximum loss."""
    name = "option_quotes"
    quiet = _nothing(name, decision)
    if quiet is not None:
        return quiet
    legs = decision.details["legs"]
    dead = [leg["contract"] for leg in legs if not (leg["bid"] or 0) > 0 or not leg["ask"] > leg["bid"]]
    if dead:
        return Verdict(name, Outcome.BLOCK, f"No live quote (a bid above 0, below the ask) for {', '.join(dead)}.")
    crossed = sum(abs(leg["ratio"]) * (leg["ask"] - leg["bid"]) * leg["multiplier"] for leg in legs)
    share = crossed * decision.details["contracts"] / decision.details["risk_usd"]
    measured = {"value": share, "limit": max_quoted_spread}
    if share > max_quoted_spread:
        why = f"Crossing the quoted spreads costs {share:.0%} of the maximum loss, above {max_quoted_spread:.0%}."
        return Verdict(name, Outcome.BLOCK, why, measured=measured)
    why = f"All {len(legs)} legs are quoted; crossing their spreads both ways costs {share:.1%} of the maximum loss."
    return Verdict(name, Outcome.ALLOW, why, measured=measured)


@check(desks=("options",))
def option_chain_age(decision: Decision, book: Book, market: OptionMarket, *, max_chain_days: int = 0) -> Verdict:
    """The chain is that of the last closed session; an older one, by whole days, is refused."""
    name = "option_chain_age"
    days = (market.last_session - market.chain_session).days
    measured = {"days": float(days), "limit": float(max_chain_days)}
    if days < 0 or days > max_chain_days:
        why = f"The chain is of {market.chain_session}, the last closed session is {market.last_session}."
        return Verdict(name, Outcome.BLOCK, why, measured=measured)
    kind = "a modelled" if market.modelled else "a quoted"
    return Verdict(name, Outcome.ALLOW, f"It rests on {kind} chain of {market.chain_session}.", measured=measured)
