"""A priced structure as JSON and as tables; whatever rests on generated quotes says modelled."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from openbell.app.options_price_market import CHAIN, MODEL, STATED
from openbell.quant.legs import CALL
from openbell.quant.odds import Odds, Touch

if TYPE_CHECKING:
    from openbell.app.options_price import Priced

ALL_GREEKS = ("delta", "gamma", "theta", "vega", "rho", "vanna", "vomma", "charm")
#: What the table shows, and with how many digits.
_SHOWN = {"value": 2, "delta": 3, "gamma": 5, "theta": 2, "vega": 1, "rho": 1}
_DENSITY = {
    STATED: "a lognormal of the stated volatility",
    CHAIN: "the density of the chain's smile",
    MODEL: "the density of the modelled surface",
}


def number(x: float | None) -> float | None:
    """`x`, or None where it is no finite number: JSON knows no infinity."""
    return None if x is None or not math.isfinite(x) else float(x)


def json_of(found: Priced) -> dict[str, Any]:
    """Everything `found` says; every number is a number, and null where there is none."""
    market = found.market
    return {
        "underlying": found.asked.underlying,
        "structure": found.asked.structure,
        "session": found.session.isoformat(),
        "quote_at": market.quote_at.isoformat(),
        "source": market.source,
        "modelled": market.modelled,
        "spot": market.spot,
        "rate": market.rate,
        "dividend_yield": market.dividend_yield,
        "multiplier": found.multiplier,
        "legs": _legs(found),
        "position": {"value": float(found.values.total()[0])}
        | {name: float(found.values.total(name)[0]) for name in ALL_GREEKS},
        "premium": found.premium,
        "premium_from": found.premium_from,
        "payoff": _payoff(found),
        "odds": {
            "surface": _odds(found.density) | {"modelled": market.modelled},
            "historical": {"reason": found.no_history}
            if found.history is None
            else _odds(found.history) | {"sessions": found.history_sessions, "overlapping": found.history_sessions > 1},
        },
        "touch": [
            {"level": now.level, "surface": _touch(now), "historical": None if then is None else _touch(then)}
            for now, then in found.touches
        ],
        "margin_usd": found.margin.total_usd,
        "deposit_usd": found.margin.deposit_usd,
        "notes": list(found.notes),
    }


def _legs(found: Priced) -> list[dict[str, Any]]:
    legs, out = found.legs, []
    for at in range(len(legs.right)):
        ratio = float(legs.ratio[at])
        out.append(
            {
                "right": "CALL" if legs.right[at] == CALL else "PUT",
                "strike": float(legs.strike[at]),
                "expiry": str(legs.expiry[at]),
                "ratio": int(ratio),
                "years": float(found.years[at]),
                "volatility": number(float(found.values.volatility[at, 0])),
                "bid": None if found.quotes is None else number(float(found.quotes[0][at])),
                "ask": None if found.quotes is None else number(float(found.quotes[1][at])),
                "value": float(found.values.value[at, 0]) / ratio,
                **{name: float(getattr(found.values, name)[at, 0]) / ratio for name in ALL_GREEKS},
            }
        )
    return out


def _payoff(found: Priced) -> dict[str, Any]:
    profile = found.profile
    return {
        "max_profit": number(profile.max_profit),
        "max_profit_usd": number(profile.max_profit * found.multiplier),
        "max_profit_unlimited": profile.max_profit_unlimited,
        "max_loss": number(profile.max_loss),
        "max_loss_usd": number(-profile.max_loss * found.multiplier),
        "max_loss_unlimited": profile.max_loss_unlimited,
        "reward_to_risk": number(profile.reward_to_risk),
        "breakevens": list(profile.breakevens),
        "at": str(found.legs.expiry.min()),
        "by_valuation": bool(len(np.unique(found.legs.expiry)) > 1),
        "error": profile.error,
    }


def _odds(odds: Odds) -> dict[str, Any]:
    return {
        "probability_of_profit": odds.probability_of_profit,
        "probability_interval": None if odds.probability_interval is None else list(odds.probability_interval),
        "expected_value": odds.expected_value,
        "value_interval": None if odds.value_interval is None else list(odds.value_interval),
        "probability_of_max_profit": odds.probability_of_max_profit,
        "probability_of_max_loss": odds.probability_of_max_loss,
        "n": odds.n,
        "effective_n": odds.effective_n,
        "level": odds.level,
    }


def _touch(touch: Touch) -> dict[str, Any]:
    return {"probability": touch.probability, "low": touch.low, "high": touch.high, "method": touch.method}


def table_of(found: Priced) -> pl.DataFrame:
    """One row per leg, and the position in the last: value and Greeks with their sign and number, ready to read."""
    legs, values = found.legs, found.values
    several = len(np.unique(legs.expiry)) > 1
    rows = []
    for at in range(len(legs.right)):
        name = f"{legs.ratio[at]:+d} {legs.strike[at]:g} {'call' if legs.right[at] == CALL else 'put'}"
        when = f" {legs.expiry[at]}" if several else ""
        iv = f"{100 * float(values.volatility[at, 0]):.1f}%"
        rows.append(
            {"leg": name + when, "IV": iv} | {n: f"{getattr(values, n)[at, 0]:.{d}f}" for n, d in _SHOWN.items()}
        )
    rows.append({"leg": "position", "IV": ""} | {n: f"{values.total(n)[0]:.{d}f}" for n, d in _SHOWN.items()})
    table = pl.DataFrame(rows)
    return table.select(
        "leg", *(pl.col(n).str.pad_start(int(table[n].str.len_chars().max())) for n in table.columns[1:])
    )


def title_of(found: Priced) -> str:
    """What was priced, on what, and whether it is modelled."""
    market, modelled = found.market, ", modelled" if found.market.modelled else ""
    return (
        f"{found.asked.structure} on {found.asked.underlying} at {market.spot:,.2f}, close before {found.session} "
        f"({market.source}{modelled if market.source != MODEL else ''})"
    )


def lines_of(found: Priced) -> list[str]:
    """Premium, payoff, odds and margin, a sentence each."""
    usd, word = found.multiplier, "modelled, " if found.market.modelled else ""
    side = "Debit" if found.premium > 0 else "Credit"
    lines = [
        f"{side} {abs(found.premium):,.2f} points = {abs(found.premium) * usd:,.0f} USD per contract "
        f"({word}{found.premium_from}).",
        _payoff_line(found),
        _odds_line(f"Odds under {_DENSITY[found.market.source]}", found.density, usd, word),
    ]
    if found.history is None:
        lines.append(f"No historical odds: {found.no_history}")
    else:
        windows = f"Odds over past windows of {found.history_sessions} sessions"
        lines.append(_odds_line(windows, found.history, usd, word))
    lines += [_touch_line(now, then) for now, then in found.touches]
    lines.append(
        f"Margin (Reg T) {found.margin.total_usd:,.0f} USD; {found.margin.deposit_usd:,.0f} USD after its own credit."
    )
    return [*lines, *found.notes]


def _payoff_line(found: Priced) -> str:
    profile, usd = found.profile, found.multiplier
    best = "unlimited" if profile.max_profit_unlimited else f"{profile.max_profit * usd:,.0f} USD"
    worst = "unlimited" if profile.max_loss_unlimited else f"{profile.max_loss * usd:,.0f} USD"
    where = ", ".join(f"{each:,.2f}" for each in profile.breakevens) or "nowhere"
    valued = f" (far legs valued, to {profile.error:.1g} points)" if profile.error else ""
    return f"At {found.legs.expiry.min()}: profit at most {best}, loss at most {worst}, breaks even at {where}{valued}."


def _odds_line(what: str, odds: Odds, usd: float, word: str) -> str:
    chance = f"{100 * odds.probability_of_profit:.1f} %"
    if odds.probability_interval is not None:
        low, high = odds.probability_interval
        chance += f" ({100 * low:.0f}-{100 * high:.0f} %)"
    worth = f"{_signed(odds.expected_value * usd)} USD"
    if odds.value_interval is not None:
        worth += f" ({_signed(odds.value_interval[0] * usd)} to {_signed(odds.value_interval[1] * usd)})"
    sample = "" if odds.n is None else f"; n {odds.n}, of which {odds.effective_n:.0f} independent, 95 % intervals"
    return f"{what}: {word}profit {chance}, expected value {worth}{sample}."


def _signed(usd: float) -> str:
    return f"{round(usd):+,}"


def _touch_line(now: Touch, then: Touch | None) -> str:
    past = "" if then is None else f"; {100 * then.probability:.1f} % {then.method}"
    return f"Touches {now.level:,.2f} before: {100 * now.probability:.1f} % by {now.method}{past}."
