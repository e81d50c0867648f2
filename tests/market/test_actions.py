import datetime as dt
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openbell.market.actions import derived_actions
from openbell.market.providers.files import files


def rows(close: list[float], adj: list[float]) -> pl.DataFrame:
    days = [dt.date(2020, 1, 1) + dt.timedelta(days=day) for day in range(len(close))]
    return pl.DataFrame({"symbol": ["X"] * len(close), "session": days, "close": close, "adj_close": adj})


def test_a_dividend_by_hand() -> None:
    """1 USD on 50: 2 % of the earlier prices go, so later ones count 50/49."""
    found = derived_actions(rows([50.0, 50.0, 49.0, 49.0], [49.0, 49.0, 49.0, 49.0]))
    assert found.select("session", "kind").rows() == [(dt.date(2020, 1, 3), "distribution")]
    assert found["factor"][0] == pytest.approx(50 / 49)


@pytest.mark.parametrize(("ratio", "kind"), [(2.0, "split"), (1.5, "split"), (0.1, "split"), (1.3, "distribution")])
def test_simple_ratios_are_splits(ratio: float, kind: str) -> None:
    found = derived_actions(rows([100.0, 100.0, 100.0 / ratio], [100.0 / ratio] * 3))
    assert found["kind"].to_list() == [kind]
    assert found["factor"][0] == pytest.approx(ratio)


def test_rounded_prices_make_no_actions() -> None:
    """An adjusted close kept to cents wobbles by 0.5 % at 1 USD; none of that is a distribution."""
    rng = np.random.default_rng(3)
    close = 10 * np.exp(np.cumsum(rng.normal(0, 0.02, 400)))
    assert derived_actions(rows(np.round(close, 2).tolist(), np.round(close * 0.1, 2).tolist())).is_empty()


def test_single_precision_makes_no_actions() -> None:
    rng = np.random.default_rng(4)
    close = (200 * np.exp(np.cumsum(rng.normal(0, 0.02, 2000)))).astype(np.float32)
    adj = (close.astype(np.float64) * 0.731234567).astype(np.float32)
    assert derived_actions(rows(close.astype(float).tolist(), adj.astype(float).tolist())).is_empty()


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.floats(1, 500), st.sampled_from([1.0, 1.0, 1.0, 1.004, 2.0])), min_size=3, max_size=30),
    st.data(),
)
def test_an_action_never_depends_on_a_later_row(steps: list[tuple[float, float]], data: st.DataObject) -> None:
    """Burn the future: the actions of the first rows are the same without the rest."""
    close = [price for price, _ in steps]
    adj = [price * factor for price, factor in zip(close, np.cumprod([f for _, f in steps]), strict=True)]
    frame = rows(close, adj)
    cut = data.draw(st.integers(1, len(steps)))
    whole = derived_actions(frame).filter(pl.col("session") <= frame["session"][cut - 1])
    assert derived_actions(frame[:cut]).equals(whole)


def test_the_real_splits_of_an_unadjusted_file(real_data: Path) -> None:
    """SMH split 2:1 on 2023-05-05 and pays once a year since 2012; the trust before paid often and little."""
    bars = files(real_data / "macro" / "SMH_unadjusted_with_splits.csv", kind="ETF").bars
    found = derived_actions(bars)
    assert found.filter(pl.col("kind") == "split").rows() == [("SMH", dt.date(2023, 5, 5), "split", pytest.approx(2.0))]
    assert found["factor"].min() > 1
    lately = found.filter(pl.col("session") >= dt.date(2013, 1, 1), pl.col("kind") == "distribution")
    assert lately["session"].dt.year().n_unique() == lately.height == 11
