"""What the models of the signals desk were worth, out of sample: beside the base rates known then, by class.

The headline is the skill over the base rates: how many nats of log-loss per decision a model gains on what was known of
their frequency at the time. Decisions of a day share its market, so every interval resamples days.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from openbell.core.errors import BadInput
from openbell.core.signal import CALLS, IN_SET, LABELS, PROBABILITIES
from openbell.quant.day_blocks import DayBlocks, calibration_error, calibration_noise, ratio
from openbell.quant.significance import SuperiorSet
from openbell.research import class_scores
from openbell.research.class_scores import (
    day_blocks,
    label_horizon,
    losses,
    recorded,
    restored,
    share_among,
    superior,
)
from openbell.research.gate_judged import bounded
from openbell.research.signal_votes import BASE_RATE

#: Lower edges of the bands of confidence; the last has no upper edge.
BANDS = (0.0, 0.5, 0.6, 0.7, 0.8)
_BASE = ("base_sell", "base_hold", "base_buy")
_BAND_NAMES = ("< 0.5", "0.5-0.6", "0.6-0.7", "0.7-0.8", ">= 0.8")


@dataclass(frozen=True, slots=True, eq=False)
class SignalScores:
    """Every figure of one walk, each with what is needed to judge it; a column ``x`` has ``x_low`` and ``x_high``.

    Attributes
    ----------
    models : a row per model. classes : per model, rule (``likeliest`` class, or the ``call`` of the desk) and class:
        precision and recall beside the base rate. bands : per model, rule and band of confidence, the share that came
        true. symbols : per model and symbol. reliability : per model and bin of the largest probability.
    proven : candidates that know more than the base rates: interval above 0 and a survivor of StepM at `alpha`.
    why : sentences on the test. n, days, first, last : decisions of the walk with a known outcome.
    """

    models: pl.DataFrame
    classes: pl.DataFrame
    bands: pl.DataFrame
    symbols: pl.DataFrame
    reliability: pl.DataFrame
    proven: tuple[str, ...]
    why: tuple[str, ...]
    n: int
    days: int
    first: str
    last: str
    alpha: float
    made_up: str = ""

    @property
    def best(self) -> str | None:
        """The candidate with the largest skill over the base rates, proven or not; None without candidates."""
        found = self.models.filter(pl.col("kind") == "candidate").sort("skill_nats", "model", descending=[True, False])
        return None if found.is_empty() else str(found["model"][0])

    @property
    def record(self) -> dict[str, Any]:
        """As plain values; what is not finite is null."""
        return recorded(self)

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> SignalScores:
        """The scores that `record` tells."""
        made: SignalScores = restored(cls, record)
        return made


@dataclass(frozen=True, slots=True, eq=False)
class _Judged:
    """The forecasts of one model with a known outcome, as arrays over its rows."""

    name: str
    rows: pl.DataFrame
    blocks: DayBlocks

    @property
    def probabilities(self) -> np.ndarray:
        """(n, 3)."""
        return self.rows.select(PROBABILITIES).to_numpy()

    @property
    def label(self) -> np.ndarray:
        """(n,) position of the class that happened."""
        return self.rows["label"].to_numpy().astype(np.int64) + 1

    @property
    def said(self) -> Mapping[str, np.ndarray]:
        """(n,) position of the class that is named, by rule."""
        words = {word.value: at for at, word in enumerate(CALLS)}
        called = self.rows["call"].replace_strict(words, return_dtype=pl.Int64).to_numpy()
        return {"likeliest": self.probabilities.argmax(axis=1), "call": called}

    @property
    def gains(self) -> np.ndarray:
        """(n,) log-loss of the base rates known then less the model's, nats."""
        base = self.rows.select(_BASE).to_numpy()
        return losses(base, self.label) - losses(self.probabilities, self.label)


def running_base_rates(rows: pl.DataFrame) -> pl.DataFrame:
    """``session``, ``base_sell``, ``base_hold``, ``base_buy``; see `class_scores.running_base_rates`."""
    return class_scores.running_base_rates(rows, LABELS, _BASE)


def scored(
    forecasts: pl.DataFrame,
    rows: pl.DataFrame,
    *,
    alpha: float = 0.05,
    replications: int = 2000,
    coverage: float = 0.9,
    seed: int = 0,
    made_up: str = "",
) -> SignalScores:
    """Judge every model of a walk on the decisions whose outcome is known.

    Parameters
    ----------
    forecasts : columns of `core.signal.FORECASTS`. rows : every decision, for the base rates known then; see
        `running_base_rates`. alpha : family-wise error of StepM over the candidates, one-sided. replications : of the
        bootstrap of days, at least 1,000. coverage : that the conformal sets promise. seed : of the bootstrap.
    made_up : the word that stands beside every figure where bars were generated.
    """
    known = forecasts.filter(pl.col("label").is_not_null())
    if known.is_empty():
        raise BadInput("There is no forecast with a known outcome to judge.")
    known = known.join(running_base_rates(rows), on="session", how="left", maintain_order="left")
    horizon = label_horizon(known)
    found = [
        _Judged(str(key[0]), part, day_blocks(part, horizon, replications, seed))
        for key, part in known.partition_by("model", as_dict=True, maintain_order=True).items()
    ]
    test, why = superior(found, horizon, alpha, replications, seed)
    models = pl.DataFrame([_model_row(each, coverage, test) for each in found], infer_schema_length=None)
    by_skill = models.sort("skill_nats", "model", descending=[True, False])
    return SignalScores(
        models=models,
        classes=pl.DataFrame([row for each in found for row in _class_rows(each)], infer_schema_length=None),
        bands=pl.DataFrame([row for each in found for row in _band_rows(each)], infer_schema_length=None),
        symbols=pl.DataFrame([row for each in found for row in _symbol_rows(each)], infer_schema_length=None),
        reliability=pl.concat([_reliability(each) for each in found]),
        proven=tuple(by_skill.filter(pl.col("proven"))["model"].to_list()),
        why=why,
        n=known.select("symbol", "as_of").n_unique(),
        days=known["session"].n_unique(),
        first=str(known["session"].min()),
        last=str(known["session"].max()),
        alpha=alpha,
        made_up=made_up,
    )


def _model_row(found: _Judged, coverage: float, test: SuperiorSet | None) -> dict[str, Any]:
    """All figures of one model over all its decisions."""
    p, label, blocks, n = found.probabilities, found.label, found.blocks, found.rows.height
    base = found.rows.select(_BASE).to_numpy()
    inside = found.rows.select(IN_SET).to_numpy()
    happened, hit = np.eye(3)[label], p.argmax(axis=1) == label
    shares = happened.mean(axis=0)
    base_loss = losses(base, label)
    row: dict[str, Any] = {
        "model": found.name,
        "kind": "baseline" if found.name == BASE_RATE else "candidate",
        "n": n,
        "days": blocks.days,
        **{f"share_{name}": float(shares[at]) for at, name in enumerate(("sell", "hold", "buy"))},
        **bounded("accuracy", blocks.mean(hit)),
        "commonest": float(shares.max()),
        **bounded("accuracy_over_commonest", blocks.mean(hit.astype(float) - happened[:, int(shares.argmax())])),
        **bounded("log_loss", blocks.mean(losses(p, label))),
        "base_log_loss": float(base_loss.mean()),
        **bounded("skill_nats", blocks.mean(found.gains)),
        **bounded("skill", blocks.statistic(blocks.sums(np.column_stack([found.gains, base_loss])), ratio)),
        **bounded("brier", blocks.mean(((p - happened) ** 2).sum(axis=1))),
        "base_brier": float(((base - happened) ** 2).sum(axis=1).mean()),
        **bounded("ece", calibration_error(blocks, p.max(axis=1), hit)),
        "ece_by_chance": calibration_noise(p.max(axis=1)),
        "promised": coverage,
        **bounded("coverage", blocks.mean(inside[np.arange(n), label])),
        "set_size": float(inside.sum(axis=1).mean()),
        "single": float((inside.sum(axis=1) == 1).mean()),
        "empty": float((inside.sum(axis=1) == 0).mean()),
        **_calls(found),
    }
    at = test.names.index(found.name) if test is not None and found.name in test.names else None
    row["p_value"] = float(test.p_value[at]) if test is not None and at is not None else None
    survives = test is not None and at is not None and bool(test.survives[at])
    return {**row, "proven": survives and row["skill_nats_low"] is not None and row["skill_nats_low"] > 0}


def _calls(found: _Judged) -> dict[str, Any]:
    """How many BUY and SELL were called, and how many of them came true."""
    call, label = found.said["call"], found.label
    acted = call != LABELS.index(0)
    return {"calls": int(acted.sum()), **bounded("calls_right", share_among(found.blocks, call == label, acted))}


def _class_rows(found: _Judged) -> list[dict[str, Any]]:
    told = []
    for rule, said in found.said.items():
        for at, word in enumerate(CALLS):
            named, happened = said == at, found.label == at
            told.append(
                {
                    "model": found.name,
                    "rule": rule,
                    "call": word.value,
                    "said": int(named.sum()),
                    "happened": int(happened.sum()),
                    "base_rate": float(happened.mean()),
                    **bounded("precision", share_among(found.blocks, happened, named)),
                    **bounded("recall", share_among(found.blocks, named, happened)),
                }
            )
    return told


def _band_rows(found: _Judged) -> list[dict[str, Any]]:
    """By sureness: of the likeliest class of every decision, and of the calls to buy and to sell alone."""
    told = []
    for rule, said in found.said.items():
        sure = found.probabilities[np.arange(len(said)), said]
        counted = np.ones(len(said), dtype=bool) if rule == "likeliest" else said != LABELS.index(0)
        band = np.searchsorted(np.array(BANDS[1:]), sure, side="right")
        for at, name in enumerate(_BAND_NAMES):
            own = counted & (band == at)
            told.append(
                {
                    "model": found.name,
                    "rule": rule,
                    "band": name,
                    "n": int(own.sum()),
                    "confidence": float(sure[own].mean()) if own.any() else None,
                    **bounded("accuracy", share_among(found.blocks, said == found.label, own)),
                }
            )
    return told


def _symbol_rows(found: _Judged) -> list[dict[str, Any]]:
    told = []
    hit, gains = found.probabilities.argmax(axis=1) == found.label, found.gains
    for symbol in found.rows["symbol"].unique().sort():
        own = (found.rows["symbol"] == symbol).to_numpy()
        part = found.blocks.part(own)
        told.append(
            {
                "model": found.name,
                "symbol": symbol,
                "n": int(own.sum()),
                "commonest": float(np.bincount(found.label[own], minlength=3).max() / own.sum()),
                **bounded("accuracy", part.mean(hit[own])),
                **bounded("skill_nats", part.mean(gains[own])),
                "calls": int((found.said["call"][own] != LABELS.index(0)).sum()),
            }
        )
    return told


def _reliability(found: _Judged) -> pl.DataFrame:
    from openbell.quant.reliability import reliability_curve

    table = reliability_curve(found.probabilities, found.label)
    return table.select(pl.lit(found.name).alias("model"), pl.all())
