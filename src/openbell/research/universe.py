"""Which names may be traded at each decision, from what was known at that decision."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

import numpy as np
import polars as pl

from openbell.core.errors import BadInput
from openbell.core.time import MOMENT, Sessions
from openbell.core.types import Kind
from openbell.core.view import View

#: The name of the universe of everything that trades; it is not a universe as of date.
ALL = "all"
#: A name counts as trading while its last bar is at most this many sessions old.
STALE_SESSIONS = 5


def decisions(calendar: Sessions, sessions: Sequence[dt.date], lead_minutes: int) -> pl.DataFrame:
    """Columns ``session``, ``as_of`` (the session's open less the lead, UTC), ``number`` (counts sessions); sorted."""
    if lead_minutes < 0:
        raise BadInput(f"`lead_minutes` must not be negative; was {lead_minutes}. A decision is made before the open.")
    for session in sessions:
        calendar.index(session)
    return (
        calendar.frame.filter(pl.col("session").is_in(pl.Series(sorted(sessions), dtype=pl.Date).implode()))
        .select(
            "session",
            (pl.col("open_at") - pl.duration(minutes=lead_minutes)).cast(MOMENT).alias("as_of"),
            pl.col("number").cast(pl.Int64),
        )
        .sort("session")
    )


def is_survivorship_biased(universe: str | None) -> bool:
    """Whether the universe is read from what is in the tables, and not from dated membership."""
    return universe is None or universe == ALL


def members(
    view: View,
    universe: str | None,
    sessions: Sequence[dt.date],
    *,
    lead_minutes: int = 30,
    benchmark: str | None = None,
    freq: str = "1d",
) -> pl.DataFrame:
    """The names of `universe` at each decision session.

    Parameters
    ----------
    universe : name of a dated universe; None or ``"all"``: every stock with a bar in the last 5 sessions known at the
        decision, which is survivorship-biased wherever the tables hold survivors only (`is_survivorship_biased`).
    sessions : decision sessions. lead_minutes : a decision is made this long before the open.
    benchmark : a symbol that is never a member.

    Returns
    -------
    polars.DataFrame
        Columns ``session``, ``symbol``, sorted, one row per member.

    Raises
    ------
    BadInput
        Where the universe has no member at any of the sessions.
    """
    dated = decisions(view.sessions, sessions, lead_minutes)
    found = _trading(view, dated, freq) if is_survivorship_biased(universe) else _dated(view, str(universe), dated)
    found = found.filter(pl.col("symbol") != benchmark) if benchmark else found
    if found.is_empty():
        named = f"The universe `{universe or ALL}`"
        span = f"between {min(sessions)} and {max(sessions)}" if len(sessions) else "on no session at all"
        raise BadInput(f"{named} has no member {span}. Import its membership, or its bars, or choose another.")
    return found.select("session", "symbol").sort("session", "symbol")


def _trading(view: View, dated: pl.DataFrame, freq: str) -> pl.DataFrame:
    """Stocks with a bar, known at the decision, that is at most `STALE_SESSIONS` old; sorted by session and symbol."""
    if dated.is_empty():
        return pl.DataFrame(schema={"session": pl.Date, "symbol": pl.String})
    numbers = dated["number"].to_numpy()
    oldest = view.sessions.dates[max(int(numbers[0]) - STALE_SESSIONS, 0)]
    bars = view.facts("bars").filter((pl.col("freq") == freq) & (pl.col("session") >= oldest))
    if view.tables.exists("instruments"):
        stocks = view.facts("instruments").filter(pl.col("kind") == Kind.STOCK.value).select("symbol").unique()
        bars = bars.join(stocks, on="symbol", how="semi")
    grid = view.sessions.frame.lazy().select("session", pl.col("number").cast(pl.Int64).alias("bar"))
    known = bars.select("symbol", "session", pl.col("known_at").to_physical()).join(grid, on="session").collect()
    names = known["symbol"].unique().sort()
    # A bar makes its name trade from the first decision that knows it to the last that does not find it stale: count
    # +1 where that span begins and -1 behind its end, and a name trades where the running sum is positive.
    begins = np.searchsorted(dated["as_of"].to_physical().to_numpy(), known["known_at"].to_numpy(), side="left")
    ends = np.searchsorted(numbers, known["bar"].to_numpy() + STALE_SESSIONS, side="right")
    column = known.select(pl.col("symbol").replace_strict(names, np.arange(len(names)), return_dtype=pl.Int64))
    column, spans = column.to_series().to_numpy(), begins < ends
    shape = (len(numbers) + 1, len(names))
    count = np.zeros(shape, dtype=np.int32)
    for places, step in ((begins, 1), (ends, -1)):
        cells = np.bincount(places[spans] * shape[1] + column[spans], minlength=shape[0] * shape[1])
        count += step * cells.reshape(shape).astype(np.int32)
    row, at = np.nonzero(np.cumsum(count, axis=0)[:-1] > 0)
    return pl.DataFrame({"session": dated["session"][row], "symbol": names[at]})


def _dated(view: View, universe: str, dated: pl.DataFrame) -> pl.DataFrame:
    """Members by the latest event that was both in force and known at the decision."""
    events = view.membership(universe).collect()
    if events.is_empty():
        raise BadInput(
            f"There is no membership of a universe `{universe}` known at {view.as_of:%Y-%m-%d %H:%M} UTC. "
            f"Import it, or use `{ALL}`, which is survivorship-biased."
        )
    # An event counts from the first decision on or after its session that knew it; one that is by then overtaken by
    # an event with a later session never counts.
    counted = (
        events.sort("session")
        .join_asof(dated.select("session", "as_of"), on="session", strategy="forward")
        .with_columns(pl.max_horizontal("as_of", "known_at").alias("counts_at"))
        .drop_nulls("as_of")
        .sort("symbol", "counts_at", "session", "known_at")
        .filter(pl.col("session") == pl.col("session").cum_max().over("symbol"))
        .unique(["symbol", "counts_at"], keep="last", maintain_order=True)
        .select("symbol", "counts_at", "member")
        .sort("counts_at")
    )
    grid = dated.join(counted.select("symbol").unique(), how="cross").sort("as_of")
    return grid.join_asof(
        counted, left_on="as_of", right_on="counts_at", by="symbol", strategy="backward", check_sortedness=False
    ).filter(pl.col("member"))
