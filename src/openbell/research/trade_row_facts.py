"""The facts and features of a few rows that are no table: what a request is answered with.

A table of one row costs a data frame library two milliseconds to make and to take apart; the arithmetic costs a tenth
of that. The numbers are those of `trade_facts` and `trade_features`, by the same functions on the same arrays.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl

from openbell.core.declare import Feature
from openbell.core.errors import BadInput
from openbell.core.time import MOMENT, Sessions
from openbell.research.trade_clock import EXCHANGE_ZONE, clock_of
from openbell.research.trade_facts import (
    FACTS,
    LEG_NUMBERS,
    MARKET_VOLATILITY,
    NUMBERS,
    TradeNumbers,
    worked_out,
    wrong_unit,
)
from openbell.research.trade_features import row_features

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MICROSECOND = dt.timedelta(microseconds=1)
_ZONE = ZoneInfo(EXCHANGE_ZONE)
_RIGHTS = {"CALL": 1.0, "PUT": -1.0}
_LEGS = range(1, 5)
_COLUMNS = (*NUMBERS, MARKET_VOLATILITY)
_LEG_COLUMNS = tuple(f"{name}{i}" for name in LEG_NUMBERS for i in _LEGS)
_FLOATS = tuple(name for name, kind in FACTS.items() if kind == pl.Float64)
_MOMENTS = tuple(name for name, kind in FACTS.items() if kind == MOMENT)
_TRUTHS = ("wins_between", "win")


def row_facts(
    rows: Sequence[Mapping[str, Any]], *, commission_usd: float, sessions: Sessions | None = None
) -> list[dict[str, Any]]:
    """Each row with its facts, exactly as `trade_facts.facts` has them in a table of these rows.

    Parameters
    ----------
    rows : columns of `core.trade_rows.TRADES` and ``market_volatility`` by name, None where missing; moments aware.
    commission_usd, sessions : as for `trade_facts.facts`.

    Raises
    ------
    BadInput
        On a unit that is neither ``points`` nor ``usd``, or a commission below 0.
    """
    if not commission_usd >= 0:
        raise BadInput(f"A commission is 0 USD or more per contract; was {commission_usd}.")
    days = [row["known_at"].astimezone(_ZONE).date() for row in rows]
    times = clock_of(
        np.array([(row["known_at"] - _EPOCH) // _MICROSECOND for row in rows], dtype="datetime64[us]"),
        np.array(days, dtype="datetime64[D]"),
        np.array([row["expiry"] for row in rows], dtype="datetime64[D]"),
        sessions,
    )
    numbers, basis, ambiguous = worked_out(_numbers_of(rows), times, commission_usd)
    columns = np.stack([numbers[name] for name in (*_FLOATS, *_TRUTHS, *_MOMENTS)], axis=1).tolist()
    return [
        {**row, "session": day, **_told(found), "price_basis": word, "price_ambiguous": bool(other)}
        for row, day, found, word, other in zip(rows, days, columns, basis, ambiguous, strict=True)
    ]


def _numbers_of(rows: Sequence[Mapping[str, Any]]) -> TradeNumbers:
    # None becomes NaN, and a whole number the float that it is.
    flat = np.array([[row[name] for name in _COLUMNS] for row in rows], dtype=np.float64)
    legs = np.array([[row[name] for name in _LEG_COLUMNS] for row in rows], dtype=np.float64)
    by_name = {name: legs[:, 4 * at : 4 * at + 4] for at, name in enumerate(LEG_NUMBERS)}
    by_name["right"] = np.array([[_RIGHTS.get(row[f"type{i}"], np.nan) for i in _LEGS] for row in rows])
    money = {name: flat[:, at] for at, name in enumerate(_COLUMNS)}
    units = [row["unit"] for row in rows]
    strange = [unit for unit in units if unit not in ("points", "usd")]
    if strange:
        raise wrong_unit(strange)
    points = np.array([unit == "points" for unit in units])
    return TradeNumbers.of(by_name, money, np.where(points, 1.0, 1.0 / money["multiplier"]))


def _told(found: Sequence[float]) -> dict[str, Any]:
    """The numbers of one row by name: None for NaN, truths and moments as such."""
    values: list[Any] = [None if each != each else each for each in found]
    told = dict(zip((*_FLOATS, *_TRUTHS, *_MOMENTS), values, strict=True))
    for name in _TRUTHS:
        told[name] = None if told[name] is None else bool(told[name])
    for name in _MOMENTS:
        told[name] = None if told[name] is None else _EPOCH + dt.timedelta(microseconds=int(told[name]))
    return told


def told_rows(
    rows: Sequence[Mapping[str, Any]],
    features: Mapping[str, Feature],
    *,
    commission_usd: float,
    sessions: Sessions | None = None,
) -> list[dict[str, Any]]:
    """Each row with its facts and its features."""
    known = row_facts(rows, commission_usd=commission_usd, sessions=sessions)
    return [{**row, **found} for row, found in zip(known, row_features(known, features), strict=True)]
