"""The states of one name that more than one family of features stands on: of its trend, and of its volume."""

from __future__ import annotations

import polars as pl

from openbell.quant.expressions import shared
from openbell.quant.indicators import adx_14, di_minus_14, di_plus_14, macd_line, relative_volume

_strong = adx_14 >= 25.0
_up = pl.when(_strong & (macd_line > 0)).then(4.0).otherwise(3.0)
_down = pl.when(_strong & (macd_line < 0)).then(0.0).otherwise(1.0)
#: 0 strong fall, 1 fall, 2 none, 3 rise, 4 strong rise. 2 where ADX14 < 20; else the side of the larger directional
#: indicator, strong where ADX14 >= 25 and the MACD line has the same sign.
trend_state = shared(
    "trend_regime",
    pl.when((adx_14 + di_plus_14 + di_minus_14 + macd_line).is_not_null()).then(
        pl.when(adx_14 < 20.0).then(2.0).otherwise(pl.when(di_plus_14 > di_minus_14).then(_up).otherwise(_down))
    ),
)
#: 0 where the volume is under 0.8 of its 20-session mean, 2 over 1.5 of it, else 1.
volume_state = (relative_volume >= 0.8).cast(pl.Float64) + (relative_volume > 1.5).cast(pl.Float64)
