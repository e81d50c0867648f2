"""Other markets as of each cut-off: the last level known, and the daily level known before that one."""

from __future__ import annotations

import polars as pl

from openbell.core.errors import BadInput
from openbell.core.time import MOMENT

#: A level older than this says nothing of today: a feature of it is null.
OLDEST_DAYS = 7
COLUMNS = ("at", "level", "known_at", "daily")


def levels(name: str, market: pl.DataFrame, sessions: pl.DataFrame) -> pl.DataFrame:
    """The market `name` at the cut-off of each session.

    Parameters
    ----------
    market : ``at`` (when it stood there), ``level``, ``known_at``, ``daily`` (whether it is the level of a day).
    sessions : ``session``, ``regular_close_at``, ``as_of``, by session.

    Returns
    -------
    polars.DataFrame
        ``session``, ``<name>_now``, ``<name>_before``, ``<name>`` (when the later of the two was known) and
        ``<name> daily`` (whether now is the level of a day), one row per session.

        While daily levels alone are known, now is the last of them and before the one before it. From the first
        session on at whose cut-off a level within a day is known, now is one of the session itself, made after the
        regular close before, and before the last daily level (without daily ones the last level by that close); a
        session without one is null, for yesterday's close would say another thing. So is one older than 7 days.

    Raises
    ------
    BadInput : where columns lack, or a level was known before it stood.
    """
    lacking = [each for each in COLUMNS if each not in market.columns]
    if lacking:
        raise BadInput(f"The levels of `{name}` have no column {', '.join(f'`{each}`' for each in lacking)}.")
    if market.select((pl.col("known_at") < pl.col("at")).any()).item():
        raise BadInput(f"Levels of `{name}` were known before they stood; `known_at` is never before `at`.")
    rows = sessions.select("session", "as_of", pl.col("regular_close_at").shift(1).alias("closed_at"))
    rows = rows.with_columns(pl.col("as_of").cast(MOMENT))
    rows = _joined(rows, _in_order(market, daily=True), "daily", "as_of", with_before=True)
    within = _in_order(market, daily=False)
    rows = _joined(rows, within, "own", "as_of", with_before=False)
    rows = _joined(rows, within, "close", "closed_at", with_before=False)
    return rows.select("session", *_chosen(name))


def _in_order(market: pl.DataFrame, *, daily: bool) -> pl.DataFrame:
    """Levels in the order in which they became known; one that came later than a newer one is left out."""
    kept = market.filter((pl.col("daily") == daily) & pl.col("level").is_finite()).sort("known_at", "at")
    return kept.filter(pl.col("at") >= pl.col("at").cum_max()).select(COLUMNS)


def _joined(rows: pl.DataFrame, known: pl.DataFrame, what: str, at: str, *, with_before: bool) -> pl.DataFrame:
    """`rows` with the last level known at the moment `at`, as ``<what> level``, ``<what> at``, ``<what> known``."""
    chosen = [pl.col("level").alias(f"{what} level"), pl.col("at").alias(f"{what} at")]
    if with_before:
        known = known.unique("at", keep="last", maintain_order=True)
        chosen.append(_not_old(pl.col("level").shift(1), pl.col("at").shift(1), pl.col("at")).alias(f"{what} before"))
    known = known.select("known_at", *chosen, pl.col("known_at").alias(f"{what} known")).set_sorted("known_at")
    moments = rows.filter(pl.col(at).is_not_null()).select("session", at).sort(at)
    found = moments.join_asof(known, left_on=at, right_on="known_at", strategy="backward").drop(at, "known_at")
    return rows.join(found, on="session", how="left")


def _not_old(level: pl.Expr, at: pl.Expr, now: pl.Expr) -> pl.Expr:
    return pl.when(at >= now - pl.duration(days=OLDEST_DAYS)).then(level)


def _chosen(name: str) -> list[pl.Expr]:
    as_of = pl.col("as_of")
    is_own = pl.col("own at").is_not_null()
    of_today = (pl.col("own at") > pl.col("closed_at")).fill_null(True)
    own = _not_old(pl.when(of_today).then("own level"), pl.col("own at"), as_of)
    daily = _not_old(pl.col("daily level"), pl.col("daily at"), as_of)
    base = pl.when(pl.col("daily at").is_not_null()).then(daily).otherwise(
        _not_old(pl.col("close level"), pl.col("close at"), as_of)
    )  # fmt: skip
    now = pl.when(is_own).then(own).otherwise(daily)
    before = pl.when(is_own).then(base).otherwise(pl.col("daily before"))
    known = pl.when(is_own).then(pl.max_horizontal("own known", "daily known", "close known")).otherwise("daily known")
    return [
        now.alias(f"{name}_now"),
        pl.when(now.is_not_null()).then(before).alias(f"{name}_before"),
        pl.when(now.is_not_null()).then(known).alias(name),
        (~is_own).alias(f"{name} daily"),
    ]
