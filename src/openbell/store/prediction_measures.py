"""What the prediction log says of itself, summed up by the database."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from openbell.core.errors import BadInput
from openbell.store.gate_schema import predictions
from openbell.store.upserts import microseconds

_C = predictions.c
_WON = sa.case((_C.win.is_(True), 1.0), (_C.win.is_(False), 0.0))
_KNOWN = _C.win.is_not(None)
#: Rows that can be judged: a model spoke, and what became of the trade is known.
_JUDGED = sa.and_(_C.probability.is_not(None), _KNOWN)
_TOOK = _C.probability >= sa.func.coalesce(_C.threshold, 0.5)

PAIR: Mapping[str, Any] = {"symbol": pl.String, "strategy": pl.String}
COUNTS: Mapping[str, Any] = {**PAIR, "answer": pl.String, "n": pl.Int64}
ACCURACY: Mapping[str, Any] = {
    **PAIR, "n": pl.Int64, "days": pl.Int64, "hits": pl.Int64, "accuracy": pl.Float64, "win_rate": pl.Float64,
    "mean_probability": pl.Float64, "brier": pl.Float64, "false_positives": pl.Int64, "false_negatives": pl.Int64,
}  # fmt: skip
TRENDS: Mapping[str, Any] = {
    "day": pl.Date, "n": pl.Int64, "mean_probability": pl.Float64, "judged": pl.Int64, "win_rate": pl.Float64,
    "brier": pl.Float64, "calibration": pl.Float64, "profit_usd": pl.Float64,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Chosen:
    """Which rows of the log: all that agree with everything that is not None. ``since <= at < until``."""

    symbol: str | None = None
    strategy: str | None = None
    model_key: str | None = None
    model_version: str | None = None
    model_level: str | None = None
    experiment: str | None = None
    arm: str | None = None
    answer: str | None = None
    trade_id: str | None = None
    key_id: str | None = None
    since: dt.datetime | None = None
    until: dt.datetime | None = None
    known: bool | None = None

    @property
    def conditions(self) -> list[sa.ColumnElement[bool]]:
        """As the database is asked."""
        same = ("symbol", "strategy", "model_key", "model_version", "model_level", "experiment", "arm", "answer",
                "trade_id", "key_id")  # fmt: skip
        found = [_C[name] == getattr(self, name) for name in same if getattr(self, name) is not None]
        if self.since is not None:
            found.append(_C.at_us >= microseconds(self.since))
        if self.until is not None:
            found.append(_C.at_us < microseconds(self.until))
        if self.known is not None:
            found.append(_KNOWN if self.known else _C.win.is_(None))
        return found


#: Every row.
ALL = Chosen()


def _frame(connection: Connection, wanted: sa.Select[Any], schema: Mapping[str, Any]) -> pl.DataFrame:
    rows = [tuple(row) for row in connection.execute(wanted)]
    return pl.DataFrame(rows, schema=dict(schema), orient="row")


def _share(of: sa.ColumnElement[Any], among: sa.ColumnElement[bool]) -> sa.ColumnElement[Any]:
    return sa.func.avg(sa.case((among, of)))


def _count(among: sa.ColumnElement[bool]) -> sa.ColumnElement[Any]:
    return sa.func.count(sa.case((among, 1)))


_BRIER = _share((_C.probability - _WON) * (_C.probability - _WON), _JUDGED)


def counts(connection: Connection, which: Chosen) -> pl.DataFrame:
    """Predictions by ``symbol``, ``strategy``, ``answer``: ``n``."""
    keys = (_C.symbol, _C.strategy, _C.answer)
    wanted = sa.select(*keys, sa.func.count()).where(*which.conditions).group_by(*keys).order_by(*keys)
    return _frame(connection, wanted, COUNTS)


def accuracy(connection: Connection, which: Chosen, minimum: int) -> pl.DataFrame:
    """How often the model was right, by symbol and strategy, where a model spoke and the outcome is known.

    Columns: ``n`` and the ``days`` they stand on (trades of one day share a close, so `n` alone flatters), ``hits`` (a
    win was said, by probability >= threshold or 0.5 without one, exactly where one came), ``accuracy`` = hits / n,
    ``win_rate``, ``mean_probability``, ``brier``, ``false_positives``, ``false_negatives``. Shares are null where `n`
    lies under `minimum`: too few to be told from luck.
    """
    if minimum < 1:
        raise BadInput(f"`minimum` must be at least 1; was {minimum}.")
    keys = (_C.symbol, _C.strategy)
    won = _C.win.is_(True)
    wanted = sa.select(
        *keys,
        sa.func.count(),
        sa.func.count(sa.distinct(_C.day)),
        _count(sa.or_(sa.and_(_TOOK, won), sa.and_(sa.not_(_TOOK), sa.not_(won)))),
        sa.null(),
        sa.func.avg(_WON),
        sa.func.avg(_C.probability),
        _BRIER,
        _count(sa.and_(_TOOK, sa.not_(won))),
        _count(sa.and_(sa.not_(_TOOK), won)),
    )
    wanted = wanted.where(_JUDGED, *which.conditions).group_by(*keys).order_by(*keys)
    found = _frame(connection, wanted, ACCURACY).with_columns(accuracy=pl.col("hits") / pl.col("n"))
    shares = ("accuracy", "win_rate", "mean_probability", "brier")
    return found.with_columns(pl.when(pl.col("n") >= minimum).then(pl.col(name)).alias(name) for name in shares)


def trends(connection: Connection, which: Chosen) -> pl.DataFrame:
    """By the exchange's day, oldest first.

    Columns: ``day``, ``n`` predictions, their ``mean_probability``; of those where a model spoke and the outcome is
    known: how many (``judged``), ``win_rate``, ``brier`` and ``calibration`` (mean probability less win rate, above 0
    where too much was promised); ``profit_usd``, the sum of known profits. Null where there is nothing to average.
    """
    rate = _share(_WON, _JUDGED)
    wanted = sa.select(
        _C.day,
        sa.func.count(),
        sa.func.avg(_C.probability),
        _count(_JUDGED),
        rate,
        _BRIER,
        _share(_C.probability, _JUDGED) - rate,
        sa.func.sum(_C.profit_usd),
    )
    return _frame(connection, wanted.where(*which.conditions).group_by(_C.day).order_by(_C.day), TRENDS)
