"""``decision.json`` of the options desk (S0.10, S0.11): checked before it is written, every number a number."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from openbell.app.options_simulate import stage_two_json
from openbell.app.outputs import plain_rows
from openbell.core.errors import OpenbellError
from openbell.quant.structures import STRUCTURES

if TYPE_CHECKING:
    from openbell.app.options_daily import Decided

TREND = ("strong fall", "fall", "none", "rise", "strong rise")
VOLATILITY = ("very low", "low", "normal", "high", "very high")


class _Part(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)


class Strategy(_Part):
    """Which structure, how probably it is the best in hindsight, and the three likeliest."""

    type: str
    confidence: float = Field(ge=0, le=1)
    expected_utility: float
    top3: list[tuple[str, float]]

    @model_validator(mode="after")
    def _known(self) -> Strategy:
        for name in (self.type, *(name for name, _ in self.top3)):
            if name not in STRUCTURES:
                raise ValueError(f"{name} is none of the ten structures")
        return self


class Performance(_Part):
    """What is expected of the whole position; `max_loss` is negative, `max_profit` null where it has no bound."""

    expected_return: float = Field(ge=-0.5, le=0.5)
    win_probability: float = Field(ge=0, le=1)
    max_profit: float | None
    max_profit_unlimited: bool
    max_loss: float = Field(le=0)
    risk_reward_ratio: float | None = Field(gt=0)
    avg_days_to_exit: float = Field(ge=0)


class Conditions(_Part):
    """The market in four words."""

    trend: str
    volatility: str
    iv_rank: float = Field(ge=0, le=100)
    current_price: float = Field(gt=0)


class Output(_Part):
    """The decision; `strategy` and what belongs to it are null where the desk abstains."""

    prediction_date: str
    prediction_time: str
    model_version: str
    underlying: str
    trade: bool
    modelled: bool
    strategy: Strategy | None
    parameters: dict[str, float | int]
    expected_performance: Performance | None
    market_conditions_summary: Conditions | None

    @model_validator(mode="after")
    def _days(self) -> Output:
        for name, value in self.parameters.items():
            if name.endswith("dte") and not 1 <= value <= 90:
                raise ValueError(f"{name} must lie in 1 to 90 days; was {value}")
        return self


def decision_json(decided: Decided) -> dict[str, Any]:
    """The decision as JSON types, with everything that was tested.

    Raises
    ------
    OpenbellError
        Where a value breaks its own rule: a fault of ours that must not reach a program that trades on it.
    """
    decision, details = decided.decision, decided.decision.details
    found = {
        "prediction_date": decision.session.isoformat(),
        "prediction_time": decision.as_of.isoformat(),
        "model_version": decided.training.version,
        "underlying": decided.data.underlying,
        "trade": bool(decision.targets),
        "modelled": bool(details.get("modelled", decided.features.modelled)),
        "strategy": _strategy(details),
        "parameters": dict(details.get("parameters", {})),
        "expected_performance": _performance(decided),
        "market_conditions_summary": _conditions(decided),
    }
    try:
        Output.model_validate(found)
    except ValueError as failure:
        raise OpenbellError(f"The decision is not written, for it breaks its own rules: {failure}") from failure
    return {**found, **_beside(decided)}


def _strategy(details: Any) -> dict[str, Any] | None:
    if details.get("structure") is None:
        return None
    return {
        "type": details["structure"],
        "confidence": float(details["confidence"]),
        "expected_utility": float(details["expected_utility"]),
        "top3": [(name, float(probability)) for name, probability in details["top3"]],
    }


def _performance(decided: Decided) -> dict[str, Any] | None:
    """Of the contracts that are traded; of one, where none is."""
    details, proposal = decided.decision.details, decided.proposal
    if proposal is None or not proposal.executable:
        return None
    units = max(int(details["contracts"]), 1)
    stats = proposal.statistics
    bounded = proposal.max_profit_usd is not None
    return {
        "expected_return": stats["expected_value_usd"] * units / decided.account.book.value_usd,
        "win_probability": stats["win_rate"],
        "max_profit": proposal.max_profit_usd * units if proposal.max_profit_usd is not None else None,
        "max_profit_unlimited": not bounded,
        "max_loss": -proposal.max_loss_usd * units,
        "risk_reward_ratio": details["risk_reward"],
        "avg_days_to_exit": stats["mean_days_held"],
    }


def _conditions(decided: Decided) -> dict[str, Any] | None:
    values = decided.features.values
    wanted = [values.get(name) for name in ("trend_regime", "volatility_regime", "iv_rank", "current_price")]
    if any(value is None for value in wanted):
        return None
    trend, volatility, rank, price = (float(value) for value in wanted if value is not None)
    return {
        "trend": TREND[int(trend)],
        "volatility": VOLATILITY[int(volatility)],
        "iv_rank": rank,
        "current_price": price,
    }


def _beside(decided: Decided) -> dict[str, Any]:
    """What S0.11 does not name, and a reader wants."""
    decision, details = decided.decision, decided.decision.details
    proposal = decided.proposal
    return {
        "decision": decision.key,
        "abstained": bool(details.get("abstained", False)),
        "why": list(decision.why),
        "against": list(details.get("against", [])),
        "because": list(decided.because),
        "legs": details.get("legs", []),
        "proven": bool(details.get("proven", False)),
        "contracts": int(details.get("contracts", 0)),
        "unavailable": dict(decided.features.reasons),
        "structures": [] if decided.outlook is None else plain_rows(decided.outlook.rows),
        "stage_two": None if proposal is None else stage_two_json(proposal),
        "verdicts": [
            {"check": each.check, "outcome": each.outcome.value, "why": each.why} for each in decision.verdicts
        ],
        "account": {
            "value_usd": decided.account.book.value_usd,
            "open_positions": decided.account.open_positions,
            "open_risk_usd": decided.account.open_risk_usd,
            "margin_usd": decided.account.margin_usd,
        },
        "remarks": list(decided.data.remarks),
        "made_of": dict(sorted(decision.made_of.items())),
    }
