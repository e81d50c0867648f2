"""Rules on jumps of the level: unadjusted splits, ticker flips, re-used tickers. Crashes that were traded pass."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import polars as pl

from openbell.market.quality import rules
from openbell.market.quality.rules import FINDINGS
from openbell.market.quality.runs import before

#: A level exists once a symbol has so many good rows.
ESTABLISHED_ROWS = 5
#: A new level that has held so long is taken for real. By then no label of up to 20 sessions, opened before the
#: jump, finds a price to close at, so that a false jump never becomes an outcome.
PROOF_SESSIONS = 21
#: Sessions whose volume and whose moves are the measure of a jump.
MEASURE_SESSIONS = 20
JUMP = math.log(2.5)
#: In a wild market a jump must also be this many times the mean move.
JUMP_IN_MEAN_MOVES = 5.0
#: Trading makes a jump real from this multiple of the usual volume on, if it is worth so much money.
REAL_VOLUME_RATIO = 2.0
REAL_VOLUME_USD = 1e6
#: A print on so small a part of the usual volume is doubted from a smaller jump on.
GHOST_VOLUME_RATIO = 0.01
GHOST_JUMP = math.log(1.3)
#: A ticker that was away for longer than this must come back near its level.
AWAY_SESSIONS = 20
AWAY_JUMP = (math.log(1.5), math.log(2.0))
SPLIT_RATIOS = np.log([1.5, 2, 2.5, 3, 4, 5, 6, 7, 8, 10, 12, 15, 20, 25, 30, 40, 50])
#: A split day is a day like any other but for the ratio: its own return and its range are small beside the ratio, and
#: the money traded is the usual.
SPLIT_RETURN_SHARE = 0.12
SPLIT_RETURN = 0.10
SPLIT_RANGE_SHARE = 0.25
QUIET_VALUE_RATIO = (0.1, 2.0)
#: A crash looks like a split of 3:2 to who sees only its close. Where the open, the range or the volume is not known,
#: only splits in two or more are looked for, and nearer to their ratio; and in wild weeks no 3:2 is.
LARGE_SPLIT = math.log(1.9)
SPLIT_RETURN_UNSEEN = 0.05
SPLIT_RETURN_CLOSE_ALONE = 0.03
SMALL_SPLIT_IN_MEAN_MOVES = 10.0
#: An index is not split and not traded: only a jump that no index makes is one of another instrument.
INDEX_JUMP = math.log(4.0)


def level_findings(rows: pl.DataFrame, factors: pl.DataFrame, indices: frozenset[str] = frozenset()) -> pl.DataFrame:
    """Rows at a level that nothing explains, until the old level is back, an action explains it, or it has held.

    Parameters
    ----------
    rows : good rows so far, sorted by symbol and session, with ``row``, ``number`` and the bar columns.
    factors : ``symbol``, ``session``, ``factor``: what actions explain. indices : symbols that are no instruments.
    """
    rows = _levelled(rows, factors)
    suspects = _suspects(rows, indices)
    if suspects.is_empty():
        return pl.DataFrame(schema=FINDINGS)
    # Only the symbols of the suspects are walked through.
    walked = rows.join(suspects.select("symbol").unique(), on="symbol", how="semi", maintain_order="left")
    walked = walked.join(suspects.select("row", "rule", "volume_ratio"), on="row", how="left", maintain_order="left")
    suspect = walked["rule"].is_not_null().to_numpy()
    level = walked["level"].to_numpy()
    edges = [*np.flatnonzero((walked["symbol"] != walked["symbol"].shift(1)).fill_null(True).to_numpy()), walked.height]
    return pl.concat(
        _explained(walked[int(first) : int(last)].rechunk(), *_judged(level[first:last], suspect[first:last]))
        for first, last in pairwise(edges)
    )


def _levelled(rows: pl.DataFrame, factors: pl.DataFrame) -> pl.DataFrame:
    """`rows` with their log level after all actions so far, and the jump from the row before."""
    cumulated = (
        factors.sort("symbol", "session")
        .group_by("symbol", "session", maintain_order=True)
        .agg(pl.col("factor").log().sum())
        .select("symbol", "session", pl.col("factor").cum_sum().over("symbol").alias("explained"))
    )
    rows = rows.join_asof(cumulated, on="session", by="symbol", strategy="backward", check_sortedness=False)
    level = pl.col("close").log() + pl.col("explained").fill_null(0.0)
    rows = rows.with_columns(level.alias("level")).with_columns((pl.col("level") - before("level")).alias("jump"))
    return rows.with_columns(
        pl.col("jump").abs().alias("move"),
        before("close").alias("close_before"),
        before("volume").alias("volume_before"),
        before("row", ESTABLISHED_ROWS).is_not_null().alias("established"),
        (pl.col("number").cast(pl.Int64) - before("number").cast(pl.Int64) - 1).alias("away"),
    ).with_columns(before("move").alias("move_before"))


def _suspects(rows: pl.DataFrame, indices: frozenset[str]) -> pl.DataFrame:
    """Rows after a jump that nothing explains, with the `rule` that the jump looks like breaking."""
    # The measures of a jump need the rows up to 21 before it; to make them for all rows would take most of the time.
    large = (pl.col("move") > GHOST_JUMP).fill_null(False).cast(pl.UInt8)
    near = large.reverse().rolling_max(MEASURE_SESSIONS + 2, min_samples=1).reverse() == 1
    rows = rows.filter(near)
    usual_volume = pl.col("volume_before").rolling_median(MEASURE_SESSIONS, min_samples=ESTABLISHED_ROWS).over("symbol")
    usual_move = pl.col("move_before").rolling_mean(MEASURE_SESSIONS, min_samples=ESTABLISHED_ROWS - 1).over("symbol")
    rows = rows.with_columns(
        (pl.col("volume") / usual_volume).fill_nan(None).alias("volume_ratio"), usual_move.alias("usual")
    ).filter(pl.col("established") & (pl.col("move") > GHOST_JUMP))
    beyond = pl.when(pl.col("move") > INDEX_JUMP).then(pl.lit(rules.TICKER_FLIP.name))
    rule = pl.when(pl.col("symbol").is_in(sorted(indices))).then(beyond).otherwise(_rule())
    return rows.with_columns(rule.alias("rule")).filter(pl.col("rule").is_not_null())


def _rule() -> pl.Expr:
    """Name of the rule that the jump into a row looks like breaking; null where it may be real."""
    jump, usual = pl.col("jump").abs(), pl.col("usual").fill_null(0.0)
    money = pl.col("volume") * pl.col("close")
    real = ((pl.col("volume_ratio") >= REAL_VOLUME_RATIO) & (money >= REAL_VOLUME_USD)).fill_null(False)
    ghost = (pl.col("volume_ratio") < GHOST_VOLUME_RATIO).fill_null(False)
    wild = JUMP_IN_MEAN_MOVES * usual
    away_jump = (4 * usual * (pl.col("away") + 1).cast(pl.Float64).sqrt()).clip(*AWAY_JUMP)
    reuse = (pl.col("away") > AWAY_SESSIONS) & (jump > away_jump)
    flip = (jump > pl.max_horizontal(pl.lit(JUMP), wild)) & ~real
    flip = flip | (ghost & (jump > pl.max_horizontal(pl.lit(GHOST_JUMP), wild)))
    return (
        pl.when(reuse)
        .then(pl.lit(rules.TICKER_REUSE.name))
        .when(_split())
        .then(pl.lit(rules.UNADJUSTED_SPLIT.name))
        .when(flip)
        .then(pl.lit(rules.TICKER_FLIP.name))
    )


def _split() -> pl.Expr:
    """Whether a jump is a simple ratio on a day that is otherwise like any other."""
    jump = pl.col("jump").abs()
    nearest = pl.lit(None, dtype=pl.Float64)
    for ratio in SPLIT_RATIOS:
        allowed = min(SPLIT_RETURN_SHARE * ratio, SPLIT_RETURN)
        nearest = pl.when((jump - ratio).abs() <= allowed).then(pl.lit(ratio)).otherwise(nearest)
    gap = (pl.col("jump") - pl.col("close").log() + pl.col("open").log()).abs()
    opened = ((gap - nearest).abs() <= SPLIT_RETURN).fill_null(True)
    narrow = ((pl.col("high") / pl.col("low")).log() <= SPLIT_RANGE_SHARE * nearest).fill_null(True)
    value = pl.col("volume_ratio") * pl.col("jump").exp()
    quiet = pl.col("volume").is_null() | value.is_between(*QUIET_VALUE_RATIO)
    unseen = pl.any_horizontal(pl.col(name).is_null() for name in ("open", "high", "low", "volume"))
    own_return = pl.when(pl.col("volume").is_null()).then(SPLIT_RETURN_CLOSE_ALONE).otherwise(SPLIT_RETURN_UNSEEN)
    near = (nearest > LARGE_SPLIT) & ((jump - nearest).abs() <= own_return)
    mean_moves = pl.when(nearest > LARGE_SPLIT).then(JUMP_IN_MEAN_MOVES).otherwise(SMALL_SPLIT_IN_MEAN_MOVES)
    tame = jump > mean_moves * pl.col("usual").fill_null(0.0)
    return (nearest.is_not_null() & opened & narrow & quiet & tame & (near | ~unseen)).fill_null(False)


def _judged(level: np.ndarray, suspect: np.ndarray) -> tuple[list[int], list[int], list[int]]:
    """Rows of one symbol that stand at an unexplained level, the jump each belongs to, and the levels that held.

    The state (which level is the symbol's own) depends on the judgements before, so this walks; it walks only
    through the rows after a suspect jump, which are few.
    """
    bad: list[int] = []
    cause: list[int] = []
    held: list[int] = []
    at, end = 0, len(level)
    jumps = np.flatnonzero(suspect)
    while True:
        later = jumps[jumps >= at]
        if not later.size:
            return bad, cause, held
        start = since = int(later[0])
        own = level[start - 1]
        near = min(abs(level[start] - own) / 2, AWAY_JUMP[0])
        at = start
        while at < end:
            if at > start:
                if abs(level[at] - own) <= near:
                    break
                since = at if suspect[at] else since
                if at - since >= PROOF_SESSIONS:
                    held.append(at)
                    break
            bad.append(at)
            cause.append(start)
            at += 1
        at += 1


def _explained(rows: pl.DataFrame, bad: list[int], cause: list[int], held: list[int]) -> pl.DataFrame:
    """Findings of one symbol: the rows at a foreign level with the jump that led there, and the levels that held."""
    jumps = rows.select(
        "rule",
        pl.format(
            "{} on {} after {} ({} of its level, {} of its usual volume)",
            pl.col("close").round(4),
            "session",
            pl.col("close_before").round(4),
            pl.col("jump").exp().round(3),
            pl.col("volume_ratio").round(5).cast(pl.String).fill_null("unknown"),
        ).alias("reason"),
    )[cause]
    foreign = pl.DataFrame({"row": rows["row"][bad], "rule": jumps["rule"], "reason": jumps["reason"]}, schema=FINDINGS)
    accepted = (
        rows[held]
        .rechunk()
        .select(
            "row",
            pl.lit(rules.NEW_LEVEL.name).alias("rule"),
            pl.format("close {} since then", pl.col("close").round(4)).alias("reason"),
        )
    )
    return pl.concat([foreign, accepted.select(FINDINGS.names())])
