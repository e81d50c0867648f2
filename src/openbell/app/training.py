"""Training a desk: walk the candidates forward, choose or refuse, replay the desk on it, and put it on record."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from openbell.app import evidence
from openbell.core.declare import Feature, Model
from openbell.core.errors import IntegrityBroken, StorageFailed
from openbell.core.hashing import digest
from openbell.core.view import View
from openbell.research.backtest import Backtest, Costs, backtest
from openbell.research.training import Training, TrainSettings, register, train
from openbell.research.universe import ALL
from openbell.research.walkforward import Members

if TYPE_CHECKING:
    from openbell.app.home import Home

Progress = Callable[[int, int, str], None]
RETURN_OF = {"forward_rank": "forward_return"}


@dataclass(frozen=True)
class Trained:
    """A finished training as the journal knows it: evidence, and models that a promotion can put in office."""

    payload: Mapping[str, Any]
    folder: Path

    @property
    def champion(self) -> str | None:
        """Version of the candidate that survived and would be promoted; None: nobody did."""
        return self.payload["champion"]


def universe_of(view: View, wanted: str) -> str:
    """The universe to choose from: the one that is set, or the only dated one, or everything (said to be biased)."""
    if wanted:
        return wanted
    if not view.tables.exists("membership"):
        return ALL
    names = view.facts("membership").select("universe").unique().collect()["universe"].to_list()
    return names[0] if len(names) == 1 else ALL


def features_of(home: Home, view: View) -> list[Feature]:
    """The desk's families of features; one whose table is not there yet is left out."""
    families = home.catalogue.desks["stocks"].families
    there = {"bars"} | {name for name in ("fundamentals",) if view.tables.exists(name)}
    return [each for each in home.catalogue.features.values() if each.family in families and each.reads in there]


def train_settings(home: Home) -> TrainSettings:
    """The section ``train`` of the settings, with the parameters of each candidate."""
    values = home.settings.train.model_dump()
    known = {each.name for each in fields(TrainSettings)}
    candidates = candidates_of(home)
    return TrainSettings(
        **{name: value for name, value in values.items() if name in known},
        lead_minutes=home.settings.run.lead_minutes,
        parameters={name: dict(home.settings.models[name]) for name in candidates if home.settings.models[name]},
    )


def candidates_of(home: Home) -> tuple[str, ...]:
    """The models to try: those that are set, or the desk's own."""
    return home.settings.train.candidates or home.catalogue.desks["stocks"].candidates


def bound_desk(home: Home, weighting: str | None = None) -> Callable[..., Any]:
    """The desk's ``decide`` with its settings: the same one for the back-test and for the daily run.

    `weighting` is the allocator that a champion was back-tested with; None takes the one that is set.
    """
    given = dict(home.settings.desks["stocks"]) | ({} if weighting is None else {"weighting": weighting})
    return partial(home.catalogue.desks["stocks"].decide, **given)


def members_of(home: Home, models: Sequence[Model]) -> Members:
    """What each composite candidate is made of: declared models, with the parameters that are set for them."""
    find = home.catalogue.models
    return {
        model.name: tuple((find[each], dict(home.settings.models[each])) for each in model.members)
        for model in models
        if model.members
    }


def benchmark_symbol(home: Home) -> str | None:
    """The benchmark's own symbol, which is never a member; None for the universe's own index."""
    from openbell.research.snapshot import is_equal_weight

    benchmark = home.settings.data.benchmark
    return None if is_equal_weight(benchmark) else benchmark


def train_stocks(home: Home, session: dt.date, progress: Progress | None = None) -> Trained:
    """Train on everything known before the open of `session`, and journal what was found; resumable, idempotent.

    Nobody is put in office by it: a tournament or a promotion does that.
    """
    session = home.decision_session(session)
    view = home.view(session)
    desk = home.catalogue.desks["stocks"]
    universe = universe_of(view, home.settings.data.universe)
    models: list[Model] = [home.catalogue.find("models", name) for name in candidates_of(home)]  # type: ignore[misc]
    training = train(
        view,
        desk.name,
        features_of(home, view),
        home.catalogue.find("labels", desk.label),  # type: ignore[arg-type]
        models,
        universe=universe,
        folder=home.models,
        cache=home.cache / "folds",
        settings=train_settings(home),
        ledger=home.trials,
        members=members_of(home, models),
        benchmark=benchmark_symbol(home),
        progress=progress,
    )
    tested = replay(home, view, training, universe, progress)
    quantiles = evidence.quantiles(view, training, home.catalogue)
    register(home.tracker, training, home.models)
    return _recorded(home, session, view, training, tested, quantiles, universe)


def replay(
    home: Home,
    view: View,
    training: Training,
    universe: str,
    progress: Progress | None = None,
    scores: str | None = None,
    weighting: str | None = None,
) -> Backtest:
    """The desk's policy over all out-of-sample sessions: the champion's scores, or the portfolio without a view.

    `weighting` is an allocator; None takes the one that is set.
    """
    name = scores or training.choice.champion
    sessions = training.scores["session"]
    last = min(sessions.max(), view.sessions.last_closed(view.as_of))  # type: ignore[type-var]
    chosen = None
    if name is not None:
        chosen = training.scores.select("session", "symbol", pl.col(name).alias("score"), pl.lit(name).alias("model"))
    trading = home.settings.trade
    return backtest(
        view,
        bound_desk(home, weighting),
        chosen,
        first=sessions.min(),  # type: ignore[arg-type]
        last=last,
        universe=universe,
        benchmark=home.settings.data.benchmark,
        rebalance_sessions=home.catalogue.desks["stocks"].rebalance_sessions,
        lead_minutes=home.settings.run.lead_minutes,
        capital_usd=home.settings.run.capital,
        costs=Costs(commission_bp=trading.commission_bp, slippage_bp=trading.slippage_bp),
        horizon_sessions=training.horizon_sessions,
        seed=home.settings.train.seed,
        progress=progress,
    )


def _recorded(
    home: Home, session: dt.date, view: View, training: Training, tested: Backtest, quantiles: Any, universe: str
) -> Trained:
    champion = training.champion
    version = None
    if champion is not None and champion.manifest_hash is not None:
        version = f"{champion.name}@{session}#{champion.manifest_hash[:8]}"
    folder = home.models / training.plan
    files = evidence.save(folder / "evidence", training, tested, quantiles)
    payload = {
        "desk": training.desk,
        "session": session.isoformat(),
        "training": training.plan,
        "champion": version,
        "model": f"{training.plan}/{champion.name}" if champion else None,
        "manifest": champion.manifest_hash if champion else None,
        "why": list(training.choice.why),
        "universe": universe,
        "benchmark": home.settings.data.benchmark,
        "label": training.label,
        "horizon_sessions": training.horizon_sessions,
        "tries": training.choice.tries,
        "notes": list(training.notes),
        "settings": home.settings.hash,
        "evidence": files,
    }
    record = home.journal.append("training", payload, at=view.as_of, key=digest(["training", payload]))
    return Trained(record.payload, folder)


def latest_training(home: Home, as_of: dt.datetime, kinds: Sequence[str] = ("training",)) -> Trained | None:
    """The last training whose own moment is not after `as_of`: a decision never uses a model of its future.

    With the kind ``tournament`` too, the last of either: a tournament leaves evidence of the same form.
    """
    records = home.journal.records(kind=kinds, before=as_of + dt.timedelta(microseconds=1), desk="stocks")
    if not records:
        return None
    last = max(records, key=lambda each: (each.at, each.seq))
    folder = home.models / last.payload["training"]
    if not folder.is_dir():
        raise IntegrityBroken(
            f"The training {last.payload['training'][:12]} of {last.payload['session']} is in the journal, but its "
            f"folder {folder} is not there. Restore it, or train again with `openbell train stocks`."
        )
    return Trained(last.payload, folder)


def make_home(home: Home) -> None:
    """Make the home's folder, or say why it cannot be."""
    try:
        home.path.mkdir(parents=True, exist_ok=True)
    except OSError as failure:
        raise StorageFailed(
            f"The home {home.path} cannot be made: {failure.strerror}. Choose another with --home."
        ) from failure
