"""Target weights of every entrant: the desk's own decisions, one market per session, resumable, failures as rows."""

import datetime as dt
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import ClassVar

import numpy as np
import polars as pl
import pytest

from openbell.core.errors import BadInput, DataMissing, LeakFound
from openbell.core.types import Book, Decision, Forecast, Market
from openbell.desks import stocks
from openbell.quant.allocation import allocate
from openbell.quant.regime import regime
from openbell.research import deciding
from openbell.research import targets as module
from openbell.research.contest import BASELINE
from openbell.research.snapshot import Snapshots, prepared
from openbell.research.targets import Targets, targets

sys.path.insert(0, str(Path(__file__).parent))
from market_of_weekdays import calendar, memory, view

CAL = calendar()
DAYS = CAL.dates[300:455:30]
ALLOCATORS = ("equal", "min_volatility", "hrp")
DECIDE = partial(stocks.decide[0].decide, top_k=6, max_sector_weight=0.5)


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHUNK_SESSIONS", 2)


@pytest.fixture(scope="module")
def whole(ready: Snapshots) -> Targets:
    """All of it at once."""
    return told(ready)


@pytest.fixture(scope="module")
def ready() -> Snapshots:
    return prepared(view(memory(CAL), CAL, CAL.dates[-1]), DAYS, universe="small", benchmark="EQUAL_WEIGHT")


def scores(seed: int = 0, models: tuple[str, ...] = ("ridge", "forest")) -> dict[str, dict[dt.date, pl.DataFrame]]:
    rng = np.random.default_rng(seed)
    names = [f"S{at:02d}" for at in range(12)]
    return {
        model: {day: pl.DataFrame({"symbol": names, "score": rng.normal(size=12)}) for day in DAYS} for model in models
    }


def told(ready: Snapshots, decide: object = DECIDE, given: dict | None = None, **how: object) -> Targets:
    return targets(ready, decide, given or scores(), ALLOCATORS, DAYS, ready.wide.symbols, **how)


def equal(one: Targets, other: Targets) -> None:
    assert np.array_equal(one.weights, other.weights, equal_nan=True)
    assert (one.entrants, one.sessions, one.notes) == (other.entrants, other.sessions, other.notes)
    assert (one.regimes == other.regimes).all()
    assert (one.held == other.held).all()
    assert one.fallbacks.equals(other.fallbacks)
    assert one.failures.equals(other.failures)


class Counted(Snapshots):
    """Snapshots that count how often a market was cut."""

    asked: ClassVar[list[dt.date]] = []

    def at(self, session: dt.date, held: object = ()) -> Market:
        self.asked.append(session)
        return Snapshots.at(self, session, held)


def counted(ready: Snapshots) -> Counted:
    Counted.asked.clear()
    return Counted(**{name: getattr(ready, name) for name in Snapshots.__dataclass_fields__})


def test_weights_are_the_desks_own_decisions(ready: Snapshots, whole: Targets) -> None:
    given, got = scores(), whole
    assert got.entrants == ("ridge+equal", "ridge+min_volatility", "ridge+hrp", "forest+equal",
                            "forest+min_volatility", "forest+hrp")  # fmt: skip
    assert got.sessions == DAYS
    assert got.weights.shape == (7, len(DAYS), len(ready.wide.symbols))
    for at in (0, 3, len(DAYS) - 1):
        market = ready.at(DAYS[at])
        assert got.regimes[at] == regime(market.benchmark)
        for name, row in zip(got.entrants, got.weights[:-1, at], strict=True):
            model, allocator = name.split("+")
            forecast = Forecast(market.as_of, given[model][DAYS[at]], model)
            decision = DECIDE(forecast, Book(market.as_of, 9e5), market, weighting=allocator)
            assert dict(zip(np.array(got.symbols)[row > 0], row[row > 0], strict=True)) == decision.targets
            assert got.held[got.entrants.index(name), at] == len(decision.targets)
    assert got.failures.is_empty()
    assert got.fallbacks.is_empty()
    assert set(got.fallback_counts.values()) == {0}


def test_the_baseline_holds_all_eligible_names_under_the_same_caps_and_exposure(
    ready: Snapshots, whole: Targets
) -> None:
    got = whole
    assert {0, 1, 2} >= set(got.regimes.tolist()) > {0}
    at = int(np.argmin(got.regimes))
    market = ready.at(DAYS[at])
    members = market.names.filter(pl.col("member"))["symbol"].to_list()
    row = got.weights[-1, at]
    assert {got.symbols[place] for place in np.flatnonzero(row)} == set(members)
    entrants = got.weights[:-1, at].sum(axis=1)
    assert row.sum() == pytest.approx(max(entrants))
    assert got.held[-1, at] == len(members) > got.held[0, at]
    assert np.ptp(row[row > 0]) < 1e-12
    capped = told(ready, partial(stocks.decide[0].decide, top_k=6, max_position_pct=0.04)).weights[-1]
    assert capped.max() == pytest.approx(0.04)
    assert {0.5, 1.0} >= {round(float(total), 9) for total in got.weights[-1].sum(axis=1)}
    assert got.weights[-1].sum(axis=1) == pytest.approx(np.where(got.regimes == 0, 0.5, 1.0))


def test_each_market_is_cut_once(ready: Snapshots) -> None:
    told(counted(ready))
    assert sorted(Counted.asked) == list(DAYS)


def test_chunks_change_nothing(ready: Snapshots, whole: Targets, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHUNK_SESSIONS", 16)
    equal(told(ready), whole)


@pytest.mark.slow
def test_processes_change_nothing(ready: Snapshots, whole: Targets) -> None:
    """Check 43 over processes: what one finds, two find, and the desk's function travels to them."""
    equal(told(ready, jobs=2), whole)


def test_the_future_reaches_no_earlier_target(whole: Targets) -> None:
    """Burn the future: bars from the last decision's session on are nonsense, targets before it stay bit by bit."""
    tables = memory(CAL)
    cut = DAYS[-1]
    later = pl.col("session") >= cut
    tables.frames["bars"] = tables.frames["bars"].with_columns(
        pl.when(later).then(pl.col(name) * 7 + 3).otherwise(pl.col(name)).alias(name) for name in ("open", "close")
    )
    source = view(tables, CAL, CAL.dates[-1])
    burnt = prepared(source, DAYS, universe="small", benchmark="EQUAL_WEIGHT", bars_until=CAL.dates[-2])
    given = scores()
    given["ridge"][cut] = given["ridge"][cut].reverse()
    got, before = told(burnt, given=given), whole
    assert np.array_equal(got.weights, before.weights)
    given["ridge"][cut] = given["ridge"][cut].with_columns(-pl.col("score"))
    moved = told(burnt, given=given)
    assert np.array_equal(moved.weights[:, :-1], before.weights[:, :-1])
    assert not np.array_equal(moved.weights[:, -1], before.weights[:, -1])


def failing(forecast: Forecast, book: Book, market: Market, *, weighting: str = "equal", **how: object) -> Decision:
    if forecast.model == "forest" and weighting == "hrp" and market.session >= DAYS[4]:
        raise ZeroDivisionError("a hole in the tree")
    return DECIDE(forecast, book, market, weighting=weighting, **how)


def test_an_entrant_that_raises_has_failed_and_the_others_go_on(ready: Snapshots, whole: Targets) -> None:
    got = told(ready, failing)
    assert got.failures.rows() == [("forest+hrp", DAYS[4], "ZeroDivisionError: a hole in the tree")]
    at = got.entrants.index("forest+hrp")
    assert np.isnan(got.weights[at]).all()
    assert (got.held[at] == 0).all()
    rest = [each for each in range(len(got.weights)) if each != at]
    assert (got.weights[rest] == whole.weights[rest]).all()


def test_a_leak_stops_everything(ready: Snapshots) -> None:
    def leaking(forecast: Forecast, book: Book, market: Market, **how: object) -> Decision:
        ahead = dt.timedelta(days=1) if forecast.model == "forest" else dt.timedelta(0)
        return DECIDE(replace(forecast, as_of=forecast.as_of + ahead), book, market, **how)

    with pytest.raises(LeakFound):
        told(ready, leaking)


def test_nobody_is_judged_without_a_baseline(ready: Snapshots) -> None:
    def broken(forecast: Forecast, book: Book, market: Market, **how: object) -> Decision:
        if forecast.model == BASELINE:
            raise BadInput("There is no baseline.")
        return DECIDE(forecast, book, market, **how)

    with pytest.raises(BadInput, match="no baseline"):
        told(ready, broken)


def test_fallbacks_are_rows(ready: Snapshots) -> None:
    """A session without scores is decided without a view, and that is told for each allocator but `equal`."""
    given = scores()
    del given["ridge"][DAYS[3]]
    given["forest"] = {
        day: frame.with_columns(pl.when(pl.col("symbol") == "S01").then(None).otherwise("score").alias("score"))
        for day, frame in given["forest"].items()
    }
    got = told(ready, given=given)
    assert got.fallbacks.select("entrant", "session", "method").rows() == [
        ("ridge+min_volatility", DAYS[3], "equal"),
        ("ridge+hrp", DAYS[3], "equal"),
    ]
    assert all("Without a view" in why for why in got.fallbacks["why"])
    assert got.fallback_counts["ridge+hrp"] == 1
    assert got.notes == (f"{len(DAYS)} scores of forest were missing and left out.",)
    assert (got.weights[3:6, :, got.symbols.index("S01")] == 0).all()


def test_finished_chunks_are_kept_and_a_killed_run_goes_on(ready: Snapshots, whole: Targets, tmp_path: Path) -> None:
    dying: list[int] = []

    def dies(done: int, total: int, what: str) -> None:
        dying.append(done)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        told(ready, cache=tmp_path, progress=dies)
    assert len(list(tmp_path.iterdir())) == 1
    seen: list[tuple[int, int, str]] = []
    equal(told(counted(ready), cache=tmp_path, progress=lambda *at: seen.append(at)), whole)
    assert not set(Counted.asked) & set(DAYS[:2]), "the finished chunk is not decided again"
    assert seen == [(2, 6, "decisions"), (4, 6, "decisions"), (6, 6, "decisions")]
    assert {path.suffix for path in tmp_path.iterdir()} == {".parquet"}, "no draft is left"
    equal(told(counted(ready), cache=tmp_path), whole)
    assert not Counted.asked


def test_what_is_kept_belongs_to_its_content(ready: Snapshots, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every input that a target hangs on gives another file."""
    monkeypatch.setattr(module, "CHUNK_SESSIONS", 16)
    told(ready, cache=tmp_path)
    files = set(tmp_path.iterdir())
    kept = pl.read_parquet(next(iter(files)))
    other = scores()
    other["forest"][DAYS[0]] = other["forest"][DAYS[0]].with_columns(pl.col("score") * 2)
    wide = replace(
        ready.wide, close=ready.wide.close * np.where(np.arange(len(ready.wide.close)) == 250, 1.01, 1)[:, None]
    )
    monkeypatch.setattr(deciding.Task, "decided", lambda task: kept)
    day = DAYS[0]
    changes = [
        {"given": other},
        {"decide": partial(stocks.decide[0].decide, top_k=5, max_sector_weight=0.5)},
        {"decide": failing},
        {"made_of": "other code"},
        {"baseline": {"weighting": "equal", "top_k": 8}},
        {"ready": replace(ready, wide=wide)},
        {"ready": replace(ready, sector={**ready.sector, day: {**ready.sector[day], "S03": "Moved"}})},
        {"ready": replace(ready, member={**ready.member, day: ready.member[day][1:]})},
    ]
    for change in changes:
        told(**{"ready": ready, "cache": tmp_path, **change})
        now = set(tmp_path.iterdir())
        assert len(now) == len(files) + 1, change
        files = now
    told(ready, cache=tmp_path, progress=None)
    assert set(tmp_path.iterdir()) == files


def test_a_kept_file_that_is_not_whole_is_refused(ready: Snapshots, tmp_path: Path) -> None:
    told(ready, cache=tmp_path)
    path = sorted(tmp_path.iterdir())[0]
    pl.read_parquet(path).head(5).write_parquet(path)
    with pytest.raises(BadInput, match="Delete the file"):
        told(ready, cache=tmp_path)


def test_models_that_choose_the_same_names_share_the_answers_of_model_free_allocators(
    ready: Snapshots, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two models over a universe smaller than top_k: one solution per session, not two."""
    from openbell.quant import allocation, allocation_bases, allocation_convex

    allocation._remembered.cache_clear()
    solved: list[int] = []

    def counting(covariance: np.ndarray, room: object) -> np.ndarray:
        solved.append(len(covariance))
        return allocation_convex_min(covariance, room)

    allocation_convex_min = allocation_convex.min_volatility
    monkeypatch.setattr(allocation_bases.convex, "min_volatility", counting)
    decide = partial(stocks.decide[0].decide, top_k=30, max_sector_weight=0.5)
    got = targets(ready, decide, scores(), ("min_volatility",), DAYS, ready.wide.symbols)
    assert len(solved) == len(DAYS)
    assert (got.weights[0] == got.weights[1]).all()
    assert allocate is allocation.allocate


def test_what_cannot_be_asked_is_refused(ready: Snapshots) -> None:
    symbols = ready.wide.symbols
    with pytest.raises(BadInput, match="at least one session"):
        targets(ready, DECIDE, scores(), ALLOCATORS, [], symbols)
    with pytest.raises(BadInput, match="at least one session"):
        targets(ready, DECIDE, {}, ALLOCATORS, DAYS, symbols)
    with pytest.raises(BadInput, match="named twice"):
        targets(ready, DECIDE, scores(), ("hrp", "hrp"), DAYS, symbols)
    with pytest.raises(DataMissing, match="No market was prepared"):
        targets(ready, DECIDE, scores(), ALLOCATORS, [CAL.dates[301]], symbols)
    with pytest.raises(DataMissing, match=r"no column among the symbols"):
        targets(ready, DECIDE, scores(), ALLOCATORS, DAYS, symbols[:3])


def test_a_chunk_is_what_its_schema_says(ready: Snapshots) -> None:
    task = deciding.Task(ready, DECIDE, scores(), ALLOCATORS, dict(module.EVERYONE))
    assert task.decided().schema == pl.Schema(deciding._SCHEMA)
