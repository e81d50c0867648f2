"""What a training was chosen on, kept beside its models: frames as Parquet, figures as JSON, each with its hash."""

from __future__ import annotations

import datetime as dt
import hashlib
import io
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import polars as pl

from openbell.app.files import write_whole
from openbell.app.outputs import json_text
from openbell.core.declare import Catalogue, Label
from openbell.core.errors import IntegrityBroken
from openbell.core.view import View
from openbell.quant.evaluation import QuantileReturns, quantile_returns
from openbell.research.backtest import Backtest
from openbell.research.compute import label_rows
from openbell.research.training import Training

#: The frames that are kept, by file.
FRAMES = ("scores", "ics", "candidates", "folds", "equity", "rebalances", "regimes", "quantiles")


@dataclass(frozen=True)
class Evidence:
    """The frames by name, and the figures: ``metrics`` of each curve, ``excess``, ``choice``, ``spread``, ``notes``."""

    frames: Mapping[str, pl.DataFrame]
    figures: Mapping[str, Any]


def quantiles(view: View, training: Training, catalogue: Catalogue) -> QuantileReturns:
    """Forward returns by quantile of the champion's score, or, without one, of the best candidate's: per date."""
    name = training.choice.champion or best_candidate(training)
    label = catalogue.labels[training.label.replace("forward_rank", "forward_return")]
    symbols = training.scores["symbol"].unique().sort().to_list()
    table = outcomes(view, label, symbols, training.scores["session"].min())  # type: ignore[arg-type]
    score = pl.col(name) if name else pl.lit(None, dtype=pl.Float64)
    joined = training.scores.select("session", "symbol", score.alias("score")).join(table, on=["session", "symbol"])
    return quantile_returns(joined, horizon_sessions=training.horizon_sessions, seed=training.settings.seed)


def outcomes(view: View, label: Label, symbols: list[str], first: dt.date) -> pl.DataFrame:
    """What became of decisions from `first` on: ``session`` (of the decision), ``symbol``, ``outcome``; known now."""
    calendar = view.sessions
    rows = label_rows(view, [label], symbols=symbols, first=calendar.shift(first, -1))
    following = dict(zip(calendar.dates, calendar.dates[1:], strict=False))
    return rows.select(
        pl.col("session").replace_strict(following, default=None, return_dtype=pl.Date).alias("session"),
        "symbol",
        pl.col(label.name).alias("outcome"),
    )


def best_candidate(training: Training) -> str | None:
    """The candidate with the largest statistic, whether or not it survived."""
    ranked = training.choice.evidence.drop_nulls("statistic").sort("statistic", descending=True)
    return ranked["candidate"][0] if ranked.height else None


def save(folder: Path, training: Training, tested: Backtest, quantile: QuantileReturns) -> dict[str, str]:
    """Write the evidence into `folder`; returns the SHA-256 of each file."""
    choice = training.choice
    frames = {
        "scores": training.scores,
        "ics": training.ics,
        "candidates": choice.evidence,
        "folds": training.folds,
        "equity": tested.equity,
        "rebalances": tested.rebalances,
        "regimes": tested.regimes,
        "quantiles": quantile.table,
    }
    figures = {
        "metrics": {name: asdict(each) for name, each in tested.metrics.items()},
        "excess": {name: asdict(each) for name, each in tested.excess.items()},
        "spread": asdict(quantile.spread),
        "quantiles_of": choice.champion or best_candidate(training),
        "choice": {
            "champion": choice.champion,
            "tries": choice.tries,
            "dates": choice.dates,
            "block_sessions": choice.block_sessions,
            "replications": choice.replications,
            "alpha": choice.alpha,
            "critical": choice.critical,
            "why": list(choice.why),
        },
        "label": training.label,
        "horizon_sessions": training.horizon_sessions,
        "features": list(training.features),
        "vanished": tested.vanished.height,
        "parameters": dict(tested.parameters),
        "notes": [*training.notes, *tested.notes],
    }
    contents: dict[str, bytes] = {f"{name}.parquet": _parquet(frame) for name, frame in frames.items()}
    contents["figures.json"] = json_text(figures).encode()
    for name, content in contents.items():
        write_whole(folder / name, content)
    return {name: hashlib.sha256(content).hexdigest() for name, content in sorted(contents.items())}


def load(folder: Path, hashes: Mapping[str, str]) -> Evidence:
    """The evidence in `folder`; a file that is not what its hash says is refused."""
    contents = {}
    for name, expected in hashes.items():
        path = folder / name
        found = path.read_bytes() if path.is_file() else b""
        if hashlib.sha256(found).hexdigest() != expected:
            raise IntegrityBroken(
                f"{path} is {'not what was recorded' if found else 'missing'}. Restore it, or train again with "
                "`openbell train stocks`."
            )
        contents[name] = found
    frames = {name: pl.read_parquet(io.BytesIO(contents[f"{name}.parquet"])) for name in FRAMES}
    return Evidence(frames, json.loads(contents["figures.json"]))


def _parquet(frame: pl.DataFrame) -> bytes:
    buffer = io.BytesIO()
    frame.write_parquet(buffer, compression="zstd", statistics=False)
    return buffer.getvalue()
