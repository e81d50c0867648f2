"""The rule that turns probabilities and conformal sets into BUY, SELL or HOLD: the same for history and for now."""

from __future__ import annotations

import datetime as dt
import math

import polars as pl

from openbell.core.errors import BadInput
from openbell.core.signal import CALLS, DEFAULT_LIFE, IN_SET, PROBABILITIES, Call
from openbell.core.time import Sessions

_DAY_SECONDS = 86_400.0


def called(rows: pl.DataFrame, *, min_confidence: float = 0.6, require_single: bool = True) -> pl.DataFrame:
    """`rows` with the columns ``call`` and ``confidence``.

    A class is called where the conformal set holds it alone (unless `require_single` is False, when the likeliest class
    takes its place) and its calibrated probability is at least `min_confidence`; everything else is HOLD. The
    confidence is the calibrated probability of what is called, so that of a HOLD may lie below `min_confidence`.

    Parameters
    ----------
    rows : columns ``p_sell p_hold p_buy`` (Float64, no null) and ``in_sell in_hold in_buy`` (Boolean), shape (n,).
    min_confidence : in [0, 1], itself enough.

    Raises
    ------
    BadInput
        Where `min_confidence` lies outside [0, 1].

    References
    ----------
    Vovk, Gammerman and Shafer (2005), Algorithmic Learning in a Random World, chapter 2.
    """
    if not 0.0 <= min_confidence <= 1.0:
        raise BadInput(f"`min_confidence` must lie between 0 and 1; was {min_confidence}. The request asks for 0.6.")
    likeliest = pl.max_horizontal(*PROBABILITIES)
    single = pl.sum_horizontal(*(pl.col(name).cast(pl.Int8) for name in IN_SET)) == 1
    call = pl.lit(Call.HOLD.value)
    for word, probability, inside in zip(CALLS, PROBABILITIES, IN_SET, strict=True):
        if word is Call.HOLD:
            continue
        alone = (single & pl.col(inside)) if require_single else (pl.col(probability) == likeliest)
        call = pl.when(alone & (pl.col(probability) >= min_confidence)).then(pl.lit(word.value)).otherwise(call)
    confidence = pl.lit(None, dtype=pl.Float64)
    for word, probability in zip(CALLS, PROBABILITIES, strict=True):
        confidence = pl.when(pl.col("call") == word.value).then(pl.col(probability)).otherwise(confidence)
    return rows.with_columns(call.alias("call")).with_columns(confidence.alias("confidence"))


def end_of_life(
    as_of: dt.datetime,
    session: dt.date,
    sessions: Sessions,
    half_life_seconds: float | None,
    *,
    within_session: bool,
) -> dt.datetime:
    """Until when a signal that was made at `as_of` can be acted on.

    Its life is the half-life, or 24 hours where none is known, counted in time in which the market can be acted on: a
    signal of Friday's close does not end on Saturday. One of daily bars lives through the close of so many sessions
    after its own as the half-life has days, rounded up, at least one; one of bars within the session ends with that.

    Parameters
    ----------
    session : whose bar it was made of. within_session : whether its bars are shorter than a session.
    """
    life = DEFAULT_LIFE if half_life_seconds is None else dt.timedelta(seconds=half_life_seconds)
    if within_session:
        return min(as_of + life, sessions.close(session)) if as_of < sessions.close(session) else as_of + life
    count = max(1, math.ceil(life.total_seconds() / _DAY_SECONDS))
    return sessions.close(sessions.shift(session, count))
