import datetime as dt
import subprocess
import sys
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import polars as pl
import pytest

from openbell.core.errors import DataMissing
from openbell.market.calendars import sessions
from openbell.market.providers import sample as module
from openbell.market.providers.sample import sample


@pytest.fixture(scope="module")
def large() -> pl.DataFrame:
    if module._folder(*module.LARGE) is None:
        pytest.skip("the extra `demo` is not installed")
    return sample()


def test_the_large_sample(large) -> None:
    bars = large.bars
    assert bars["symbol"].n_unique() == 503
    assert (bars["session"].min(), bars["session"].max()) == (dt.date(2006, 8, 31), dt.date(2021, 10, 14))
    assert bars["close"].null_count() == 0
    assert (bars["close"] > 0).all()
    assert all(bars[name].null_count() == bars.height for name in ("open", "high", "low"))
    assert large.fields == ("close", "volume")
    on_session = bars["session"].unique().is_in(pl.Series(sessions().dates).implode())
    assert on_session.all()
    assert dt.date(2016, 1, 18) not in bars["session"].unique().to_list()
    assert set(large.rates["name"].unique()) >= {"TBILL_4W", "TBILL_13W"}
    assert large.rates["session"].max() == dt.date(2021, 10, 20), "day/month/year"


def test_the_sample_says_what_it_is(large) -> None:
    """Check 10: survivorship is told wherever the sample is shown."""
    told = " ".join(large.notes)
    for words in ("survivorship-biased", "total-return", "no opens, highs and lows", "EQUAL_WEIGHT"):
        assert words in told
    assert large.membership.height == 503
    assert large.membership["member"].all()


def test_the_small_sample_and_none(monkeypatch: pytest.MonkeyPatch) -> None:
    if module._folder(*module.SMALL) is not None:
        small = sample(small=True)
        assert small.bars["symbol"].n_unique() == 20
        assert "survivorship-biased" in small.notes[0]

    def missing(name: str) -> object:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(module, "distribution", missing)
    with pytest.raises(DataMissing, match=r"openbell\[demo\]"):
        sample()


def test_no_package_is_imported_for_its_data(root: Path) -> None:
    code = "import sys; from openbell.market.providers.sample import sample; sample(small=True); "
    code += "assert not {'skfolio', 'portfolio_backtester', 'sklearn'} & set(sys.modules)"
    if module._folder(*module.SMALL) is None:
        pytest.skip("skfolio is not installed")
    subprocess.run([sys.executable, "-c", code], check=True, env={"PYTHONPATH": str(root / "src")})
