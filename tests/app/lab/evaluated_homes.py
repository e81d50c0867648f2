"""Homes with a training of the session desk on record, made of made-up forecasts: nothing is fitted."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import polars as pl
from tests.research.session_days import made_bars, made_forecasts

from openbell.app.evidence_files import write_evidence
from openbell.app.home import Home
from openbell.core.hashing import digest
from openbell.core.session import CLASSES
from openbell.research.session_scores import scored

AT = dt.datetime(2024, 1, 2, 14, tzinfo=dt.UTC)
DESK, PLAN, LABEL = "session.ES", "a1b2c3d4" * 8, "direction_from_cutoff"


def texts(component: Any) -> str:
    """All words of a component, in order."""
    if component is None:
        return ""
    if isinstance(component, (list, tuple)):
        return " ".join(texts(each) for each in component)
    return texts(component.children) if hasattr(component, "children") else str(component)


def walk(knows: float) -> pl.DataFrame:
    """A candidate that knows so much, another that knows nothing, and the base rates."""
    bars = made_bars(150)
    base = made_forecasts(bars, "base_rate").with_columns(
        p_down=pl.lit(0.5), p_up=pl.lit(0.5), confidence=pl.lit(0.5), call=pl.lit(None, dtype=pl.String)
    )
    return pl.concat([made_forecasts(bars, "logistic", knows=knows), made_forecasts(bars, "ridge", seed=2), base])


def session_home(path: Path, *, knows: float = 0.0, kind: str = "training", made_up: str = "generated") -> Home:
    """A home whose only record is a training, or a tournament, of the session desk."""
    home = Home.open(path)
    frame = walk(knows)
    rows = frame.filter(pl.col("model") == "base_rate").drop("model")
    scores = scored(frame, rows, CLASSES[LABEL], replications=1000, min_sessions=100, made_up=made_up)
    folder = home.models / "session" / "ES" / PLAN
    lineage = pl.DataFrame({"feature": ["gap"], "reads": ["early"], "source": ["bars of ES"], "as_of": [AT],
                            "lookback": [2]})  # fmt: skip
    hashes = write_evidence(folder, {"walk": frame, "rows": rows, "lineage": lineage})
    (folder / "scores.json").write_text(json.dumps(scores.record), encoding="utf-8")
    payload = {
        "desk": DESK, "product": "ES", "session": "2024-01-02", "training": PLAN, "label": LABEL, "cutoff": "10:15",
        "champion": next(iter(scores.proven), None), "leader": scores.best, "proven": list(scores.proven),
        "why": [scores.evidence, *scores.why], "notes": ["3 sessions are <left> out."], "tries": 2, "data": "d" * 64,
        "settings": "e" * 64, "manifests": {}, "evidence": hashes, "made_up": made_up, "candidates": ["logistic"],
    }  # fmt: skip
    (folder / "training.json").write_text(json.dumps(payload), encoding="utf-8")
    home.journal.append(kind, payload, at=AT, key=digest([kind, payload]))
    return home
