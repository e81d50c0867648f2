"""The files of one decision, as bytes: the same decision gives the same bytes."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from openbell.app.files import write_whole
from openbell.core.types import Book, Decision, Forecast, Market
from openbell.quant.exposures import exposures
from openbell.research.reasons import Reasons

WEIGHT_DIGITS = 10


def trades_csv(decision: Decision) -> str:
    """``trades.csv``: one row per trade, sales first (S2.07); `weight_change` is of the whole account."""
    return decision.trades.write_csv(float_precision=8)


def weights_frame(decision: Decision, book: Book, market: Market) -> pl.DataFrame:
    """Each name and cash: what it weighs now, after these trades, and at the desk's target."""
    rows = exposures(decision, book, market.names).sort("after_weight", "symbol", descending=[True, False])
    known = [pl.col(name) if name in rows.columns else pl.lit(None).alias(name) for name in ("sector", "price")]
    table = rows.filter(
        (pl.col("after_weight") > 0) | (pl.col("target_weight") > 0) | (pl.col("held_weight") > 0)
    ).select(
        "symbol",
        pl.col("after_weight").alias("weight"),
        "target_weight",
        pl.col("held_weight").alias("current_weight"),
        *known,
    )
    cash = pl.DataFrame(
        {
            "symbol": ["CASH"],
            "weight": [1.0 - float(table["weight"].sum())],
            "target_weight": [decision.cash_weight],
            "current_weight": [1.0 - float(table["current_weight"].sum())],
        }
    )
    return pl.concat([table, cash], how="diagonal_relaxed")


def signals(decision: Decision, forecast: Forecast, reasons: Reasons) -> dict[str, Any]:
    """``signals.json``: the raw scores, everything needed to derive the decision again, and why what is held is."""
    return {
        "desk": decision.desk,
        "session": decision.session.isoformat(),
        "as_of": decision.as_of.isoformat(),
        "decision": decision.key,
        "view": forecast.has_view,
        "model": forecast.model,
        "resolves_at": forecast.resolves_at.isoformat() if forecast.resolves_at else None,
        "why": list(decision.why),
        "details": decision.details,
        "targets": dict(sorted(decision.targets.items())),
        "cash_weight": decision.cash_weight,
        "verdicts": [
            {
                "check": each.check,
                "outcome": each.outcome.value,
                "available": each.available,
                "scale": each.scale,
                "why": each.why,
                "measured": dict(each.measured),
            }
            for each in decision.verdicts
        ],
        "signals": [
            {"date": decision.session.isoformat(), "symbol": symbol, "ml_score": score} | _because(reasons, symbol)
            for symbol, score in forecast.scores.select("symbol", "score").sort("symbol").iter_rows()
        ],
        "explanation": {"method": reasons.method, "unit": reasons.unit, "notes": list(reasons.notes)},
        "made_of": dict(sorted(decision.made_of.items())),
    }


def _because(reasons: Reasons, symbol: str) -> dict[str, list[str]]:
    """The largest contributions to the score of a name that is held; nothing for any other."""
    return {"because": list(reasons.because[symbol])} if symbol in reasons.because else {}


def json_text(value: Any) -> str:
    """`value` as readable JSON with a stable order; a number that is not finite is an error, not a word."""
    return json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False, default=str) + "\n"


def finite(value: Any) -> Any:
    """`value` with a NaN or infinity as null, numpy's scalars and arrays as plain ones: what JSON can say."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(name): finite(each) for name, each in value.items()}
    if isinstance(value, (set, frozenset)):
        return sorted(finite(each) for each in value)
    if isinstance(value, (list, tuple)):
        return [finite(each) for each in value]
    return value


def plain_rows(frame: pl.DataFrame) -> list[dict[str, Any]]:
    """Rows as dictionaries; what is no finite number is None."""
    return [{name: finite(value) for name, value in row.items()} for row in frame.iter_rows(named=True)]


def decision_files(
    decision: Decision, forecast: Forecast, book: Book, market: Market, reasons: Reasons
) -> dict[str, str]:
    """The files that follow from the decision alone."""
    return {
        "trades.csv": trades_csv(decision),
        "portfolio_weights.csv": weights_frame(decision, book, market).write_csv(float_precision=WEIGHT_DIGITS),
        "signals.json": json_text(signals(decision, forecast, reasons)),
    }


def write_files(folder: Path, files: dict[str, str]) -> list[Path]:
    """Write each file whole; returns where they are."""
    for name, content in files.items():
        write_whole(folder / name, content)
    return [folder / name for name in files]
