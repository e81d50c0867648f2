"""What can be trained with what, what is stored to train on, and how a finished training did fold by fold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from openbell.app.lab.job_kinds import KINDS, Kind
from openbell.app.sections import Gate, Options, Section, Session, Signals, Train
from openbell.core.errors import BadInput, DataMissing, OpenbellError

if TYPE_CHECKING:
    from openbell.app.home import Home
    from openbell.app.trainings import OnRecord

#: Settings that a person changes for one training, by desk; all others are changed in the settings file.
SETTINGS: Mapping[str, tuple[type[Section], str, tuple[str, ...]]] = {
    "stocks": (
        Train,
        "train",
        ("history_years", "folds", "min_train_sessions", "train_sessions", "stride", "alpha", "replications", "seed"),
    ),
    "options": (
        Options,
        "options",
        ("history_years", "min_train_sessions", "train_sessions", "refit_sessions", "similar_days"),
    ),
    "gate": (
        Gate,
        "gate",
        ("min_train_days", "train_days", "refit_days", "calibration_share", "min_trades", "thresholds_by"),
    ),
    "signals": (
        Signals,
        "signals",
        ("base", "label", "history_years", "min_train_sessions", "train_sessions", "refit_sessions", "max_train_rows"),
    ),
    "session": (
        Session,
        "session",
        ("cutoff", "label", "history_years", "min_train_sessions", "train_sessions", "refit_sessions", "min_sessions"),
    ),
}
_FOLDS = {
    "model": pl.String, "fold": pl.Int64, "first": pl.String, "last": pl.String, "n": pl.Int64, "score": pl.Float64,
    "low": pl.Float64, "high": pl.Float64,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting that a training may change: its key, what it is now, what it does."""

    key: str
    value: str
    about: str


@dataclass(frozen=True, slots=True)
class Desk:
    """A desk that can be trained.

    Attributes
    ----------
    models : name -> what it is, of all that may be asked for. own : those it takes by itself. families : of its
        features. summary, label : what it decides and what it learns.
    """

    kind: Kind
    summary: str
    label: str
    families: tuple[str, ...]
    models: Mapping[str, str]
    own: tuple[str, ...]
    settings: tuple[Setting, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Folds:
    """How each model did in each fold: `rows` as `figures.training.folds` draws them, and what `measure` means."""

    rows: pl.DataFrame
    measure: str
    about: str


def desks(home: Home) -> dict[str, Desk]:
    """The desks that a job can train, by name."""
    return {kind.desk: _desk(home, kind) for kind in KINDS.values() if kind.desk in home.catalogue.desks}


def _desk(home: Home, kind: Kind) -> Desk:
    declared = home.catalogue.desks[kind.desk]
    section, name, keys = SETTINGS[kind.desk]
    values = getattr(home.settings, name)
    told = tuple(
        Setting(f"{name}.{key}", _shown(getattr(values, key)), section.model_fields[key].description or "")
        for key in keys
    )
    return Desk(
        kind,
        declared.summary,
        values.label if kind.desk in ("signals", "session") else declared.label,
        tuple(declared.families),
        _models(home, kind.desk),
        tuple(values.candidates or declared.candidates),
        told,
    )


def _models(home: Home, desk: str) -> dict[str, str]:
    """Models that the desk can be trained with, and what each is."""
    known = home.catalogue.models
    if desk == "gate":
        from openbell.research.gate_models import BASELINES, NAMES

        return {name: name.replace("_", " ") for name in NAMES if name not in BASELINES}
    if desk == "options":
        names = [name for name, each in known.items() if f"{name}_classifier" in known and not each.sequential]
        return {name: known[name].summary for name in names if not known[name].members}
    if desk == "stocks":
        return {name: each.summary for name, each in known.items() if each.task == "regression"}
    chosen = {name: each.summary for name, each in known.items() if each.task == "classification"}
    return {name: text for name, text in chosen.items() if desk == "signals" or not known[name].sequential}


def _shown(value: Any) -> str:
    return "" if value is None else str(value)


def stored(home: Home) -> pl.DataFrame:
    """Every table with its rows, symbols and span.

    Raises
    ------
    DataMissing
        Where nothing is stored yet.
    """
    from openbell.app.data import stored_tables

    rows = stored_tables(home)
    if not rows:
        raise DataMissing("Nothing is stored yet that a model could learn from. Import prices, or begin with a demo.")
    columns = {"table": pl.String, "rows": pl.Int64, "symbols": pl.Int64, "first": pl.Date, "last": pl.Date}
    return pl.DataFrame([{name: row.get(name) for name in columns} for row in rows], schema=columns)


def trained(home: Home, desk: str, training: str) -> OnRecord:
    """The training of that plan, of that desk; a desk of one product is named with it, such as ``session.ES``."""
    found = next(
        (
            record
            for record in reversed(home.kept_journal.records(kind=("training", "tournament"), desk=desk))
            if record.payload.get("training") == training
        ),
        None,
    )
    if found is None:
        raise BadInput(f"The journal knows no training `{training[:12]}` of {desk}.")
    from openbell.app.kept_models import needed

    # Models of the stocks desk lie under the plan alone; see `app.training`.
    folder = home.models / training if desk == "stocks" else needed(home, found.payload)
    return _classes(desk)(found.payload, folder)


def _classes(desk: str) -> Any:
    name = desk.partition(".")[0]
    if name == "signals":
        from openbell.app.signals_training import SignalsTraining as Found
    elif name == "session":
        from openbell.app.session_training import SessionTraining as Found  # type: ignore[assignment]
    elif name == "gate":
        from openbell.app.gate_training import GateTraining as Found  # type: ignore[assignment]
    elif name == "options":
        from openbell.app.options_training import OptionTraining as Found  # type: ignore[assignment]
    else:
        from openbell.app.training import Trained as Found  # type: ignore[assignment]
    return Found


def folds(home: Home, desk: str, training: str) -> Folds:
    """How the models of a training did in each fold of its walk, out of sample.

    Raises
    ------
    DataMissing
        Where the evidence is not there.
    """
    name = desk.partition(".")[0]
    try:
        return _BY_DESK[name](trained(home, desk, training))
    except OpenbellError:
        raise
    except (OSError, KeyError, pl.exceptions.PolarsError) as failure:
        raise DataMissing(f"The evidence of this training cannot be read: {failure}. Train again.") from failure


def _of_session(done: Any) -> Folds:
    rows = done.scores.folds.select(
        "model", "fold", "first", "last", "n", score="skill_nats", low="skill_nats_low", high="skill_nats_high"
    )
    return Folds(_cast(rows), "skill over the base rates, nats per session", _SKILL.format("the base rates"))


def _of_signals(done: Any) -> Folds:
    from openbell.core.signal import PROBABILITIES
    from openbell.research.signal_votes import BASE_RATE

    walk = done.evidence("walk").filter(pl.col("label").is_not_null() & pl.col(PROBABILITIES[0]).is_not_null())
    said = pl.concat_list(PROBABILITIES).list.get(pl.col("label").cast(pl.Int64) + 1)
    told = walk.select("model", "fold", "session", "symbol", "as_of", loss=-said.clip(1e-12).log())
    base = told.filter(pl.col("model") == BASE_RATE).select("symbol", "as_of", base="loss")
    gains = told.filter(pl.col("model") != BASE_RATE).join(base, on=["symbol", "as_of"])
    rows = _by_fold(gains.with_columns(value=pl.col("base") - pl.col("loss")), int(done.payload["horizon_bars"]))
    return Folds(rows, "skill over the base rates, nats per decision", _SKILL.format("the base rates"))


def _of_gate(done: Any) -> Folds:
    own = pl.when("win").then("probability").otherwise(1.0 - pl.col("probability"))
    price = pl.when("win").then("price_probability").otherwise(1.0 - pl.col("price_probability"))
    walk = done.walked.filter(pl.col("model") != "price").drop_nulls(["probability", "price_probability", "win"])
    gains = walk.with_columns(value=own.clip(1e-12).log() - price.clip(1e-12).log())
    return Folds(_by_fold(gains, 1), "skill over the price, nats per trade", _SKILL.format("the odds in the price"))


def _of_options(done: Any) -> Folds:
    kinds = done.frame("strategies").select("strategy", "kind")
    names = kinds.filter(pl.col("kind") == "candidate")["strategy"].to_list()
    days = done.frame("paths").with_columns(fold=pl.col("session").dt.year())
    long = days.unpivot([name for name in names if name in days.columns], index=["session", "fold"])
    rows = _by_fold(long.rename({"variable": "model"}).drop_nulls("value"), int(done.payload["horizon_sessions"]))
    about = "Mean utility of the structure that each model chose on each day, by calendar year; no trade is 0."
    return Folds(rows, "utility per day", about)


def _of_stocks(done: Any) -> Folds:
    from openbell.app import evidence

    found = evidence.load(done.folder / "evidence", done.payload["evidence"])
    ics, parts = found.frames["ics"], found.frames["folds"]
    marks = parts.select(pl.col("fold").cast(pl.Int64), pl.col("test_first").alias("session")).sort("session")
    dated = ics.sort("session").join_asof(marks, on="session")
    long = dated.unpivot([name for name in ics.columns if name != "session"], index=["session", "fold"])
    rows = long.rename({"variable": "model"}).drop_nulls(["value", "fold"]).filter(pl.col("value").is_finite())
    told = _by_fold(rows, int(done.payload["horizon_sessions"]))
    return Folds(told, "mean rank IC per session", "Rank correlation of score and outcome, out of sample; chance is 0.")


_SKILL = "Log-loss of {} less that of the model, out of sample: above 0 it knew more than they."
_BY_DESK: Mapping[str, Any] = {
    "session": _of_session,
    "signals": _of_signals,
    "gate": _of_gate,
    "options": _of_options,
    "stocks": _of_stocks,
}


def _by_fold(rows: pl.DataFrame, horizon: int) -> pl.DataFrame:
    """Mean of ``value`` per ``model`` and ``fold``, with the interval of whole sessions resampled in blocks."""
    from openbell.quant.day_blocks import DayBlocks

    told: list[dict[str, Any]] = []
    for (model,), own in sorted(rows.group_by("model")):
        blocks = DayBlocks.of(own["session"].to_physical().to_numpy(), horizon_days=max(horizon, 1))
        values, fold = own["value"].to_numpy(), own["fold"].to_numpy()
        for number in np.unique(fold):
            mask = fold == number
            found = blocks.part(mask).mean(values[mask])
            days: Sequence[Any] = own["session"].filter(pl.Series(mask))  # type: ignore[assignment]
            told.append(
                {
                    "model": model, "fold": int(number), "first": str(min(days)), "last": str(max(days)),
                    "n": int(mask.sum()), "score": found.value, "low": found.low, "high": found.high,
                }
            )  # fmt: skip
    return pl.DataFrame(told, schema=_FOLDS)


def _cast(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.with_columns(pl.col(name).cast(kind) for name, kind in _FOLDS.items()).select(list(_FOLDS))
