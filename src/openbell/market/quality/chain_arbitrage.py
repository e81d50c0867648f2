"""Quotes that would be free money: under their least value, above their greatest, or against other strikes."""

from __future__ import annotations

import numpy as np
import polars as pl

from openbell.market.contracts import WITHOUT_CARRY
from openbell.market.quality import chain_rules as rules
from openbell.market.quality.chain_rules import CHAIN_KEY, EXPIRY_KEY, chain_found, number

#: Quotes of one moment are seconds apart, so a forward is known to a tenth of a percent at best; half a percent for
#: stocks, whose makers quote deep contracts rarely. Measured: at these no honest row of CBOE's six files is caught.
EUROPEAN_NOISE, AMERICAN_NOISE = 0.002, 0.005
#: An expiry without a pair is judged by the chain's nearest forward, which dividends and rates may move by this.
BORROWED_NOISE, BORROWED_CARRY = 0.02, 0.08
#: Two strikes against each other need no forward; what is left is the seconds between two quotes.
STRIKES_NOISE = 0.0002
TICK = 0.01
#: Rates above this are not assumed where early exercise could explain a gap of parity.
HIGHEST_RATE = 0.08


def one_strike_findings(rows: pl.DataFrame) -> pl.DataFrame:
    """Expiries with a single strike."""
    count = pl.col("strike").n_unique().over(EXPIRY_KEY)
    return chain_found(
        rows, rules.ONE_STRIKE, count == 1, pl.format("{} has the strike {} alone", "expiry", number("strike"))
    )


def bound_findings(rows: pl.DataFrame, forwards: pl.DataFrame, implied: pl.DataFrame) -> pl.DataFrame:
    """Asks under the least value of a contract, bids above its greatest.

    At the forward F and discount D of its expiry a call is worth at least ``D (F - K)`` and at most ``D F``, a put at
    least ``D (K - F)`` and at most ``D K``. An American one is worth at least its exercise too, and at most the
    underlying or the strike undiscounted. The tolerances above are shares of the forward.
    """
    judged = _with_levels(rows, forwards, implied)
    call, american = pl.col("right") == "CALL", pl.col("exercise") == "AMERICAN"
    sign = pl.when(call).then(1.0).otherwise(-1.0)
    later = pl.col("discount") * sign * (pl.col("forward") - pl.col("strike"))
    now = pl.when(american & ~pl.col("underlying").is_in(WITHOUT_CARRY)).then(
        sign * (pl.col("implied") - pl.col("strike"))
    )
    least = pl.max_horizontal(later, now)
    top = pl.max_horizontal("forward", "implied")
    most = pl.when(call).then(top).otherwise("strike")
    side = pl.col("right").str.to_lowercase()
    return pl.concat(
        [
            chain_found(
                judged,
                rules.UNDER_INTRINSIC,
                (pl.col("ask") > 0) & (pl.col("ask") < least - pl.col("noise")),
                pl.format(
                    "the {} {} is offered at {} and worth at least {} (forward {})",
                    side, number("strike"), number("ask"), least.round(2), pl.col("forward").round(2),
                ),
            ),
            chain_found(
                judged,
                rules.ABOVE_BOUND,
                pl.col("bid") > most + pl.col("noise"),
                pl.format(
                    "the {} {} is bid at {} and worth at most {}",
                    side, number("strike"), number("bid"), most.round(2),
                ),
            ),
        ]
    )  # fmt: skip


def _with_levels(rows: pl.DataFrame, forwards: pl.DataFrame, implied: pl.DataFrame) -> pl.DataFrame:
    """`rows` with ``forward``, ``discount``, ``implied`` and ``noise`` (points); a missing forward is borrowed."""
    own = rows.join(
        forwards.select(*EXPIRY_KEY, "forward", "discount", "width"), on=EXPIRY_KEY, how="left", maintain_order="left"
    ).join(implied.select(*CHAIN_KEY, "implied"), on=CHAIN_KEY, how="left", maintain_order="left")
    borrowed = pl.col("forward").is_null()
    share = pl.when(pl.col("exercise") == "AMERICAN").then(AMERICAN_NOISE).otherwise(EUROPEAN_NOISE)
    # Where the discount is not known for certain a year of unknown rate goes into the tolerance.
    share = share + pl.when(pl.col("discount") == 1.0).then(BORROWED_CARRY * pl.col("years")).otherwise(0.0)
    share = pl.when(borrowed).then(BORROWED_NOISE + BORROWED_CARRY * pl.col("years")).otherwise(share)
    # Without a carry the forward of another expiry says nothing of this one.
    level = (
        pl.when(~pl.col("underlying").is_in(WITHOUT_CARRY)).then(pl.coalesce("forward", "implied")).otherwise("forward")
    )
    return own.with_columns(
        level.alias("forward"),
        pl.col("discount").fill_null(1.0),
        (share * pl.max_horizontal(level, "strike") + pl.col("width").fill_null(0.0) + TICK).alias("noise"),
    )


def vertical_findings(rows: pl.DataFrame) -> pl.DataFrame:
    """Quotes that are free money against another strike of their expiry, crossing the spread of both.

    Selling the higher call above what the lower one is offered at, or a spread of two for more than it can ever pay, is
    free money. One of the two quotes is wrong; which, the other strikes tell: the quote that clashes with most others
    goes first, until none clashes (a greedy vertex cover).
    """
    ready = rows.filter((pl.col("ask") > 0) | (pl.col("bid") > 0)).sort(*EXPIRY_KEY, "right", "strike")
    found: list[tuple[int, str]] = []
    groups = ready.select(pl.struct(*EXPIRY_KEY, "right").rle_id()).to_series()
    cuts = np.flatnonzero(np.diff(groups.to_numpy())) + 1
    strike, bid, ask = (ready[name].to_numpy() for name in ("strike", "bid", "ask"))
    bid = np.nan_to_num(np.where(bid > 0, bid, -np.inf), nan=-np.inf)
    ask = np.where(np.nan_to_num(ask, nan=0.0) > 0, ask, np.inf)
    put = (ready["right"] == "PUT").to_numpy()
    numbers = ready["row"].to_numpy()
    for start, stop in zip([0, *cuts], [*cuts, ready.height], strict=True):
        if stop - start < 2:
            continue
        part = slice(int(start), int(stop))
        # A put chain read from the highest strike down falls like a call chain read upwards.
        order = slice(None, None, -1) if put[start] else slice(None)
        worst = _clashing(strike[part][order], bid[part][order], ask[part][order])
        found += [(int(numbers[part][order][at]), sentence) for at, sentence in worst]
    return _as_findings(found)


def _clashing(strike: np.ndarray, bid: np.ndarray, ask: np.ndarray) -> list[tuple[int, str]]:
    """Positions to leave out so that no two of the rest clash, each with its sentence."""
    noise = STRIKES_NOISE * float(np.median(strike)) + TICK
    along = np.abs(strike - strike[0])
    cheapest, widest = np.minimum.accumulate(ask), np.maximum.accumulate(bid + along)
    if not np.any(bid[1:] > cheapest[:-1] + noise) and not np.any(widest[:-1] > (ask + along)[1:] + noise):
        return []
    upper = np.triu(np.ones((len(strike), len(strike)), dtype=bool), 1)
    with np.errstate(invalid="ignore"):
        dearer = bid[None, :] - ask[:, None] > noise
        paid = bid[:, None] - ask[None, :] - np.abs(strike[None, :] - strike[:, None]) > noise
    clash = upper & (dearer | paid)
    clash |= clash.T
    out = []
    while clash.any():
        counts = clash.sum(axis=1)
        # Of several the one with the widest spread: less is known of it.
        spread = np.nan_to_num(ask - bid, nan=0.0, posinf=1e12, neginf=0.0)
        at = int(np.lexsort((np.arange(len(counts)), -spread, -counts))[0])
        other = int(np.flatnonzero(clash[at])[0])
        mine, theirs = (f"bid {_shown(bid[n])} and ask {_shown(ask[n])} at {strike[n]:g}" for n in (at, other))
        out.append((at, f"{mine} against {theirs} ({int(counts[at])} such strikes)"))
        clash[at, :] = False
        clash[:, at] = False
    return out


def _shown(price: float) -> str:
    return f"{price:.2f}" if np.isfinite(price) else "none"


def _as_findings(found: list[tuple[int, str]]) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "row": [row for row, _ in found],
            "rule": [rules.VERTICAL.name] * len(found),
            "reason": [sentence for _, sentence in found],
        },
        schema=rules.no_findings().schema,
    )


def butterfly_findings(rows: pl.DataFrame) -> pl.DataFrame:
    """Bids above the straight line between the asks of the two neighbouring strikes, beyond the noise of strikes."""
    ready = rows.filter(pl.col("ask") > 0).sort(*EXPIRY_KEY, "right", "strike")
    key = [*EXPIRY_KEY, "right"]
    below, above = pl.col("strike").shift(1).over(key), pl.col("strike").shift(-1).over(key)
    weight = (above - pl.col("strike")) / (above - below)
    line = weight * pl.col("ask").shift(1).over(key) + (1 - weight) * pl.col("ask").shift(-1).over(key)
    judged = ready.with_columns(line.alias("line"))
    return chain_found(
        judged,
        rules.BUTTERFLY,
        pl.col("bid") > pl.col("line") + STRIKES_NOISE * pl.col("strike") + TICK,
        pl.format("bid {} above {} between its neighbours' asks", number("bid"), pl.col("line").round(2)),
    )


def parity_findings(pairs: pl.DataFrame, forwards: pl.DataFrame) -> pl.DataFrame:
    """Calls and puts whose difference misses ``D (F - K)`` by more than both half-spreads and the noise.

    American contracts may lie off that line on one side by what an early exercise is worth: a put by at most the
    interest on its strike, a call by at most the same on dividends; they are judged beyond it.
    """
    judged = pairs.join(forwards.select(*EXPIRY_KEY, "forward", "discount"), on=EXPIRY_KEY)
    miss = (pl.col("implied") - pl.col("strike")) - pl.col("discount") * (pl.col("forward") - pl.col("strike"))
    american = pl.col("exercise") == "AMERICAN"
    early = pl.when(american).then(pl.col("strike") * (1 - (-HIGHEST_RATE * pl.col("years")).exp())).otherwise(0.0)
    unsure = pl.when(pl.col("discount") == 1.0).then(BORROWED_CARRY * pl.col("years")).otherwise(0.0)
    share = pl.when(american).then(AMERICAN_NOISE).otherwise(EUROPEAN_NOISE) + unsure
    allowed = pl.col("half") + early + share * pl.col("forward")
    judged = judged.with_columns(miss.alias("miss"), allowed.alias("allowed"))
    reason = pl.format(
        "call less put are {} points off the forward {}, {} allowed",
        pl.col("miss").round(2), pl.col("forward").round(2), pl.col("allowed").round(2),
    )  # fmt: skip
    sides = pl.concat([judged, judged.with_columns(pl.col("row_put").alias("row"))])
    return chain_found(sides, rules.PARITY, pl.col("miss").abs() > pl.col("allowed"), reason)
