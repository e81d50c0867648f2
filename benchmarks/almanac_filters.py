"""Filters of the almanac over 700,000 minute rows, beside the same in plain pandas, in one run.

``python -m benchmarks.almanac_filters [--rows 700000]``
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
from collections.abc import Callable

import numpy as np
import pandas as pd
import polars as pl

from benchmarks.measuring import timed
from openbell.core.bars import MINUTES
from openbell.core.time import MOMENT
from openbell.research.almanac_days import Almanac, almanac
from openbell.research.almanac_filters import filter_of
from openbell.research.almanac_metrics import Study

ZONE = "America/New_York"
#: Minutes of a session of the made-up future: 18:00 of the evening before to 17:00.
LENGTH = 1_380
#: The same filters for both, over every session at once.
FILTERS = (
    "weekdays days=mon,tue,wed", "months months=jan,feb,mar,apr,may,jun", "previous direction=positive",
    "previous_percent percent=0.5", "relative_volume ratio=0.9", "relative_volume of=cut-off ratio=0.9",
    "times a=10:00 b=09:30", "times a=20:00 b=10:00 percent=0.1", "volatility level=high of=day", "direction side=bull",
    "gap percent=0.1", "metric metric=range_pct value=1",
)  # fmt: skip
REPEATS = 5


def made_up(rows: int, seed: int = 7) -> tuple[pl.DataFrame, pl.DataFrame]:
    """So many minute bars of a random walk, and the hours of their sessions."""
    count = -(-rows // LENGTH)
    days = [day for n in range(2 * count) if (day := dt.date(2018, 1, 2) + dt.timedelta(days=n)).weekday() < 5][:count]
    walls = pl.DataFrame({"session": days}).with_columns(pl.col("session").cast(pl.Datetime("us")).alias("day"))

    def at(minutes: int) -> pl.Expr:
        wall = pl.col("day") + pl.duration(minutes=minutes)
        return wall.dt.replace_time_zone(ZONE).dt.convert_time_zone("UTC").cast(MOMENT)

    hours = walls.select(
        "session", at(-360).alias("open_at"), at(1_020).alias("close_at"),
        at(570).alias("regular_open_at"), at(960).alias("regular_close_at"),
    )  # fmt: skip
    random = np.random.default_rng(seed)
    total = count * LENGTH
    close = 4_000 * np.exp(np.cumsum(random.standard_normal(total) * 2e-4))
    opened = np.concatenate([[4_000.0], close[:-1]])
    ends = hours["open_at"].to_physical().to_numpy()[:, None] + 60_000_000 * np.arange(1, LENGTH + 1)
    at_end = pl.Series("at", ends.ravel()).cast(MOMENT)
    bars = pl.DataFrame(
        {
            "symbol": "ES", "freq": "1m", "session": np.repeat(np.array(days, "datetime64[D]"), LENGTH), "at": at_end,
            "open": opened, "high": np.maximum(opened, close) * 1.0001, "low": np.minimum(opened, close) * 0.9999,
            "close": close, "volume": random.integers(1, 500, total).astype(float), "bid": None, "ask": None,
            "known_at": at_end, "source": "made",
        }
    ).head(rows)  # fmt: skip
    return bars.select(pl.col(name).cast(kind) for name, kind in MINUTES.items()), hours


def by_openbell(known: Almanac) -> dict[str, np.ndarray]:
    """Whether each session passes each filter."""
    study = Study(known, 615)
    return {text: filter_of(text).mask(study).fill_null(False).to_numpy() for text in FILTERS}


def by_pandas(frame: pd.DataFrame, days: pd.DataFrame) -> dict[str, np.ndarray]:
    """The same, as one would write it at a desk; `frame` are the bars by local time, `days` the daily fields."""
    session = frame["session"]

    def price(hour: int, minute: int) -> pd.Series:
        clock = frame.index.hour * 60 + frame.index.minute
        after_midnight = hour < 18
        here = (
            (clock <= hour * 60 + minute) | (clock > 1_080)
            if after_midnight
            else (clock > 1_080) & (clock <= hour * 60 + minute)
        )
        return frame.loc[here].groupby("session")["close"].last().reindex(days.index)

    clock = frame.index.hour * 60 + frame.index.minute
    early = frame.loc[(clock > 570) & (clock <= 615)].groupby("session")["volume"].sum().reindex(days.index)
    at10, at930, at20 = price(10, 0), price(9, 30), price(20, 0)
    evening = 100 * (at20 - at10) / at10
    found = {
        FILTERS[0]: days.index.day_of_week.isin([0, 1, 2]),
        FILTERS[1]: days.index.month.isin(range(1, 7)),
        FILTERS[2]: days["prev_day_return_pct"] > 0,
        FILTERS[3]: days["prev_day_return_pct"] >= 0.5,
        FILTERS[4]: days["prev_relative_volume"] > 0.9,
        FILTERS[5]: early / early.shift(1).rolling(10).mean() > 0.9,
        FILTERS[6]: at10 > at930,
        FILTERS[7]: (evening > 0) & (evening >= 0.1),
        FILTERS[8]: days["range_pct"] > days["range_pct"].quantile(0.75),
        FILTERS[9]: days["close"] > days["open"],
        FILTERS[10]: days["gap_pct"] > 0.1,
        FILTERS[11]: days["range_pct"] > 1,
    }
    assert session.size
    return {text: np.asarray(found[text], dtype=bool) for text in FILTERS}


def best(work: Callable[[], object]) -> float:
    """Wall seconds of the fastest of some runs."""
    return min(timed(work)[1] for _ in range(REPEATS))


def main(words: list[str] | None = None) -> None:
    """Print both times as JSON, after checking that both keep the same sessions."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=700_000)
    bars, hours = made_up(parser.parse_args(words).rows)
    known = almanac(bars, hours)
    local = bars.select("session", pl.col("at").dt.convert_time_zone(ZONE), "close", "volume").to_pandas()
    frame, days = local.set_index("at"), known.days.to_pandas().set_index("session")
    days.index = pd.DatetimeIndex(days.index)
    frame["session"] = pd.to_datetime(frame["session"])
    ours, theirs = by_openbell(known), by_pandas(frame, days)
    different = [text for text in FILTERS if not np.array_equal(ours[text], theirs[text])]
    print(
        json.dumps(
            {
                "rows": bars.height,
                "sessions": known.days.height,
                "filters": len(FILTERS),
                "openbell_s": best(lambda: by_openbell(known)),
                "openbell_with_almanac_s": best(lambda: by_openbell(almanac(bars, hours))),
                "pandas_s": best(lambda: by_pandas(frame, days)),
                "different": different,
            },
            indent=1,
        )
    )


if __name__ == "__main__":
    main()
