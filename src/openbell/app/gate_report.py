"""What a walk of the gate was judged on, kept beside its report; and the same report on the prediction log."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from openbell.app.files import write_whole
from openbell.app.outputs import finite, json_text, plain_rows
from openbell.core.errors import DataMissing, IntegrityBroken
from openbell.research.gate_scores import GateScores, scored

if TYPE_CHECKING:
    from openbell.app.home import Home

WALK, SCORES, PAGE = "walk.parquet", "scores.json", "report.html"


@dataclass(frozen=True, slots=True, eq=False)
class GateReport:
    """Everything that is told of a walk; `page` is the HTML, `folder` where it is kept (None: nowhere)."""

    scores: GateScores
    record: Mapping[str, Any]
    page: str
    folder: Path | None = None


def report_of(
    scores: GateScores,
    *,
    when: str,
    source: str = "walk-forward",
    computed: pl.DataFrame | None = None,
    drift: pl.DataFrame | None = None,
    notes: Sequence[str] = (),
    made_of: Mapping[str, str] | None = None,
) -> GateReport:
    """The report of these scores; arguments as for `app.reports.gate.gate_page`."""
    record = {
        "when": when,
        "source": source,
        "scores": finite(scores.record),
        "computed": None if computed is None else plain_rows(computed),
        "drift": None if drift is None else plain_rows(drift),
        "notes": list(notes),
        "made_of": dict(made_of or {}),
    }
    return _told(record)


def _told(record: Mapping[str, Any], folder: Path | None = None) -> GateReport:
    """The report that a record tells: what was kept and what was just made are shown by the same lines."""
    from openbell.app.reports.gate import gate_page

    scores = GateScores.from_record(record["scores"])
    page = gate_page(
        scores,
        when=record["when"],
        source=record["source"],
        computed=_frame(record["computed"]),
        drift=_frame(record["drift"]),
        notes=record["notes"],
        made_of=record["made_of"],
    )
    return GateReport(scores, record, page, folder)


def _frame(rows: Sequence[Mapping[str, Any]] | None) -> pl.DataFrame | None:
    return pl.DataFrame(rows, infer_schema_length=None) if rows else None


def written(walk: pl.DataFrame, scores: GateScores, folder: Path, **about: Any) -> GateReport:
    """Keep a walk, its scores and its report in `folder`, byte for byte the same again; `about` as for `report_of`."""
    buffer = io.BytesIO()
    walk.write_parquet(buffer)
    made = hashlib.sha256(buffer.getvalue()).hexdigest()
    found = report_of(scores, **{**about, "made_of": {**(about.get("made_of") or {}), "walk": made}})
    write_whole(folder / WALK, buffer.getvalue())
    write_whole(folder / SCORES, json_text(found.record))
    write_whole(folder / PAGE, found.page)
    return GateReport(found.scores, found.record, found.page, folder)


def kept(folder: Path) -> GateReport:
    """The report of what `written` put into `folder`.

    Raises
    ------
    DataMissing
        Where there is none. IntegrityBroken : where the walk is not the one that was scored.
    """
    if not (folder / SCORES).is_file():
        raise DataMissing(f"There are no scores of the gate in {folder}. Make some with `openbell train gate`.")
    try:
        record = json.loads((folder / SCORES).read_text(encoding="utf-8"))
        expected = record["made_of"]["walk"]
    except (ValueError, KeyError) as failure:
        raise IntegrityBroken(f"{folder / SCORES} is no record of scores: {failure}. Train again.") from failure
    if hashlib.sha256((folder / WALK).read_bytes()).hexdigest() != expected:
        raise IntegrityBroken(f"{folder / WALK} is not the walk that was scored. Train again, or restore it.")
    return _told(record, folder)


def folders(home: Home) -> tuple[Path, ...]:
    """Folders of kept walks, ``gate/<as of>`` of the home, oldest first."""
    return tuple(sorted(each.parent for each in (home.path / "gate").glob(f"*/{SCORES}")))


def gate_report(home: Home, *, as_of: str | None = None, live: bool = False) -> GateReport:
    """The report on the newest walk, or on that of `as_of`; with `live` on the prediction log."""
    if live:
        return _live(home)
    if as_of is not None:
        return kept(home.path / "gate" / as_of)
    found = folders(home)
    if not found:
        raise DataMissing(
            f"No walk of the gate is kept in {home.path}. Make one with `openbell train gate --as-of DATE`, "
            "or begin with `openbell demo gate`."
        )
    return kept(found[-1])


def _live(home: Home) -> GateReport:
    from openbell.app.clock import now
    from openbell.app.gate_live import SERVED, live_walk, log_frame
    from openbell.store.predictions import Predictions

    with Predictions.open(home.settings.store.predictions) as log:
        rows = log_frame(log)
    walk, counts = live_walk(rows)
    scores = scored(walk, alpha=home.settings.train.alpha)
    notes = (
        f"`{SERVED}` is whatever answered: versions of models and arms of an A/B test follow each other; "
        "`openbell ab status` tells them apart.",
        "Profits and risks are of whole orders, as they were asked about.",
    )
    return report_of(scores, when=f"{now():%Y-%m-%d}", source="prediction log", computed=counts, notes=notes)
