"""The report of the gate: of the walk-forward of a training, out of its record, or of the prediction log."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from openbell.app.files import write_whole
from openbell.app.outputs import finite, plain_rows
from openbell.core.errors import DataMissing
from openbell.research.gate_scores import GateScores, scored

if TYPE_CHECKING:
    from openbell.app.gate_training import GateTraining
    from openbell.app.home import Home

PAGE = "report.html"
WALKED, LOGGED = "walk-forward", "prediction log"
#: Evidence of a training that its report shows besides the scores, where it is there.
COMPUTED, DRIFT = "computed", "drift"


@dataclass(frozen=True, slots=True, eq=False)
class GateReport:
    """What is told: `page` as HTML, and the same as plain values by `record`. `path` is where the page is kept."""

    scores: GateScores
    page: str
    when: str
    source: str
    notes: tuple[str, ...]
    computed: pl.DataFrame | None = None
    drift: pl.DataFrame | None = None
    path: Path | None = None

    @property
    def record(self) -> dict[str, Any]:
        """For a program to read."""
        return {
            "when": self.when,
            "source": self.source,
            "scores": finite(self.scores.record),
            "computed": None if self.computed is None else plain_rows(self.computed),
            "drift": None if self.drift is None else plain_rows(self.drift),
            "notes": list(self.notes),
            "page": None if self.path is None else str(self.path),
        }


def report_of(
    scores: GateScores,
    *,
    when: str,
    source: str = WALKED,
    computed: pl.DataFrame | None = None,
    drift: pl.DataFrame | None = None,
    notes: Sequence[str] = (),
    made_of: Mapping[str, str] | None = None,
    path: Path | None = None,
) -> GateReport:
    """The report of these scores; arguments as for `app.reports.gate.gate_page`. With `path` it is written there."""
    from openbell.app.reports.gate import gate_page

    page = gate_page(scores, when=when, source=source, computed=computed, drift=drift, notes=notes, made_of=made_of)
    if path is not None:
        write_whole(path, page)
    return GateReport(scores, page, when, source, tuple(notes), computed, drift, path)


def write_report(training: GateTraining) -> GateReport:
    """The report of a training into its folder: the same training gives the same bytes."""
    from openbell.app.evidence_files import evidence

    payload, there = training.payload, training.payload["evidence"]
    beside = {
        name: evidence(training.folder, name, there[name]) if name in there else None for name in (COMPUTED, DRIFT)
    }
    return report_of(
        training.scores,
        when=f"trained on what was known before the open of {payload['session']}",
        computed=beside[COMPUTED],
        drift=beside[DRIFT],
        notes=payload["notes"],
        made_of={
            "training": payload["training"],
            "settings": payload["settings"],
            "models": payload["manifest"],
            **{f"evidence: {name}": value for name, value in there.items()},
        },
        path=training.folder / PAGE,
    )


def gate_report(home: Home, *, session: dt.date | None = None, live: bool = False) -> GateReport:
    """The report on the newest training, or on the newest made as of `session`; with `live` on the prediction log.

    Raises
    ------
    DataMissing
        Where there is no training, or nothing in the log can be judged. IntegrityBroken : where evidence was changed.
    """
    if live:
        return _live(home)
    from openbell.app.clock import now
    from openbell.app.gate_training import latest_gate

    moment = home.as_of(session) if session is not None else now()
    training = latest_gate(home, moment)
    if training is None:
        raise DataMissing(
            f"There is no training of the gate in {home.path} as of {moment:%Y-%m-%d}. Make one with "
            "`openbell train gate`, or begin with `openbell demo gate`."
        )
    return write_report(training)


def _live(home: Home) -> GateReport:
    from openbell.app.clock import now
    from openbell.app.gate_live import SERVED, live_walk, log_frame

    walk, counts = live_walk(log_frame(home.kept_predictions))
    train = home.settings.train
    notes = (
        f"`{SERVED}` is whatever answered: versions of models and arms of an A/B test follow each other; "
        "`openbell ab status` tells them apart.",
        "Profits and risks are of whole orders, as they were asked about.",
    )
    return report_of(
        scored(walk, alpha=train.alpha, replications=train.replications, seed=train.seed),
        when=f"{now():%Y-%m-%d}",
        source=LOGGED,
        computed=counts,
        notes=notes,
    )
