"""Who speaks at a decision: the champion in office, or who stands in for it where its files are broken."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING

from openbell.app.production import DESK, Production, in_office, predecessor
from openbell.research.fitting import load_fitted
from openbell.store.artifacts import FittedModel

if TYPE_CHECKING:
    from openbell.app.home import Home


@dataclass(frozen=True, eq=False)
class Seat:
    """Who speaks at a decision: the champion, or the one before it where its files are broken, or nobody.

    `alerts` say what could not be loaded; then somebody has to look.
    """

    production: Production | None
    model: FittedModel | None
    alerts: tuple[str, ...] = ()


def seated(home: Home, as_of: dt.datetime, desk: str = DESK) -> Seat:
    """The champion in office with its model, checked by hash; else the previous one, with an alert; else nobody."""
    office = in_office(home, as_of, desk)
    alerts: list[str] = []
    for each in (office, predecessor(home, office, desk) if office else None):
        if each is None:
            continue
        model, why = _loaded(home, each)
        if model is not None:
            stands_in = (f"The previous champion {each.version} stands in for it.",) if alerts else ()
            return Seat(each, model, (*alerts, *stands_in))
        alerts.append(f"The {'previous ' if alerts else ''}champion {each.version} cannot be loaded. {why}")
    if alerts:
        alerts.append("Nobody can stand in for it, so there is no view. Restore the files, or promote another version.")
    return Seat(None, None, tuple(alerts))


def _loaded(home: Home, production: Production) -> tuple[FittedModel | None, str]:
    """The model, or None and why: also where the library itself fails on its file, for a run must go on without."""
    try:
        return load_fitted(home.models / production.payload["model"], manifest_hash=production.manifest), ""
    except Exception as failure:
        # The home's own place is in no output: the same decision has the same bytes wherever it is made.
        return None, str(failure).replace(f"{home.path}/", "")
