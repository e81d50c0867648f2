"""The arm that answered a trade first: stored once, and never another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from openbell.core.experiment import ArmWord
from openbell.store.gate_schema import assignments
from openbell.store.upserts import chosen, insert_new


@dataclass(frozen=True, slots=True)
class Assignment:
    """The arm of a trade: of which A/B test, and of which version of its definition."""

    experiment: str
    version: int
    trade_id: str
    arm: ArmWord


def stored(connection: Connection, experiment: str, trade_ids: Sequence[str]) -> dict[str, Assignment]:
    """Assignments there are, by trade id."""
    wanted = sa.select(assignments).where(assignments.c.experiment == experiment)
    rows = chosen(connection, wanted, assignments.c.trade_id, trade_ids)
    return {row.trade_id: Assignment(row.experiment, row.version, row.trade_id, row.arm) for row in rows}


def keep(connection: Connection, answered: Mapping[Assignment, int]) -> dict[tuple[str, str], Assignment]:
    """Store the assignments of trades that have none, each with its moment; what now stands for (experiment, trade)."""
    first: dict[tuple[str, str], tuple[Assignment, int]] = {}
    for each, at_us in answered.items():
        first.setdefault((each.experiment, each.trade_id), (each, at_us))
    rows = [
        {"experiment": each.experiment, "trade_id": each.trade_id, "version": each.version, "arm": each.arm,
         "at_us": at_us}
        for each, at_us in first.values()
    ]  # fmt: skip
    insert_new(connection, assignments, rows, assignments.c.trade_id)
    standing: dict[tuple[str, str], Assignment] = {}
    for experiment in sorted({name for name, _ in first}):
        trades = sorted(trade for name, trade in first if name == experiment)
        standing |= {(experiment, trade): each for trade, each in stored(connection, experiment, trades).items()}
    return standing
