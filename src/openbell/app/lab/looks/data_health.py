"""How fresh and how clean the stored data are: spans, what is behind the calendar, quarantine, the last imports."""

from __future__ import annotations

import bisect
import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl

from openbell.core.time import Sessions
from openbell.store.journal_pages import Which, page

if TYPE_CHECKING:
    from openbell.app.home import Home

#: Tables of rows that a gate put aside, and the column that names the rule.
QUARANTINES = ("quarantine", "quote_quarantine", "minute_quarantine")
#: Tables that get rows every session; of the others (splits, members, trades) a last row long ago is no lack.
SERIES = ("bars", "minutes", "quotes", "rates")
IMPORTS = 5
_TABLES = {
    "table": pl.String, "rows": pl.Int64, "symbols": pl.Int64, "first": pl.Date, "last": pl.Date,
    "behind": pl.Int64, "symbols_behind": pl.Int64,
}  # fmt: skip
_IMPORTS = {
    "at": pl.String, "name": pl.String, "received": pl.Int64, "stored": pl.Int64, "quarantined": pl.Int64,
    "commit": pl.String, "record": pl.Int64,
}  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class DataHealth:
    """What is stored and how it stands.

    Attributes
    ----------
    last_closed : the session that the calendar has closed last. tables : a row per table; ``behind`` counts closed
        sessions after the last one stored and ``symbols_behind`` the symbols whose last session lies before the last of
        their table, both null for tables that get no rows every session. quarantine : ``table``, ``rule``, ``rows``.
    imports : the last ones, newest first. notes : what they said of their data, each once.
    """

    last_closed: dt.date
    tables: pl.DataFrame
    quarantine: pl.DataFrame
    imports: pl.DataFrame
    notes: tuple[str, ...]


def data_health(home: Home, now: dt.datetime) -> DataHealth:
    """What the tables of `home` hold at `now`."""
    closed = home.sessions.last_closed(now)
    names = [each for each in home.tables.names() if each not in QUARANTINES]
    rows = [{"table": name, **_span(home, name, closed)} for name in names]
    records = _imports(home)
    return DataHealth(
        last_closed=closed,
        tables=pl.DataFrame(rows, schema=_TABLES),
        quarantine=_quarantine(home),
        imports=pl.DataFrame([_told(each) for each in records], schema=_IMPORTS),
        notes=tuple(dict.fromkeys(note for each in records for note in each.payload.get("notes", ()))),
    )


def sessions_behind(sessions: Sessions, last: dt.date, closed: dt.date) -> int:
    """Closed sessions of the calendar after `last`; 0 where it reaches `closed` or goes beyond it."""
    if last >= closed:
        return 0
    return bisect.bisect_right(sessions.dates, closed) - bisect.bisect_right(sessions.dates, last)


def _span(home: Home, name: str, closed: dt.date) -> dict[str, Any]:
    table = home.tables.scan(name)
    columns = table.collect_schema().names()
    of = next((each for each in ("symbol", "underlying", "name") if each in columns), None)
    if "session" not in columns:
        counted = [pl.len().cast(pl.Int64).alias("rows")]
        counted += [] if of is None else [pl.col(of).n_unique().cast(pl.Int64).alias("symbols")]
        return table.select(counted).collect().row(0, named=True)
    parts = [pl.len().cast(pl.Int64).alias("rows"), pl.min("session").alias("first"), pl.max("session").alias("last")]
    spans = (table.select(parts) if of is None else table.group_by(of).agg(parts)).collect()
    last = spans["last"].max()
    if not isinstance(last, dt.date):
        return {"rows": 0, "symbols": 0}
    found = {
        "rows": int(spans["rows"].sum()),
        "symbols": None if of is None else spans.height,
        "first": spans["first"].min(),
        "last": last,
    }
    if name not in SERIES:
        return found
    late = None if of is None else int((spans["last"] < last).sum())
    return found | {"behind": sessions_behind(home.sessions, last, closed), "symbols_behind": late}


def _quarantine(home: Home) -> pl.DataFrame:
    found = [pl.DataFrame(schema={"table": pl.String, "rule": pl.String, "rows": pl.Int64})]
    for name in QUARANTINES:
        if home.tables.exists(name):
            rows = home.tables.scan(name).group_by("rule").agg(pl.len().cast(pl.Int64).alias("rows")).collect()
            found.append(rows.select(pl.lit(name).alias("table"), "rule", "rows"))
    return pl.concat(found).sort("rows", "table", "rule", descending=[True, False, False])


def _imports(home: Home) -> list[Any]:
    return list(page(home.kept_journal, Which(kinds=("data",)), IMPORTS))


def _told(record: Any) -> dict[str, Any]:
    payload = record.payload
    numbers = {name: payload.get(name) for name in ("received", "stored", "quarantined")}
    commit = payload.get("commit")
    return {
        "at": f"{record.at:%Y-%m-%d %H:%M}", "name": payload.get("name"), **numbers,
        "commit": None if commit is None else str(commit)[:12], "record": record.seq,
    }  # fmt: skip
