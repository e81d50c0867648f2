"""What an A/B test says so far; looking is free."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from openbell.core.assessment import Answer
from openbell.core.errors import BadInput
from openbell.core.experiment import ARMS, Arm, Definition
from openbell.store.experiments import Experiment, Experiments

if TYPE_CHECKING:
    from openbell.app.home import Home
    from openbell.app.sections import Gate

#: The gate's own A/B test.
NAME = "gate"
#: Odds count as lying inside these for the log-loss, so that it has a bound and its test is exact.
CLOSEST = 0.01
#: What each difference of the arms is worth in words: which sign is good for the test arm.
_BETTER = {"log_loss": -1, "brier": -1, "profit_usd": +1}
#: The one that decides; the others are beside it.
DECIDES = "log_loss"


def definition(gate: Gate, versions: Mapping[str, str]) -> Definition:
    """The A/B test that the settings describe, with the version of each model."""
    arms = (Arm(model, versions[model]) for model in (gate.ab_control, gate.ab_test))
    return Definition(NAME, gate.ab_salt, gate.ab_share, *arms)


def of_signals(home: Home, control: str, test: str, share: float, salt: str) -> Definition:
    """An A/B test of two registered versions of the signals desk; each must be there."""
    found = [home.tracker.version("signals", each) for each in (control, test)]
    if found[0].label == found[1].label:
        raise BadInput(f"Both arms are {control}; an A/B test needs two versions.")
    return Definition("signals", salt, share, *(Arm(each.candidate, each.label) for each in found))


def status(experiments: Experiments, experiment: Experiment, *, at: dt.datetime, level: float = 0.95) -> dict[str, Any]:
    """One version: each arm, their differences by day with confidence sequences, and what is decided so far."""
    trades = scored(experiments.outcomes(experiment.name, experiment.version))
    today = np.datetime64(at.astimezone(dt.UTC).date())
    differences = {name: _difference(trades, name, today, level) for name in _BETTER}
    return {
        **described(experiment),
        "arms": {arm: _arm(trades.filter(pl.col("arm") == arm)) for arm in ARMS},
        "differences": differences,
        "decided_by": DECIDES,
        "decision": _decision(differences[DECIDES]),
    }


def described(experiment: Experiment) -> dict[str, Any]:
    """A version of a test, for a program."""
    return {
        **asdict(experiment.definition),
        "version": experiment.version,
        "running": experiment.running,
        "created_at": experiment.created_at.isoformat(),
        "stopped_at": experiment.stopped_at.isoformat() if experiment.stopped_at else None,
        "why_stopped": experiment.why_stopped,
    }


def scored(trades: pl.DataFrame) -> pl.DataFrame:
    """`trades` with the scores of each: ``brier``, ``log_loss``, and ``made_usd``, 0 where the gate refused."""
    won = pl.col("win").cast(pl.Float64)
    inside = pl.col("probability").clip(CLOSEST, 1.0 - CLOSEST)
    refused = pl.col("answer") == Answer.REFUSE.value
    return trades.with_columns(
        ((pl.col("probability") - won) ** 2).alias("brier"),
        (-(won * inside.log() + (1.0 - won) * (1.0 - inside).log())).alias("log_loss"),
        pl.when(refused).then(0.0).otherwise(pl.col("profit_usd")).alias("made_usd"),
    )


def _arm(trades: pl.DataFrame) -> dict[str, Any]:
    known = trades.filter(pl.col("win").is_not_null())
    judged = known.filter(pl.col("probability").is_not_null())
    return {
        "trades": trades.height,
        "days": trades["day"].n_unique(),
        "outcomes": known.height,
        "abstained": known.height - judged.height,
        "refused": trades.filter(pl.col("answer") == Answer.REFUSE.value).height,
        "win_rate": known["win"].mean(),
        "mean_probability": judged["probability"].mean(),
        "brier": judged["brier"].mean(),
        "log_loss": judged["log_loss"].mean(),
        "profit_usd": trades["made_usd"].mean(),
    }


def _difference(trades: pl.DataFrame, name: str, today: np.datetime64, level: float) -> dict[str, Any]:
    from openbell.quant.arm_days import day_differences
    from openbell.quant.sequential import asymptotic_mean, bounded_mean

    score = "made_usd" if name == "profit_usd" else name
    # A model that abstained has no score to wait for; a refused trade made nothing, and that was known at once.
    asked = trades if name == "profit_usd" else trades.filter(pl.col("probability").is_not_null())
    refused = (pl.col("answer") == Answer.REFUSE.value) & (name == "profit_usd")
    known_on = asked.select(
        pl.when(refused).then(pl.col("day")).otherwise(pl.col("outcome_known_at").dt.date()).alias("on")
    )["on"]
    by_day = day_differences(
        asked["day"].to_numpy(), (asked["arm"] == "test").to_numpy(), asked[score].to_numpy(), known_on.to_numpy(),
        today=today,
    )  # fmt: skip
    bound = {"brier": 1.0, "log_loss": -math.log(CLOSEST)}.get(name)
    if bound is None:
        found = asymptotic_mean(by_day.difference, level=level)
    else:
        found = bounded_mean(by_day.difference, low=-bound, high=bound, level=level)
    return {
        **asdict(found),
        "p_value": found.p_value,
        "one_armed_days": by_day.one_armed,
        "open_days": by_day.open,
        "missing_trades": by_day.missing,
        "better": _sign(found.decided * _BETTER[name]),
        "exact": bound is not None,
    }


def _sign(sign: int) -> str | None:
    return {1: "test", -1: "control"}.get(sign)


def _decision(difference: Mapping[str, Any]) -> str:
    if difference["better"] is None:
        return "The arms cannot be told apart yet."
    return f"The {difference['better']} arm is better, told on day {difference['decided_at']}."
