"""What a provider hands over: rows as received, and what must be known about them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import polars as pl

from openbell.core.errors import BadInput

PRICES = ("open", "high", "low", "close")
NUMBERS = (*PRICES, "adj_close", "volume")

Schema = Mapping[str, pl.DataType | type[pl.DataType]]

#: Bars as received; null where the source has none of a field.
BARS: Schema = MappingProxyType({"symbol": pl.String, "session": pl.Date} | dict.fromkeys(NUMBERS, pl.Float64))
#: Corporate actions: `factor` multiplies prices from the ex-session `session` on, so that the series is continuous.
ACTIONS: Schema = MappingProxyType({"symbol": pl.String, "session": pl.Date, "kind": pl.String, "factor": pl.Float64})
INSTRUMENTS: Schema = MappingProxyType({"symbol": pl.String, "kind": pl.String, "sector": pl.String})
MEMBERSHIP: Schema = MappingProxyType(
    {"universe": pl.String, "symbol": pl.String, "session": pl.Date, "member": pl.Boolean}
)
RATES: Schema = MappingProxyType({"name": pl.String, "session": pl.Date, "value": pl.Float64})


def empty(schema: Schema) -> pl.DataFrame:
    """A frame of `schema` without rows."""
    return pl.DataFrame(schema=dict(schema))


@dataclass(frozen=True, eq=False)
class Batch:
    """What one reading of a source gave.

    Attributes
    ----------
    name : the provider, with what it read; it becomes the `source` of every row.
    bars, actions, instruments, membership, rates : frames of the schemas above; empty where the source has none.
    fields : the bar columns that the source fills.
    derive_actions : whether actions follow from `close` and `adj_close`; False where the source states them.
    notes : sentences that every report on these data must carry.
    failed : symbol -> why the source gave nothing for it.
    """

    name: str
    bars: pl.DataFrame = field(default_factory=lambda: empty(BARS))
    actions: pl.DataFrame = field(default_factory=lambda: empty(ACTIONS))
    instruments: pl.DataFrame = field(default_factory=lambda: empty(INSTRUMENTS))
    membership: pl.DataFrame = field(default_factory=lambda: empty(MEMBERSHIP))
    rates: pl.DataFrame = field(default_factory=lambda: empty(RATES))
    fields: tuple[str, ...] = ()
    derive_actions: bool = True
    notes: tuple[str, ...] = ()
    failed: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        parts: tuple[tuple[str, Schema], ...] = (
            ("bars", BARS),
            ("actions", ACTIONS),
            ("instruments", INSTRUMENTS),
            ("membership", MEMBERSHIP),
            ("rates", RATES),
        )
        for part, schema in parts:
            frame: pl.DataFrame = getattr(self, part)
            if dict(frame.schema) != dict(schema):
                raise BadInput(
                    f"The {part} of `{self.name}` must have the columns {dict(schema)}; had {dict(frame.schema)}."
                )

    @property
    def rows(self) -> int:
        """Rows of all parts together."""
        return sum(frame.height for frame in (self.bars, self.actions, self.instruments, self.membership, self.rates))


def bars_frame(frame: pl.DataFrame) -> pl.DataFrame:
    """`frame` with exactly the columns and types of bars; missing fields become null."""
    return frame.select(
        (pl.col(name) if name in frame.columns else pl.lit(None)).cast(kind).alias(name) for name, kind in BARS.items()
    )


def typed(frame: pl.DataFrame, schema: Schema) -> pl.DataFrame:
    """`frame` with the columns of `schema`, in its order and types."""
    return frame.select(pl.col(name).cast(kind) for name, kind in schema.items())


def filled_fields(bars: pl.DataFrame) -> tuple[str, ...]:
    """The bar columns that hold at least one value."""
    return tuple(name for name in NUMBERS if bars[name].null_count() < bars.height)
