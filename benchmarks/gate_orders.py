"""Orders to load the gate with, and what is right to answer to each: asked of the same gate in this process."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from openbell.app.gate import Gate

#: Symbol -> level and distance of two strikes, points.
LEVELS: dict[str, tuple[float, float]] = {
    "SPX": (5_860.0, 5.0), "SPY": (586.0, 1.0), "QQQ": (520.0, 1.0), "NDX": (21_400.0, 25.0), "RUT": (2_080.0, 5.0),
    "XSP": (586.0, 1.0), "AAPL": (200.0, 2.5), "TSLA": (340.0, 2.5),
}  # fmt: skip
VOLATILITY = 0.16
STRATEGIES = ("Iron Condor", "Butterfly", "Vertical", "Sonar")
#: Every so-manieth request is one from a moment before.
REPEATED = 20
_BACK = 41  # one that is itself no repetition
#: What an answer is compared by; what a cache keeps is the answer of another moment of the same minute.
_COMPARED = {
    "verdict": "answer", "quantity": "quantity", "win_probability": "win_probability", "threshold": "threshold",
    "price_probability": "price_probability", "fair_probability": "fair_probability", "risk": "risk_usd",
    "reward": "reward_usd", "expected_value": "expected_value_usd", "model_level": "model_level",
    "effective_n": "effective_n", "model_version": "model_version", "features_hash": "features_hash",
}  # fmt: skip


def order(number: int, expiry: dt.date) -> dict[str, Any]:
    """The fields of `POST /predict` of the order `number`; no two have the same, but for those that repeat."""
    if number % REPEATED == REPEATED - 1 and number > _BACK:
        number -= _BACK
    symbol = list(LEVELS)[number % 8]
    strategy = STRATEGIES[number // 8 % 4]
    level, step = LEVELS[symbol]
    middle = round(level / step) * step + (number // 32 % 11 - 5) * step
    # A premium of 0.20 to 0.59 of the wing and a forecast that nobody else has.
    part = 0.20 + 0.01 * (number // 352 % 40)
    wing = step if strategy == "Sonar" else 2 * step
    strikes, premium = _strikes(strategy, middle, step, wing), round(part * wing, 2)
    found = {
        "symbol": symbol, "strategy": strategy, "strikes": strikes, "premium": premium,
        "predicted_price": round(level + 0.01 * (number % 4_001 - 2_000), 2), "short_term": round(level - step, 2),
        "long_term": round(level + step + 0.01 * (number // 4_001), 2), "target1": level + 4 * step,
        "target2": level - 4 * step, "action": "BUY" if strategy == "Butterfly" else "SELL",
        "quantity": 1 + number % 3, "expiry": expiry.isoformat(),
    }  # fmt: skip
    return found | ({"option_type": "CALL"} if strategy in ("Butterfly", "Vertical") else {})


def _strikes(strategy: str, middle: float, step: float, wing: float) -> list[float]:
    if strategy == "Butterfly":
        return [middle - wing, middle, middle + wing]
    if strategy == "Vertical":
        return [middle, middle + wing]
    call, put = middle + 3 * step, middle - 3 * step
    return [call, call + wing, put, put - wing]


def payoff_fields(body: dict[str, Any]) -> dict[str, Any]:
    """The part of an order that `POST /calculate_risk_reward` takes."""
    names = ("symbol", "strategy", "strikes", "premium", "action", "quantity", "option_type")
    return {name: body[name] for name in names if name in body}


@dataclass(frozen=True, slots=True)
class Checked:
    """How many answers were compared, and what was wrong with those that were."""

    payoffs: int
    whole: int
    faults: tuple[str, ...]


def checked_payoffs(bodies: Sequence[dict[str, Any]], answers: Sequence[dict[str, Any] | None]) -> Checked:
    """Risk, reward, symbol and strategy of every answer, computed anew."""
    from openbell.quant.ticket_profile import instruction, risk_reward

    faults, count = [], 0
    for place, (body, told) in enumerate(zip(bodies, answers, strict=True)):
        if told is None:
            continue
        ticket = instruction(*(payoff_fields(body).get(name) for name in _ARGUMENTS))  # type: ignore[arg-type]
        found = risk_reward(ticket)
        right = (body["symbol"], body["strategy"], found.risk_usd, found.reward_usd, _short(found.ratio))
        given = *(told[name] for name in ("symbol", "strategy", "risk", "reward")), _short(told["risk_reward_ratio"])
        count += 1
        if given != right:
            faults.append(f"order {place}: {given} in place of {right}")
    return Checked(count, 0, tuple(faults))


def _short(ratio: float | None) -> float | None:
    """Without the last digits, which depend on whether points or USD are divided."""
    return None if ratio is None else round(ratio, 12)


_ARGUMENTS = ("symbol", "strategy", "strikes", "premium", "action", "quantity", "option_type")


def checked_predictions(
    bodies: Sequence[dict[str, Any]], answers: Sequence[dict[str, Any] | None], gate: Gate, every: int
) -> Checked:
    """The payoff of every answer, and the whole of every `every`-th that is no repetition, as `gate` says it."""
    from openbell.app.api.orders import prophecy_of, proposed
    from openbell.app.api.schemas import TradeRequest
    from openbell.core.assessment import Asked
    from openbell.core.ticket import MarketState

    payoffs = checked_payoffs(bodies, answers)
    faults, count = list(payoffs.faults), 0
    for place in range(0, len(bodies), every):
        told = answers[place]
        if told is None or told["from_cache"]:
            continue
        at = dt.datetime.fromisoformat(told["timestamp"])
        request = TradeRequest.model_validate_json(json.dumps(bodies[place]))
        ticket, _ = proposed(request, at, gate.sessions)
        seen = at - dt.timedelta(seconds=told["data_age_seconds"])
        state = MarketState(ticket.underlying, LEVELS[ticket.underlying][0], seen, "companion", VOLATILITY)
        (said,) = gate.assess([Asked(ticket, at, state, prophecy_of(request, ticket.underlying))])
        count += 1
        if told["win_probability"] is None:
            faults.append(f"order {place}: no model spoke, {told['why']}")
        wrong = [name for name, own in _COMPARED.items() if told[name] != getattr(said, own)]
        faults += [f"order {place}: `{name}` {told[name]!r}, not {getattr(said, _COMPARED[name])!r}" for name in wrong]
    return Checked(payoffs.payoffs, count, tuple(faults))
