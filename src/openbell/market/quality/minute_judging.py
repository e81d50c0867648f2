"""The quality gate of bars within the session: rows are judged by what live bars are judged by, and beside each other.

As in the daily gate every rule is causal: what it says of a row follows from rows of the same symbol up to that row,
but for repeats of one moment.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from openbell.core.time import Sessions
from openbell.market.quality import rules
from openbell.market.quality.judging import Judgement
from openbell.market.quality.rules import FINDINGS, Rule, found, number
from openbell.quant.bar_frames import FIELDS, on_grid
from openbell.quant.bar_rules import CODES, FAULTS, PROOF_BARS, bar_faults, moved

OFF_GRID = Rule("off_grid", "The bar does not end where a bar of its frequency can end.")
DUPLICATE = Rule("duplicate", "The same symbol and moment came more than once; an exact repeat is kept once.")
CONFLICTING_DUPLICATE = Rule(
    "conflicting_duplicate", "The same symbol and moment came more than once with different numbers; none is believed."
)
NEW_LEVEL = Rule(
    "new_level",
    f"A jump was taken for real because the new level held for {PROOF_BARS} bars; check the source.",
    "note",
)
OF_BARS = tuple(Rule(name, sentence) for name, sentence in FAULTS.items() if name != "good")
MINUTE_RULES: tuple[Rule, ...] = (
    rules.NOT_A_SESSION, OFF_GRID, *OF_BARS[:-1], DUPLICATE, CONFLICTING_DUPLICATE, OF_BARS[-1], NEW_LEVEL,
)  # fmt: skip
_PLACE = {rule.name: place for place, rule in enumerate(MINUTE_RULES)}
_KEY = ["symbol", "at"]


def minute_gate(
    bars: pl.DataFrame,
    minutes: int,
    sessions: Sessions,
    zone: str,
    levels: pl.DataFrame | None = None,
    *,
    day_shift_minutes: int = 0,
) -> Judgement:
    """Judge every row of `bars`.

    Parameters
    ----------
    bars : ``symbol``, ``at`` (end of the bar, UTC) and the fields of bars, in any order.
    minutes : length of a bar. zone : the time zone that the exchange keeps its days in.
    levels : ``symbol`` and ``close``: the last good close before the first of `bars`, where there is one.
    day_shift_minutes : how far the clock in `zone` is put forward before its day is read: 360 where a session opens at
        18:00 of the day before.

    Returns
    -------
    The rows with ``session`` (the day that the bar began on, by the clock of `zone` put forward), ``rule`` and
    ``reason``, and the findings.
    """
    rows = _with_sessions(bars, minutes, sessions, zone, day_shift_minutes)
    parts = [_time_findings(rows, minutes), _bar_findings(rows)]
    left = _without(rows, *parts)
    parts.append(_repeats(left))
    left = _without(left, parts[-1]).sort("symbol", "at")
    parts.append(_level_findings(left, levels))
    return _judgement(rows.select("row", "symbol", "session", "at", *FIELDS), pl.concat(parts))


def _with_sessions(
    bars: pl.DataFrame, minutes: int, sessions: Sessions, zone: str, day_shift_minutes: int
) -> pl.DataFrame:
    local = (pl.col("at") - pl.duration(minutes=minutes)).dt.convert_time_zone(zone).dt.replace_time_zone(None)
    began = (local + pl.duration(minutes=day_shift_minutes)).dt.date()
    rows = bars.select("symbol", "at", *FIELDS).with_row_index("row").with_columns(began.alias("session"))
    clock = pl.col("at").dt.convert_time_zone(zone).dt.strftime("%H:%M:%S").alias("clock")
    return rows.with_columns(clock).join(sessions.frame, on="session", how="left", maintain_order="left")


def _time_findings(rows: pl.DataFrame, minutes: int) -> pl.DataFrame:
    day = pl.col("session").dt.strftime("%Y-%m-%d is a %A without a session")
    held = rows.filter(pl.col("open_at").is_not_null())
    at, opens, closes = (held[name].to_physical().to_numpy() for name in ("at", "open_at", "close_at"))
    off = held.filter(~on_grid(at, opens, closes, minutes))
    reason = pl.format("ends at {}", "clock")
    return pl.concat(
        [
            found(rows, rules.NOT_A_SESSION, pl.col("number").is_null(), day),
            found(off, OFF_GRID, pl.lit(True), reason),
        ]
    )


def _received(rows: pl.DataFrame) -> np.ndarray:
    return rows.select(pl.col(FIELDS).fill_null(np.nan)).to_numpy()


def _bar_findings(rows: pl.DataFrame) -> pl.DataFrame:
    required = [name for name in FIELDS if rows[name].null_count() < rows.height and name not in ("bid", "ask")]
    faults = bar_faults(_received(rows), {"open", "high", "low", "close", *required})
    coded = rows.with_columns(pl.Series("code", faults)).filter(pl.col("code") > 0)
    told = pl.format(
        "{}: open {}, high {}, low {}, close {}, volume {}, bid {}, ask {}", "clock", *(number(each) for each in FIELDS)
    )
    return pl.concat([found(coded, rule, pl.col("code") == CODES[rule.name], told) for rule in OF_BARS])


def _repeats(rows: pl.DataFrame) -> pl.DataFrame:
    """Exact repeats after the first, and every row of a conflicting repeat."""
    repeated = rows.filter(pl.struct(_KEY).is_duplicated()).sort("row")
    repeated = repeated.with_columns(
        pl.struct(*FIELDS).n_unique().over(_KEY).alias("versions"),
        pl.int_range(pl.len()).over(_KEY).alias("copy"),
        pl.len().over(_KEY).alias("copies"),
    )
    same = pl.col("versions") == 1
    alike = pl.format("{}: copy {} of {}, all alike", "clock", pl.col("copy") + 1, "copies")
    told = pl.format(
        "{}: {} rows in {} versions; this one closes at {}", "clock", "copies", "versions", number("close")
    )
    return pl.concat(
        [
            found(repeated, DUPLICATE, same & (pl.col("copy") > 0), alike),
            found(repeated, CONFLICTING_DUPLICATE, ~same, told),
        ]
    )


def _level_findings(rows: pl.DataFrame, levels: pl.DataFrame | None) -> pl.DataFrame:
    """Bars away from the level of their symbol; `rows` are sorted by symbol and time."""
    if rows.is_empty():
        return pl.DataFrame(schema=FINDINGS)
    which = rows["symbol"].rle_id().to_numpy().astype(np.int64)
    begun = np.full(int(which[-1]) + 1, np.nan)
    if levels is not None:
        symbols = rows.select("symbol").unique(maintain_order=True)
        beside = symbols.join(levels, on="symbol", how="left", maintain_order="left")
        begun = beside["close"].fill_null(np.nan).to_numpy(writable=True)
    jumped, held = moved(which, _received(rows), begun)
    told = pl.format("{}: low {}, high {}, close {}", "clock", number("low"), number("high"), number("close"))
    return pl.concat(
        [
            found(rows.filter(pl.Series(jumped)), OF_BARS[-1], pl.lit(True), told),
            found(rows.filter(pl.Series(held)), NEW_LEVEL, pl.lit(True), told),
        ]
    )


def _without(rows: pl.DataFrame, *findings: pl.DataFrame) -> pl.DataFrame:
    return rows.join(pl.concat(findings).select("row").unique(), on="row", how="anti", maintain_order="left")


def _judgement(rows: pl.DataFrame, findings: pl.DataFrame) -> Judgement:
    place = pl.col("rule").replace_strict(_PLACE, return_dtype=pl.Int32)
    findings = findings.with_columns(place.alias("place")).sort("row", "place")
    note = pl.col("rule") == NEW_LEVEL.name
    bad = findings.filter(~note).unique("row", keep="first", maintain_order=True).select("row", "rule", "reason")
    action = pl.when(note).then(pl.lit("note")).otherwise(pl.lit("quarantine"))
    beside = findings.join(rows, on="row", how="left", maintain_order="left")
    columns = [name for name in rows.columns if name != "row"]
    return Judgement(
        rows.join(bad, on="row", how="left", maintain_order="left").drop("row"),
        beside.select(*columns, "rule", action.alias("action"), "reason"),
    )


__all__ = ["MINUTE_RULES", "minute_gate"]
