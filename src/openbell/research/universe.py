"""Which names may be traded at each decision, from what was known at that decision."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

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
    """Stocks whose latest bar known at the decision is at most `STALE_SESSIONS` old."""
    numbers = view.sessions.frame.select("session", pl.col("number").cast(pl.Int64).alias("bar"))
    bars = view.facts("bars").filter(pl.col("freq") == freq).select("symbol", "session", "known_at")
    if view.tables.exists("instruments"):
        stocks = view.facts("instruments").filter(pl.col("kind") == Kind.STOCK.value).select("symbol").unique()
        bars = bars.join(stocks, on="symbol", how="semi")
    known = (
        bars.join(numbers.lazy(), on="session")
        .select("symbol", "known_at", "bar")
        .sort("known_at", "bar")
        .with_columns(pl.col("bar").cum_max().over("symbol"))
        .collect()
    )
    grid = dated.join(known.select("symbol").unique(), how="cross").sort("as_of")
    return grid.join_asof(
        known, left_on="as_of", right_on="known_at", by="symbol", strategy="backward", check_sortedness=False
    ).filter(pl.col("number") - pl.col("bar") <= STALE_SESSIONS)


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
