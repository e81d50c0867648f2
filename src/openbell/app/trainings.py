"""Trainings and tournaments on record, of whichever desk: what all of them tell, and which one is meant."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from openbell.app.kept_models import fetched, needed
from openbell.core.errors import IntegrityBroken

if TYPE_CHECKING:
    from openbell.app.home import Home

KINDS = ("training", "tournament")


@dataclass(frozen=True)
class OnRecord:
    """A finished training or tournament as the journal knows it, and the folder of its models and evidence."""

    payload: Mapping[str, Any]
    folder: Path

    @property
    def champion(self) -> str | None:
        """The candidate that proved itself, or None."""
        found: str | None = self.payload["champion"]
        return found

    @property
    def leader(self) -> str:
        """The candidate that speaks: the champion, else the one that did best."""
        return str(self.payload["leader"])

    def as_json(self) -> dict[str, Any]:
        """For a program to read."""
        return {**self.payload, "folder": str(self.folder)}


def there(home: Home, desk: str, plan: str) -> tuple[Mapping[str, Any], Path] | None:
    """Payload and folder of the training of this plan, where it was done before."""
    for record in home.journal.records(kind=KINDS, desk=desk):
        if record.payload["training"] == plan and (folder := fetched(home, record.payload)) is not None:
            return record.payload, folder
    return None


def newest(home: Home, desk: str, as_of: dt.datetime) -> tuple[Mapping[str, Any], Path] | None:
    """Payload and folder of the last one whose own moment is not after `as_of`; None before the first."""
    records = home.journal.records(kind=KINDS, before=as_of + dt.timedelta(microseconds=1), desk=desk)
    if not records:
        return None
    last = max(records, key=lambda each: (each.at, each.seq))
    return last.payload, needed(home, last.payload)


def named(home: Home, desk: str, version: str) -> tuple[Mapping[str, Any], Path, str]:
    """Payload and folder of the training of a registered version of `desk`, and the candidate in it."""
    found = home.tracker.version(desk, version)
    for record in reversed(home.journal.records(kind=KINDS, desk=desk)):
        if record.payload["training"] == found.training:
            return record.payload, needed(home, record.payload), found.candidate
    raise IntegrityBroken(f"The journal knows no training of {version}, which the registry names.")
