"""The wiring: one folder or set of URLs, its settings, and the rooms opened on them, each only when it is used."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from openbell.core.declare import Catalogue, discover
from openbell.core.errors import BadInput, DataMissing
from openbell.core.time import Sessions
from openbell.core.view import View

if TYPE_CHECKING:
    from openbell.app.settings import Settings
    from openbell.store.api_keys import ApiKeys
    from openbell.store.database import Database
    from openbell.store.experiments import Experiments
    from openbell.store.journal import Journal
    from openbell.store.predictions import Predictions
    from openbell.store.signals import Signals
    from openbell.store.tables import Tables
    from openbell.store.tracker import Tracker
    from openbell.store.trials import Trials


@dataclass(frozen=True)
class Home:
    """Where one installation keeps its bytes, and what it is set to."""

    path: Path
    settings: Settings
    catalogue: Catalogue

    @classmethod
    def open(cls, path: Path | None, *, sets: tuple[str, ...] = (), settings_file: Path | None = None) -> Home:
        """Read the settings once; open nothing yet."""
        from openbell.app.settings import load

        catalogue = discover()
        settings = load(catalogue, home=path, overrides=sets, file=settings_file)
        return cls(Path(settings.home).resolve(), settings, catalogue)

    @cached_property
    def sessions(self) -> Sessions:
        """The calendar of the exchange that the settings name."""
        from openbell.market.calendars import sessions

        return sessions(self.settings.data.calendar)

    @cached_property
    def tables(self) -> Tables:
        """The tables."""
        from openbell.store.tables import Tables

        return Tables.open(self.settings.store.tables)

    @cached_property
    def journal(self) -> Journal:
        """The journal."""
        from openbell.store.journal import Journal

        return Journal.open(self.settings.store.journal)

    @property
    def kept_journal(self) -> Journal:
        """The journal, for a look at it: one that is not there yet is said to be, and not made."""
        scheme, _, file = self.settings.store.journal.partition(":///")
        if scheme == "sqlite" and not Path(file).is_file():
            raise DataMissing(f"There is no journal at {file} yet. A training or a run begins it; is --home right?")
        return self.journal

    @cached_property
    def predictions(self) -> Predictions:
        """The log of the gate's answers."""
        from openbell.store.predictions import Predictions

        return Predictions.open(self.settings.store.predictions)

    @property
    def kept_predictions(self) -> Predictions:
        """The log, for a look at it or at what lies beside it: one that is not there yet is not made."""
        scheme, _, file = self.settings.store.predictions.partition(":///")
        if scheme == "sqlite" and not Path(file).is_file():
            raise DataMissing(
                f"There is no log of predictions at {file} yet. `openbell keys create` or `openbell serve` begins it; "
                "is --home right?"
            )
        return self.predictions

    @cached_property
    def signals(self) -> Signals:
        """The store of signals."""
        from openbell.store.signals import Signals

        return Signals.open(self.settings.store.signals)

    @property
    def kept_signals(self) -> Signals:
        """The store of signals, for a look at it: one that is not there yet is said to be, and not made."""
        scheme, _, file = self.settings.store.signals.partition(":///")
        if scheme == "sqlite" and not Path(file).is_file():
            raise DataMissing(
                f"There are no signals at {file} yet. `openbell run signals` or `openbell stream` begins them; "
                "is --home right?"
            )
        return self.signals

    @cached_property
    def lab_database(self) -> Database:
        """The database of the lab: its jobs, presets and logins."""
        from openbell.store.database import Database

        return Database.open(self.settings.store.lab, wait_seconds=10.0)

    @cached_property
    def api_keys(self) -> ApiKeys:
        """Who may ask the gate over HTTP, in the database of the predictions."""
        from openbell.store.api_keys import ApiKeys

        return ApiKeys(self.predictions.database)

    @cached_property
    def experiments(self) -> Experiments:
        """A/B tests, in the database of the predictions."""
        from openbell.store.experiments import Experiments

        return Experiments(self.predictions.database)

    @cached_property
    def tracker(self) -> Tracker:
        """Experiments and model versions."""
        from openbell.store.tracker import Tracker

        return Tracker.open(self.settings.store.tracking, self.path / "mlflow")

    @cached_property
    def trials(self) -> Trials:
        """The ledger of everything that was tried, in the journal's database."""
        from openbell.store.trials import Trials

        return Trials.open(self.settings.store.journal)

    @property
    def production(self) -> Path:
        """Folder of the champion in office, for whoever reads it from outside."""
        return self.path / "production"

    @property
    def models(self) -> Path:
        """Folder of the saved models and the evidence each was chosen on."""
        return self.path / "models"

    @property
    def cache(self) -> Path:
        """Folder of finished pieces of long work; deleting it costs time, nothing else."""
        return self.path / "cache"

    def as_of(self, session: dt.date) -> dt.datetime:
        """The moment a decision for `session` is made: some minutes before its open."""
        return self.sessions.open(session) - dt.timedelta(minutes=self.settings.run.lead_minutes)

    def view(self, session: dt.date, tables: Any = None) -> View:
        """Everything known when the decision for `session` is made."""
        return View(tables or self.tables, self.as_of(session), self.sessions)

    @cached_property
    def stored(self) -> tuple[dt.date, dt.date]:
        """First and last session of the stored bars."""
        import polars as pl

        if not self.tables.exists("bars"):
            raise DataMissing(
                f"There are no bars in {self.path}. Import some with `openbell data import bars FILE`, "
                "or start with `openbell demo`."
            )
        first, last = (
            self.tables.scan("bars").select(pl.min("session").alias("a"), pl.max("session").alias("b")).collect().row(0)
        )
        return first, last

    def decision_session(self, wanted: dt.date | None) -> dt.date:
        """`wanted` if it is a session that the bars reach, else refused; by default the one after the latest bars."""
        first, last = self.stored
        if wanted is None:
            return self.sessions.shift(last, 1)
        self.sessions.index(wanted)
        if wanted <= first:
            raise BadInput(
                f"{wanted} is not after {first}, the first session of the stored bars; nothing was known then. "
                f"Choose a session from {self.sessions.shift(first, 1)} on."
            )
        if wanted > self.sessions.shift(last, 1):
            raise DataMissing(
                f"The stored bars end on {last}, so a decision for {wanted} would rest on stale prices. "
                f"Fetch newer bars, or decide for {self.sessions.shift(last, 1)}."
            )
        return wanted
