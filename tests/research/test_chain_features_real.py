"""The aggregates of real chains, priced by our own numbers, beside the index and the VIX of the same day."""

from pathlib import Path

import polars as pl
import pytest

from openbell.core.declare import discover
from openbell.quant.feature_groups import RANGES
from openbell.research.chain_features import chain_day_features, eighty_four


@pytest.mark.slow
def test_real_chains_lie_where_they_should(real_data: Path) -> None:
    """Five downloads of CBOE: the sums are those of the file, the rest is of the size that the VIX says."""
    from openbell.market.chain_pricing import priced
    from openbell.market.providers.cboe_chain import cboe_chain

    features = eighty_four(discover().features)
    files = sorted((real_data / "chains" / "cboe").glob("spx*.csv.gz"))
    chains = [priced(cboe_chain(file).quotes) for file in files]
    days = chain_day_features(pl.concat(chains), features)
    assert days.height == len(files) == 5
    assert days.null_count().sum_horizontal().item() == 0
    assert not days["modelled"].any()
    vix = pl.read_csv(real_data / "macro" / "VIX_term_structure.csv", try_parse_dates=True).select(
        pl.col("Date").alias("session"), "VIX"
    )
    closes = pl.read_csv(real_data / "macro" / "SPX_daily.csv", try_parse_dates=True).select(
        pl.col("Date").alias("session"), "Close"
    )
    days = days.join(vix, on="session").join(closes, on="session")
    assert days.height == 5
    for row in days.iter_rows(named=True):
        # The VIX weighs the wings too, so it stands above the volatility at the forward.
        assert 0.6 * row["VIX"] < 100 * row["iv_atm"] < row["VIX"]
        assert abs(row["parity_forward"] / row["Close"] - 1) < 0.02
        assert 0 < row["iv_skew"] < 0.15
        assert row["contracts_without_iv"] < 0.2 * row["contracts"]
        for name in ("atm_delta_call", "atm_delta_put", "put_call_volume_ratio", "put_call_oi_ratio"):
            assert RANGES[name].low <= row[name] <= RANGES[name].high
        assert abs(row["max_pain_strike"] / row["Close"] - 1) < 0.10
    received = pl.concat(chains).group_by("session").agg(pl.col("volume", "open_interest").sum()).sort("session")
    assert days.sort("session")["total_option_volume"].to_list() == received["volume"].to_list()
    assert days.sort("session")["total_open_interest"].to_list() == received["open_interest"].to_list()
