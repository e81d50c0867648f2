"""What is declared as a feature, what is proven of it, how its values lie, and what it weighs in the newest models."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from openbell.core.declare import Feature
from openbell.core.errors import OpenbellError, unknown

if TYPE_CHECKING:
    from openbell.app.home import Home
    from openbell.app.session_training import SessionTraining

#: Symbols and calendar days of stored bars that a distribution is drawn of: enough to see, and quick.
SYMBOLS, DAYS = 20, 365
#: What each table that features read is, in words, and where its values can be seen.
READS: Mapping[str, str] = {
    "bars": "daily bars of one symbol, or bars of any frame",
    "fundamentals": "filings of one company",
    "days": "days of an underlying with what its chain says",
    "contracts": "option quotes of one day",
    "expiries": "expiries of one day",
    "strikes": "strikes of one day",
    "trades": "one proposed trade",
    "early": "bars of one session up to the cut-off",
    "session": "sessions of one product up to the cut-off, and the days before",
}


@dataclass(frozen=True, slots=True)
class Proof:
    """The last audit on record: when, at how many moments, and what it says of each feature."""

    at: dt.datetime
    cuts: int
    proven: frozenset[str]
    failed: Mapping[str, str]
    off: frozenset[str]
    code: Mapping[str, str]


@dataclass(frozen=True, slots=True, eq=False)
class Values:
    """Values of one feature, and in words what they are of; empty with the reason where there are none."""

    values: pl.Series
    nulls: int
    of: str


def declared(home: Home) -> pl.DataFrame:
    """A row per feature: ``feature family desks reads unit lookback about``; `lookback` in rows, its own included."""
    from openbell.quant.reach import lookback

    readers: dict[str, list[str]] = {}
    for name, desk in home.catalogue.desks.items():
        for family in desk.families:
            readers.setdefault(family, []).append(name)
    rows = [
        (
            each.name,
            each.family,
            ", ".join(readers.get(each.family, [])) or "none",
            each.reads,
            each.unit,
            lookback(each),
            each.summary,
        )
        for each in home.catalogue.features.values()
    ]
    names = ("feature", "family", "desks", "reads", "unit", "lookback", "about")
    schema = dict.fromkeys(names, pl.String) | {"lookback": pl.Int64}
    return pl.DataFrame(rows, schema=schema, orient="row").sort("family", "feature")


def one(home: Home, name: str) -> Feature:
    """The feature `name`; an unknown one is refused with the nearest."""
    features = home.catalogue.features
    if name not in features:
        raise unknown("feature", name[:80], features)
    return features[name]


def proof(home: Home) -> Proof | None:
    """The last audit of features in the journal; None before the first."""
    from openbell.app.audit import KIND
    from openbell.core.errors import DataMissing

    try:
        records = home.kept_journal.records(kind=KIND)
    except DataMissing:
        return None
    if not records:
        return None
    last = max(records, key=lambda each: each.seq)
    told = last.payload
    return Proof(
        last.at, told["cuts"], frozenset(told["proven"]), told["failed"], frozenset(told["switched_off"]), told["code"]
    )


def badge(found: Proof | None, feature: Feature) -> tuple[str, str]:
    """What is proven of `feature` in a few words, and their tone: gain, loss or warn."""
    from openbell.app.audit import code_of

    if found is None:
        return "not proven here yet", "warn"
    if feature.name in found.failed:
        return f"NOT CAUSAL: {found.failed[feature.name]}", "loss"
    if feature.name in found.off:
        return "switched off in the audit: the data lack what it reads", "warn"
    if feature.name not in found.proven:
        return "declared since the last audit: not proven yet", "warn"
    if found.code.get(feature.family) != code_of(feature.module):
        return f"proven on {found.at:%Y-%m-%d}, and its code has changed since", "warn"
    return f"proven causal on {found.at:%Y-%m-%d} at {found.cuts} moments", "gain"


def values(home: Home, feature: Feature) -> Values:
    """Values of `feature` as they are stored: of the newest training of the session desk, or of the daily bars."""
    if feature.reads in ("early", "session"):
        return _of_sessions(home, feature)
    if feature.reads == "bars":
        return _of_bars(home, feature)
    return Values(pl.Series(dtype=pl.Float64), 0, f"It reads {READS[feature.reads]}; no table of its values is kept.")


def _of_sessions(home: Home, feature: Feature) -> Values:
    training = newest_session(home)
    if training is None:
        return Values(pl.Series(dtype=pl.Float64), 0, "No session desk is trained here: `openbell train session`.")
    rows = training.evidence("rows")
    if feature.name not in rows.columns:
        return Values(pl.Series(dtype=pl.Float64), 0, f"It was left out of the training of {training.product}.")
    found = rows[feature.name]
    of = f"{rows.height:,} sessions of {training.product}, {rows['session'].min()} to {rows['session'].max()}"
    return Values(found.drop_nulls().cast(pl.Float64), found.null_count(), of)


def _of_bars(home: Home, feature: Feature) -> Values:
    from openbell.core.view import View
    from openbell.research.compute import feature_rows

    if not home.tables.exists("bars"):
        return Values(pl.Series(dtype=pl.Float64), 0, "There are no daily bars here: `openbell data import bars FILE`.")
    last = home.stored[1]
    view = View(home.tables, home.as_of(home.sessions.shift(last, 1)), home.sessions)
    symbols = view.facts("bars").select("symbol").unique().collect()["symbol"].sort().to_list()
    taken = symbols[:: max(1, len(symbols) // SYMBOLS)][:SYMBOLS]
    made = feature_rows(view, [feature], symbols=taken, first=last - dt.timedelta(days=DAYS))
    if feature.name not in made.frame.columns:
        return Values(pl.Series(dtype=pl.Float64), 0, f"Switched off: {made.switched_off.get(feature.name, '')}")
    found = made.frame[feature.name].cast(pl.Float64)
    of = f"{len(taken)} of {len(symbols):,} symbols, the year up to {last}"
    return Values(found.drop_nulls(), found.null_count(), of)


def newest_session(home: Home) -> SessionTraining | None:
    """The newest training of the session desk, of whichever product."""
    from openbell.app.kept_models import needed
    from openbell.app.session_training import SessionTraining
    from openbell.app.trainings import KINDS
    from openbell.core.errors import DataMissing

    try:
        records = home.kept_journal.records(kind=KINDS)
    except DataMissing:
        return None
    own = [each for each in records if str(each.payload.get("desk", "")).startswith("session.")]
    return SessionTraining(own[-1].payload, needed(home, own[-1].payload)) if own else None


def importance(home: Home, feature: Feature) -> pl.DataFrame:
    """What `feature` weighs in the newest training of each desk that tells it: ``desk model rank of weight``."""
    rows: list[dict[str, Any]] = []
    for desk, found in _weighed(home).items():
        for model in found["model"].unique().sort().to_list():
            own = found.filter(pl.col("model") == model).sort("importance", descending=True).with_row_index("rank", 1)
            mine = own.filter(
                (pl.col("feature") == feature.name) | pl.col("feature").str.starts_with(f"{feature.name}_")
            )
            total = own["importance"].sum() or 1.0
            rows += [
                {"desk": desk, "model": model, "column": row["feature"], "rank": row["rank"], "of": own.height,
                 "weight": row["importance"] / total}
                for row in mine.iter_rows(named=True)
            ]  # fmt: skip
    schema = {"desk": pl.String, "model": pl.String, "column": pl.String, "rank": pl.Int64, "of": pl.Int64,
              "weight": pl.Float64}  # fmt: skip
    return pl.DataFrame(rows, schema=schema)


def _weighed(home: Home) -> dict[str, pl.DataFrame]:
    """``model feature importance`` of the newest trainings that measured it."""
    found: dict[str, pl.DataFrame] = {}
    try:
        session = newest_session(home)
        if session is not None:
            found[session.payload["desk"]] = _of_session(session.folder)
    except OpenbellError:
        pass  # a training whose files are broken is told on its own page
    signals = _of_signals(home)
    return found if signals is None else {**found, "signals": signals}


@lru_cache(maxsize=8)
def _of_session(folder: Path) -> pl.DataFrame:
    """Weights of the best model of a training, worked out once: what is on record never changes."""
    from openbell.app.session_training import SessionTraining
    from openbell.research.session_reasons import importance as weighed

    training = SessionTraining(json.loads((folder / "training.json").read_text(encoding="utf-8")), folder)
    rows = weighed(training.model(training.leader), training.evidence("rows"))
    model = pl.lit(training.leader).alias("model")
    return rows.select(model, "feature", pl.col("importance").cast(pl.Float64))


def _of_signals(home: Home) -> pl.DataFrame | None:
    from openbell.app.kept_models import needed
    from openbell.app.signals_training import SignalsTraining
    from openbell.app.trainings import KINDS

    try:
        records = home.kept_journal.records(kind=KINDS, desk="signals")
        if not records:
            return None
        training = SignalsTraining(records[-1].payload, needed(home, records[-1].payload))
        rows = training.evidence("importance")
    except OpenbellError:
        return None
    if not {"model", "feature"} <= set(rows.columns):
        return None
    weight = next((name for name in ("importance", "gain", "drop") if name in rows.columns), None)
    return (
        None if weight is None else rows.select("model", "feature", pl.col(weight).cast(pl.Float64).alias("importance"))
    )
