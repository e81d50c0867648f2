"""Decisions of the signals desk as rows: what was known at a bar, and what came of it."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from openbell.core.declare import Label
from openbell.core.errors import BadInput
from openbell.core.signal import DECISIONS
from openbell.core.time import Sessions
from openbell.quant.barriers import both_touched
from openbell.quant.reach import label_reach
from openbell.research.compute import evaluated

#: Columns of the base bars that labels are made of.
BARS = ("symbol", "session", "at", "open", "high", "low", "close")
_KEYS = ("symbol", "session", "as_of", "close", "sigma")


def signal_rows(
    computed: pl.DataFrame,
    bars: pl.DataFrame,
    label: Label,
    *,
    decide_every: int = 1,
    within_session: bool,
    sessions: Sessions,
) -> tuple[pl.DataFrame, tuple[str, ...]]:
    """Rows of `computed` at which the desk decides, with their label, and what was left out, in sentences.

    Parameters
    ----------
    computed : ``symbol session as_of close sigma`` and the features, a row for each base bar; see `BarFeatures`.
    bars : the columns `BARS`, the base bars behind `computed`; `at` is the end of each. label : of `labels.directions`.
    decide_every : a decision at every so many bars; see `decides`.
    within_session : whether `bars` are parts of a session: then nothing is held over night, and a label whose bars
        leave the session of its decision is null.

    Returns
    -------
    tuple
        The columns of `core.signal.DECISIONS` and the features as Float32, sorted by (as_of, symbol). The moment at
        which a label is known is the end of the last bar that it touches. A row without a volatility above 0, without
        which neither band nor barriers have a width, is left out.

    Raises
    ------
    BadInput
        On missing columns, two bars of a symbol at one moment, or `decide_every` below 1.
    """
    _check(computed, bars, decide_every)
    told = _labels(bars, label, within_session)
    features = [name for name in computed.columns if name not in _KEYS]
    wanted = computed.filter(decides(computed, decide_every, within_session=within_session, sessions=sessions))
    rows = wanted.filter(pl.col("sigma").is_finite() & (pl.col("sigma") > 0) & (pl.col("close") > 0))
    joined = rows.join(told, on=["symbol", "as_of"], how="left", maintain_order="left")
    notes = _notes(label, wanted.height - rows.height, joined)
    found = joined.select(*_KEYS, "label", "label_known_at", *(pl.col(name).cast(pl.Float32) for name in features))
    return found.cast(dict(DECISIONS)).sort("as_of", "symbol"), notes


def decides(
    frame: pl.DataFrame, every: int, *, within_session: bool, sessions: Sessions, bar_minutes: float | None = None
) -> pl.Series:
    """Whether the desk decides at each row of `frame` (``symbol session as_of``), told by the calendar alone.

    Every so many base bars counted from the open of the session; of daily bars every so many sessions of the calendar.

    Parameters
    ----------
    bar_minutes : length of a base bar; None takes the shortest distance of two bars of a symbol in `frame`.
    """
    if every == 1:
        return pl.repeat(True, frame.height, eager=True)
    dated = frame.select("symbol", "session", "as_of").join(
        sessions.frame, on="session", how="left", maintain_order="left"
    )
    if dated["number"].null_count():
        raise BadInput(f"{dated['number'].null_count()} bars lie on days that are no session of {sessions.exchange}.")
    if not within_session:
        return dated["number"] % every == 0
    minutes = dated.select((pl.col("as_of") - pl.col("open_at")).dt.total_seconds() / 60.0).to_series()
    length = bar_minutes if bar_minutes is not None else _bar_minutes(dated)
    return (minutes / length).round().cast(pl.Int64) % every == 0


def _bar_minutes(frame: pl.DataFrame) -> float:
    step = frame.sort("symbol", "as_of").select(pl.col("as_of").diff().over("symbol", "session").dt.total_seconds())
    shortest = step.to_series().min()
    if not isinstance(shortest, int) or shortest <= 0:
        raise BadInput("The length of a bar cannot be told from bars of which no two lie in one session; give it.")
    return shortest / 60.0


def _check(computed: pl.DataFrame, bars: pl.DataFrame, decide_every: int) -> None:
    if decide_every < 1:
        raise BadInput(f"`decide_every` must be at least 1; was {decide_every}.")
    for what, frame, names in (("features", computed, _KEYS), ("bars", bars, BARS)):
        missing = [name for name in names if name not in frame.columns]
        if missing:
            raise BadInput(f"The {what} of the signals desk lack {', '.join(f'`{name}`' for name in missing)}.")
    for what, frame, moment in (("features", computed, "as_of"), ("bars", bars, "at")):
        double = frame.height - frame.select("symbol", moment).n_unique()
        if double:
            raise BadInput(f"{double} {what} stand twice at the same moment of the same symbol.")


def _labels(bars: pl.DataFrame, label: Label, within_session: bool) -> pl.DataFrame:
    """``symbol as_of label label_known_at`` of every bar, with ``left`` (the session) and ``both`` (barriers)."""
    forward, horizon = label_reach(label).forward, label.horizon_sessions
    ordered = bars.sort("symbol", "at")
    if "fill_price" not in ordered.columns:  # decided for the data, not for a row, as everywhere
        no_opens = ordered["open"].null_count() == ordered.height
        ordered = ordered.with_columns(pl.col("close" if no_opens else "open").alias("fill_price"))
    both = both_touched(horizon) if label.name == f"barrier_{horizon}" else pl.lit(None, dtype=pl.Boolean)
    told = evaluated(
        ordered,
        [
            label.expression.cast(pl.Float64).alias("label"),
            pl.col("at").shift(-forward).alias("label_known_at"),
            (pl.col("session").shift(-forward) != pl.col("session")).alias("left"),
            (both & pl.col("at").is_not_null()).alias("both"),
        ],
        ["symbol", "at"],
    )
    resolved = pl.col("label").is_finite() & pl.col("label_known_at").is_not_null()
    if within_session:
        resolved = resolved & ~pl.col("left")
    kept = [pl.when(resolved).then(pl.col(name)).alias(name) for name in ("label", "label_known_at", "both")]
    left = (pl.col("left").fill_null(False) & within_session).alias("left")
    return told.select("symbol", pl.col("at").alias("as_of"), *kept, left)


def _notes(label: Label, without_sigma: int, joined: pl.DataFrame) -> tuple[str, ...]:
    counts = joined.select(
        pl.col("left").sum(), pl.col("both").sum(), pl.col("label").is_null().sum().alias("none")
    ).row(0, named=True)
    told: list[tuple[int, str]] = [
        (without_sigma, "bars have no volatility above 0 yet and are no decisions."),
        (counts["left"] or 0, f"decisions have no `{label.name}`: its horizon passes the end of their session."),
        (
            (counts["none"] or 0) - (counts["left"] or 0),
            f"decisions have no `{label.name}`: a bar that it needs is missing or is yet to come.",
        ),
        (
            counts["both"] or 0,
            f"times both barriers of `{label.name}` lie in one bar: the label is 0, for none is first.",
        ),
    ]
    return tuple(f"{count:,} {what}" for count, what in told if count)


def class_shares(rows: pl.DataFrame, by: Sequence[str] = ()) -> pl.DataFrame:
    """Base rates: ``n``, and ``sell``, ``hold``, ``buy`` as shares of the known labels, over all rows or by columns."""
    known = rows.filter(pl.col("label").is_not_null())
    shares = [(pl.col("label") == code).mean().alias(name) for name, code in (("sell", -1), ("hold", 0), ("buy", 1))]
    wanted = [pl.len().cast(pl.Int64).alias("n"), *shares]
    return known.group_by(list(by)).agg(*wanted).sort(list(by)) if by else known.select(*wanted)
