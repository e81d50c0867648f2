"""The rules of the chain quality gate: what each is called, what it says, and what follows.

A "quarantine" rule keeps the row apart from the quotes; "refuse" keeps its whole chain (all quotes of one underlying
at one moment) apart; "set aside" takes one number of the row away and keeps the rest; a "note" only says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import polars as pl

from openbell.market.quality.rules import FINDINGS, number


@dataclass(frozen=True)
class ChainRule:
    """One rule of the gate."""

    name: str
    sentence: str
    action: Literal["quarantine", "refuse", "set aside", "note"] = "quarantine"


NO_SESSION = ChainRule("chain_without_session", "The exchange holds no session on the chain's day.", "refuse")
SPOT_ELSEWHERE = ChainRule(
    "spot_elsewhere",
    "The price of the underlying is over 2 % away from what the quotes imply, or far from every strike: another "
    "instrument, another day, or strikes before a split.",
    "refuse",
)
COPIED = ChainRule(
    "copied_chain", "Nine in ten quotes are to the cent those of the session before: the chain was copied.", "refuse"
)
BAD_TERMS = ChainRule("bad_terms", "The strike is not above 0, or expiry, right or class are missing.")
BAD_NUMBER = ChainRule("bad_number", "A bid, ask, last, volume or open interest is negative.")
EXPIRED = ChainRule("expired", "The contract had expired at the moment of the quotes.")
ADJUSTED = ChainRule(
    "adjusted_contract", "A corporate action changed what the contract delivers; its quotes do not compare with others."
)
DUPLICATE_CONTRACT = ChainRule("duplicate_contract", "The contract came twice with the same numbers; one is kept.")
CONFLICTING_CONTRACT = ChainRule(
    "conflicting_contract", "The contract came more than once with different numbers; none is believed."
)
CROSSED = ChainRule("crossed", "The bid lies above the ask.")
SPLIT_STRIKE = ChainRule(
    "split_strike", "The strike is one of before a split: its quotes imply a multiple of the underlying's price."
)
ONE_STRIKE = ChainRule(
    "one_strike", "The expiry has a single strike: neither a forward nor a smile can be had from it."
)
UNDER_INTRINSIC = ChainRule("under_intrinsic", "The ask lies below what the contract is worth at its forward.")
ABOVE_BOUND = ChainRule("above_bound", "The bid lies above the most the contract can be worth.")
VERTICAL = ChainRule("vertical_arbitrage", "Against other strikes of its expiry the quote is free money.")
PARITY = ChainRule("parity", "Call less put of the strike miss the forward by more than their spreads.", "note")
BUTTERFLY = ChainRule("butterfly_arbitrage", "The quote lies above the line between its neighbours' asks.", "note")
STALE_QUOTE = ChainRule(
    "stale_quote", "Bid and ask are those of the session before, and the contract's intrinsic value is not."
)
SPOT_MOMENT = ChainRule(
    "spot_moment",
    "The price of the underlying is not of the quotes' moment: their forward implies another.",
    "set aside",
)
VENDOR_IV_ZERO = ChainRule("vendor_iv_zero", "The vendor's volatility is 0: its solver gave up.", "set aside")
VENDOR_DELTA = ChainRule(
    "vendor_delta_range", "The vendor's delta lies outside of -1 to 1 or has the wrong sign.", "set aside"
)
LOCKED = ChainRule("locked", "Bid and ask are the same.", "note")
ZERO_BID = ChainRule("zero_bid", "Nobody bids; the quote has no mid.", "note")
NO_QUOTE = ChainRule("no_quote", "There is neither a bid nor an ask.", "note")
NO_ASK = ChainRule("no_ask", "There is a bid and no ask; the quote has no mid.", "note")

CHAIN_RULES: tuple[ChainRule, ...] = (
    NO_SESSION, SPOT_ELSEWHERE, COPIED, BAD_TERMS, BAD_NUMBER, EXPIRED, ADJUSTED, DUPLICATE_CONTRACT,
    CONFLICTING_CONTRACT, CROSSED, SPLIT_STRIKE, ONE_STRIKE, UNDER_INTRINSIC, ABOVE_BOUND, VERTICAL, STALE_QUOTE,
    PARITY, BUTTERFLY, SPOT_MOMENT, VENDOR_IV_ZERO, VENDOR_DELTA, LOCKED, ZERO_BID, NO_QUOTE, NO_ASK,
)  # fmt: skip
ACTIONS = {rule.name: rule.action for rule in CHAIN_RULES}
#: Rules that keep a row out of the quotes.
KEEPING_OUT = tuple(rule.name for rule in CHAIN_RULES if rule.action in ("quarantine", "refuse"))
#: One chain: all quotes of an underlying at a moment. One expiry of it: those that settle together.
CHAIN_KEY = ["underlying", "session", "quote_at"]
EXPIRY_KEY = [*CHAIN_KEY, "root", "expiry"]


def chain_found(rows: pl.DataFrame, rule: ChainRule, when: pl.Expr, reason: pl.Expr) -> pl.DataFrame:
    """Findings of `rule` where `when` holds; a null condition does not hold. `rows` have ``row``."""
    # polars 2.1 panics in `format` on a frame of several chunks, which a filter in several threads leaves behind.
    return (
        rows.filter(when.fill_null(False))
        .rechunk()
        .select(pl.col("row"), pl.lit(rule.name).alias("rule"), reason.cast(pl.String).fill_null("").alias("reason"))
    )


def no_findings() -> pl.DataFrame:
    """No finding at all."""
    return pl.DataFrame(schema=FINDINGS)


__all__ = ["ChainRule", "chain_found", "no_findings", "number"]
