"""The health of the model and of the account, as plain values for ``monitoring_log.json``."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

import polars as pl

from openbell.core.types import Decision
from openbell.quant.drift import model_drift
from openbell.quant.evaluation import skill


def monitoring(
    *,
    session: dt.date,
    model: str | None,
    ics: pl.DataFrame | None,
    horizon_sessions: int = 5,
    lookback_days: int = 20,
    threshold: float = 0.02,
    recent: pl.DataFrame | None = None,
    regimes: pl.DataFrame | None = None,
    decision: Decision | None = None,
    history: pl.DataFrame | None = None,
    quality: Mapping[str, int] | None = None,
    notes: tuple[str, ...] = (),
) -> dict[str, Any]:
    """What ``monitoring_log.json`` says; every number comes with its n, and what is not known is null.

    Parameters
    ----------
    ics : out-of-sample coefficients of `model`, columns ``session``, ``rank_ic`` and, if there, ``ic``.
    recent : coefficients since the model went live, same columns; the drift rule looks at these, and at the last of
        `ics` while there are none. lookback_days, threshold : of the drift rule (S2.18).
    regimes : performance by regime (S2.19). history : the account's marks, ``session`` and ``equity_usd``.
    quality : rows quarantined by rule.
    """
    live = recent is not None and recent.height > 0
    looked_at = recent if live else ics
    series = _series(looked_at)
    return {
        "date": session.isoformat(),
        "model": model,
        "ic": {
            "measured_on": "live" if live else "out_of_sample" if ics is not None else None,
            "lookback_days": lookback_days,
            "last": _window(looked_at, lookback_days),
            "out_of_sample": _overall(ics, horizon_sessions),
        },
        "drift": model_drift(series, lookback=lookback_days, threshold=threshold, history=_series(ics)).record,
        "regime_performance": regimes.to_dicts() if regimes is not None else [],
        "account": _account(history),
        "safety": _verdicts(decision),
        "data_quality": dict(sorted((quality or {}).items())),
        "notes": list(notes),
    }


def _series(ics: pl.DataFrame | None) -> list[float | None]:
    return [] if ics is None else ics.sort("session")["rank_ic"].to_list()


def _window(ics: pl.DataFrame | None, lookback: int) -> list[dict[str, Any]]:
    """The last coefficients, one row per date."""
    if ics is None:
        return []
    kept = [name for name in ("session", "rank_ic", "ic", "n_samples") if name in ics.columns]
    rows = ics.sort("session").drop_nulls("rank_ic").tail(lookback).select(kept)
    return [{**row, "session": row["session"].isoformat()} for row in rows.to_dicts()]


def _overall(ics: pl.DataFrame | None, horizon_sessions: int) -> dict[str, Any] | None:
    if ics is None:
        return None
    found = skill(ics.sort("session")["rank_ic"], horizon_sessions=horizon_sessions)
    mean = found.mean
    return {
        "mean_rank_ic": mean.value,
        "low": mean.low,
        "high": mean.high,
        "level": mean.level,
        "n": mean.n,
        "icir": found.icir,
        "positive_share": found.positive,
        "dates_without": found.dates_without,
    }


def _account(history: pl.DataFrame | None) -> dict[str, Any] | None:
    """The last marks of the account; None before the first fill."""
    if history is None or history.is_empty():
        return None
    marks = history.sort("session")["equity_usd"]
    return {
        "n_sessions": marks.len(),
        "equity_usd": marks[-1],
        "last_return": marks[-1] / marks[-2] - 1.0 if marks.len() > 1 else None,
        "drawdown": marks[-1] / marks.max() - 1.0,
    }


def _verdicts(decision: Decision | None) -> list[dict[str, Any]]:
    if decision is None:
        return []
    return [
        {"check": each.check, "outcome": each.outcome.value, "available": each.available, "why": each.why}
        for each in decision.verdicts
    ]
