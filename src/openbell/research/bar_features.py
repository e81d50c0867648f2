"""The features of bars on several frames of time: one engine for a whole history and for the bar that has just ended.

A bar counts from its end on, longer frames by completed bars only, and both ways take the same step on the same state
(`FeatureState`), so the features of a history are bit for bit those that were said live.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from openbell.core.bars import FRAMES, feature_column, frames_from
from openbell.core.declare import Feature
from openbell.core.errors import BadInput, unknown
from openbell.core.hashing import digest
from openbell.core.time import MOMENT, Sessions
from openbell.quant.bar_frames import (
    FIELDS,
    NEEDS,
    TRADED,
    SessionTimes,
    bar_matrix,
    dates,
    moments,
    on_grid,
    received,
)
from openbell.quant.bar_programs import compile_program
from openbell.quant.bar_rules import FAULTS, bar_faults
from openbell.quant.expressions import SHARED
from openbell.quant.indicators import bar_volatility
from openbell.quant.reach import lookback
from openbell.research.bar_feature_state import FeatureState, Step
from openbell.research.compute import roots

if TYPE_CHECKING:
    from openbell.research.bar_features_live import LiveFeatures

#: The program's result beside the features: volatility of one base bar.
SIGMA = "_sigma"
#: Rows up to which a frame of many columns is made by turning its rows around.
SHORT = 64
#: First columns of what the engine gives; the features follow.
KEYS = ("symbol", "session", "as_of", "close", "sigma")


class BarFeatures:
    """Features of bars, compiled.

    Parameters
    ----------
    features : declared with ``reads="bars"``. base : frame of the bars that come in. sessions : the calendar.
    fields : received fields that the data hold, of open, high, low, close, volume, bid and ask (`quant.bar_frames.
        fields_of` finds them). A feature that needs another is switched off, and `lineage` says so.
    frames : those to compute, `base` always; None takes `base` and all longer ones.

    Attributes
    ----------
    base, frames, fields : as above. columns : the features by their frames, in the order they are given in.
    """

    def __init__(
        self,
        features: Sequence[Feature],
        base: str,
        sessions: Sessions,
        *,
        fields: Collection[str] = TRADED,
        frames: Collection[str] | None = None,
    ) -> None:
        if base not in FRAMES:
            raise unknown("frame of bars", base, FRAMES)
        self.base, self.sessions = base, sessions
        self.fields = tuple(name for name in FIELDS if name in _known_fields(fields))
        self.frames = _wanted_frames(base, frames)
        self._features = _of_bars(features)
        self._off = {each.name: _lacking(each, self.fields) for each in self._features}
        on = [each for each in self._features if not self._off[each.name]]
        self.program = compile_program({**{each.name: each.expression for each in on}, SIGMA: bar_volatility})
        self.columns = tuple(feature_column(each.name, frame) for frame in self.frames for each in on)
        self.times = SessionTimes.of(sessions)

    @cached_property
    def digest(self) -> str:
        """Hash of what the state of this engine means: another one cannot go on from its snapshots."""
        return digest(
            {
                "program": self.program.digest,
                "base": self.base,
                "frames": self.frames,
                "fields": self.fields,
                "exchange": self.sessions.exchange,
            }
        )

    @property
    def required(self) -> tuple[str, ...]:
        """Fields that a bar may not lack: of daily bars the close, else the prices, and the volume of who tells it."""
        if self.base == "1d":
            return ("close",)
        return tuple(name for name in TRADED if name in self.fields)

    def lineage(self) -> pl.DataFrame:
        """Where each column comes from.

        Returns
        -------
        ``column``, ``feature``, ``frame``, ``source`` (the table, the frame and the columns it stands on), ``lookback``
        (bars of that frame) and ``off``: why it is not computed, null where it is.
        """
        table = "bars" if self.base == "1d" else f"minutes of {self.base}"
        rows = [
            {
                "column": feature_column(each.name, frame),
                "feature": each.name,
                "frame": frame,
                "source": f"{table}: {', '.join(sorted(_inputs(each)))}",
                "lookback": lookback(each),
                "off": self._off[each.name],
            }
            for frame in self.frames
            for each in self._features
        ]
        kinds = dict.fromkeys(("column", "feature", "frame", "source"), pl.String)
        return pl.DataFrame(rows, schema={**kinds, "lookback": pl.Int64, "off": pl.String})

    def history(self, bars: pl.DataFrame, *, ends: bool = False) -> pl.DataFrame:
        """The features at every base bar, bit for bit those that `live` would have said then.

        Parameters
        ----------
        bars : ``symbol``, ``at`` (end of the bar; of daily bars ``session`` will do) and `fields`, of daily bars
            ``raw_*`` too; any symbols, in any order. Hours outside the sessions are left out. It takes 8 bytes per bar
            and column: hand large sets in by groups of symbols.
        ends : give ``as_of_<frame>`` too, when the longer bar ended whose features stand in a row.

        Returns
        -------
        ``symbol``, ``session``, ``as_of`` (end of the bar), ``close``, ``sigma`` (volatility of one base bar) and
        `columns` (Float64, null where a feature has no value), sorted by symbol and time. Features of a longer frame
        are those of its last bar complete at that moment.

        Raises
        ------
        BadInput
            For bars that repeat a moment, are faulty or off the grid: stored ones have passed the gate.
        """
        bars = self.with_ends(bars).sort("symbol", "at")
        at = bars["at"].to_physical().to_numpy()
        places, inside = self.times.places(at)
        bars, places, at = bars.filter(pl.Series(inside)), places[inside], at[inside]
        matrix = bar_matrix(bars, self.fields)
        self._refuse_faulty(bars, matrix, places, at)
        which = bars["symbol"].rle_id().to_numpy().astype(np.int64)
        state = self.state(int(which[-1]) + 1 if len(which) else 0)
        steps = state.advance(which, at, self.times.opens[places], self.times.closes[places], matrix)
        return self.framed(bars["symbol"], places, at, matrix, steps, ends=ends)

    def live(self, *, max_symbols: int = 2_000) -> LiveFeatures:
        """The engine for bars as they come, before the first one; more symbols than `max_symbols` are refused."""
        from openbell.research.bar_features_live import LiveFeatures

        return LiveFeatures(self, max_symbols)

    def restore(self, folder: Path, *, max_symbols: int = 2_000) -> LiveFeatures:
        """The engine for bars as they come, from the snapshot in `folder` on."""
        from openbell.research.bar_feature_snapshots import restored

        return restored(self, folder, max_symbols)

    def state(self, symbols: int) -> FeatureState:
        """A state in which none of `symbols` has seen a bar."""
        return FeatureState(self.base, self.frames, self.program, symbols)

    def with_ends(self, bars: pl.DataFrame) -> pl.DataFrame:
        """`bars` with ``at`` in UTC; the columns that the engine reads must be there."""
        missing = [name for name in ("symbol", *self.fields) if name not in bars.columns]
        if "at" not in bars.columns and not (self.base == "1d" and "session" in bars.columns):
            missing.append("at")
        if missing:
            raise BadInput(
                f"The bars have no {', '.join(missing)}; the engine was made for the fields {', '.join(self.fields)}. "
                "Hand the columns in, or make the engine with the `fields` that the data have."
            )
        if "at" not in bars.columns:
            closes = self.sessions.frame.select("session", pl.col("close_at").alias("at"))
            bars = bars.join(closes, on="session", how="left", maintain_order="left")
        kind = bars.schema["at"]
        if isinstance(kind, pl.Datetime) and kind.time_zone is not None and kind != MOMENT:
            return bars.with_columns(pl.col("at").dt.convert_time_zone("UTC").cast(MOMENT))
        return bars

    def _refuse_faulty(self, bars: pl.DataFrame, matrix: np.ndarray, places: np.ndarray, at: np.ndarray) -> None:
        if bars.schema["at"] != MOMENT:
            raise BadInput(f"`at` of the bars must be moments with a time zone; was {bars.schema['at']}.")
        if bars["at"].null_count() or bars["symbol"].null_count():
            raise BadInput("There are bars without a symbol or a time. Remove them.")
        faults = bar_faults(received(matrix), self.required)
        off = ~on_grid(at, self.times.opens[places], self.times.closes[places], FRAMES[self.base])
        repeated = bars.select("symbol", "at").is_duplicated().to_numpy()
        for wrong, why in ((faults > 0, ""), (off, f"lies off the grid of {self.base}."), (repeated, "comes twice.")):
            if not wrong.any():
                continue
            row = int(np.argmax(wrong))
            told = why or f"is faulty: {list(FAULTS.values())[int(faults[row])]}"
            raise BadInput(
                f"{int(wrong.sum()):,} of {len(at):,} bars cannot be used; the first, {bars['symbol'][row]} at "
                f"{bars['at'][row]}, {told} Import bars with `openbell data import`: its gate keeps such ones apart."
            )

    def framed(
        self,
        symbols: pl.Series,
        places: np.ndarray,
        at_us: np.ndarray,
        bars: np.ndarray,
        steps: dict[str, Step],
        *,
        ends: bool = False,
    ) -> pl.DataFrame:
        """What the engine gives: the keys, then the features of each frame."""
        width = len(self.program.names) - 1
        base = steps[self.base]
        keys = pl.DataFrame(
            {
                "symbol": symbols,
                "session": dates(self.times.days[places]),
                "as_of": moments(at_us),
                "close": pl.Series(bars[:, 3], nan_to_null=True),
                "sigma": pl.Series(base.made[base.places, width], nan_to_null=True),
            }
        )
        every = [steps[frame] for frame in self.frames]
        if len(at_us) <= SHORT:
            values = np.concatenate([step.made[step.places, :width] for step in every], axis=1)
            parts = [keys, _turned(values, self.columns)]
        else:
            named = (self.columns[at * width : (at + 1) * width] for at in range(len(every)))
            tables = [_table(step.made[:, :width], names) for step, names in zip(every, named, strict=True)]
            carried = [table if step is base else table[step.places] for table, step in zip(tables, every, strict=True)]
            parts = [keys, *carried]
        if ends:
            parts.append(pl.DataFrame([_ended(frame, steps[frame].ends) for frame in self.frames]))
        return pl.concat(parts, how="horizontal")


def _ended(frame: str, ends: np.ndarray) -> pl.Series:
    """When the longer bars ended, null where there was none yet."""
    known = pl.Series(ends).replace(0, None).to_physical()
    return moments(known).alias(f"as_of_{frame}")


def _turned(values: np.ndarray, names: Sequence[str]) -> pl.DataFrame:
    """`values` (n, k) as columns, NaN as null; a thousand short columns are had cheapest by turning rows around."""
    if not values.size:
        return pl.DataFrame(schema=dict.fromkeys(names, pl.Float64))
    rows = [pl.Series(str(row), each, nan_to_null=True) for row, each in enumerate(values)]
    return pl.DataFrame(rows).transpose(column_names=names)


def _table(values: np.ndarray, names: Sequence[str]) -> pl.DataFrame:
    """`values` (n, k) as columns, NaN as null."""
    column = pl.Series(np.ascontiguousarray(values.T).ravel(), nan_to_null=True)
    return pl.DataFrame([column.slice(at * len(values), len(values)).alias(name) for at, name in enumerate(names)])


def _known_fields(fields: Collection[str]) -> Collection[str]:
    for name in fields:
        if name not in FIELDS:
            raise unknown("field of bars", name, FIELDS)
    if "close" not in fields:
        raise BadInput(f"Features of bars need the close; the fields are {', '.join(fields) or 'none'}.")
    return fields


def _wanted_frames(base: str, frames: Collection[str] | None) -> tuple[str, ...]:
    built = frames_from(base)
    for frame in frames or ():
        if frame not in built:
            raise BadInput(f"Bars of {base} cannot be made into bars of {frame}. Valid are {', '.join(built)}.")
    return tuple(frame for frame in built if frames is None or frame in frames or frame == base)


def _of_bars(features: Sequence[Feature]) -> tuple[Feature, ...]:
    for each in features:
        if each.reads != "bars":
            raise BadInput(
                f"The feature `{each.name}` reads {each.reads}, and this engine computes features of bars alone. "
                "Leave it out here."
            )
    return tuple(features)


def _inputs(feature: Feature) -> set[str]:
    """Columns of bars that `feature` stands on."""
    return {name for name in roots(feature.expression, SHARED) if name not in SHARED}


def _lacking(feature: Feature, fields: Collection[str]) -> str | None:
    """Why `feature` cannot be computed from `fields`; None where it can."""
    needed = {need for name in _inputs(feature) for need in NEEDS.get(name, ())}
    lacking = [name for name in FIELDS if name in needed and name not in fields]
    return f"The data have no {' and no '.join(lacking)}." if lacking else None


__all__ = ["KEYS", "SIGMA", "BarFeatures"]
