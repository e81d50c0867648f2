"""What a chain's own quotes say of the underlying: a forward per expiry, and whether the stated price agrees with it.

A call less a put of one strike is worth ``D (F - K)``. Near the money the discount does not matter, so the middle of a
few pairs there gives the forward without any guess. It is a gate's estimate, wide by intent; what is stored rests on
the regression of `market.chain_pricing`.
"""

from __future__ import annotations

import polars as pl

from openbell.market.contracts import WITHOUT_CARRY
from openbell.market.quality import chain_rules as rules
from openbell.market.quality.chain_rules import CHAIN_KEY, EXPIRY_KEY, chain_found

#: So many pairs with the least difference of call and put: an odd number, so that one bad pair moves nothing.
PAIRS = 9
#: Pairs that a forward needs before a whole chain is judged by it.
FEWEST_PAIRS = 3
#: Implied prices further apart than this are not of one instrument: no early exercise, dividend or rate makes up half
#: of a price, and the smallest usual split is 3 for 2.
OTHER_SCALE = 1.45
#: So many pairs of another scale make a split of them, not an error; their neighbours of the same age go with them.
SPLIT_PAIRS = 5
#: So many pairs within 15 % of the stated price show that it is the price of some of the chain at least.
AGREEING_PAIRS, AGREEING = 10, 0.15
#: The stated price against the implied one. Over 2 % they are not one instrument on one day (check 11); below, it is
#: the clock: the closing price beside quotes of 15:45 was measured 0.05 % to 0.9 % off. A tenth of a percent is what
#: quotes and prices of one moment were measured to be apart, beyond half a spread.
ELSEWHERE, SAME_MOMENT = 0.02, 0.001
#: A carry (rates less dividends) over 8 % per year either way is not assumed.
CARRY = 0.08
YEAR_SECONDS = 365 * 86_400
#: Without a single pair: a price under half of the lowest strike or above twice the highest is of something else.
OUTSIDE = 2.0


def with_years(rows: pl.DataFrame) -> pl.DataFrame:
    """`rows` with ``years`` from the quotes to the moment of expiry, ACT/365."""
    seconds = (pl.col("expires_at") - pl.col("quote_at")).dt.total_microseconds() / 1e6
    return rows.with_columns((seconds / YEAR_SECONDS).alias("years"))


def pairs(rows: pl.DataFrame, *, zero_bids: bool = False) -> pl.DataFrame:
    """Calls and puts of one strike that are both quoted; `zero_bids` takes offers without a bid too.

    Returns
    -------
    ``implied`` (K + C - P), ``gap`` (|C - P|), ``half`` (points: half of both spreads together), and the rows of both.
    """
    least = pl.col("bid") >= 0 if zero_bids else pl.col("bid") > 0
    quoted = rows.filter(least & (pl.col("ask") >= pl.col("bid")) & (pl.col("ask") > 0)).with_columns(
        ((pl.col("bid") + pl.col("ask")) / 2).alias("mid"), ((pl.col("ask") - pl.col("bid")) / 2).alias("half")
    )
    columns = [*EXPIRY_KEY, "strike", "years", "exercise", "spot", "row", "mid", "half", "last_trade_at"]
    calls = quoted.filter(pl.col("right") == "CALL").select(columns)
    puts = quoted.filter(pl.col("right") == "PUT").select(*EXPIRY_KEY, "strike", "row", "mid", "half", "last_trade_at")
    both = calls.join(puts, on=[*EXPIRY_KEY, "strike"], suffix="_put")
    return both.with_columns(
        (pl.col("strike") + pl.col("mid") - pl.col("mid_put")).alias("implied"),
        (pl.col("mid") - pl.col("mid_put")).abs().alias("gap"),
        (pl.col("half") + pl.col("half_put")).alias("half"),
        pl.min_horizontal("last_trade_at", "last_trade_at_put").alias("traded"),
    )


def forwards(pairs: pl.DataFrame) -> pl.DataFrame:
    """One row per expiry: ``forward``, ``width`` (points: the half-spread of its best pair), ``discount``, ``pairs``.

    The discount is the slope of C - P over strikes within 20 % of the forward, 1 where that is no discount of a rate
    between -2 % and 10 % per year.
    """
    near = pairs.sort(*EXPIRY_KEY, "gap", "strike").group_by(EXPIRY_KEY, maintain_order=True)
    table = near.agg(
        pl.col("implied").head(PAIRS).median().alias("forward"),
        pl.col("half").head(PAIRS).min().alias("width"),
        pl.len().cast(pl.Int64).alias("pairs"),
        pl.col("years").first(),
    )
    close = pairs.join(table.select(*EXPIRY_KEY, "forward"), on=EXPIRY_KEY).filter(
        (pl.col("strike") / pl.col("forward") - 1).abs() < 0.2
    )
    slope = pl.cov("strike", pl.col("mid_put") - pl.col("mid")) / pl.col("strike").var()
    slopes = close.group_by(EXPIRY_KEY).agg(pl.when(pl.len() >= PAIRS).then(slope).alias("slope"))
    rate = -pl.col("slope").log() / pl.col("years")
    sane = (pl.col("slope") > 0) & rate.is_between(-0.02, 0.10)
    return (
        table.join(slopes, on=EXPIRY_KEY, how="left", maintain_order="left")
        .with_columns(pl.when(sane.fill_null(False)).then("slope").otherwise(1.0).alias("discount"))
        .drop("slope")
    )


def implied_spots(forwards: pl.DataFrame) -> pl.DataFrame:
    """One row per chain: the forward of its nearest expiry with enough pairs as ``implied``, ``width``, ``years``."""
    enough = forwards.filter(pl.col("pairs") >= FEWEST_PAIRS).sort(*CHAIN_KEY, "years")
    return enough.group_by(CHAIN_KEY, maintain_order=True).agg(
        pl.col("forward").first().alias("implied"), pl.col("width").first(), pl.col("years").first()
    )


def split_findings(rows: pl.DataFrame, pairs: pl.DataFrame) -> pl.DataFrame:
    """Strikes of before a split among those of after it, as vendors keep them with the quotes of long ago.

    Where a chain has several pairs of another scale than itself (the stated price where pairs agree with it, else the
    middle of all) they are found at once. Their neighbours follow if they last traded no later, at strikes no lower.
    A pair's older side dates it: of a strike that exists on both scales only one side may be of long ago.
    """
    pairs = pairs.filter(~pl.col("underlying").is_in(WITHOUT_CARRY))
    middle = pl.col("implied").median().over(CHAIN_KEY)
    agree = ((pl.col("implied") / pl.col("spot")).log().abs() < AGREEING).sum().over(CHAIN_KEY)
    level = pl.when(agree >= AGREEING_PAIRS).then("spot").otherwise(middle)
    scaled = pairs.with_columns(level.alias("level")).with_columns((pl.col("implied") / pl.col("level")).alias("scale"))
    off = scaled.filter((pl.col("scale") > OTHER_SCALE) | (pl.col("scale") < 1 / OTHER_SCALE))
    off = off.filter(pl.len().over(CHAIN_KEY) >= SPLIT_PAIRS)
    if off.is_empty():
        return rules.no_findings()
    sentence = pl.format(
        "call and put imply {}, {} times the {} of the chain",
        pl.col("implied").round(2), pl.col("scale").round(2), pl.col("level").round(2),
    )  # fmt: skip
    told = pl.concat([off, off.with_columns(pl.col("row_put").alias("row"))])
    direct = chain_found(told, rules.SPLIT_STRIKE, pl.lit(True), sentence)
    bounds = (
        off.filter(pl.col("scale") > 1)
        .group_by(CHAIN_KEY)
        .agg(
            # Not the extremes: of a thousand pairs some mix a quote of long ago with one of today.
            pl.col("strike").quantile(0.02).alias("lowest"),
            pl.col("traded").quantile(0.98, "lower").alias("until"),
        )
    )
    rest = rows.join(direct.select("row"), on="row", how="anti").join(bounds, on=CHAIN_KEY)
    old = (pl.col("strike") >= pl.col("lowest")) & (pl.col("last_trade_at") <= pl.col("until"))
    when = pl.col("last_trade_at").dt.strftime("%Y-%m-%d")
    return pl.concat(
        [direct, chain_found(rest, rules.SPLIT_STRIKE, old, pl.format("last traded {}, before the split", when))]
    )


def spot_findings(rows: pl.DataFrame, implied: pl.DataFrame, ended: pl.DataFrame) -> pl.DataFrame:
    """The stated price of the underlying against what the quotes of its chain imply.

    Nothing is said of VIX and the like: nobody can carry the spot to an expiry, so that a forward says nothing of it.
    A stock that goes ex-dividend before the nearest expiry stands above its forward. Where contracts that expire on
    the session itself (`ended`, columns of `implied_spots`) still imply the stated price it is believed.
    """
    judged = _beside_implied(rows.filter(~pl.col("underlying").is_in(WITHOUT_CARRY)), implied, ended)
    far = pl.col("apart") > ELSEWHERE + CARRY * pl.col("years")
    outside = (pl.col("spot") < pl.col("lowest") / OUTSIDE) | (pl.col("spot") > pl.col("highest") * OUTSIDE)
    spot, level = pl.col("spot").round(4), pl.col("implied").round(4)
    ratio = pl.max_horizontal(pl.col("implied") / pl.col("spot"), pl.col("spot") / pl.col("implied"))
    simple = ((ratio - ratio.round(0)).abs() < 0.05 * ratio) & (ratio > OTHER_SCALE)
    split = pl.when(simple).then(pl.format(", {} times: a split?", ratio.round(2))).otherwise(pl.lit(""))
    percents = ((pl.col(name) * 100).round(3) for name in ("apart", "allowed"))
    off = (pl.col("apart") > pl.col("allowed")) & ~far & ~pl.col("believed").fill_null(False)
    return pl.concat(
        [
            chain_found(
                judged, rules.SPOT_ELSEWHERE, far, pl.format("spot {}, and the quotes imply {}{}", spot, level, split)
            ),
            chain_found(
                judged,
                rules.SPOT_ELSEWHERE,
                pl.col("implied").is_null() & outside,
                pl.format("spot {}, and the strikes go from {} to {}", spot, "lowest", "highest"),
            ),
            chain_found(
                judged,
                rules.SPOT_MOMENT,
                off,
                pl.format("spot {}, and the quotes imply {} ({} % apart, {} % allowed)", spot, level, *percents),
            ),
        ]
    )


def _beside_implied(rows: pl.DataFrame, implied: pl.DataFrame, ended: pl.DataFrame) -> pl.DataFrame:
    """`rows` beside what their chain implies: ``apart`` and ``allowed`` (shares), and ``believed``."""
    chains = rows.group_by(CHAIN_KEY, maintain_order=True).agg(
        pl.col("strike").min().alias("lowest"), pl.col("strike").max().alias("highest")
    )
    beside = rows.select("row", *CHAIN_KEY, "spot", "exercise")
    for table, suffix in ((chains, ""), (implied, ""), (ended, "_ended")):
        beside = beside.join(table, on=CHAIN_KEY, how="left", maintain_order="left", suffix=suffix or "_right")
    still = (pl.col("spot") / pl.col("implied_ended") - 1).abs()
    near = still <= SAME_MOMENT + pl.col("width_ended") / pl.col("implied_ended")
    return beside.with_columns(
        (pl.col("spot") / pl.col("implied") - 1).abs().alias("apart"),
        (SAME_MOMENT + CARRY * pl.col("years") + pl.col("width") / pl.col("implied")).alias("allowed"),
        ((pl.col("exercise") == "AMERICAN") & near).alias("believed"),
    )
