"""A walk of proposed trades as arrays by model, and the resamples of its days that all figures share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl

from openbell.core.errors import BadInput
from openbell.quant.day_blocks import DayBlocks, auc, calibration_error, calibration_noise
from openbell.quant.intervals import Estimate
from openbell.quant.reliability import EPSILON
from openbell.research.gate_walk import ROUNDING

#: What a model has to beat; they are judged like the others but are no candidates.
BASELINES = ("price", "base_rate")


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """A walk as arrays over its trades: `keys` a row each, and by model what it said; `blocks` resamples their days."""

    keys: pl.DataFrame
    said: Mapping[str, pl.DataFrame]
    blocks: DayBlocks
    horizon_days: int

    @property
    def win(self) -> np.ndarray:
        """(n,) whether each trade won."""
        return self.keys["win"].to_numpy()

    @property
    def profit(self) -> np.ndarray:
        """(n,) USD."""
        return self.keys["profit_usd"].to_numpy()

    @property
    def price_take(self) -> np.ndarray:
        """(n,) what is taken by the odds of the price alone: more likely won than lost, and worth it after costs."""
        if "price" in self.said:
            return self.said["price"]["take"].to_numpy()
        q = pl.col("price_probability")
        if not {"win_usd", "loss_usd"} <= set(self.keys.columns):
            return np.zeros(self.keys.height, dtype=bool)
        worth = q * pl.col("win_usd") + (1.0 - q) * pl.col("loss_usd") > ROUNDING * pl.col("risk_usd")
        return self.keys.select(((q >= 0.5) & worth).fill_null(False)).to_series().to_numpy()


def judged(walk: pl.DataFrame, *, replications: int = 1000, level: float = 0.95, seed: int = 0) -> Judged:
    """The frame of `gate_walk.walk` by model; refuses one in which models were asked about different trades."""
    if walk.is_empty():
        raise BadInput("There is no forecast to judge.")
    parts = {str(key[0]): part for key, part in walk.partition_by("model", as_dict=True, maintain_order=True).items()}
    first = next(iter(parts.values()))
    for name, part in parts.items():
        if not part["trade"].equals(first["trade"]):
            raise BadInput(f"Every model is judged on the same trades; `{name}` was asked about others than the first.")
    horizon = _horizon(first)
    blocks = DayBlocks.of(
        first["session"].to_numpy(), horizon_days=horizon, replications=replications, level=level, seed=seed
    )
    return Judged(first, parts, blocks, horizon)


def _horizon(keys: pl.DataFrame) -> int:
    """Days of trading from a trade to its outcome, the longest; 1 where it is known on the day itself."""
    days = keys["session"].unique().sort()
    outcome = keys["outcome_known_at"].dt.convert_time_zone("America/New_York").dt.date()
    taken = days.search_sorted(outcome, side="left").to_numpy() - days.search_sorted(keys["session"]).to_numpy()
    return max(1, int(taken.max()))


def log_losses(probability: np.ndarray, win: np.ndarray) -> np.ndarray:
    """Minus the logarithm of the probability of what happened, nats, (n,); held as `quant.reliability.log_loss` is."""
    own = np.where(win, probability, 1.0 - probability)
    return np.asarray(-np.log(np.clip(own, EPSILON, 1.0)))


def bounded(name: str, found: Estimate) -> dict[str, float | None]:
    """An estimate as columns: its value under `name`, its bounds under ``_low`` and ``_high``."""
    return {name: found.value, f"{name}_low": found.low, f"{name}_high": found.high}


def scores_of(part: DayBlocks, probability: np.ndarray, price: np.ndarray, base: np.ndarray, win: np.ndarray) -> dict[
    str, float | None
]:  # fmt: skip
    """Every score of the probabilities of some trades with its interval, beside the price and the base rate.

    Skills are nats per trade: the log-loss of the price, or of the base rate, less the model's.
    """
    own = log_losses(probability, win)
    right = (probability >= 0.5) == win
    share = float(win.mean()) if len(win) else float("nan")
    return {
        "base_accuracy": max(share, 1.0 - share),
        "mean_probability": float(probability.mean()),
        **bounded("base_rate", part.mean(win)),
        **bounded("accuracy", part.mean(right)),
        **bounded("auc", auc(part, probability, win, levels=32)),
        **bounded("brier", part.mean((probability - win) ** 2)),
        **bounded("log_loss", part.mean(own)),
        **bounded("ece", calibration_error(part, probability, win)),
        "ece_by_chance": calibration_noise(probability),
        **bounded("skill_nats", part.mean(log_losses(price, win) - own)),
        **bounded("skill_over_base_nats", part.mean(log_losses(base, win) - own)),
    }
