"""Features of one series, computed by the engine's own evaluation."""

import sys
from pathlib import Path

import polars as pl
import pytest

from openbell.core.declare import Feature
from openbell.research.compute import evaluated

sys.path.insert(0, str(Path(__file__).parents[1] / "features"))
sys.path.insert(0, str(Path(__file__).parents[1] / "research"))

from feature_bars import declared, one_symbol
from memory_tables import random_walk


@pytest.fixture(scope="session")
def features() -> dict[str, Feature]:
    return declared()


@pytest.fixture(scope="session")
def compute():
    """Values of named features on the bars of one symbol, as a dict of NumPy arrays with NaN for null."""

    def computed(bars, *names):
        expressions = [declared()[name].expression.cast(pl.Float64).alias(name) for name in names]
        values = evaluated(one_symbol(bars), expressions, [])
        return {name: values[name].fill_null(float("nan")).to_numpy() for name in names}

    return computed


def _real_bars(folder: Path, symbol: str) -> dict:
    rows = (
        pl.scan_parquet(folder / "stocks" / "sp500_members_daily_2000_2021.parquet")
        .filter(pl.col("symbol") == symbol)
        .sort("date")
        .select(pl.col("open", "high", "low", "close", "volume").cast(pl.Float64))
        .collect()
    )
    return {name: rows[name].to_numpy() for name in rows.columns}


@pytest.fixture(params=["walk", "calm walk", "AAPL", "XOM"])
def bars(request):
    """Made-up bars, and real ones where they lie."""
    if request.param == "walk":
        return random_walk(1500, 7)
    if request.param == "calm walk":
        return random_walk(1500, 8, volatility=0.002)
    return _real_bars(request.getfixturevalue("real_data"), request.param)
