"""The search: counted before it fits, inside the window, resumable, and no better than it is."""

import datetime as dt
import json
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import optuna
import polars as pl
import pytest
from scipy.stats import spearmanr

sys.path.insert(0, str(Path(__file__).parent))
from training_window import FIT_AT, SEARCH, Fits, Ledger, leaning, window

from openbell.core.errors import BadInput, LeakFound, Refused
from openbell.models.linear import logistic, ridge
from openbell.research.fitting import fingerprint, fit
from openbell.research.inner import TrainingRows, inner_folds
from openbell.research.tuning import TuningSettings, tune
from openbell.store.trials import Trials


def tuned(rows=None, model=None, fits=None, ledger=None, cache=None, **changes):
    fits = fits or Fits()
    return tune(
        model or leaning(),
        rows or window(),
        fit_at=FIT_AT,
        ledger=Ledger() if ledger is None else ledger,
        desk="stocks",
        data="recipe",
        at=FIT_AT,
        now=fits.now,
        settings=TuningSettings(**{"trials": 12, "folds": 2, **changes}),
        cache=cache,
        fit=fits,
    )


@cache
def whole():
    """A search that nothing stopped."""
    return tuned()


def by_hand(rows: TrainingRows, lean: float, n: int = 2) -> float:
    """Mean per-date rank IC over the inner folds, by scipy."""
    score = (1 - lean) * rows.frame["signal"].to_numpy() + lean * rows.frame["other"].to_numpy()
    ics = []
    for fold in inner_folds(rows.keys, n):
        for session in rows.keys["session"][fold.test].unique().sort():
            own = (rows.keys["session"] == session).to_numpy()
            ics.append(spearmanr(score[own], rows.target[own])[0])
    return float(np.mean(ics))


def test_the_best_trial_is_found_and_the_defaults_are_the_first() -> None:
    """The values are those of the inner folds by another way; the gain is measured on the same folds."""
    rows = window()
    found = tuned(rows)
    assert found.trials["trial"].to_list() == list(range(12))
    first = found.trials.row(0, named=True)
    assert json.loads(first["parameters"]) == {}
    assert first["state"] == "complete"
    assert found.default_value == pytest.approx(by_hand(rows, 0.5), abs=1e-6)
    assert found.parameters["lean"] < 0.3
    assert found.value == pytest.approx(by_hand(rows, found.parameters["lean"]), abs=1e-6)
    assert found.gain == found.value - found.default_value > 0
    assert found.value == found.trials["value"].max()
    assert set(found.parameters) == set(SEARCH)
    assert found.stopped_by == "trials"
    assert found.rows_used == found.rows_all == sum(len(fold.train) for fold in inner_folds(rows.keys, 2))


def test_every_trial_is_in_the_ledger_before_its_fit(tmp_path) -> None:
    """The fit itself looks (see `Fits`); and the real ledger keeps all that was tried, by the fingerprint of a fit."""
    fits, model = Fits(), leaning()
    with Trials.open(f"sqlite:///{tmp_path / 'ledger.db'}") as ledger:
        found = tuned(fits=fits, ledger=ledger)
        table = ledger.table("stocks")
    assert set(table["kind"]) == {"tuning"}
    tried = [json.loads(each) for each in found.trials["parameters"]]
    for parameters in tried:
        if isinstance(parameters.get("kind"), list):
            parameters["kind"] = tuple(parameters["kind"])
    assert table["fingerprint"].to_list() == list(dict.fromkeys(fingerprint(model, each) for each in tried))
    assert json.loads(table["parameters"][0]) == model.settings


def test_the_same_search_finds_the_same(tmp_path) -> None:
    one, two = whole(), tuned(cache=tmp_path)
    assert one.trials.equals(two.trials)
    assert one.parameters == two.parameters
    other = tuned(seed=1, trials=3)
    assert not one.trials.head(3).equals(other.trials)
    assert one.default_value == other.default_value


@pytest.mark.parametrize("stop_at", [2, 4, 17])
def test_a_killed_search_goes_on_where_it_was(tmp_path, stop_at: int) -> None:
    """Finished trials are kept, the interrupted one is tried anew, and the end is that of a search never stopped."""
    with pytest.raises(KeyboardInterrupt):
        tuned(fits=Fits(stop_at=stop_at), cache=tmp_path)
    fits, ledger = Fits(), Ledger()
    again = tuned(fits=fits, cache=tmp_path, ledger=ledger)
    assert again.trials.equals(whole().trials)
    assert again.parameters == whole().parameters
    assert again.interrupted == (1 if stop_at > 2 else 0)
    assert len(fits.seen) < 24
    # A ledger that was lost meanwhile counts again what the journal remembers.
    assert len(ledger.trials) == whole().trials["parameters"].n_unique()
    idle = Fits()
    assert tuned(fits=idle, cache=tmp_path).trials.equals(whole().trials)
    assert idle.seen == []


def test_more_trials_continue_a_finished_search(tmp_path) -> None:
    tuned(cache=tmp_path, trials=8)
    fits = Fits()
    more = tuned(cache=tmp_path, trials=12, fits=fits)
    assert more.trials.equals(tuned(trials=12).trials)
    assert len(fits.seen) <= 8


def test_a_journal_torn_by_a_crash_is_mended(tmp_path) -> None:
    tuned(cache=tmp_path, trials=8)
    [path] = tmp_path.glob("*.journal")
    content = path.read_bytes()
    path.write_bytes(content[: content.rfind(b"\n", 0, -200) + 20])
    assert tuned(cache=tmp_path).trials.equals(whole().trials)


def test_another_search_has_another_journal(tmp_path) -> None:
    """Kills: resuming on other data, another target, another space or seed."""
    rows = window()
    tuned(rows, cache=tmp_path, trials=2)
    tuned(window(seed=1), cache=tmp_path, trials=2)
    tuned(TrainingRows(rows.frame, rows.target, rows.keys, np.arange(720.0)), cache=tmp_path, trials=2)
    tuned(rows, leaning(search={"lean": SEARCH["lean"]}), cache=tmp_path, trials=2)
    tuned(rows, cache=tmp_path, trials=2, seed=1)
    tuned(rows, cache=tmp_path, trials=2, folds=3)
    assert len(list(tmp_path.glob("*.journal"))) == 6


def test_a_trial_that_raises_is_a_row_and_the_search_goes_on() -> None:
    """Issue point 7."""
    found = tuned(fits=Fits(fails=lambda parameters: parameters.get("depth") == 4))
    failed = found.trials.filter(pl.col("state") == "failed")
    assert failed.height
    assert failed["value"].null_count() == failed.height
    assert set(failed["why"]) == {"ValueError: this one does not converge"}
    assert found.parameters["depth"] != 4
    assert found.default_value is not None


def test_failed_defaults_leave_no_gain() -> None:
    found = tuned(fits=Fits(fails=lambda parameters: not parameters))
    assert found.default_value is None
    assert found.gain is None
    assert found.trials["state"][0] == "failed"
    assert found.value == found.trials["value"].max()


def test_a_search_of_failures_alone_is_an_error() -> None:
    with pytest.raises(BadInput, match=r"None of the 12 trials of `leaning` could be fitted: ValueError: this one"):
        tuned(fits=Fits(fails=lambda _: True))


def test_refusals_are_not_swallowed_as_failures() -> None:
    """A fit that is not in the ledger, or a leak, stops the search; it is not a bad trial."""

    def bypassed(*_, **__):
        raise Refused("not in the ledger")

    with pytest.raises(Refused, match="not in the ledger"):
        tune(
            leaning(), window(), fit_at=FIT_AT, ledger=Ledger(), desk="stocks", data="r", at=FIT_AT, now=float,
            fit=bypassed,
        )  # fmt: skip


def test_nothing_outside_the_window_is_learnt_from() -> None:
    rows = window()
    last = rows.keys["label_known_at"].max()
    with pytest.raises(LeakFound, match="not known"):
        tune(
            leaning(), rows, fit_at=last - dt.timedelta(hours=1), ledger=Ledger(), desk="stocks", data="r", at=FIT_AT,
            now=float, fit=Fits(),
        )  # fmt: skip
    fits = Fits()
    tuned(rows, fits=fits, trials=1)
    for fold, (_, keys, _) in zip(inner_folds(rows.keys, 2), fits.seen, strict=True):
        assert keys["known_at"].max() <= fold.fit_at
        assert keys.height == len(fold.train)


def test_hopeless_trials_are_pruned_and_never_the_best() -> None:
    for pruner in ("median", "hyperband"):
        found = tuned(trials=20, pruner=pruner, folds=4)
        pruned = found.trials.filter(pl.col("state") == "pruned")
        assert pruned.height
        assert pruned["value"].null_count() == pruned.height
        assert found.value == found.trials["value"].max()
    fits = Fits()
    everything = tuned(trials=5, pruner="none", fits=fits)
    assert set(everything.trials["state"]) == {"complete"}
    assert len(fits.seen) == 10


def test_the_space_is_searched_as_declared() -> None:
    found = tuned(window(12, 4), trials=40, pruner="none", folds=1)
    tried = [json.loads(each) for each in found.trials["parameters"]][1:]
    assert {each["depth"] for each in tried} == {2, 4, 6, 8}
    assert all(type(each["depth"]) is int for each in tried)
    assert {str(each["kind"]) for each in tried} == {"a", "None", "[1, 2]"}
    leans = np.array([each["lean"] for each in tried])
    assert leans.min() >= 0.01
    assert leans.max() <= 1.0
    assert np.median(leans) < 0.3  # the logarithm is searched, not the number


def test_choices_reach_the_fit_as_declared() -> None:
    fits = Fits()
    tuned(window(12, 4), fits=fits, trials=20, pruner="none", folds=1)
    assert {each[0]["kind"] for each in fits.seen if each[0]} == {"a", None, (1, 2)}


@pytest.mark.parametrize(
    "space",
    [
        {"low": 1},
        {"high": 1},
        {"low": 1, "high": 2, "choices": [1]},
        {"low": 1, "high": 2, "scale": "log"},
        {},
    ],
)
def test_a_space_that_says_nothing_is_refused(space: dict) -> None:
    with pytest.raises(BadInput, match="search space of `lean`"):
        tuned(model=leaning(search={"lean": space}))


def test_defaults_outside_their_space_are_still_the_defaults() -> None:
    model = leaning(settings={"lean": 0.0, "depth": 3, "kind": "other", "fixed": 1})
    found = tuned(model=model)
    assert found.default_value == pytest.approx(by_hand(window(), 0.0), abs=1e-6)
    assert found.parameters == {}
    assert found.gain == 0.0


def test_what_is_held_fixed_is_held() -> None:
    fits = Fits()
    found = tune(
        leaning(), window(), fit_at=FIT_AT, ledger=Ledger(), desk="stocks", data="r", at=FIT_AT, now=float,
        parameters={"fixed": 7, "lean": 0.9}, settings=TuningSettings(trials=5, folds=2), fit=fits,
    )  # fmt: skip
    assert all(each[0]["fixed"] == 7 for each in fits.seen)
    assert fits.seen[0][0] == {"fixed": 7, "lean": 0.9}
    assert found.default_value == pytest.approx(by_hand(window(), 0.9), abs=1e-6)
    assert "fixed" not in found.parameters


def rows_of_a_trial(found) -> float:
    return found.rows_used / found.rows_all


def test_a_short_budget_thins_whole_sessions_and_says_so() -> None:
    """A trial on all rows takes 30 s; 12 trials and 75 s leave one session in 5, counted from the window's last."""
    rows = window(600, 3)
    every = sum(len(fold.train) for fold in inner_folds(rows.keys, 2))
    fits = Fits(seconds=30 / every)
    found = tuned(rows, fits=fits, time_budget_seconds=75.0)
    assert rows_of_a_trial(found) == pytest.approx(1 / 5, abs=0.01)
    assert found.rows_all == every
    assert found.notes[0].startswith("12 trials of leaning on all sessions would take about 360 s; the time budget is")
    assert found.notes[0].endswith("trained on one session in 5.")
    last = rows.keys["session"].max()
    _, keys, _ = fits.seen[-1]
    assert keys.group_by("session").len()["len"].to_list() == [3] * keys["session"].n_unique()
    assert {(last - each).days % 5 for each in keys["session"]} == {0}
    assert found.default_value == pytest.approx(by_hand(rows, 0.5), abs=1e-6)


def test_time_that_is_over_stops_it_and_says_so() -> None:
    rows = window()
    every = sum(len(fold.train) for fold in inner_folds(rows.keys, 2))
    found = tuned(rows, fits=Fits(seconds=30 / every), time_budget_seconds=75.0)
    assert found.stopped_by == "time"
    assert found.trials.height < 12
    assert rows_of_a_trial(found) == 1.0  # a fold of twelve sessions is not thinned further
    one = tuned(rows, fits=Fits(seconds=1e6), time_budget_seconds=0.001)
    assert one.trials.height == 1
    assert one.gain == 0.0
    ample = tuned(rows, fits=Fits(seconds=30 / every), time_budget_seconds=1e6)
    assert ample.stopped_by == "trials"
    assert ample.notes == ()
    assert ample.trials.equals(whole().trials)


def test_a_resumed_search_is_thinned_as_before(tmp_path) -> None:
    rows = window(600, 3)
    every = sum(len(fold.train) for fold in inner_folds(rows.keys, 2))
    with pytest.raises(KeyboardInterrupt):
        tuned(rows, fits=Fits(seconds=30 / every, stop_at=12), cache=tmp_path, time_budget_seconds=75.0)
    again = tuned(rows, fits=Fits(seconds=0.1 / every), cache=tmp_path, time_budget_seconds=75.0)
    assert rows_of_a_trial(again) == pytest.approx(1 / 5, abs=0.01)
    assert again.notes[0].endswith("one session in 5.")
    assert again.notes[1].startswith("1 trials of earlier")


def test_a_sequential_model_keeps_its_latest_sessions_together() -> None:
    rows = window(600, 3)
    every = sum(len(fold.train) for fold in inner_folds(rows.keys, 2))
    fits = Fits(seconds=30 / every)
    tuned(rows, leaning(sequential=True), fits=fits, time_budget_seconds=75.0, pruner="none")
    _, keys, _ = fits.seen[-1]
    days = keys["session"].unique().sort()
    assert set(days.diff().drop_nulls().dt.total_days()) == {1}
    fold = inner_folds(rows.keys, 2)[-1]
    assert days.max() == rows.keys["session"][fold.train].max()
    assert len(days) == pytest.approx(rows.keys["session"][fold.train].n_unique() / 5, abs=1)


def test_defaults_that_cannot_be_timed_are_said() -> None:
    found = tuned(fits=Fits(fails=lambda parameters: not parameters), time_budget_seconds=1e6)
    assert "could not be measured" in found.notes[0]
    assert found.trials.height == 12


def test_real_models_are_tuned_on_rank_ic_and_on_log_loss(tmp_path) -> None:
    """Twelve rows a date of pure noise: no parameter of a ridge changes a rank by much, a logistic's penalty does."""
    for model, rows in ((ridge[0], window(40)), (logistic[0], window(40, classes=3, noise=5.0))):
        with Trials.open(f"sqlite:///{tmp_path / 'ledger.db'}") as ledger:
            found = tune(
                model, rows, fit_at=FIT_AT, ledger=ledger, desk="stocks", data="r", at=FIT_AT, now=float,
                settings=TuningSettings(trials=3, folds=2), fit=fit,
            )  # fmt: skip
        assert found.trials.height == 3
        assert "failed" not in set(found.trials["state"])
        assert (found.value < 0) == (model.task == "classification")


def test_settings_are_checked() -> None:
    for wrong in ({"trials": 0}, {"folds": 0}, {"pruner": "mean"}, {"time_budget_seconds": 0.0}):
        with pytest.raises(BadInput):
            TuningSettings(**wrong)
    with pytest.raises(BadInput, match="nothing to tune"):
        tuned(model=replace(leaning(), search={}))


def test_optuna_is_silent(capfd) -> None:
    tuned(trials=3, fits=Fits(fails=lambda parameters: parameters.get("depth") == 4))
    assert capfd.readouterr() == ("", "")
    assert optuna.logging.get_verbosity() == optuna.logging.CRITICAL
