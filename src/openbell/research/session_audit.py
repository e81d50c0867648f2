"""Proofs that the features of a session see nothing after the cut-off, and that their look-backs are what they say."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import polars as pl

from openbell.core.declare import Feature
from openbell.core.errors import DataMissing
from openbell.quant.reach import feature_reach, lookback
from openbell.research.audit import (
    CAUSALITY,
    FINITE_TOLERANCE,
    LOOKBACK,
    OFF,
    RECURSIVE_TOLERANCE,
    AuditResult,
    static_results,
)
from openbell.research.session_early import placed
from openbell.research.session_rows_values import session_values

_PRICES = ("open", "high", "low", "close", "volume")


@dataclass(frozen=True, slots=True, eq=False)
class SessionInputs:
    """Everything that `session_rows` reads of one product but its cut-off."""

    bars: pl.DataFrame
    hours: pl.DataFrame
    daily: pl.DataFrame | None
    zone: str
    markets: Mapping[str, pl.DataFrame] = field(default_factory=dict)

    def values(self, features: Sequence[Feature], cutoff: str) -> pl.DataFrame:
        """``session``, ``as_of``, ``price``, ``atr`` and the features that could be computed."""
        found = placed(self.bars, self.hours, cutoff, self.zone)
        return session_values(found, self.daily, features, self.markets).rows.drop("symbol")

    def until(self, moment: dt.datetime) -> SessionInputs:
        """Without the rows of any table that were known later."""
        kept = pl.col("known_at") <= moment
        return replace(
            self,
            bars=self.bars.filter(kept),
            daily=None if self.daily is None else self.daily.filter(kept),
            markets={name: each.filter(kept) for name, each in self.markets.items()},
        )

    def wild(self, moment: dt.datetime, rng: np.random.Generator) -> SessionInputs:
        """With prices, volumes and levels of the rows known later turned into nonsense; their times stay."""
        return replace(
            self,
            bars=_wild(self.bars, moment, rng, _PRICES),
            daily=None if self.daily is None else _wild(self.daily, moment, rng, _PRICES),
            markets={name: _wild(each, moment, rng, ("level",)) for name, each in self.markets.items()},
        )

    def last(self, session: dt.date, sessions: int) -> SessionInputs:
        """The last so many sessions up to `session` alone; other markets are as they are, for levels are as of then."""
        of = self.hours.filter(pl.col("session") <= session).sort("session").tail(sessions)
        return replace(
            self,
            bars=self.bars.join(of, on="session", how="semi"),
            hours=of,
            daily=None if self.daily is None else self.daily.join(of, on="session", how="semi"),
        )


def _wild(frame: pl.DataFrame, moment: dt.datetime, rng: np.random.Generator, names: Sequence[str]) -> pl.DataFrame:
    factors = [pl.Series(name, np.exp(rng.uniform(-5.0, 5.0, frame.height))) for name in names]
    later = pl.col("known_at") > moment
    return frame.with_columns(
        pl.when(later).then(pl.col(name) * factor).otherwise(name).alias(name)
        for name, factor in zip(names, factors, strict=True)
    )


def audit_session_features(
    inputs: SessionInputs, features: Sequence[Feature], cutoffs: Sequence[str], *, cuts: int = 6, seed: int = 0
) -> list[AuditResult]:
    """Prove `features` causal at each of `cutoffs`, and their look-backs sufficient, on the data themselves.

    *Static*: the tree of each expression. *Causality*: at the cut-off of `cuts` random sessions every row of every
    table that was known later is removed, and then turned into wild values instead; every value up to that session must
    be equal bit by bit, both times. *Look-back*: each value at those sessions is computed again from its look-back of
    sessions alone, and must agree within 1e-9 (finite windows) or 1e-6 (recursions) of the feature's own standard
    deviation, with the same null. A feature that the static check refuses still goes through the causality proof.

    Returns
    -------
    list of AuditResult
        For each feature the static result, then causality and look-back, or ``switched off`` where its source is
        nowhere in the data.
    """
    rng = np.random.default_rng(seed)
    results = static_results(features)
    refused = {each.feature for each in results if not each.passed}
    compared, failed, shown = dict.fromkeys((each.name for each in features), 0), dict[str, str](), set[str]()
    for at, cutoff in enumerate(cutoffs):
        full = inputs.values(features, cutoff)
        chosen = _drawn(full, cuts, rng)
        shown |= set(full.columns)
        _causality(inputs, features, cutoff, full, chosen, rng, compared, failed)
        if at == 0:
            sound = [each for each in features if each.name in full.columns and each.name not in refused]
            lookbacks = _lookbacks(inputs, features, sound, cutoff, full, chosen)
    told = [each for each in features if each.name in shown]
    results += [
        AuditResult(each.name, OFF, True, "Not proven, because the data lack what it reads.")
        for each in features
        if each.name not in shown
    ]
    results += [
        AuditResult(
            each.name, CAUSALITY, each.name not in failed,
            failed.get(each.name, f"{compared[each.name]:,} values are bit-equal without what came after the cut-off."),
            compared[each.name],
        )
        for each in told
    ]  # fmt: skip
    return results + lookbacks


def _drawn(full: pl.DataFrame, cuts: int, rng: np.random.Generator) -> list[tuple[dt.date, dt.datetime]]:
    if full.is_empty():
        raise DataMissing("No session has a complete early window at the cut-off; there is nothing to audit.")
    drawn = np.sort(rng.choice(full.height, size=min(cuts, full.height), replace=False)).tolist()
    return full.select("session", "as_of")[drawn].rows()


def _causality(
    inputs: SessionInputs,
    features: Sequence[Feature],
    cutoff: str,
    full: pl.DataFrame,
    chosen: Sequence[tuple[dt.date, dt.datetime]],
    rng: np.random.Generator,
    compared: dict[str, int],
    failed: dict[str, str],
) -> None:
    """Count what was compared, and write down the first failure of each feature."""
    for session, as_of in chosen:
        before = full.filter(pl.col("session") <= session)
        for how, past in (("without", inputs.until(as_of)), ("with wild", inputs.wild(as_of, rng))):
            again = past.values(features, cutoff)
            pairs = before.select("session").join(again, on="session", how="left", maintain_order="left")
            for each in features:
                if each.name not in full.columns:
                    continue
                # A column that the past lacks altogether is null there.
                seen = (
                    pairs[each.name]
                    if each.name in pairs.columns
                    else pl.Series([None] * pairs.height, dtype=pl.Float64)
                )
                compared[each.name] += pairs.height
                differs = before[each.name].ne_missing(seen)
                if each.name not in failed and differs.any():
                    row = int(differs.arg_max() or 0)
                    failed[each.name] = (
                        f"`{each.name}` sees the future: {how} rows known after {as_of:%Y-%m-%d %H:%M} UTC it is "
                        f"{seen[row]} against {before[each.name][row]} on {before['session'][row]} at {cutoff}."
                    )


def _lookbacks(
    inputs: SessionInputs,
    features: Sequence[Feature],
    sound: Sequence[Feature],
    cutoff: str,
    full: pl.DataFrame,
    chosen: Sequence[tuple[dt.date, dt.datetime]],
) -> list[AuditResult]:
    worst = dict.fromkeys((each.name for each in sound), 0.0)
    failed: dict[str, str] = {}
    causal = [each for each in features if each.reads == "early"]
    for rows in sorted({lookback(each) for each in sound}):
        group = [each for each in sound if lookback(each) == rows]
        wanted = [*causal, *(each for each in group if each not in causal)]
        for session, _ in chosen:
            again = inputs.last(session, rows).values(wanted, cutoff).filter(pl.col("session") == session)
            told = full.filter(pl.col("session") == session)
            for each in group:
                found = again[each.name].item() if each.name in again.columns and again.height else None
                _compare(each, told[each.name].item(), found, full[each.name], session, worst, failed)
    return [
        AuditResult(
            each.name, LOOKBACK, each.name not in failed,
            failed.get(each.name, f"{len(chosen)} values follow from {lookback(each)} sessions."), len(chosen),
            worst[each.name],
        )
        for each in sound
    ]  # fmt: skip


def _compare(
    feature: Feature,
    told: float | None,
    found: float | None,
    all_values: pl.Series,
    session: dt.date,
    worst: dict[str, float],
    failed: dict[str, str],
) -> None:
    name = feature.name
    tolerance = RECURSIVE_TOLERANCE if feature_reach(feature).recursive else FINITE_TOLERANCE
    deviation = all_values.std()
    scale = deviation if isinstance(deviation, float) and deviation > 0 else 1.0
    error = 0.0 if told is None or found is None else abs(told - found) / scale
    worst[name] = max(worst[name], error)
    if name not in failed and ((told is None) != (found is None) or error > tolerance):
        failed[name] = (
            f"`{name}` needs more than its {lookback(feature)} sessions: {told} against {found} on {session}."
        )
