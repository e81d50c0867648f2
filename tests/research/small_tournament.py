"""A tournament small enough to be held many times: 24 made-up names, three folds of nine weeks, two allocators."""

import datetime as dt
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import polars as pl

from openbell.core.declare import Catalogue, Model, discover
from openbell.core.time import Sessions
from openbell.core.view import View
from openbell.market.calendars import sessions
from openbell.market.importing import import_batch
from openbell.market.providers.generated import generated
from openbell.models.ensemble import ensemble
from openbell.research.contest import Contest
from openbell.research.entrants import Entrants, entrants_of
from openbell.research.selection import Rules
from openbell.research.tournament import Played, tournament
from openbell.research.venue import MeetingSettings, Venue
from openbell.store.tables import Tables
from openbell.store.trials import Trials

sys.path.insert(0, str(Path(__file__).parent))
from memory_tables import MemoryTables

MODELS = ("ridge", "naive", "lightgbm", "blend")
ALLOCATORS = ("equal", "inverse_volatility")
PARAMETERS = {"lightgbm": {"n_estimators": 5, "num_leaves": 4, "min_child_samples": 20}}
#: The mean of two models that meet: an ensemble with other members.
BLEND = replace(ensemble[0], name="blend", members=("ridge", "lightgbm"))
HELD_OUT = 60
SETTINGS = MeetingSettings(
    warmup_sessions=252, train_sessions=252, refit_sessions=44, trials=3, cpcv_groups=0, replications=20, jobs=1
)


@cache
def catalogue() -> Catalogue:
    return discover()


@cache
def market() -> tuple[MemoryTables, Sessions, dt.date]:
    """All tables, with a bill rate; the calendar; the first session that is held out."""
    calendar = sessions("XNYS")
    batch = generated(names=24, years=2.75, seed=3, edge=0.05, drift_sharpe=0.8, neutral="mean")
    days = batch.bars["session"].unique().sort()
    with tempfile.TemporaryDirectory() as folder:
        stored = Tables.open(f"file://{folder}")
        import_batch(stored, batch, calendar, at=calendar.open(calendar.shift(days[-1], 1)))
        held = {name: stored.scan(name).collect() for name in ("bars", "instruments", "membership")}
    rates = pl.DataFrame({"name": "bill", "session": days, "value": [1.0 + 0.01 * at for at in range(len(days))]})
    known = pl.Series([calendar.close(day) for day in days], dtype=pl.Datetime("us", "UTC"))
    return MemoryTables({**held, "rates": rates.with_columns(known.alias("known_at"))}), calendar, days[-HELD_OUT]


def view(session: dt.date | None = None, tables: MemoryTables | None = None) -> View:
    """What is known at the decision of `session`; None: of the first that is held out."""
    held, calendar, first = market()
    return View(tables or held, calendar.open(session or first) - dt.timedelta(minutes=30), calendar)


def venue(ledger: Any, seen: View | None = None, **changes: Any) -> Venue:
    """The stocks desk on this market; `changes` are settings of the meeting, or fields of the venue."""
    declared, desk = catalogue(), catalogue().desks["stocks"]
    own = {each.name for each in fields(MeetingSettings)}
    place = Venue(
        view=seen or view(),
        desk=desk,
        decide=partial(desk.decide, top_k=8, max_position_pct=0.1, max_sector_weight=0.5),
        features=[x for x in declared.features.values() if x.family in ("momentum", "volume") and x.reads == "bars"],
        label=declared.labels["forward_rank_5d"],
        outcome=declared.labels["forward_return_5d"],
        universe="generated",
        benchmark="equal_weight",
        ledger=ledger,
        settings=replace(SETTINGS, **{name: value for name, value in changes.items() if name in own}),
    )
    return replace(place, **{name: value for name, value in changes.items() if name not in own})


def found(name: str) -> Model:
    """A declared model by its name, the blend among them."""
    return BLEND if name == "blend" else catalogue().models[name]


def entrants(
    names: Sequence[str] = MODELS,
    allocators: Sequence[str] = ALLOCATORS,
    *,
    find: Callable[[str], Model] = found,
    parameters: Mapping[str, Mapping[str, Any]] = PARAMETERS,
) -> Entrants:
    return entrants_of(names, allocators, find, parameters)


def rules(**changes: Any) -> Rules:
    desk = catalogue().desks["stocks"]
    return Rules(desk.criteria, desk.thresholds, **{"replications": 1000, **changes})


@dataclass(frozen=True)
class Held:
    """A tournament, and the ledger after it."""

    played: Played
    ledger: pl.DataFrame

    @property
    def contest(self) -> Contest:
        return self.played.contest


def hold(
    folder: Path,
    met: Entrants | None = None,
    *,
    seen: View | None = None,
    incumbent: str | None = None,
    ledger: str = "trials",
    past: Callable[[str], Any] | None = None,
    **changes: Any,
) -> Held:
    """Hold it; ledger and candidates lie in `folder`."""
    first = market()[2]
    folder.mkdir(parents=True, exist_ok=True)
    with Trials.open(f"sqlite:///{folder}/{ledger}.db") as trials:
        place = venue(trials, seen, **changes)
        played = tournament(
            place,
            met or entrants(),
            rules(),
            as_of=market()[1].open(first),
            holdout_first=first,
            folder=folder / "models",
            incumbent=incumbent,
            **({} if past is None else {"past": past}),
        )
        return Held(played, trials.table("stocks"))


def told(contest: Contest) -> dict[str, Any]:
    """Everything a contest says, its frames as the bytes of a file."""
    values = {each.name: getattr(contest, each.name) for each in fields(contest)}
    return {
        name: value.write_ipc(None).getvalue() if isinstance(value, pl.DataFrame) else value
        for name, value in values.items()
    }
