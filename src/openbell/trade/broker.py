"""What every broker does, paper or live."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import polars as pl

from openbell.core.types import Fill, Order
from openbell.store.journal import Record


@dataclass(frozen=True, slots=True)
class Settlement:
    """What became of orders and holdings, in the order it happened; `notes` are sentences for the report."""

    fills: tuple[Fill, ...] = ()
    waiting: tuple[Order, ...] = ()
    notes: tuple[str, ...] = ()


class Broker(Protocol):
    """Takes orders once and reports what it did with them; both in the journal."""

    def submit(self, orders: Sequence[Order], *, at: dt.datetime) -> tuple[Record, ...]:
        """Take orders decided at `at`; the same orders again change nothing."""
        ...

    def settle(self, until: dt.date, bars: pl.DataFrame, actions: pl.DataFrame) -> Settlement:
        """Bring every session up to `until` to its end: fills, expiries, corporate actions."""
        ...
