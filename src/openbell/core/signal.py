"""A signal: BUY, SELL or HOLD for one symbol at one moment, how sure, until when, and what its life is like."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any

import polars as pl

from openbell.core.errors import BadInput
from openbell.core.hashing import digest
from openbell.core.time import MOMENT, utc


class Call(StrEnum):
    """What a signal says."""

    SELL = "SELL"
    HOLD = "HOLD"
    BUY = "BUY"


#: The classes in the order of every probability array, with the label of each: -1, 0, 1.
CALLS: tuple[Call, ...] = (Call.SELL, Call.HOLD, Call.BUY)
LABELS: tuple[int, ...] = (-1, 0, 1)


class Status(StrEnum):
    """Where a signal is in its life. ACTIVE is the only one that anything follows."""

    ACTIVE = "ACTIVE"
    EXECUTED = "EXECUTED"
    EXPIRED = "EXPIRED"
    SUPERSEDED = "SUPERSEDED"
    CANCELLED = "CANCELLED"


#: How long a signal lives where no half-life was measured.
DEFAULT_LIFE = dt.timedelta(hours=24)

_KEYS: Mapping[str, pl.DataType | type[pl.DataType]] = {
    "symbol": pl.String,
    "session": pl.Date,
    "as_of": MOMENT,
    "close": pl.Float64,
    "sigma": pl.Float64,
    "label": pl.Int8,
    "label_known_at": MOMENT,
}
#: Rows that signals are learnt from and asked for, beside their feature columns (Float32), sorted by (as_of, symbol).
#: `as_of` is the end of the bar that decides; `close` its close as received; `sigma` the volatility (standard deviation
#: of log returns) of one base bar as known then; `label` is null where the outcome is not known (yet).
DECISIONS: Mapping[str, pl.DataType | type[pl.DataType]] = MappingProxyType(dict(_KEYS))
#: What models said out of sample: one row for each decision and `model`. ``p_*`` are calibrated and sum to 1; ``in_*``
#: say whether the class is in the conformal set; `confidence` is that of `call`, which the rule of the desk gave.
FORECASTS: Mapping[str, pl.DataType | type[pl.DataType]] = MappingProxyType(
    {
        **_KEYS,
        "model": pl.String,
        "fold": pl.Int32,
        "p_sell": pl.Float64,
        "p_hold": pl.Float64,
        "p_buy": pl.Float64,
        "in_sell": pl.Boolean,
        "in_hold": pl.Boolean,
        "in_buy": pl.Boolean,
        "confidence": pl.Float64,
        "call": pl.String,
    }
)
PROBABILITIES = ("p_sell", "p_hold", "p_buy")
IN_SET = ("in_sell", "in_hold", "in_buy")


@dataclass(frozen=True, slots=True)
class Signal:
    """One signal as it is made; the store gives it an id and a status.

    Attributes
    ----------
    symbol : 1 to 10 characters. call : BUY, SELL or HOLD. created_at, expires_at : aware moments, the second later.
    confidence : calibrated probability of `call`, in [0, 1]. probabilities : of SELL, HOLD, BUY; sum to 1.
    price : last price at `created_at`, USD. target_price, stop_loss : USD, None for HOLD; on their sides of `price`.
    position_size : fraction of the account, >= 0; None for HOLD.
    reasoning : sentences. model_version : at most 50 characters. features : what the model was shown, by name.
    sigma : volatility of one base bar that stop and target were made of. horizon_seconds : the time barrier.
    regime : of the market then, None where unknown. missing : members of the vote that were not heard.
    made_of : hashes of data, recipe, model, settings.
    """

    symbol: str
    call: Call
    confidence: float
    probabilities: tuple[float, float, float]
    price: float
    created_at: dt.datetime
    expires_at: dt.datetime
    model_version: str
    target_price: float | None = None
    stop_loss: float | None = None
    position_size: float | None = None
    reasoning: tuple[str, ...] = ()
    features: Mapping[str, float | None] = field(default_factory=dict)
    sigma: float | None = None
    horizon_seconds: float | None = None
    regime: str | None = None
    missing: tuple[str, ...] = ()
    made_of: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _checked_words(self)
        _checked_moments(self)
        _checked_numbers(self)
        _checked_sides(self)

    @property
    def key(self) -> str:
        """Hash of symbol, model and moment: made twice, it is one signal."""
        return digest([self.symbol, self.model_version, utc(self.created_at)])


def _checked_words(signal: Signal) -> None:
    if not 1 <= len(signal.symbol) <= 10:
        raise BadInput(f"The symbol of a signal has 1 to 10 characters; was {signal.symbol!r}.")
    if not 1 <= len(signal.model_version) <= 50:
        raise BadInput(f"The model version of a signal has 1 to 50 characters; was {signal.model_version!r}.")


def _checked_moments(signal: Signal) -> None:
    if utc(signal.expires_at) <= utc(signal.created_at):
        raise BadInput(
            f"A signal expires after it was created; {signal.symbol} was created {signal.created_at.isoformat()} "
            f"and would expire {signal.expires_at.isoformat()}."
        )


def _checked_numbers(signal: Signal) -> None:
    if not 0.0 <= signal.confidence <= 1.0:
        raise BadInput(f"The confidence of a signal lies in [0, 1]; was {signal.confidence}.")
    given = signal.probabilities
    if len(given) != len(CALLS) or not all(0.0 <= each <= 1.0 for each in given) or abs(sum(given) - 1.0) > 1e-6:
        raise BadInput(f"The probabilities of SELL, HOLD and BUY lie in [0, 1] and sum to 1; were {given}.")
    if not (math.isfinite(signal.price) and signal.price > 0):
        raise BadInput(f"The price of a signal is above 0; that of {signal.symbol} was {signal.price}.")
    if signal.position_size is not None and not 0.0 <= signal.position_size <= 1e6:
        raise BadInput(f"The position size of a signal is at least 0; was {signal.position_size}.")


def _checked_sides(signal: Signal) -> None:
    if signal.call is Call.HOLD:
        return
    side = 1.0 if signal.call is Call.BUY else -1.0
    for name, level, beyond in (("target", signal.target_price, side), ("stop", signal.stop_loss, -side)):
        if level is not None and not (level > 0 and (level - signal.price) * beyond > 0):
            raise BadInput(
                f"The {name} of a {signal.call} lies {'above' if beyond > 0 else 'below'} its price of "
                f"{signal.price}; was {level}."
            )


#: The columns of `Said.rows`, one row per symbol.
SAID: Mapping[str, pl.DataType | type[pl.DataType]] = MappingProxyType(
    {
        "symbol": pl.String,
        "close": pl.Float64,
        "sigma": pl.Float64,
        **dict.fromkeys(PROBABILITIES, pl.Float64),
        **dict.fromkeys(IN_SET, pl.Boolean),
    }
)


@dataclass(frozen=True, slots=True, eq=False)
class Said:
    """What the vote of a model's members said of some symbols at one moment: the forecast of the signals desk.

    Attributes
    ----------
    rows : columns of `SAID`, one row per symbol that was spoken of; an abstention has no row.
    model : registered version. proven : whether its walk-forward knew more than the base rates, adjusted for tries.
    barrier : stop and target lie so many volatilities of the horizon away. horizon_bars : base bars it lasts.
    bar_seconds : length of a base bar in time that can be waited, so a day of 24 h for daily bars.
    expires_at : until when its signals live; see `quant.signal_rule.end_of_life`. None takes 24 hours.
    features : the values that each symbol's row was made of, by symbol. reasons : sentences of the explanation.
    silent : why a symbol has no row, by symbol. missing : members that were not heard, with why.
    """

    as_of: dt.datetime
    session: dt.date
    rows: pl.DataFrame
    model: str
    proven: bool
    barrier: float
    horizon_bars: int
    bar_seconds: float
    expires_at: dt.datetime | None = None
    features: Mapping[str, Mapping[str, float | None]] = field(default_factory=dict)
    reasons: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    silent: Mapping[str, str] = field(default_factory=dict)
    missing: Mapping[str, str] = field(default_factory=dict)
    regime: str | None = None
    made_of: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        utc(self.as_of)
        if dict(self.rows.schema) != dict(SAID):
            raise BadInput(f"The rows of a forecast of signals have the columns {dict(SAID)}; had {self.rows.schema}.")
