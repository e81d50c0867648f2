"""What signals came to, from the prices after them, as far as these were known at a moment."""

from __future__ import annotations

import datetime as dt

import numpy as np
import polars as pl

from openbell.core.errors import BadInput, unknown
from openbell.core.signal import CALLS, Call
from openbell.core.time import MOMENT, utc
from openbell.quant.barriers import BAND, BARRIER
from openbell.quant.costs import COMMISSION_BP, SLIPPAGE_BP, cost_rate
from openbell.quant.signal_exits import DATA_END, REASONS, STOP, TARGET, exits
from openbell.store.signal_outcomes import OUTCOME

LABELS = ("direction", "barrier")
DAY_SECONDS = 86_400.0
_NAMES = ("id", "symbol", "created_at", "model_version")
_SIGNALS = ("symbol", "call", "created_at", "expires_at", "stop_loss", "target_price", "sigma", "horizon_seconds")
_BARS = ("symbol", "at", "open", "high", "low", "close")


def outcomes(
    signals: pl.DataFrame,
    bars: pl.DataFrame,
    as_of: dt.datetime,
    *,
    bar_seconds: float = DAY_SECONDS,
    label: str = "direction",
    commission_bp: float = COMMISSION_BP,
    slippage_bp: float = SLIPPAGE_BP,
) -> pl.DataFrame:
    """What became of each signal whose outcome was known by `as_of`.

    A signal is entered at the open of the first bar that opens at or after its making, and left as
    `quant.signal_exits.exits` says: at its stop, its target, or the close of the last bar of its horizon, which is
    ``horizon_seconds / bar_seconds`` bars long (rounded, at least 1). The horizon is the time barrier and not
    `expires_at`: that ends the right to act on a signal, not the position. Only a signal without a horizon is left at
    the last bar that ends by `expires_at`, and at least at that of the entry. Bars within the session that name their
    ``session`` hold nothing past its end.

    Parameters
    ----------
    signals : columns ``symbol call created_at expires_at stop_loss target_price sigma horizon_seconds``, shape (n,); as
        `store.signals.Signals.table` gives them. Of ``id model_version`` those that are there are handed on.
    bars : columns ``symbol at open high low close``: `at` is the end of the bar, prices are finite, above 0 and of the
        same adjustment as the signals'. ``open_at`` where known; else a bar is taken to open at the end of the one
        before it, or `bar_seconds` before its own end if that is later, so a signal of daily bars that was made before
        the open enters one session later. ``session`` see above. Bars after `as_of` are not looked at.
    bar_seconds : length of a bar in time that can be waited; a day has 86 400.
    label : the class that came true is judged as in training, see `quant.barriers`: as ``direction`` (return from this
        open to the open after the horizon) or ``barrier`` (which level is reached first, HOLD for none).
    commission_bp, slippage_bp : of each of the two trades, basis points of its notional.

    Returns
    -------
    polars.DataFrame
        Columns of `signals` that name it, then `store.signal_outcomes.OUTCOME`, in the order of `signals`. A HOLD has
        an ``outcome`` and no trade. ``outcome`` is null without sigma or horizon, and where the session ends before the
        horizon. `known_at` is the end of the last bar that was used; ``seconds_to_target`` counts from the making to
        the end of the bar that reached it. What is not known yet has no row.

    Raises
    ------
    BadInput
        Where a column is missing, a bar is there twice or has no usable price, or `label` is another.
    """
    if label not in LABELS:
        raise unknown("label of signals", label, LABELS)
    for what, frame, wanted in (("signals", signals, _SIGNALS), ("bars", bars, _BARS)):
        if missing := [name for name in wanted if name not in frame.columns]:
            raise BadInput(f"The {what} need the columns {list(wanted)}; these were missing: {missing}.")
    if not bar_seconds > 0:
        raise BadInput(f"`bar_seconds` must be above 0; was {bar_seconds}.")
    rows = _Bars(bars, utc(as_of), bar_seconds, 0 if label == "direction" else 1)
    entered = rows.entered(signals)
    found = _judged(entered, rows, label, cost_rate(commission_bp, slippage_bp))
    names = [name for name in _NAMES if name in signals.columns]
    return found.sort("_turn").select(*names, *OUTCOME).cast(dict(OUTCOME))


class _Bars:
    """Bars known by a moment, one symbol after another, with the rows at which symbols and sessions end.

    A label looks at the bars of the horizon and one more, less `short`.
    """

    def __init__(self, bars: pl.DataFrame, as_of: dt.datetime, bar_seconds: float, short: int) -> None:
        known = bars.filter(pl.col("at") <= as_of).sort("symbol", "at")
        twice = known.select(pl.struct("symbol", "at").is_duplicated().sum()).item()
        if twice:
            raise BadInput(
                f"{twice} of {len(known)} bars share their symbol and moment with another. Keep one of each."
            )
        self.bar_seconds, self.short = bar_seconds, short
        before = pl.col("at").shift().over("symbol")
        derived = pl.max_horizontal(before, pl.col("at") - pl.duration(microseconds=round(bar_seconds * 1e6)))
        within = "session" in known.columns and bar_seconds < DAY_SECONDS
        span = ["symbol", "session"] if within else ["symbol"]
        self.frame = known.with_row_index("_row").select(
            "symbol",
            "at",
            pl.col("_row").cast(pl.Int64),
            (pl.col("open_at") if "open_at" in known.columns else derived).cast(MOMENT).alias("open_at"),
            pl.col("_row").last().over("symbol").cast(pl.Int64).alias("_end"),
            pl.col("_row").last().over(span).cast(pl.Int64).alias("_session_end"),
        )
        self.prices = [known[name].cast(pl.Float64).to_numpy() for name in ("open", "high", "low", "close")]

    def entered(self, signals: pl.DataFrame) -> pl.DataFrame:
        """Signals that have a bar to be entered at: its row and the last rows of the horizon, symbol and session."""
        given = signals.select(*{*_SIGNALS, *(name for name in _NAMES if name in signals.columns)})
        given = given.with_row_index("_turn").sort("created_at")
        opening = self.frame.select("symbol", "open_at", pl.col("_row").alias("_entry"), "_end", "_session_end")
        found = given.join_asof(
            opening.sort("open_at"), left_on="created_at", right_on="open_at", by="symbol", strategy="forward",
            check_sortedness=False,
        ).filter(pl.col("_entry").is_not_null())  # fmt: skip
        ending = self.frame.select("symbol", "at", pl.col("_row").alias("_last")).sort("at")
        found = found.sort("expires_at").join_asof(
            ending, left_on="expires_at", right_on="at", by="symbol", strategy="backward", check_sortedness=False
        )
        horizon = (pl.col("horizon_seconds") / self.bar_seconds).round().clip(1, None).cast(pl.Int64)
        # The last bar so far is no barrier as long as the next one may still end by `expires_at`.
        open_ended = (pl.col("_last") >= pl.col("_end")) & (pl.col("at") < pl.col("expires_at"))
        by_expiry = pl.max_horizontal(pl.col("_last") + open_ended.cast(pl.Int64), "_entry")
        found = found.with_columns(_bars=horizon, _barrier=pl.coalesce(pl.col("_entry") + horizon - 1, by_expiry))
        # A session is over once another one has begun.
        over = pl.col("_session_end") < pl.col("_end")
        return found.with_columns(
            _held=pl.when(over).then(pl.min_horizontal("_barrier", "_session_end")).otherwise("_barrier"),
            _cut=over & (pl.col("_entry") + pl.col("_bars") - self.short > pl.col("_session_end")),
        )


def _judged(entered: pl.DataFrame, bars: _Bars, label: str, rate: float) -> pl.DataFrame:
    """Trade and class of each, both known."""
    position = _positions(entered, bars, rate)
    realised = _directions(entered, bars) if label == "direction" else _barriers(entered, bars)
    found = pl.concat([entered, position, realised], how="horizontal").filter(pl.col("_ended") & pl.col("_told"))
    trade = pl.col("call") != Call.HOLD.value
    at = bars.frame["at"]
    last = pl.max_horizontal(pl.when(trade).then("_exit"), "_class_row")
    found = found.filter(last.is_not_null())
    ends = found.select(exit=pl.col("_exit"), known=last)
    found = found.with_columns(
        exit_at=at.gather(ends["exit"]), known_at=at.gather(ends["known"].cast(pl.UInt32))
    ).with_columns(
        hit=pl.col("return_fraction") > 0,
        seconds_to_target=pl.when(pl.col("exit_reason") == REASONS[TARGET]).then(
            (pl.col("exit_at") - pl.col("created_at")).dt.total_microseconds() / 1e6
        ),
    )
    only_trades = [name for name in OUTCOME if name not in ("outcome", "known_at")]
    return found.with_columns(pl.when(trade).then(pl.col(name)).alias(name) for name in only_trades)


def _positions(entered: pl.DataFrame, bars: _Bars, rate: float) -> pl.DataFrame:
    """How the position of each ends; of a HOLD as of a BUY without levels, to be left out."""
    entry = entered["_entry"].to_numpy()
    side = np.where(entered["call"].to_numpy() == Call.SELL.value, -1.0, 1.0)
    hold = entered["call"].to_numpy() == Call.HOLD.value
    levels = [
        np.where(hold, np.nan, entered[name].cast(pl.Float64).fill_null(np.nan).to_numpy())
        for name in ("stop_loss", "target_price")
    ]
    found = exits(entry, side, *levels, entered["_held"].to_numpy(), *bars.prices, end_row=entered["_end"].to_numpy())
    paid = bars.prices[0][entry]
    moved = found.exit_price / paid
    return pl.DataFrame(
        {
            "_exit": found.exit_row,
            "_ended": (found.reason != DATA_END) | hold,
            "entry_price": paid,
            "exit_price": found.exit_price,
            "exit_reason": np.array(REASONS, dtype=object)[found.reason],
            "return_fraction": side * (moved - 1.0) - rate * (1.0 + moved),
            "max_favourable": found.favourable,
            "max_adverse": found.adverse,
        },
        schema_overrides={"exit_reason": pl.String},
    )


def _classes(words: np.ndarray, row: np.ndarray, tellable: np.ndarray, known: np.ndarray) -> pl.DataFrame:
    """The class of each where one can be told; `_told` is False while it may still come."""
    names = np.array([call.value for call in CALLS], dtype=object)[words + 1]
    told = tellable & known
    return pl.DataFrame(
        {"outcome": pl.Series(names, dtype=pl.String), "_class_row": pl.Series(row, dtype=pl.Int64)}
    ).select(
        pl.when(pl.lit(pl.Series(told))).then(pl.col("outcome", "_class_row")),
        _told=pl.lit(pl.Series(~tellable | known)),
    )


def _horizons(entered: pl.DataFrame, bars: _Bars) -> tuple[np.ndarray, ...]:
    entry, end = entered["_entry"].to_numpy(), entered["_end"].to_numpy()
    length = entered["_bars"].fill_null(0).to_numpy()
    spread = entered["sigma"].cast(pl.Float64).fill_null(np.nan).to_numpy() * np.sqrt(length)
    cut = entered["_cut"].fill_null(False).to_numpy()
    return entry, end, length, spread, np.isfinite(spread) & (length > 0) & (spread > 0) & ~cut


def _directions(entered: pl.DataFrame, bars: _Bars) -> pl.DataFrame:
    """The sign of the return from the entry's open to the open after the horizon, with the neutral band."""
    entry, end, length, spread, tellable = _horizons(entered, bars)
    row = entry + length
    known = row <= end
    opens = bars.prices[0]
    gained = opens[np.minimum(row, end)] / opens[entry] - 1.0
    words = np.where(np.abs(gained) <= BAND * spread, 0, np.sign(gained)).astype(np.int64)
    return _classes(np.where(tellable, words, 0), row, tellable, known)


def _barriers(entered: pl.DataFrame, bars: _Bars) -> pl.DataFrame:
    """The first barrier around the entry's open that is reached; asked from both sides, as each sees its own last."""
    entry, end, length, spread, tellable = _horizons(entered, bars)
    paid, away = bars.prices[0][entry], BARRIER * np.where(tellable, spread, np.nan)
    last = entry + np.maximum(length, 1) - 1
    one = np.ones(len(entry))
    above, below = paid * (1.0 + away), paid * (1.0 - away)
    up = exits(entry, one, below, above, last, *bars.prices, end_row=end)
    down = exits(entry, -one, above, below, last, *bars.prices, end_row=end)
    words = np.where(up.reason == TARGET, 1, np.where(down.reason == TARGET, -1, 0))
    # In a bar that touches both, an open beyond one was there first.
    opened = bars.prices[0][up.exit_row]
    first = np.where(opened >= above, 1, np.where(opened <= below, -1, 0))
    both = (up.reason == STOP) & (down.reason == STOP)
    return _classes(np.where(both, first, words), up.exit_row, tellable, up.reason != DATA_END)
