"""Signals as they stand now, the life of one, and what all of them were worth."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl

from openbell.app.api.signal_answers import GROUPS, status_at, whole_answer
from openbell.app.signals_store import worth
from openbell.core.signal import Call, Status
from openbell.research.signal_analytics import Analytics
from openbell.store.signal_pages import Which
from openbell.store.signal_rows import Stored

if TYPE_CHECKING:
    from openbell.app.home import Home

#: Signals that the live table shows at most; with more, it says so.
MOST = 200
LIVE: Mapping[str, Any] = {
    "id": pl.Int64, "made": pl.String, "symbol": pl.String, "call": pl.String, "confidence": pl.Float64,
    "price": pl.Float64, "target": pl.Float64, "stop": pl.Float64, "size": pl.Float64, "status": pl.String,
    "until": pl.String, "return_pct": pl.Float64, "model": pl.String,
}  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class LiveSignals:
    """The newest signals of a filter, columns of `LIVE`; `more` where there are others beyond them."""

    rows: pl.DataFrame
    more: bool


def live(
    home: Home, now: dt.datetime, *, symbols: Sequence[str] = (), statuses: Sequence[str] = (), limit: int = MOST
) -> LiveSignals:
    """The newest signals as they stand at `now`; one whose time is over counts as EXPIRED, also if not yet told so.

    Raises
    ------
    DataMissing
        Where there is no store of signals. BadInput : on a status that is none.
    """
    asked = tuple(dict.fromkeys(Status(each) if each in list(Status) else each for each in statuses))
    # An active signal whose time is over is stored as ACTIVE until somebody tidies, so EXPIRED asks for both.
    stored = (*asked, Status.ACTIVE) if Status.EXPIRED in asked and Status.ACTIVE not in asked else asked
    which = Which(symbols=tuple(each.strip().upper() for each in symbols if each.strip()), statuses=stored)  # type: ignore[arg-type]
    found = home.kept_signals.page(which, limit, None)
    rows = [each for each in found.rows if not asked or status_at(each, now) in asked]
    return LiveSignals(
        pl.DataFrame([_row(each, now) for each in rows], schema=dict(LIVE), orient="row"), found.cursor is not None
    )


def _row(stored: Stored, now: dt.datetime) -> tuple[Any, ...]:
    signal, outcome = stored.signal, stored.outcome
    came = None if outcome is None or outcome.return_fraction is None else round(100 * outcome.return_fraction, 3)
    rounded = [None if each is None else round(each, 4) for each in (
        signal.confidence, signal.price, signal.target_price, signal.stop_loss, signal.position_size)]  # fmt: skip
    return (
        stored.id, f"{signal.created_at:%Y-%m-%d %H:%M}", signal.symbol, signal.call.value, *rounded,
        status_at(stored, now).value, f"{signal.expires_at:%Y-%m-%d %H:%M}", came, signal.model_version,
    )  # fmt: skip


def life(home: Home, id: int, now: dt.datetime) -> dict[str, Any]:
    """Everything about one signal, as `openbell signals show` tells it."""
    store = home.kept_signals
    return whole_answer(store.get(id), store.events(id), now)


def analytics(home: Home, now: dt.datetime) -> Analytics:
    """What all signals were worth, the archive included, as far as it is known at `now`."""
    return worth(home.kept_signals, Which(archived=True), now)


def groups(found: Analytics, by: str) -> pl.DataFrame:
    """The rows of one grouping of `GROUPS`."""
    return found.rows.filter(pl.col("by") == GROUPS[by]).drop("by")


def decay(home: Home, now: dt.datetime) -> tuple[pl.DataFrame, str]:
    """How long what a call knows lasts, as the last training measured it, and of which training.

    Raises
    ------
    DataMissing
        Without a training.
    """
    from openbell.app.signals_training import latest_signals
    from openbell.core.errors import DataMissing

    training = latest_signals(home, now) if home.kept_journal.head.records else None
    if training is None:
        raise DataMissing("The signals desk was not trained yet, so no half-life was measured.")
    told = training.payload["half_life_seconds"]
    rows = [{"model": name, "half_life_hours": None if each is None else each / 3600.0} for name, each in told.items()]
    return pl.DataFrame(rows, schema={"model": pl.String, "half_life_hours": pl.Float64}), str(
        training.payload["session"]
    )


def cancel(home: Home, id: int, why: str, now: dt.datetime, *, by: str) -> str:
    """End a signal as `openbell signals cancel` does; the sentence that says so. `by` stands in the audit.

    Raises
    ------
    Refused
        Where it ended already. BadInput : without a reason.
    """
    became = home.kept_signals.cancel(id, at=now, by=by, why=why, word="cancel")
    call: Call = became.signal.call
    return f"Signal {id} ({call.value} {became.signal.symbol}) is cancelled: {became.why}"
