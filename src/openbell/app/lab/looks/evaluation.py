"""Trainings and tournaments on record of every desk, and what one of them found, in one form for all desks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl

from openbell.app.lab.looks import evaluation_desks as desks
from openbell.app.lab.looks.evaluation_found import Evaluated
from openbell.app.lab.looks.training import trained
from openbell.app.trainings import KINDS
from openbell.core.errors import BadInput, DataMissing, OpenbellError

if TYPE_CHECKING:
    from openbell.app.home import Home
    from openbell.store.journal import Record

#: Trainings that can be chosen among, the newest.
MOST = 200


@dataclass(frozen=True, slots=True)
class Listed:
    """A training or tournament that can be looked at: ``stocks``, ``session.ES`` or another desk, and its plan."""

    desk: str
    training: str
    kind: str
    session: str
    champion: str | None

    @property
    def key(self) -> str:
        """What names it in a form."""
        return f"{self.desk}|{self.training}"

    @property
    def words(self) -> str:
        """For a reader who chooses."""
        found = f"champion {self.champion}" if self.champion else "no champion"
        return f"{self.desk}, {self.kind} as of {self.session} ({found}) {self.training[:8]}"


def on_record(home: Home, desk: str = "") -> tuple[Listed, ...]:
    """Trainings and tournaments on record, the newest first; `desk` is one of them, or a family such as ``session``.

    Raises
    ------
    DataMissing
        Where there is none at all.
    """
    records = home.kept_journal.records(kind=KINDS)
    if not records:
        raise DataMissing("Nothing was trained here yet, so there is nothing to evaluate. Train a desk first.")
    found = {(str(each.payload["desk"]), str(each.payload["training"])): each for each in records}
    ordered = sorted(found.values(), key=lambda each: (each.at, each.seq), reverse=True)
    wanted = [each for each in ordered if not desk or belongs(str(each.payload["desk"]), desk)]
    return tuple(_listed(each) for each in wanted[:MOST])


def belongs(own: str, desk: str) -> bool:
    """Whether the desk `own` is `desk`, or of that family: ``session.ES`` is of ``session``."""
    return own == desk or own.startswith(f"{desk}.")


def _listed(record: Record) -> Listed:
    told = record.payload
    return Listed(str(told["desk"]), str(told["training"]), record.kind, str(told["session"]), told["champion"])


def chosen(listed: tuple[Listed, ...], desk: str, training: str) -> Listed:
    """The training that is asked for by its desk and the first letters of its plan; the newest where nothing is.

    Raises
    ------
    BadInput
        Where there is none such.
    """
    fits = [each for each in listed if (not desk or belongs(each.desk, desk)) and each.training.startswith(training)]
    if not fits:
        of = f" of the desk `{desk[:40]}`" if desk else ""
        raise BadInput(
            f"There is no training{f' `{training[:12]}`' if training else ''}{of} on record. There are some of "
            f"{', '.join(sorted({each.desk for each in listed}))}."
        )
    return fits[0]


_READERS: Mapping[str, Callable[[Home, Any], Evaluated]] = {
    "session": desks.of_session,
    "signals": desks.of_signals,
    "gate": desks.of_gate,
    "options": desks.of_options,
    "stocks": desks.of_stocks,
}


def evaluated(home: Home, listed: Listed) -> Evaluated:
    """What the training found, of whichever desk.

    Raises
    ------
    DataMissing
        Where its evidence cannot be read.
    """
    try:
        return _READERS[listed.desk.partition(".")[0]](home, trained(home, listed.desk, listed.training))
    except OpenbellError:
        raise
    except (OSError, KeyError, pl.exceptions.PolarsError) as failure:
        raise DataMissing(f"The evidence of this training cannot be read: {failure}. Train again.") from failure
