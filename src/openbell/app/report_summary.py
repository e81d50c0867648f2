"""The summary of the signals desk, filled from what was measured; a line without a measurement says so."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import polars as pl

from openbell.app.signals_data import DESK, features_of
from openbell.core.bars import frames_from

if TYPE_CHECKING:
    from openbell.app.home import Home

#: The hopes of the request beside which a measurement stands (S3.09 to S3.12, S3.18).
HOPED_ACCURACY = {"xgboost_classifier": 0.65, "random_forest_classifier": 0.60, "lstm_classifier": 0.62, "voting": 0.67}
HOPED_MILLISECONDS = {"features": 50.0, "inference": 100.0, "end_to_end": 150.0}
NONE = "not measured yet"


def summary(home: Home) -> dict[str, Any]:
    """Everything that was measured of the desk in this home, as plain values; None where nothing was."""
    journal = home.kept_journal
    training = _last(journal.records(kind=("training", "tournament"), desk=DESK))
    return {
        "training": None if training is None else _training(home, training),
        "backtest": _last(journal.records(kind="backtest", desk=DESK)),
        "stream": _last(journal.records(kind="stream", desk=DESK)),
        "features": len({each.name for each in features_of(home)}),
        "frames": list(frames_from(home.settings.signals.base)),
        "versions": len(home.tracker.versions(DESK)),
        "signals": _signals(home),
    }


def summary_text(home: Home) -> str:
    """The summary in Markdown, in the order of the request's template."""
    told = summary(home)
    parts = [
        "# Summary of the signals desk",
        "",
        *_models(told["training"]),
        "",
        *_achievements(told),
        "",
        *_latency(told["stream"]),
        "",
        *_against(told),
    ]
    return "\n".join(parts) + "\n"


def _last(records: list[Any]) -> dict[str, Any] | None:
    return dict(max(records, key=lambda each: (each.at, each.seq)).payload) if records else None


def _training(home: Home, payload: Mapping[str, Any]) -> dict[str, Any]:
    from openbell.app.kept_models import needed
    from openbell.app.signals_training import SignalsTraining

    models = SignalsTraining(payload, needed(home, payload)).scores.models
    return {**payload, "models": models.to_dicts()}


def _signals(home: Home) -> dict[str, int]:
    from openbell.core.errors import DataMissing
    from openbell.store.signal_pages import ALL

    try:
        table = home.kept_signals.table(ALL)
    except DataMissing:
        return {}
    return dict(table.group_by("call").agg(pl.len()).sort("call").iter_rows())


def _models(training: Mapping[str, Any] | None) -> list[str]:
    lines = ["## Model performance", ""]
    if training is None:
        return [*lines, f"- {NONE}: `openbell train signals`"]
    lines += [
        "| model | accuracy | always the commonest | n | calibration error | the request hoped for |",
        "|---|---|---|---|---|---|",
    ]
    for row in training["models"]:
        hoped = HOPED_ACCURACY.get(row["model"])
        lines.append(
            f"| {row['model']} | {row['accuracy']:.1%} | {row['commonest']:.1%} | {row['n']:,} | "
            f"{row['ece']:.3f} | {f'{hoped:.0%}' if hoped else ''} |"
        )
    return [*lines, "", str(training["why"][0])]


def _achievements(told: Mapping[str, Any]) -> list[str]:
    back, training = told["backtest"], told["training"]
    counted = ", ".join(f"{count:,} {name}" for name, count in told["signals"].items()) or "none stored yet"
    return [
        "## What there is",
        "",
        f"- Features: {told['features']} indicators on {', '.join(told['frames'])}",
        f"- Model versions registered: {told['versions']}",
        f"- Decisions out of sample: {training['decisions']:,}" if training else f"- Decisions: {NONE}",
        f"- Signals: {counted}",
        f"- Back-test: {_backtest(back)}",
    ]


def _backtest(back: Mapping[str, Any] | None) -> str:
    if back is None:
        return f"{NONE}: `openbell backtest signals`"
    return str(back["verdict"])


def _latency(stream: Mapping[str, Any] | None) -> list[str]:
    lines = ["## Latency, 95th percentile", ""]
    if stream is None:
        return [*lines, f"- {NONE}: `openbell stream`"]
    for name, hoped in HOPED_MILLISECONDS.items():
        found = stream["latency_ms"].get(name)
        value = NONE if found is None else f"{found['p95']:.1f} ms"
        lines.append(f"- {name.replace('_', ' ')}: {value} (the request: {hoped:.0f} ms)")
    moments, bars = (sum(stream[each].values()) for each in ("moments", "bars"))
    return [*lines, f"- over {moments:,} moments and {bars:,} bars of {stream['source']}"]


def _against(told: Mapping[str, Any]) -> list[str]:
    training = told["training"]
    notes = list(training["notes"]) if training else []
    return ["## What must be known beside it", "", *(f"- {each}" for each in notes or ["nothing was trained yet"])]
