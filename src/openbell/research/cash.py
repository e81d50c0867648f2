"""What cash earns: the last rate that was known, for the calendar days between two sessions."""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Sequence

import numpy as np
import polars as pl

from openbell.core.errors import unknown
from openbell.core.view import View
from openbell.quant.performance import DAYS_PER_YEAR


def cash_returns(view: View, rate: str, days: Sequence[dt.date]) -> np.ndarray:
    """Return of cash over each session of `days`, shape (n,), fraction.

    Parameters
    ----------
    rate : name in the table of rates, whose values are percent a year; empty for cash that earns nothing.
    days : sessions, oldest first.

    Returns
    -------
    numpy.ndarray
        ``(1 + value / 100) ** (calendar days since the session before / 365.25) - 1`` with the value of the latest
        session known at the open; 0 before the first is known. The first session counts one day.
    """
    if not rate:
        return np.zeros(len(days))
    names = view.facts("rates").select("name").unique().collect()["name"].to_list()
    if rate not in names:
        raise unknown("rate", rate, names)
    known = (
        view.facts("rates")
        .filter(pl.col("name") == rate)
        .select("known_at", "session", "value")
        .collect()
        .sort("known_at", "session")
        # A restatement of an older rate that arrives late is not the last rate.
        .filter(pl.col("session") >= pl.col("session").cum_max())
    )
    opens = pl.DataFrame({"open_at": [view.sessions.open(day) for day in days]}).cast(known.schema["known_at"])
    values = opens.join_asof(known, left_on="open_at", right_on="known_at", strategy="backward")["value"]
    span = np.array([1, *((b - a).days for a, b in itertools.pairwise(days))], dtype=np.float64)
    annual = values.fill_null(0.0).to_numpy() / 100.0
    return np.asarray((1.0 + annual) ** (span / DAYS_PER_YEAR) - 1.0)
