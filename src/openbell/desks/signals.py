"""The signals desk: BUY, SELL or HOLD for each symbol, with a confidence, a size, a stop, a target and an end."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from openbell.core.declare import desk
from openbell.core.signal import DEFAULT_LIFE, PROBABILITIES, Call, Said, Signal
from openbell.core.types import Book, Decision
from openbell.quant.signal_rule import called

UNPROVEN = "This model has never known more than the base rates out of sample: the signal has no size until it has."


@desk(
    name="signals",
    label="direction_5",
    candidates=("xgboost_classifier", "random_forest_classifier", "lstm_classifier", "voting"),
    families=(
        "oscillators", "momentum", "trend", "ranges", "volatility", "volume", "statistics", "moving_averages",
        "strength", "microstructure", "breakouts",
    ),
    rebalance_sessions=1,
)  # fmt: skip
def decide(
    forecast: Said,
    book: Book,
    *,
    min_confidence: float = 0.6,
    require_single: bool = True,
    risk_per_signal: float = 0.005,
    max_position: float = 0.10,
    min_risk_reward: float = 1.0,
) -> Decision:
    """A signal for every symbol that was spoken of; HOLD unless one class stands alone and is sure enough.

    Pure. Stop and target lie `barrier` volatilities of the horizon away from the price, as in training, the target at
    least `min_risk_reward` times as far. The size is such that the stop costs `risk_per_signal` of the account, at most
    `max_position`; it is 0 as long as the walk-forward of the model has not known more than the base rates. A signal
    lives until the end that the forecast names, or 24 hours. `targets` are signed fractions of the account.
    """
    told = called(forecast.rows, min_confidence=min_confidence, require_single=require_single)
    sized = _Sizes(forecast, risk_per_signal, max_position, min_risk_reward)
    signals = tuple(sized.signal(row) for row in told.sort("symbol").iter_rows(named=True))
    targets = {
        each.symbol: each.position_size * (1.0 if each.call is Call.BUY else -1.0)
        for each in signals
        if each.call is not Call.HOLD and each.position_size
    }
    return Decision(
        desk="signals",
        session=forecast.session,
        as_of=forecast.as_of,
        targets=targets,
        cash_weight=1.0 - sum(targets.values()),
        why=_why(forecast, signals),
        details={"signals": signals},
        made_of={name: str(value) for name, value in forecast.made_of.items()},
    )


class _Sizes:
    """What a signal of this forecast looks like."""

    def __init__(self, said: Said, risk: float, most: float, reward: float) -> None:
        self.said, self.risk, self.most, self.reward = said, risk, most, reward
        self.expires_at = said.expires_at or said.as_of + DEFAULT_LIFE

    def signal(self, row: Mapping[str, Any]) -> Signal:
        said, call, symbol = self.said, Call(row["call"]), row["symbol"]
        levels = {} if call is Call.HOLD else self._levels(call, row["close"], row["sigma"])
        return Signal(
            symbol=symbol,
            call=call,
            confidence=row["confidence"],
            probabilities=(row[PROBABILITIES[0]], row[PROBABILITIES[1]], row[PROBABILITIES[2]]),
            price=row["close"],
            created_at=said.as_of,
            expires_at=self.expires_at,
            model_version=said.model,
            reasoning=(*said.reasons.get(symbol, ()), *(() if said.proven or call is Call.HOLD else (UNPROVEN,))),
            features=said.features.get(symbol, {}),
            sigma=row["sigma"],
            horizon_seconds=said.horizon_bars * said.bar_seconds,
            regime=said.regime,
            missing=tuple(said.missing),
            made_of=said.made_of,
            **levels,
        )

    def _levels(self, call: Call, price: float, sigma: float) -> dict[str, float]:
        """Target, stop and size; a stop under 1 % of the price does not go below it."""
        side = 1.0 if call is Call.BUY else -1.0
        away = self.said.barrier * sigma * math.sqrt(self.said.horizon_bars)
        stop, target = min(away, 0.99), min(max(away, away * self.reward), 0.99)
        size = min(self.risk / away, self.most) if self.said.proven and away > 0 else 0.0
        return {
            "stop_loss": price * (1.0 - side * stop),
            "target_price": price * (1.0 + side * target),
            "position_size": size,
        }


def _why(said: Said, signals: tuple[Signal, ...]) -> tuple[str, ...]:
    count = {call: sum(each.call is call for each in signals) for call in Call}
    head = f"{count[Call.BUY]} BUY, {count[Call.SELL]} SELL and {count[Call.HOLD]} HOLD by {said.model}."
    missing = [f"{name} was not in the vote: {why}" for name, why in said.missing.items()]
    silent = [f"{symbol} was not spoken of: {why}" for symbol, why in said.silent.items()]
    return (head, *([] if said.proven else [UNPROVEN]), *missing, *silent)
