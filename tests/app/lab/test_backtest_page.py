"""The page Back-test: the account as it is on record, other costs of the same trades, and two side by side."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from evaluated_homes import AT, texts
from tests.research.session_days import made_bars, made_forecasts

from openbell.app.backtest_records import keep_session
from openbell.app.backtests import OURS, Kept, backtests
from openbell.app.home import Home
from openbell.app.lab import theme
from openbell.app.lab.figures import backtest as figures
from openbell.app.lab.looks import backtest as looks
from openbell.app.lab.page import Lab
from openbell.app.lab.pages.backtest import PAGE, _compared, _recosted
from openbell.core.errors import BadInput, DataMissing
from openbell.research.session_backtest import backtest


def followed(bp: float) -> object:
    bars = made_bars(90)
    said = made_forecasts(bars, knows=0.2)
    return backtest(said, bars, commission_bp=bp, slippage_bp=0.0, tries=3, replications=60)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """Two back-tests of the same calls, at 3 bp and at 8 bp a side; the second is the newest."""
    theme.register()
    home = Home.open(tmp_path_factory.mktemp("followed"))
    for bp in (3.0, 8.0):
        keep_session(home, followed(bp), at=AT, facts={"made_up": "generated"})  # type: ignore[arg-type]
    return home


def lab(home: Home) -> Lab:
    return Lab(lambda: home, None, None, lambda: AT)  # type: ignore[arg-type]


def of(home: Home, bp: float) -> Kept:
    return next(each for each in backtests(home) if looks.recorded_bp(each) == bp)


def test_without_a_back_test_the_page_says_what_makes_one(tmp_path: Path) -> None:
    """Kills an empty page, and a journal that is made by looking."""
    shown = texts(PAGE.layout(lab(Home.open(tmp_path)), {"id": "zz"}))
    assert "openbell backtest session" in shown
    assert not list(tmp_path.iterdir())


def test_the_account_of_the_record_stands_beside_its_benchmarks(home: Home) -> None:
    """Kills a curve of its own: the account is that of the record, and every curve begins at 1."""
    kept = of(home, 3.0)
    found = looks.one(kept)
    assert found.curves.row(0)[1:] == (1.0,) * (found.curves.width - 1)
    assert found.curves[looks.ACCOUNT].to_list() == pytest.approx((kept.equity[OURS] / kept.equity[OURS][0]).to_list())
    assert set(found.measures["curve"]) == {
        looks.ACCOUNT, "without costs", "always long", "always short", "commonest class"}  # fmt: skip
    told = kept.payload
    assert f"{told['sharpe']:+.2f}" in found.measures["Sharpe"][0]
    assert f"{told['sharpe_low']:+.2f}" in found.measures["Sharpe"][0]
    shown = texts(PAGE.layout(lab(home), {"id": kept.key[:10]}))
    for words in ("3 tries", told["verdict"].partition(": ")[2].rstrip("."), "generated",
                  "Per regime", "Trades", f"n = {told['sessions']:,} sessions"):  # fmt: skip
        assert words in shown


def test_other_costs_are_what_a_back_test_at_those_costs_finds(home: Home) -> None:
    """Kills costs on one side only, and growth that is not made anew: 3 bp re-costed to 8 is the record of 8."""
    again, truth = looks.recosted(home, of(home, 3.0), 8.0), of(home, 8.0)
    expected = (truth.equity[OURS] / truth.equity[OURS][0]).to_list()
    assert again.curve[looks.ACCOUNT].to_list() == pytest.approx(expected, rel=1e-9)
    assert again.table["total return"][1] == f"{truth.payload['total_return']:+.2%}"
    assert again.table["each side, bp"][0] == "3 (on record)"
    same = looks.recosted(home, truth, 8.0)
    assert same.table["total return"][0] == same.table["total return"][1]
    with pytest.raises(BadInput, match="between 0 and 1,000 bp"):
        looks.recosted(home, truth, -1.0)
    assert "What 1 became at other costs" in str(_recosted(lab(home), truth, 0.0))


def test_where_costs_cannot_be_changed_it_says_why(home: Home, tmp_path: Path) -> None:
    """Kills a slider that moves nothing."""
    kept = of(home, 3.0)
    gate = Kept({**kept.payload, "desk": "gate", "costs": {}}, kept.folder, AT)
    free = Kept({**kept.payload, "costs": {"commission_bp": 0.0, "slippage_bp": 0.0}}, kept.folder, AT)
    assert looks.why_not(kept) is None
    assert "spread of each quote" in (looks.why_not(gate) or "")
    assert "without costs" in (looks.why_not(free) or "")
    with pytest.raises(DataMissing, match="spread of each quote"):
        looks.recosted(home, gate, 3.0)


def test_two_are_laid_side_by_side_as_the_command_does(home: Home) -> None:
    """Kills curves that do not begin together, and a comparison with itself."""
    first, other = of(home, 3.0), of(home, 8.0)
    both = looks.beside(home, first, other)
    assert both.curves.row(0)[1:] == (1.0, 1.0)
    assert any("were not charged the same costs" in each for each in both.found.notes)
    with pytest.raises(BadInput, match="not compared with itself"):
        looks.beside(home, first, first)
    assert "not compared with itself" in texts(_compared(lab(home), first.key, first.key))
    shown = texts(PAGE.layout(lab(home), {"id": first.key, "beside": other.key}))
    assert "Side by side" in shown


def test_what_is_not_on_record_is_said_and_the_newest_shown(home: Home) -> None:
    """Kills an error in place of the page, on an address that somebody typed."""
    shown = texts(PAGE.layout(lab(home), {"id": "<script>", "desk": "gate"}))
    assert "There is no back-test `<script>`" in shown
    assert "There is no back-test of the desk `gate`" in shown
    assert "The account, and what stood beside it" in shown


def test_drawdowns_are_from_the_highest_so_far() -> None:
    """Kills a drawdown from the highest of all, which knows the future."""
    curves = pl.DataFrame({"session": [1, 2, 3, 4], "the account": [1.0, 2.0, 1.0, 4.0]})
    assert looks.drawdowns(curves)["the account"].to_list() == [0.0, 0.0, -0.5, 0.0]


def test_a_curve_that_lost_everything_is_drawn_on_a_plain_scale() -> None:
    """Kills a logarithm of 0, which hides the ruin."""
    theme.register()
    lost = pl.DataFrame({"session": [1, 2], "the account": [1.0, 0.0]})
    assert figures.growth(lost).layout.yaxis.type == "linear"
    assert figures.growth(lost.head(1)).layout.yaxis.type == "log"
