"""Statistics of the almanac over 700,000 minute rows and the trend test, beside pandas and scipy, in one run.

Ours has more in it: the mode, intervals that allow for autocorrelation, and adjusted p values. What both have is
checked to be equal first.

``python -m benchmarks.almanac [--rows 700000]``
"""

from __future__ import annotations

import argparse
import json

import numpy as np
import pandas as pd
from scipy import stats

from benchmarks.almanac_filters import ZONE, best, made_up
from openbell.quant.trend_tests import Trend, trend
from openbell.research.almanac_days import Almanac, almanac
from openbell.research.almanac_extremes import extremes, rolling, survival
from openbell.research.almanac_statistics import SERIES, statistics

#: Measures that pandas has as well.
SAME = ("mean", "trimmed_mean", "median", "variance", "outlier_mean")
TREND_VALUES = 1260


def outlier_mean(values: pd.Series) -> float:
    """Mean beyond the 5 and 95 % quantiles."""
    low, high = values.quantile([0.05, 0.95])
    return float(values[(values < low) | (values > high)].mean())


def by_pandas(frame: pd.DataFrame, by: str) -> pd.DataFrame:
    """`SAME` of each series by hour or by minute, as one would write it at a desk; `frame` by local time."""
    if by == "hour":
        parts = frame.groupby(["session", frame["begun"].dt.hour], sort=False)
        bars = parts.agg(open=("open", "first"), high=("high", "max"), low=("low", "min"), close=("close", "last"))
        bars = bars.reset_index(names=["session", "key"])
    else:
        bars = frame.assign(key=frame["begun"].dt.hour * 60 + frame["begun"].dt.minute + 1)
    bars["change"] = 100 * (bars["close"] / bars["open"] - 1)
    bars["range"] = bars["high"] - bars["low"]
    bars["range_pct"] = 100 * bars["range"] / bars["open"]
    groups = bars.groupby("key")
    found = {}
    for series in SERIES:
        of = groups[series]
        found |= {f"{series}_mean": of.mean(), f"{series}_median": of.median(), f"{series}_variance": of.var()}
        found[f"{series}_trimmed_mean"] = of.apply(lambda values: stats.trim_mean(values, 0.05))
        found[f"{series}_outlier_mean"] = of.apply(outlier_mean)
    return pd.DataFrame(found)


def apart(known: Almanac, frame: pd.DataFrame, by: str) -> float:
    """Largest relative difference of what both measure."""
    names = [f"{series}_{name}" for series in SERIES for name in SAME]
    ours = statistics(known, by).rows.sort(by).select(names).to_numpy()
    theirs = by_pandas(frame, by).sort_index()[names].to_numpy()
    return float(np.max(np.abs(ours - theirs) / (np.abs(theirs).mean(axis=0) + 1e-300)))


def by_scipy(values: np.ndarray) -> tuple[float, float, float]:
    """Kendall's tau against time with its p, and the slope of Theil and Sen."""
    found = stats.kendalltau(np.arange(len(values)), values)
    return float(found.statistic), float(found.pvalue), float(stats.theilslopes(values).slope)


def trends() -> dict[str, object]:
    """The trend test of as many sessions as five years have, of minutes of a session, so with many ties."""
    values = np.random.default_rng(5).integers(0, 1380, TREND_VALUES).astype(float)
    ours: Trend = trend(values)
    tau, _, slope = by_scipy(values)
    return {
        "values": TREND_VALUES,
        "openbell_ms": 1e3 * best(lambda: trend(values)),
        "scipy_ms": 1e3 * best(lambda: by_scipy(values)),
        "apart": max(abs(ours.test.tau - tau), abs(ours.line.slope - slope)),
    }


def main(words: list[str] | None = None) -> None:
    """Print all times as JSON, after checking that both sides say the same."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=700_000)
    bars, hours = made_up(parser.parse_args(words).rows)
    known = almanac(bars, hours)
    whole = known.days.filter(known.days["source"] == "minutes")["session"]
    kept = known.bars.filter(known.bars["session"].is_in(whole.implode()))
    frame = kept.select("session", "at", "open", "high", "low", "close").to_pandas()
    frame["begun"] = frame["at"].dt.tz_convert(ZONE) - pd.Timedelta(minutes=1)
    told: dict[str, object] = {"rows": kept.height, "sessions": known.days.height, "trend": trends()}
    for by in ("hour", "minute"):
        told[by] = {
            "apart": apart(known, frame, by),
            "openbell_s": best(lambda by=by: statistics(known, by)),
            "pandas_s": best(lambda by=by: by_pandas(frame, by)),
        }
    found = extremes(known)
    told["extremes_s"] = best(lambda: survival(extremes(known)))
    told["rolling_s"] = best(lambda: rolling(found))
    print(json.dumps(told, indent=1))


if __name__ == "__main__":
    main()
