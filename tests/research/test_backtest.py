"""The back-test: the live desk function on past markets, filled at prices it has not seen."""

import datetime as dt
import sys
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from openbell.core.errors import BadInput, DataMissing
from openbell.core.types import Book, Decision, Forecast, Market
from openbell.core.view import View
from openbell.research.backtest import Backtest, Costs, backtest
from openbell.research.snapshot import snapshots

sys.path.insert(0, str(Path(__file__).parent))
from market_of_weekdays import Memory, calendar, memory, view

CAL = calendar()
FIRST, LAST = CAL.dates[302], CAL.dates[-2]
END = View(Memory(), CAL.closes[-1], CAL)
HOW = {"first": FIRST, "last": LAST, "universe": "small", "benchmark": "SPY", "replications": 200}


@pytest.fixture(scope="module")
def tables() -> Memory:
    return memory(CAL)


def known(tables: Memory) -> View:
    return View(tables, CAL.closes[-1], CAL)


def holding(*symbols: str):
    """A desk that always wants the same names in equal parts."""

    def decide(forecast: Forecast, book: Book, market: Market) -> Decision:
        return Decision(
            "test", market.session, market.as_of, {each: 1 / len(symbols) for each in symbols}, 0.0, ("it does",)
        )

    return decide


def top_two(forecast: Forecast, book: Book, market: Market) -> Decision:
    members = market.names.filter(pl.col("member"))["symbol"].to_list()
    chosen = members[:2]
    if forecast.has_view:
        ranked = forecast.scores.filter(pl.col("symbol").is_in(members)).sort(
            "score", "symbol", descending=[True, False]
        )
        chosen = ranked["symbol"].head(2).to_list()
    return Decision("test", market.session, market.as_of, dict.fromkeys(chosen, 0.5), 0.0, ("two",))


def scores(tables: Memory, seed: int = 1) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    rows = [(day, f"S{i:02d}", float(rng.normal())) for day in CAL.dates[300:-1] for i in range(12)]
    return pl.DataFrame(rows, schema={"session": pl.Date, "symbol": pl.String, "score": pl.Float64}, orient="row")


def price(tables: Memory, symbol: str, column: str) -> np.ndarray:
    return tables.frames["bars"].filter(pl.col("symbol") == symbol).sort("session")[column].to_numpy()


def test_one_name_by_hand(tables: Memory) -> None:
    """Bought at the open of the first rebalance, 3 bp paid, then marked at every close (check 47, trap 11)."""
    got = backtest(known(tables), holding("S04"), None, **HOW, capital_usd=1000.0)
    start = next(at for at in range(302, 460) if at % 5 == 0)
    assert got.equity["session"].to_list() == list(CAL.dates[start - 1 : 459])
    closes, opens = price(tables, "S04", "close"), price(tables, "S04", "open")
    expected = 1000.0 / 1.0003 * closes[start:459] / opens[start]
    assert got.equity["policy"].to_numpy()[1:] == pytest.approx(expected, rel=1e-12)
    assert got.equity["policy"][0] == 1000.0
    spy = 1000.0 / 1.0003 * price(tables, "SPY", "close")[start:459] / price(tables, "SPY", "open")[start]
    assert got.equity["benchmark"].to_numpy()[1:] == pytest.approx(spy, rel=1e-12)


def test_without_opens_new_weights_earn_after_the_close() -> None:
    tables = memory(CAL, opens=False)
    got = backtest(known(tables), holding("S04"), None, **HOW, capital_usd=1000.0)
    closes = price(tables, "S04", "close")
    start = CAL.index(got.equity["session"][1])
    assert got.equity["policy"].to_numpy()[1:] == pytest.approx(1000.0 / 1.0003 * closes[start:459] / closes[start])
    assert got.parameters["execution"] == "close"
    assert any("no opens" in note for note in got.notes)


def test_the_desk_sees_the_markets_of_the_daily_run(tables: Memory) -> None:
    """Check 14 on the whole path: each market handed to the desk equals the one a run on that day would build."""
    seen: dict[dt.date, tuple[Market, Book]] = {}

    def decide(forecast: Forecast, book: Book, market: Market) -> Decision:
        seen[market.session] = (market, book)
        return top_two(forecast, book, market)

    got = backtest(known(tables), decide, scores(tables), **HOW)
    assert list(seen) == got.rebalances["session"].to_list()
    assert all(CAL.index(session) % 5 == 0 for session in seen)
    for session in list(seen)[::9]:
        market, book = seen[session]
        alone = snapshots(
            view(tables, CAL, session), [session], universe="small", benchmark="SPY", held=list(book.shares)
        )[session]
        assert_frame_equal(market.names, alone.names, check_exact=True)
        assert market.benchmark == pytest.approx(alone.benchmark)
        assert market.names["price_session"].max() < session
        assert book.as_of == market.as_of < CAL.open(session)


def test_the_book_is_the_account_before_the_trade(tables: Memory) -> None:
    books: list[tuple[dt.date, Book]] = []

    def decide(forecast: Forecast, book: Book, market: Market) -> Decision:
        books.append((market.session, book))
        return top_two(forecast, book, market)

    got = backtest(known(tables), decide, scores(tables), **HOW)
    curve = dict(zip(got.equity["session"], got.equity["policy"], strict=True))
    assert books[0][1].shares == {}
    for session, book in books[1:]:
        before = CAL.shift(session, -1)
        assert book.value_usd == pytest.approx(curve[before], rel=1e-9)
        assert book.equity["session"][-1] == before
        assert book.equity["equity_usd"][-1] == pytest.approx(curve[before])
        assert 1 <= len(book.shares) <= 2
        assert sum(book.weights.values()) > 0.98


def test_what_comes_later_changes_nothing_before(tables: Memory) -> None:
    """Burn the future: scores and bars after a session, and membership too, leave the curve before it as it was."""
    cut = CAL.dates[400]
    now = CAL.open(cut)
    whole = backtest(known(tables), top_two, scores(tables), **HOW)
    later = scores(tables).with_columns(
        pl.when(pl.col("session") >= cut).then(-pl.col("score")).otherwise(pl.col("score")).alias("score")
    )
    bars = tables.frames["bars"].with_columns(
        pl.when(pl.col("known_at") > now).then(pl.col(name) * 3).otherwise(pl.col(name)).alias(name)
        for name in ("open", "close")
    )
    burnt = backtest(known(Memory({**tables.frames, "bars": bars})), top_two, later, **HOW)
    before = pl.col("session") < cut
    assert_frame_equal(whole.equity.filter(before), burnt.equity.filter(before), check_exact=True)
    assert_frame_equal(whole.weights.filter(before), burnt.weights.filter(before), check_exact=True)
    assert not whole.equity.equals(burnt.equity)


def test_the_equal_weight_policy_is_the_equal_weight_curve(tables: Memory) -> None:
    """Same costs on all curves: a policy that holds the universe must not differ from it by a cent."""

    def everything(forecast: Forecast, book: Book, market: Market) -> Decision:
        members = market.names.filter(pl.col("member"))["symbol"].to_list()
        return Decision("test", market.session, market.as_of, dict.fromkeys(members, 1 / len(members)), 0.0, ("all",))

    got = backtest(known(tables), everything, None, **HOW)
    assert got.equity["policy"].to_numpy() == pytest.approx(got.equity["equal_weight"].to_numpy(), rel=1e-12)
    assert got.excess["equal_weight"].value == pytest.approx(0.0, abs=1e-12)
    dearer = backtest(known(tables), everything, None, **HOW, costs=Costs(commission_bp=50.0))
    assert dearer.equity["policy"][-1] < got.equity["policy"][-1]
    assert dearer.equity["benchmark"][-1] < got.equity["benchmark"][-1]


def test_foresight_pays_and_noise_does_not(tables: Memory) -> None:
    """The chain from score to fill has the right sign: the coming open-to-open return as a score makes a fortune."""
    opens = tables.frames["bars"].sort("symbol", "session")
    foresight = (
        opens.with_columns((pl.col("open").shift(-5).over("symbol") / pl.col("open") - 1).alias("score"))
        .select("session", "symbol", "score")
        .filter(pl.col("symbol") != "SPY")
    )
    rich = backtest(known(tables), top_two, foresight, **HOW)
    poor = backtest(known(tables), top_two, foresight.with_columns(-pl.col("score")), **HOW)
    assert rich.metrics["policy"].total_return > 0.5 > poor.metrics["policy"].total_return
    assert rich.excess["equal_weight"].low > 0
    stale = foresight.with_columns(pl.col("score").shift(5).over("symbol"))
    late = backtest(known(tables), top_two, stale, **HOW)
    assert late.metrics["policy"].total_return < 0.3 * rich.metrics["policy"].total_return


def test_a_vanished_holding_is_counted_and_never_zero(tables: Memory) -> None:
    """Check 46."""
    gone = tables.frames["bars"].filter((pl.col("symbol") != "S04") | (pl.col("session") < CAL.dates[411]))
    got = backtest(known(Memory({**tables.frames, "bars": gone})), holding("S04", "S05"), None, **HOW)
    assert got.vanished.filter(pl.col("curve") == "policy")["symbol"].to_list() == ["S04"]
    assert got.vanished["session"][0] == CAL.dates[416]
    returns = got.equity["policy"].pct_change().drop_nulls()
    assert returns.min() > -0.10
    assert any("vanished" in note for note in got.notes)
    assert got.rebalances["unfilled"].sum() > 0


def test_what_it_reports(tables: Memory) -> None:
    got = backtest(known(tables), top_two, scores(tables), **HOW)
    assert got.rebalances.columns == [
        "session", "regime", "view", "names", "cash_weight", "turnover", "cost_usd", "unfilled",
    ]  # fmt: skip
    assert got.rebalances["view"].all()
    assert set(got.rebalances["regime"].unique()) <= {0, 1, 2}
    assert got.regimes["n_days"].sum() == got.equity.height - 1
    sums = got.weights.group_by("session").agg(pl.col("weight").sum())
    joined = sums.join(got.rebalances, on="session")
    assert (joined["weight"] + joined["cash_weight"]).to_numpy() == pytest.approx(1.0)
    assert set(got.metrics) == {"policy", "equal_weight", "benchmark"}
    assert got.metrics["policy"].n == got.equity.height - 1
    assert got.metrics["policy"].rebalances == got.rebalances.height
    assert got.metrics["benchmark"].rebalances == 1
    assert got.metrics["policy"].turnover_per_rebalance == pytest.approx(got.rebalances["turnover"].mean())
    assert got.parameters["benchmark"] == "SPY"


def test_the_same_input_gives_the_same_bytes(tables: Memory) -> None:
    one, other = (backtest(known(tables), top_two, scores(tables), **HOW) for _ in range(2))
    for name in ("equity", "weights", "rebalances", "vanished", "regimes"):
        assert_frame_equal(getattr(one, name), getattr(other, name), check_exact=True)
    assert one.metrics == other.metrics
    assert one.excess == other.excess


def test_the_live_desk_is_the_policy(tables: Memory) -> None:
    """The stocks desk itself runs in it, adapts to the regime and keeps its caps."""
    from openbell.desks.stocks import decide

    (declared,) = decide
    calls: list[dt.date] = []
    live = partial(declared.decide, top_k=8, max_position_pct=0.15, max_sector_weight=0.4)

    def counted(forecast: Forecast, book: Book, market: Market) -> Decision:
        calls.append(market.session)
        return live(forecast, book, market)

    progress: list[tuple[int, int, str]] = []
    got: Backtest = backtest(known(tables), counted, scores(tables), **HOW, progress=lambda *a: progress.append(a))
    assert len(calls) == len(set(calls)) == got.rebalances.height
    assert got.weights["weight"].max() <= 0.15 + 1e-3
    assert progress[-1][0] == progress[-1][1] == got.rebalances.height


def test_sessions_without_scores_are_decided_without_a_view(tables: Memory) -> None:
    some = scores(tables).filter(pl.col("session") < CAL.dates[400]).with_columns(pl.lit("ridge@1").alias("model"))
    holes = pl.concat(
        [some, some.head(1).with_columns(pl.lit(float("nan")).alias("score"), pl.lit("ZZZ").alias("symbol"))]
    )
    models: list[str | None] = []

    def decide(forecast: Forecast, book: Book, market: Market) -> Decision:
        models.append(forecast.model)
        return top_two(forecast, book, market)

    got = backtest(known(tables), decide, holes, **HOW)
    assert set(models) == {"ridge@1", None}
    assert got.rebalances.filter(pl.col("session") >= CAL.dates[400])["view"].any() is False
    assert any(note.startswith("1 scores were missing") for note in got.notes)
    none = backtest(known(tables), top_two, None, **HOW)
    assert any("No model" in note for note in none.notes)


def test_the_equal_weight_index_can_be_the_benchmark(tables: Memory) -> None:
    got = backtest(known(tables), top_two, None, **{**HOW, "benchmark": "equal_weight"})
    assert got.equity["benchmark"].equals(got.equity["equal_weight"])
    assert got.parameters["benchmark"] == "EQUAL_WEIGHT"
    biased = backtest(known(tables), top_two, None, **{**HOW, "universe": None})
    assert any("survivorship" in note for note in biased.notes)


def test_what_cannot_be_tested_is_refused(tables: Memory) -> None:
    run = partial(backtest, known(tables), top_two)
    with pytest.raises(BadInput, match="no rebalance between"):
        run(None, **{**HOW, "last": FIRST, "first": FIRST})
    with pytest.raises(BadInput, match="rebalance_sessions"):
        run(None, **HOW, rebalance_sessions=0)
    with pytest.raises(BadInput, match="lack the column score"):
        run(scores(tables).drop("score"), **HOW)
    twice = scores(tables)
    with pytest.raises(BadInput, match="twice"):
        run(pl.concat([twice, twice.head(1)]), **HOW)
    with pytest.raises(DataMissing, match="the bars end on"):
        run(None, **{**HOW, "last": CAL.dates[-1]})
    with pytest.raises(DataMissing, match="had not closed"):
        backtest(view(tables, CAL, CAL.dates[400]), top_two, None, **HOW)
    with pytest.raises(DataMissing, match="wants XYZ"):
        backtest(known(tables), holding("XYZ"), None, **HOW)
