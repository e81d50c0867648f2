"""What the models of the session desk were worth, out of sample, and whether that is evidence of anything.

The headline is the skill over the base rates: how many nats of log-loss per session a model gains on what was known of
their frequency at the time. Accuracy stands beside the commonest class, and every figure beside n and its interval.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from openbell.core.errors import BadInput
from openbell.core.session import NO_CALL, WHOLE_DAY, probability
from openbell.quant.day_blocks import DayBlocks, auc, calibration_error, calibration_noise, macro_auc, ratio
from openbell.quant.intervals import Estimate
from openbell.quant.significance import SuperiorSet
from openbell.research.class_scores import (
    day_blocks,
    label_horizon,
    losses,
    recorded,
    restored,
    running_base_rates,
    share_among,
    superior,
)
from openbell.research.gate_judged import bounded
from openbell.research.session_evidence import PARTLY_SEEN, sessions_needed, verdict
from openbell.research.session_models import BASE_RATE


@dataclass(frozen=True, slots=True, eq=False)
class SessionScores:
    """Every figure of one walk, each with what is needed to judge it; a column ``x`` has ``x_low`` and ``x_high``.

    Attributes
    ----------
    models : a row per model, with its verdict in words as ``evidence``.
    classes : per model, rule (the ``likeliest`` class, or the ``call``) and class: precision and recall beside the base
        rate. confusion : per model, rule, class that happened (``actual``) and class that was ``said`` (of calls also
        `NO_CALL`): ``n``. reliability : per model and ``of`` (likeliest, or a class) and bin of the probability.
    folds, symbols : per model and fit, and per model and product.
    needed : sessions after which an accuracy is told from the commonest class; see `session_evidence.sessions_needed`.
    proven : candidates that know more than the base rates: at least `min_sessions` sessions, interval above 0, and a
        survivor of StepM at `alpha`; the best first.
    why : sentences on the test. evidence : of the candidate with the largest skill.
    label_classes : in order. n, sessions, first, last : decisions of the walk with a known outcome.
    """

    models: pl.DataFrame
    classes: pl.DataFrame
    confusion: pl.DataFrame
    reliability: pl.DataFrame
    folds: pl.DataFrame
    symbols: pl.DataFrame
    needed: pl.DataFrame
    proven: tuple[str, ...]
    why: tuple[str, ...]
    evidence: str
    label_classes: tuple[str, ...]
    n: int
    sessions: int
    first: str
    last: str
    alpha: float
    min_sessions: int
    made_up: str = ""

    @property
    def best(self) -> str | None:
        """The candidate with the largest skill over the base rates, proven or not; None without candidates."""
        return _best(self.models)

    @property
    def record(self) -> dict[str, Any]:
        """As plain values; what is not finite is null."""
        return recorded(self)

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> SessionScores:
        """The scores that `record` tells."""
        made: SessionScores = restored(cls, record)
        return made

    def card(self, model: str) -> dict[str, Any]:
        """What the card of `model` tells of its walk: all its figures, and what they rest on."""
        own = self.models.filter(pl.col("model") == model)
        if own.is_empty():
            raise BadInput(f"`{model}` was not in this walk; there were {', '.join(self.models['model'])}.")
        walk = {"first": self.first, "last": self.last, "alpha": self.alpha, "min_sessions": self.min_sessions}
        return {**own.row(0, named=True), **walk, "made_up": self.made_up}


def _best(models: pl.DataFrame) -> str | None:
    found = models.filter(pl.col("kind") == "candidate").sort("skill_nats", "model", descending=[True, False])
    return None if found.is_empty() else str(found["model"][0])


@dataclass(frozen=True, slots=True, eq=False)
class _Judged:
    """The forecasts of one model with a known outcome, as arrays over its rows; `silent` of others it abstained."""

    name: str
    rows: pl.DataFrame
    classes: tuple[str, ...]
    blocks: DayBlocks
    silent: int

    @property
    def probabilities(self) -> np.ndarray:
        """(n, k)."""
        return self.rows.select(probability(name) for name in self.classes).to_numpy()

    @property
    def base(self) -> np.ndarray:
        """(n, k) base rates known at the first decision of the session."""
        return self.rows.select(_base_columns(self.classes)).to_numpy()

    @property
    def label(self) -> np.ndarray:
        """(n,) position of the class that happened."""
        return self.rows["label"].to_numpy().astype(np.int64)

    @property
    def said(self) -> Mapping[str, np.ndarray]:
        """(n,) position of the class that is named, by rule; k where nothing is called."""
        words = {name: at for at, name in enumerate((*self.classes, NO_CALL))}
        calls = self.rows["call"].fill_null(NO_CALL).replace_strict(words, return_dtype=pl.Int64).to_numpy()
        return {"likeliest": self.probabilities.argmax(axis=1), "call": calls}

    @property
    def gains(self) -> np.ndarray:
        """(n,) log-loss of the base rates known less the model's, nats."""
        return losses(self.base, self.label) - losses(self.probabilities, self.label)


def _base_columns(classes: Sequence[str]) -> list[str]:
    return [f"base_{name.lower()}" for name in classes]


def scored(
    forecasts: pl.DataFrame,
    rows: pl.DataFrame,
    classes: Sequence[str],
    *,
    alpha: float = 0.05,
    replications: int = 2000,
    seed: int = 0,
    min_sessions: int = 250,
    label: str = "",
    made_up: str = "",
) -> SessionScores:
    """Judge every model of a walk on the sessions whose outcome is known.

    Parameters
    ----------
    forecasts : columns of `session_walk.forecast_columns`. rows : every decision, those before the walk among them, for
        the base rates known then (`class_scores.running_base_rates`). classes : of the label, k, by its codes.
    alpha : family-wise error of StepM over the candidates, one-sided. replications : of the bootstrap of days, at least
        1,000. seed : of the bootstrap. min_sessions : forecast sessions below which nothing is evidence.
    label : its name, for the caution beside labels of which a part has happened at the cut-off.
    made_up : the word that stands beside every figure where bars were generated.

    Raises
    ------
    BadInput
        Where no forecast has a known outcome.
    """
    names = tuple(classes)
    known = forecasts.filter(pl.col("label").is_not_null())
    if known.is_empty():
        raise BadInput("There is no forecast with a known outcome to judge.")
    rates = running_base_rates(rows, range(len(names)), _base_columns(names))
    known = known.join(rates, on="session", how="left", maintain_order="left")
    spoken = known.filter(pl.col("confidence").is_not_null())
    if spoken.is_empty():
        raise BadInput("Every model abstained on every session with a known outcome; there is nothing to judge.")
    horizon = label_horizon(spoken)
    found = [
        _Judged(str(key[0]), part, names, day_blocks(part, horizon, replications, seed), _silent(known, str(key[0])))
        for key, part in spoken.partition_by("model", as_dict=True, maintain_order=True).items()
    ]
    test, why = superior(found, horizon, alpha, replications, seed)
    told = [_model_row(each, test, alpha, min_sessions, label) for each in found]
    models = pl.DataFrame(told, infer_schema_length=None)
    leader = _best(models)
    return SessionScores(
        models=models,
        classes=_frame(found, _class_rows),
        confusion=_frame(found, _confusion_rows),
        reliability=pl.concat([_reliability(each) for each in found]),
        folds=_frame(found, _fold_rows),
        symbols=_frame(found, _symbol_rows),
        needed=sessions_needed(float(models["commonest"][0]), len(names), alpha),
        proven=tuple(models.sort("skill_nats", "model", descending=[True, False]).filter("proven")["model"]),
        why=(*why, PARTLY_SEEN) if label in WHOLE_DAY else why,
        evidence=models.filter(pl.col("model") == leader)["evidence"].item() if leader else why[0],
        label_classes=names,
        n=known.select("symbol", "as_of").n_unique(),
        sessions=known["session"].n_unique(),
        first=str(known["session"].min()),
        last=str(known["session"].max()),
        alpha=alpha,
        min_sessions=min_sessions,
        made_up=made_up,
    )


def _silent(known: pl.DataFrame, model: str) -> int:
    return known.filter((pl.col("model") == model) & pl.col("confidence").is_null()).height


def _frame(found: Sequence[_Judged], rows: Callable[[_Judged], list[dict[str, Any]]]) -> pl.DataFrame:
    return pl.DataFrame([row for each in found for row in rows(each)], infer_schema_length=None)


def _model_row(found: _Judged, test: SuperiorSet | None, alpha: float, min_sessions: int, label: str) -> dict[str, Any]:
    """All figures of one model over all its forecasts."""
    p, truth, base, blocks = found.probabilities, found.label, found.base, found.blocks
    happened = np.eye(len(found.classes))[truth]
    shares, hit, base_loss = happened.mean(axis=0), p.argmax(axis=1) == truth, losses(base, truth)
    commonest = int(shares.argmax())
    over = blocks.statistic(blocks.sums(np.column_stack([found.gains, base_loss])), ratio)
    row: dict[str, Any] = {
        "model": found.name,
        "kind": "baseline" if found.name == BASE_RATE else "candidate",
        "n": found.rows.height,
        "sessions": blocks.days,
        "silent": found.silent,
        **{f"share_{name.lower()}": float(shares[at]) for at, name in enumerate(found.classes)},
        **bounded("accuracy", blocks.mean(hit)),
        "commonest": float(shares[commonest]),
        "commonest_class": found.classes[commonest],
        **bounded("accuracy_over_commonest", blocks.mean(hit - happened[:, commonest])),
        **bounded("log_loss", blocks.mean(losses(p, truth))),
        "base_log_loss": float(base_loss.mean()),
        **bounded("skill_nats", blocks.mean(found.gains)),
        **bounded("skill", over),
        **bounded("auc", _auc(blocks, p, truth)),
        **bounded("brier", blocks.mean(((p - happened) ** 2).sum(axis=1))),
        "base_brier": float(((base - happened) ** 2).sum(axis=1).mean()),
        **bounded("ece", calibration_error(blocks, p.max(axis=1), hit)),
        "ece_by_chance": calibration_noise(p.max(axis=1)),
        **_calls(found),
    }
    at = test.names.index(found.name) if test is not None and found.name in test.names else None
    row["p_value"] = float(test.p_value[at]) if test is not None and at is not None else None
    survives = test is not None and at is not None and bool(test.survives[at])
    above = row["skill_nats_low"] is not None and row["skill_nats_low"] > 0
    row["proven"] = survives and above and blocks.days >= min_sessions
    return {
        **row,
        "evidence": verdict(row, len(found.classes), 0 if test is None else test.tries, alpha, min_sessions, label),
    }


def _auc(blocks: DayBlocks, p: np.ndarray, label: np.ndarray) -> Estimate:
    """Of the second class for two, else the mean of each class against the rest."""
    return auc(blocks, p[:, 1], label == 1) if p.shape[1] == 2 else macro_auc(blocks, p, label)


def _calls(found: _Judged) -> dict[str, Any]:
    """How often a class was called, how many calls came true, and how many of the base rates known would have."""
    call, label, blocks = found.said["call"], found.label, found.blocks
    k = len(found.classes)
    made = call < k
    expected = np.where(made, found.base[np.arange(len(call)), np.minimum(call, k - 1)], 0.0)
    beyond = np.column_stack([(made & (call == label)) - expected, made])
    return {
        "calls": int(made.sum()),
        **bounded("call_share", blocks.mean(made)),
        **bounded("calls_right", share_among(blocks, call == label, made)),
        "calls_base": float(expected.sum() / made.sum()) if made.any() else None,
        **bounded("calls_over_base", blocks.statistic(blocks.sums(beyond), ratio)),
    }


def _class_rows(found: _Judged) -> list[dict[str, Any]]:
    told = []
    for rule, said in found.said.items():
        for at, word in enumerate(found.classes):
            named, happened = said == at, found.label == at
            told.append(
                {
                    "model": found.name,
                    "rule": rule,
                    "class": word,
                    "said": int(named.sum()),
                    "happened": int(happened.sum()),
                    "base_rate": float(happened.mean()),
                    **bounded("precision", share_among(found.blocks, happened, named)),
                    **bounded("recall", share_among(found.blocks, named, happened)),
                }
            )
    return told


def _confusion_rows(found: _Judged) -> list[dict[str, Any]]:
    words, told = (*found.classes, NO_CALL), []
    for rule, said in found.said.items():
        counts = np.zeros((len(found.classes), len(words)), dtype=np.int64)
        np.add.at(counts, (found.label, said), 1)
        told += [
            {"model": found.name, "rule": rule, "actual": actual, "said": word, "n": int(counts[row, column])}
            for row, actual in enumerate(found.classes)
            for column, word in enumerate(words[: None if rule == "call" else -1])
        ]
    return told


def _part(found: _Judged, own: np.ndarray) -> dict[str, Any]:
    """Figures of some rows of a model, with the same resamples as all of them."""
    part, label = found.blocks.part(own), found.label[own]
    hit = found.probabilities[own].argmax(axis=1) == label
    return {
        "n": int(own.sum()),
        "commonest": float(np.bincount(label).max() / len(label)),
        **bounded("accuracy", part.mean(hit)),
        "log_loss": float(losses(found.probabilities[own], label).mean()),
        "base_log_loss": float(losses(found.base[own], label).mean()),
        **bounded("skill_nats", part.mean(found.gains[own])),
        "calls": int((found.said["call"][own] < len(found.classes)).sum()),
    }


def _fold_rows(found: _Judged) -> list[dict[str, Any]]:
    told = []
    for fold in found.rows["fold"].unique().sort():
        own = (found.rows["fold"] == fold).to_numpy()
        days = found.rows["session"].filter(pl.Series(own))
        marks = {"model": found.name, "fold": fold, "first": str(days.min()), "last": str(days.max())}
        told.append({**marks, **_part(found, own)})
    return told


def _symbol_rows(found: _Judged) -> list[dict[str, Any]]:
    symbols = found.rows["symbol"].unique().sort()
    return [
        {"model": found.name, "symbol": each, **_part(found, (found.rows["symbol"] == each).to_numpy())}
        for each in symbols
    ]


def _reliability(found: _Judged) -> pl.DataFrame:
    from openbell.quant.reliability import reliability_curve

    views: list[tuple[str, int | None]] = [("likeliest", None), *((name, at) for at, name in enumerate(found.classes))]
    tables = [
        reliability_curve(found.probabilities, found.label, of=at).select(
            pl.lit(found.name).alias("model"), pl.lit(name).alias("of"), pl.all()
        )
        for name, at in views
    ]
    return pl.concat(tables)
