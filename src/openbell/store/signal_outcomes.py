"""What signals came to, joined to them once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from openbell.core.errors import BadInput
from openbell.core.time import MOMENT
from openbell.store.signal_rows import performance_percent
from openbell.store.signal_schema import signals_archive, trading_signals

#: Columns of a frame of outcomes, beside those that say whose they are.
OUTCOME: Mapping[str, Any] = {
    "outcome": pl.String, "entry_price": pl.Float64, "exit_price": pl.Float64, "exit_at": MOMENT,
    "exit_reason": pl.String, "return_fraction": pl.Float64, "max_favourable": pl.Float64, "max_adverse": pl.Float64,
    "seconds_to_target": pl.Float64, "hit": pl.Boolean, "known_at": MOMENT,
}  # fmt: skip


def rows(found: pl.DataFrame) -> list[dict[str, Any]]:
    """`found` as the table has it, by id; other columns are left where they are."""
    wanted = {"id": pl.Int64, **OUTCOME}
    wrong = {name: found.schema.get(name) for name, kind in wanted.items() if found.schema.get(name) != kind}
    if wrong:
        raise BadInput(f"Outcomes have the columns {wanted}; these were missing or of another type: {wrong}.")
    if found["id"].null_count() or found["known_at"].null_count() or found["id"].n_unique() != len(found):
        raise BadInput("Every outcome names one signal, and says when it was known; an `id` or `known_at` did not.")
    named = found.select(*wanted).rename({"known_at": "outcome_known_at"}).sort("id")
    return named.to_dicts()


def join(connection: Connection, found: Sequence[Mapping[str, Any]]) -> int:
    """Set the outcomes of signals that have none; how many were set."""
    joined = 0
    for table in (trading_signals, signals_archive):
        c = table.c
        ids = [row["id"] for row in found]
        open_ids = set(connection.execute(sa.select(c.id).where(c.outcome_known_at.is_(None),
                       c.id.between(ids[0], ids[-1]))).scalars())  # fmt: skip
        news = [row for row in found if row["id"] in open_ids]
        if not news:
            continue
        names = [name for name in found[0] if name != "id"]
        percent = sa.cast(sa.bindparam("_percent", type_=c.performance.type), c.performance.type)
        gained = sa.case((c.executed, percent), else_=None)
        values: dict[str, Any] = {name: sa.bindparam(f"_{name}") for name in names} | {"performance": gained}
        setting = table.update().where(c.id == sa.bindparam("_id")).values(values)
        connection.execute(setting, [
            {f"_{name}": value for name, value in row.items()}
            | {"_percent": performance_percent(row["return_fraction"])}
            for row in news
        ])  # fmt: skip
        joined += len(news)
    return joined
