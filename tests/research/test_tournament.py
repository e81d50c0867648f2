"""A tournament: everybody measured alike, nothing of the hold-out read, one that fails stops nobody else."""

import json
import shutil
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from openbell.core.declare import Model
from openbell.core.errors import BadInput, Refused
from openbell.core.hashing import digest
from openbell.desks import stocks
from openbell.models.linear import ridge
from openbell.research import candidates, coverage, deciding, looking, walkforward
from openbell.research.contest import BASELINE, BENCHMARK
from openbell.research.refit import refit
from openbell.research.tournament import Past
from openbell.research.venue import numbers
from openbell.store.trials import Trials

sys.path.insert(0, str(Path(__file__).parent))
import small_tournament as small
from memory_tables import MemoryTables

ENTRANTS = tuple(f"{model}+{allocator}" for model in small.MODELS for allocator in small.ALLOCATORS)
DESK = stocks.decide[0].decide


@pytest.fixture(scope="module", autouse=True)
def short_window():
    """Coverage over four decisions: two folds of nine have no half year."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(coverage, "WINDOW", 4)
        yield


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    """Where the undisturbed tournament lies: its ledger, its candidates and its finished pieces."""
    return tmp_path_factory.mktemp("undisturbed")


@pytest.fixture(scope="module")
def whole(home: Path, short_window: None) -> small.Held:
    return small.hold(home, cache=home / "cache")


def differing(one: small.Held, other: small.Held) -> list[str]:
    """What the two say differently."""
    first, second = small.told(one.contest), small.told(other.contest)
    return [name for name in first if first[name] != second[name]]


def test_everybody_is_measured_and_nothing_is_missing(whole):
    contest = whole.contest
    assert sorted(contest.matrix["entrant"]) == sorted(ENTRANTS)
    assert contest.matrix["model"].to_list() == [name.split("+")[0] for name in contest.matrix["entrant"]]
    assert contest.matrix["allocator"].to_list() == [name.split("+")[1] for name in contest.matrix["entrant"]]
    assert not sum(contest.matrix.null_count().row(0))
    assert np.isfinite(contest.matrix.select(pl.selectors.numeric()).to_numpy()).all()
    assert contest.training["status"].to_list() == ["done"] * 4
    assert set(contest.gates["entrant"]) == set(ENTRANTS)
    assert contest.failures.is_empty()
    assert contest.calibration["model"].unique().sort().to_list() == sorted(small.MODELS)
    assert set(contest.importance["feature"]) == {"momentum", "volume"}
    assert set(contest.shap["model"]) == set(small.MODELS)


def test_it_ends_before_what_is_held_out(whole):
    contest, calendar = whole.contest, small.market()[1]
    first = small.market()[2]
    assert contest.holdout_first == first
    assert contest.last == contest.equity["session"][-1] == calendar.shift(first, -1)
    assert whole.played.scores["session"].max() <= first
    assert whole.played.folds["last_label_known_at"].max() < small.view().as_of


def test_active_is_the_entrant_less_equal_weight(whole):
    equity, active = whole.contest.equity, whole.contest.active
    assert equity.columns == ["session", *ENTRANTS, BASELINE, BENCHMARK]
    assert active.columns == ["session", *ENTRANTS]
    assert equity.row(0)[1:] == (1.0,) * 10
    assert active["session"].to_list() == equity["session"].to_list()[1:]
    base = equity[BASELINE].to_numpy()
    for name in ENTRANTS:
        own = equity[name].to_numpy()
        wanted = own[1:] / own[:-1] - base[1:] / base[:-1]
        assert active[name].to_numpy() == pytest.approx(wanted, abs=1e-15)
        added = whole.contest.matrix.row(by_predicate=pl.col("entrant") == name, named=True)["active_return"]
        years = (equity["session"][-1] - equity["session"][0]).days / 365.25
        assert added == pytest.approx(wanted.sum() / years)


def burnt() -> MemoryTables:
    """The market with nonsense from the hold-out on: crashes, absurd volumes, rates of 900 %, other sectors."""
    tables, moment = small.market()[0], small.view().as_of
    later, wild = pl.col("known_at") > moment, pl.int_range(pl.len()) % 5 + 0.01
    prices = [pl.when(later).then(pl.col(name) * wild).otherwise(name).alias(name) for name in ("open", "close")]
    frames = {
        **tables.frames,
        "bars": tables.frames["bars"].with_columns(
            *prices, pl.when(later).then(1e12).otherwise(pl.col("volume")).alias("volume")
        ),
        "rates": tables.frames["rates"].with_columns(pl.when(later).then(900.0).otherwise("value").alias("value")),
        "membership": pl.concat(
            [
                tables.frames["membership"],
                tables.frames["membership"].with_columns(
                    pl.lit(False).alias("member"),
                    pl.lit(moment).dt.offset_by("1d").cast(tables.frames["membership"].schema["known_at"])
                    .alias("known_at"),
                ),
            ]
        ),
    }  # fmt: skip
    assert not frames["bars"].equals(tables.frames["bars"])
    return MemoryTables(frames)


def test_burning_the_hold_out_changes_nothing(whole, tmp_path):
    """Nothing at or after the hold-out is read: plan, scores and everything that is told are the same bytes."""
    other = small.hold(tmp_path, seen=small.view(tables=burnt()))
    assert differing(whole, other) == []
    assert other.played.scores.equals(whole.played.scores)
    assert [each.manifest_hash for each in other.played.candidates] == [
        each.manifest_hash for each in whole.played.candidates
    ]
    assert other.ledger.equals(whole.ledger)


def test_an_earlier_row_does_change_it(whole):
    """The comparison above can fail: one close before the hold-out gives another panel."""
    tables, moment = small.market()[0], small.view().as_of
    bars = tables.frames["bars"]
    known = bars.filter(pl.col("known_at") <= moment)["session"].unique().sort()
    one = (pl.col("symbol") == bars["symbol"][0]) & (pl.col("session") == known[-10])
    changed = bars.with_columns(pl.when(one).then(pl.col("close") * 1.001).otherwise("close").alias("close"))
    place = small.venue(None, small.view(tables=MemoryTables({**tables.frames, "bars": changed})))
    assert place.panel(place.decisions()).recipe != whole.contest.recipe


class Plain:
    """Least squares of the first column; there is no safe format to keep it in."""

    def fit(self, x: np.ndarray, y: np.ndarray) -> "Plain":
        self.slope = float(np.nansum(x[:, 0] * y))
        return self

    def predict(self, x: np.ndarray) -> np.ndarray:
        return self.slope * np.nan_to_num(x[:, 0])


def failing(at: int) -> Model:
    """A ridge that cannot be built the `at`-th time, when it is to be fitted on later rows."""
    built: list[int] = []

    def build(**parameters: Any) -> Any:
        built.append(1)
        if len(built) == at:
            raise ZeroDivisionError("the later rows do not suit it")
        return ridge[0].build(**parameters)

    return replace(ridge[0], name="broken", build=build)


def unbuilt(**_: Any) -> None:
    raise ValueError("no trial of it works")


def moody(*arguments: Any, weighting: str, **settings: Any) -> Any:
    """The desk's function, which raises for one entrant after some weeks."""
    forecast, _, market = arguments
    if forecast.model == "naive" and weighting == "inverse_volatility" and market.session.month >= 4:
        raise FloatingPointError("not today")
    return DESK(*arguments, weighting=weighting, **settings)


@pytest.fixture(scope="module")
def with_failures(home: Path, whole: small.Held) -> small.Held:
    """The same market and ledger, with candidates that fail in every way."""
    others = {
        "broken": failing(3),
        "unsafe": Model(name="unsafe", module=__name__, doc="x", settings={}, build=Plain, handles_missing=True),
        "shaky": replace(ridge[0], name="shaky", build=unbuilt, search={"alpha": {"low": 1.0, "high": 2.0}}),
    }
    met = small.entrants(
        ("broken", "shaky_tuned", *small.MODELS, "unsafe"), find=lambda name: others.get(name) or small.found(name)
    )
    return small.hold(home, met, decide=partial(moody, **small.venue(None).decide.keywords))


def test_who_fails_is_told_and_the_others_go_on(with_failures):
    """Issue 3, point 7: in a fold, in the search for parameters, in one decision, in the fit on all rows."""
    contest = with_failures.contest
    told = {row["entrant"]: (row["where"], row["why"]) for row in contest.failures.to_dicts()}
    assert set(told) == {"broken", "shaky_tuned", "naive+inverse_volatility", "unsafe"}
    assert told["broken"] == ("training", "Fold 3: ZeroDivisionError: the later rows do not suit it")
    assert told["shaky_tuned"][0] == "tuning"
    assert "no trial of it works" in told["shaky_tuned"][1]
    assert told["naive+inverse_volatility"][0].startswith("decision of 2012-04-")
    assert told["naive+inverse_volatility"][1] == "FloatingPointError: not today"
    assert told["unsafe"][0] == "final fit"
    status = dict(contest.training.select("model", "status").iter_rows())
    assert status == {"broken": "failed", "shaky_tuned": "failed", "unsafe": "done"} | dict.fromkeys(
        small.MODELS, "done"
    )
    assert {each.name: each.folder is None for each in with_failures.played.candidates} == {
        "broken": True, "unsafe": True, "ridge": False, "naive": False, "lightgbm": False, "blend": False,
    }  # fmt: skip


def test_the_others_figures_are_those_of_a_run_without_them(whole, with_failures):
    """Bit-equal, but for what allows for how many entrants there are."""
    kept = [name for name in ENTRANTS if name != "naive+inverse_volatility"]
    assert set(with_failures.contest.matrix["entrant"]) == {*kept, "unsafe+equal", "unsafe+inverse_volatility"}
    assert with_failures.contest.equity.select("session", *kept, BASELINE, BENCHMARK).equals(
        whole.contest.equity.select("session", *kept, BASELINE, BENCHMARK)
    )
    own = ["entrant", "cagr", "sharpe", "calmar", "turnover", "active_return", "regime_consistency", "fallbacks"]
    one, other = (each.contest.matrix.select(own).sort("entrant") for each in (whole, with_failures))
    assert one.filter(pl.col("entrant").is_in(kept)).equals(other.filter(pl.col("entrant").is_in(kept)))
    trained = pl.col("model").is_in(small.MODELS)
    assert with_failures.contest.training.filter(trained).equals(whole.contest.training)
    for name in ("costs", "regimes", "intervals"):
        one, other = (
            getattr(each.contest, name).sort("entrant", maintain_order=True) for each in (whole, with_failures)
        )
        assert one.filter(pl.col("entrant").is_in(kept)).equals(other.filter(pl.col("entrant").is_in(kept)))


def test_every_try_is_in_the_ledger(whole):
    """Candidates and back-tests, each once, under what they are made of."""
    table = whole.ledger
    prints = whole.played.entrants.prints
    fitted = table.filter(pl.col("kind") == "candidate")
    assert dict(fitted.select("name", "fingerprint").iter_rows()) == prints
    assert table.filter(pl.col("kind") == "backtest")["name"].to_list() == list(ENTRANTS)
    assert table["fingerprint"].is_unique().all()
    assert set(table["data"]) == {whole.contest.recipe}
    trials = whole.contest.significance["trials"]
    assert (trials["raw"], trials["counted_candidate"], trials["counted_backtest"]) == (12, 4, 8)
    kept = json.loads(fitted.filter(pl.col("name") == "lightgbm")["parameters"][0])
    assert kept["n_estimators"] == 5


def test_a_wider_tournament_counts_what_is_new_and_nothing_twice(whole, with_failures):
    """The back-tests of those who met before are no new tries because others meet them; every failed search is one."""
    assert with_failures.ledger.head(12).equals(whole.ledger)
    new = with_failures.ledger.slice(12)
    assert sorted(new.filter(pl.col("kind") == "candidate")["name"]) == ["broken", "unsafe"]
    assert sorted(new.filter(pl.col("kind") == "backtest")["name"]) == ["unsafe+equal", "unsafe+inverse_volatility"]
    searched = new.filter(pl.col("kind") == "tuning")
    assert searched["name"].unique().to_list() == ["shaky_tuned"]
    assert searched.height == small.SETTINGS.trials
    assert new.height == searched.height + 4


def test_where_all_fail_there_is_no_tournament(tmp_path):
    met = small.entrants(("broken", "shaky_tuned"), find=lambda name: failing(1) if name == "broken" else replace(
        ridge[0], name="shaky", build=unbuilt, search={"alpha": {"low": 1.0, "high": 2.0}}
    ))  # fmt: skip
    with pytest.raises(BadInput, match="No candidate can be judged") as said:
        small.hold(tmp_path, met)
    assert "shaky_tuned: BadInput" in str(said.value)
    assert "broken: Fold 1: ZeroDivisionError" in str(said.value)


def test_where_nobody_can_decide_there_is_no_tournament(tmp_path):
    def never(*arguments: Any, **settings: Any) -> Any:
        if arguments[0].model != BASELINE:
            raise FloatingPointError("never")
        return DESK(*arguments, **settings)

    with pytest.raises(BadInput, match=r"No entrant could decide\. FloatingPointError"):
        small.hold(tmp_path, small.entrants(("naive",)), decide=never)


def refused(*_: object, **__: object) -> None:
    pytest.fail("this was done before")


def test_the_same_again_fits_and_decides_nothing_and_says_the_same(whole, home, tmp_path, monkeypatch):
    """Resumed from what is kept: no fit, no decision, the same bytes, nothing counted anew."""
    shutil.copytree(home / "cache", tmp_path / "cache")
    shutil.copytree(home / "models", tmp_path / "models")
    for name in ("fit", "write_whole"):
        monkeypatch.setattr(walkforward, name, refused)
    monkeypatch.setattr(candidates, "fit", refused)
    monkeypatch.setattr(deciding.Task, "decided", refused)
    again = small.hold(tmp_path, cache=tmp_path / "cache")
    assert differing(whole, again) == []
    assert again.ledger.equals(whole.ledger)
    with Trials.open(f"sqlite:///{tmp_path}/trials.db") as trials:
        assert trials.count("stocks") == 12
    second = small.hold(tmp_path, cache=tmp_path / "cache")
    assert second.ledger.equals(again.ledger)
    assert differing(again, second) == []


def test_half_of_what_is_kept_gives_the_same_as_all_or_none(whole, home, tmp_path, monkeypatch):
    kept = sorted((home / "cache").glob("*.parquet"))
    (tmp_path / "cache").mkdir()
    for path in kept[::2]:
        shutil.copy(path, tmp_path / "cache")
    fits: list[str] = []

    def counted(model: Model, *rest: Any, **more: Any) -> Any:
        fits.append(model.name)
        return real(model, *rest, **more)

    real = walkforward.fit
    monkeypatch.setattr(walkforward, "fit", counted)
    other = small.hold(tmp_path, cache=tmp_path / "cache")
    assert 0 < len(fits) < 9
    assert "blend" not in fits
    assert differing(whole, other) == []
    assert sorted(path.name for path in (tmp_path / "cache").glob("*.parquet")) == [path.name for path in kept]


def test_the_plan_is_on_the_disk_and_holds_what_decides(whole, home):
    (path,) = (home / "cache").glob("plan-*.json")
    plan = json.loads(path.read_text(encoding="utf-8"))
    assert path.name == f"plan-{whole.contest.plan}.json"
    assert digest(plan) == whole.contest.plan
    assert plan["decide"] == {"top_k": 8, "max_position_pct": 0.1, "max_sector_weight": 0.5}
    assert plan["candidates"] == whole.played.entrants.prints
    assert plan["settings"]["refit_sessions"] == small.SETTINGS.refit_sessions
    assert not {"jobs", "time_budget_seconds"} & set(plan["settings"])


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({"jobs": 2}, True),
        ({"time_budget_seconds": 5.0}, True),
        ({"decide": partial(DESK, top_k=9, max_position_pct=0.1, max_sector_weight=0.5)}, False),
        ({"decide": partial(DESK, top_k=8, max_position_pct=0.1, max_sector_weight=0.5, weighting="hrp")}, True),
        ({"train_sessions": 251}, False),
        ({"incumbent": "ridge+hrp"}, False),
    ],
    ids=["jobs", "time", "desk", "weighting", "window", "incumbent"],
)
def test_another_plan_has_another_name(whole, tmp_path, change, same):
    """What changes a finding changes the plan, and what does not does not; a past that refuses stops before a fit."""
    said: list[str] = []

    def past(plan: str) -> Past:
        said.append(plan)
        raise Refused("enough")

    with pytest.raises(Refused, match="enough"):
        small.hold(tmp_path, past=past, **change)
    assert (said == [whole.contest.plan]) is same
    with Trials.open(f"sqlite:///{tmp_path}/trials.db") as trials:
        assert trials.count("stocks") == 0


def test_another_desk_setting_is_another_back_test(whole, home, tmp_path):
    """A policy that was tried is a try, though its models were counted before."""
    shutil.copytree(home / "cache", tmp_path / "cache")
    shutil.copy(home / "trials.db", tmp_path / "trials.db")
    decide = partial(DESK, top_k=9, max_position_pct=0.1, max_sector_weight=0.5)
    with Trials.open(f"sqlite:///{tmp_path}/trials.db") as trials:
        before = trials.count("stocks")
    other = small.hold(tmp_path, small.entrants(("naive",), ("equal",)), decide=decide, cache=tmp_path / "cache")
    new = other.ledger.slice(before)
    assert new.select("kind", "name").rows() == [("backtest", "naive+equal")]
    assert json.loads(new["parameters"][0])["top_k"] == 9
    assert not other.contest.equity["naive+equal"].equals(whole.contest.equity["naive+equal"])


def test_the_tries_of_the_past_are_counted_and_its_returns_seen(whole, home, tmp_path):
    """Active returns of these very sessions count as seen; shorter ones only as tries; one's own copy is no second."""
    shutil.copytree(home / "cache", tmp_path / "cache")
    shutil.copytree(home / "models", tmp_path / "models")
    active = whole.contest.active
    noise = np.random.default_rng(0).normal(0.0, 0.01, active.height)
    earlier = active.select(
        "session", pl.col("ridge+equal").alias("copy"), pl.Series("other", noise), pl.Series("again", noise),
        pl.when(pl.int_range(pl.len()) > 5).then(pl.lit(0.01)).alias("short"),
    )  # fmt: skip
    counted = {"candidate": 40, "tuning": 50, "backtest": 60}
    held = small.hold(tmp_path, cache=tmp_path / "cache", past=lambda plan: Past(earlier, counted))
    assert held.contest.plan == whole.contest.plan
    trials, before = held.contest.significance["trials"], whole.contest.significance["trials"]
    assert (before["seen"], trials["seen"]) == (8, 9)
    assert (before["raw"], trials["raw"]) == (12, 150)
    assert (trials["counted_tuning"], trials["counted_backtest"]) == (50, 60)
    assert held.contest.matrix["deflated_sharpe"].max() < whole.contest.matrix["deflated_sharpe"].max()
    assert held.contest.equity.equals(whole.contest.equity)


def test_one_in_office_that_cannot_be_judged_is_named(home, tmp_path, monkeypatch):
    """And contributions that cannot be had stop nobody: they are told to be missing."""
    shutil.copytree(home / "cache", tmp_path / "cache")

    def unexplained(fitted: Any, *_: Any, **__: Any) -> None:
        raise ArithmeticError(f"{fitted.name} does not add up")

    monkeypatch.setattr(looking, "contributions", unexplained)
    held = small.hold(tmp_path, small.entrants(("naive",), ("equal",)), incumbent="gone+hrp", cache=tmp_path / "cache")
    assert held.contest.incumbent == "gone+hrp"
    assert [note for note in held.contest.notes if "`gone+hrp`" in note]
    assert held.contest.shap.is_empty()
    assert [note for note in held.contest.notes if "ArithmeticError: naive does not add up" in note]
    assert held.played.selection.against_incumbent is None


def test_one_in_office_that_meets_is_met(home, whole, tmp_path):
    shutil.copytree(home / "cache", tmp_path / "cache")
    held = small.hold(tmp_path, incumbent="naive+equal", cache=tmp_path / "cache")
    assert held.played.selection.against_incumbent is not None
    assert not [note for note in held.contest.notes if "office" in note]
    assert held.contest.equity.equals(whole.contest.equity)


def test_importance_of_another_seed_or_family_is_looked_at_anew():
    """What is kept of one look is not read for another."""
    features = small.venue(None).features
    one = looking.FamilyImportance.of(features, "y", 0)
    assert one.name == looking.FamilyImportance.of(features, "y", 0).name
    others = [looking.FamilyImportance.of(features, "y", 1), looking.FamilyImportance.of(features[1:], "y", 0)]
    assert len({one.name, *(each.name for each in others)}) == 3


def test_the_leader_on_recombined_pasts(whole, home, monkeypatch):
    """CPCV with 4 groups, 2 tested: 6 splits make 3 paths; what cannot be fitted there is told and stops nobody."""
    with Trials.open(f"sqlite:///{home}/trials.db") as trials:
        place = small.venue(trials, cpcv_groups=4, cpcv_test_groups=2)
        dated = place.decisions()
        panel = place.panel(dated)
        met = whole.played.entrants
        found = looking.recombined(place, panel, met, "ridge", dated)
        assert looking.recombined(small.venue(trials), panel, met, "ridge", dated) is None
        monkeypatch.setattr(looking, "fit", lambda *_, **__: 1 / 0)
        broken = looking.recombined(place, panel, met, "ridge", dated)
    assert found is not None
    assert (found["model"], found["paths"], found["splits"]) == ("ridge", 3, 6)
    assert found["rank_ic_lowest"] <= found["rank_ic_mean"] <= found["rank_ic_highest"]
    assert 0 <= found["paths_below_zero"] <= 3
    assert broken == {"model": "ridge", "why": "ZeroDivisionError: division by zero"}


def test_a_refit_learns_the_hold_out_and_is_no_other_try(whole, home, tmp_path):
    """On all labels that the later view knows; the same parameters and features; the ledger counts what it counted."""
    last = small.market()[0].frames["bars"]["session"].max()
    with Trials.open(f"sqlite:///{home}/trials.db") as trials:
        before = trials.count("stocks")
        place = small.venue(trials, small.view(last))
        fitted = refit(place, whole.played, "lightgbm", tmp_path)
        assert trials.count("stocks") == before
        with pytest.raises(Refused, match="not in the ledger"):
            refit(replace(place, ledger=set()), whole.played, "ridge", tmp_path / "other")
    model = looking.load_fitted(fitted.folder, manifest_hash=fitted.manifest_hash)
    dated = place.decisions()
    assert model.features == whole.played.features
    assert fitted.parameters["n_estimators"] == 5
    trained = model.meta["train_last"]
    calendar = small.market()[1]
    due = [day for day in calendar.between(dated["session"][0], last) if numbers(dated)[day] % 5 == 0]
    known = [day for day in due if calendar.close(calendar.shift(day, 5)) <= place.view.as_of]
    assert trained == str(known[-1]) > str(whole.contest.holdout_first)
    assert model.meta["train_first"] >= str(place.train_first(dated))


def test_a_champion_that_cannot_be_refitted_is_refused_by_name(whole, home, tmp_path, monkeypatch):
    from openbell.core.errors import OpenbellError

    def broken(*_: Any, **__: Any) -> None:
        raise ArithmeticError("it does not converge")

    monkeypatch.setattr(candidates, "fit", broken)
    with (
        Trials.open(f"sqlite:///{home}/trials.db") as trials,
        pytest.raises(OpenbellError, match="`ridge` could not be fitted for production: ArithmeticError"),
    ):
        refit(small.venue(trials), whole.played, "ridge", tmp_path)


@pytest.mark.slow
def test_processes_and_threads_change_no_byte(whole, tmp_path):
    """Golden: the same inputs with one job and with two, without anything kept."""
    for jobs in (1, 2):
        held = small.hold(tmp_path / str(jobs), jobs=jobs)
        assert differing(whole, held) == []
        assert held.played.scores.equals(whole.played.scores)
