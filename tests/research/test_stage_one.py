"""Stage 1 of the options desk: nothing is fitted on what was not known, and every score has its base rate."""

import datetime as dt
from functools import cache
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from openbell.core.errors import BadInput, FeatureUnavailable, IntegrityBroken, Refused
from openbell.models.lightgbm import lightgbm, lightgbm_classifier
from openbell.quant.intervals import wilson
from openbell.research.counterfactuals import utility as growth
from openbell.research.option_scores import scoreboard, sharpe, strategies
from openbell.research.option_walk import CONSTANT, Candidate, forecast_rows, walk
from openbell.research.stage_files import load_stage, rounded, save_stage
from openbell.research.stage_one import Outcomes, configurations, fit_stage_one

REGRESSOR, CLASSIFIER = lightgbm[0], lightgbm_classifier[0]
NAMES = ("IRON_CONDOR", "LONG_CALL", "LONG_PUT")
N, SETS, HELD = 700, 3, 5


class Everything:
    """A ledger that has counted everything."""

    def __contains__(self, fingerprint: str) -> bool:
        return True


def market(signal: float = 0.0, seed: int = 0, n: int = N) -> tuple[pl.DataFrame, Outcomes]:
    """Two features and outcomes; with `signal` the first says whether the call or the put pays."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(n, 2))
    noise = rng.normal(scale=0.5, size=(n, len(NAMES), SETS))
    tilt = np.column_stack([np.zeros(n), features[:, 0], -features[:, 0]])
    returns = np.clip(noise + signal * tilt[:, :, None], -1.0, None)
    start = np.datetime64("2015-01-05T14:00:00", "us")
    as_of = start + np.arange(n) * np.timedelta64(1, "D")
    known = (as_of + np.timedelta64(HELD, "D")).copy()
    known[-HELD:] = np.datetime64("NaT")
    utility = growth(returns, 0.02).mean(axis=2)
    return pl.DataFrame(features, schema=["a", "b"]), Outcomes(NAMES, as_of, known, utility, returns)


def lgbm() -> Candidate:
    """LightGBM, small."""
    small = {"n_estimators": 20, "min_child_samples": 20}
    return Candidate("lightgbm", REGRESSOR, CLASSIFIER, {"lightgbm": small, "lightgbm_classifier": small})


def test_growth_is_kellys() -> None:
    """``log(1 + f r) / f`` by hand: 2 % of the account lost is log(0.98) / 0.02."""
    assert growth(np.array([-1.0, 0.0, 0.5]), 0.02) == pytest.approx([np.log(0.98) / 0.02, 0.0, np.log(1.01) / 0.02])


def test_wilsons_interval_by_hand() -> None:
    """64 of 76, the request's 84.21 %: 0.744 to 0.907."""
    low, high = wilson(64, 76)
    assert (round(low, 3), round(high, 3)) == (0.744, 0.907)
    assert np.isnan(wilson(0, 0)).all()


def test_sharpe_of_trades_counts_how_many_fit_into_a_year() -> None:
    result = np.array([0.1, -0.1, 0.3, 0.1])
    expected = result.mean() / result.std(ddof=1) * np.sqrt(252 / 21)
    assert sharpe(result, np.full(4, 21.0)) == pytest.approx(expected)
    assert sharpe(np.full(4, 0.1), np.full(4, 21.0)) is None


def test_a_fit_changes_nothing_when_later_outcomes_do() -> None:
    """Kills: a calibration, an error pool or a mean over all rows instead of the training rows."""
    features, outcomes = market(1.0)
    rows = np.arange(400)
    spoilt = Outcomes(
        NAMES, outcomes.as_of, outcomes.known_at,
        np.where(np.arange(N)[:, None] < 400, outcomes.utility, 9.0),
        np.where(np.arange(N)[:, None, None] < 400, outcomes.returns, 9.0),
    )  # fmt: skip
    candidate = lgbm()
    fits = [
        fit_stage_one(
            features, each, rows, regressor=candidate.regressor, classifier=candidate.classifier,
            ledger=Everything(), parameters=candidate.parameters,
        )
        for each in (outcomes, spoilt)
    ]  # fmt: skip
    test = features[500:520]
    assert np.array_equal(fits[0].expected_utility(test), fits[1].expected_utility(test))
    assert np.array_equal(fits[0].probabilities(test), fits[1].probabilities(test))
    assert all(np.array_equal(fits[0].errors[name], fits[1].errors[name]) for name in NAMES)


def test_every_forecast_is_of_a_model_that_knew_no_later_outcome() -> None:
    """check 3: an outcome that was not known at the fit, turned into nonsense, changes no forecast of that fold."""
    features, outcomes = market(1.0)
    usable = np.ones(N, dtype=bool)
    first = walk(features, outcomes, usable, [lgbm()], ledger=Everything(), min_train=300, refit=100)
    at = first.fits[1]
    late = ~outcomes.known_by(outcomes.as_of[at])
    spoilt = Outcomes(
        NAMES, outcomes.as_of, outcomes.known_at,
        np.where(late[:, None], 5.0, outcomes.utility), np.where(late[:, None, None], 5.0, outcomes.returns),
    )  # fmt: skip
    again = walk(features, spoilt, usable, [lgbm()], ledger=Everything(), min_train=300, refit=100)
    same = first.rows < at + 100
    assert same.sum() == 200
    for name in ("expected", "probabilities", "quantiles"):
        before, after = (getattr(each.candidates["lightgbm"], name)[same] for each in (first, again))
        assert np.array_equal(before, after)


def test_forecasts_begin_when_enough_outcomes_were_known() -> None:
    """Kills: counting rows instead of known outcomes: the first fit sees exactly the minimum."""
    _, outcomes = market()
    rows = forecast_rows(outcomes, np.ones(N, dtype=bool), min_train=300, last=None)
    assert rows[0] == 299 + HELD
    assert outcomes.known_by(outcomes.as_of[rows[0]]).sum() == 300
    assert list(forecast_rows(outcomes, np.ones(N, dtype=bool), min_train=300, last=7)) == list(range(N - 7, N))


def test_rows_with_a_missing_input_are_neither_learnt_nor_forecast() -> None:
    features, outcomes = market(1.0)
    usable = np.ones(N, dtype=bool)
    usable[[100, 500]] = False
    found = walk(features, outcomes, usable, [Candidate(CONSTANT)], ledger=Everything(), min_train=300, refit=100)
    assert 500 not in found.rows
    assert found.rows[0] == 300 + HELD


def test_threads_change_no_forecast() -> None:
    features, outcomes = market(1.0)
    usable = np.ones(N, dtype=bool)
    one, two = (
        walk(features, outcomes, usable, [lgbm()], ledger=Everything(), min_train=400, refit=100, jobs=jobs)
        for jobs in (1, 2)
    )
    assert np.array_equal(one.candidates["lightgbm"].expected, two.candidates["lightgbm"].expected)


def test_probabilities_are_rows_of_a_distribution_and_none_is_zero() -> None:
    """A class that was never the best keeps its pseudo-count: its log-loss is finite."""
    features, outcomes = market(1.0)
    never = Outcomes(
        NAMES, outcomes.as_of, outcomes.known_at,
        np.where(np.arange(3) == 0, -0.9, outcomes.utility), outcomes.returns,
    )  # fmt: skip
    stage = fit_stage_one(
        features, never, np.arange(500), regressor=REGRESSOR, classifier=CLASSIFIER, ledger=Everything()
    )
    found = stage.probabilities(features[500:])
    assert found.sum(axis=1) == pytest.approx(1.0)
    assert (found > 0).all()
    assert stage.support["IRON_CONDOR"] == 0
    assert found[:, 0].max() < 0.05


def test_nothing_is_fitted_that_the_ledger_has_not_counted() -> None:
    features, outcomes = market()
    with pytest.raises(Refused, match="not in the ledger"):
        fit_stage_one(features, outcomes, np.arange(400), regressor=REGRESSOR, classifier=CLASSIFIER, ledger=set())
    counted = {fingerprint for fingerprint, _ in configurations(REGRESSOR, CLASSIFIER, {}).values()}
    assert fit_stage_one(
        features, outcomes, np.arange(400), regressor=REGRESSOR, classifier=CLASSIFIER, ledger=counted
    ).rows == 400  # fmt: skip


def test_a_candidate_that_fails_stops_itself_alone() -> None:
    features, outcomes = market()
    bad = Candidate("bad", REGRESSOR, CLASSIFIER, {"lightgbm": {"n_estimators": -1}})
    found = walk(
        features, outcomes, np.ones(N, dtype=bool), [bad, Candidate(CONSTANT)], ledger=Everything(),
        min_train=400, refit=200,
    )  # fmt: skip
    assert "failed to train" in found.candidates["bad"].why
    assert found.candidates[CONSTANT].expected.shape == (len(found.rows), 3)


def test_too_little_history_is_refused_with_the_numbers() -> None:
    features, outcomes = market()
    with pytest.raises(BadInput, match=r"695 decisions with a known outcome.*needs 900"):
        walk(features, outcomes, np.ones(N, dtype=bool), [lgbm()], ledger=Everything(), min_train=900)
    with pytest.raises(FeatureUnavailable, match="no decision whose outcome is known"):
        fit_stage_one(features, outcomes, np.arange(0), regressor=None, classifier=None, ledger=Everything())


@cache
def held_scoreboard(signal: float, seed: int = 0):
    """A scoreboard on a market of 1,400 days; every structure is traded with its first parameter set."""
    features, outcomes = market(signal, seed, n=1_400)
    found = walk(
        features, outcomes, np.ones(1_400, dtype=bool), [lgbm(), Candidate(CONSTANT)], ledger=Everything(),
        min_train=500, refit=300,
    )  # fmt: skip
    sessions = [dt.date(2015, 1, 5) + dt.timedelta(days=day) for day in range(1_400)]
    realised, held = outcomes.returns[:, :, 0], np.full((1_400, 3), float(HELD))
    return found, outcomes, realised, held, scoreboard(
        found, outcomes, sessions, realised, held, rules=np.zeros(1_400, dtype=int), replications=1_000
    )  # fmt: skip


def test_a_planted_edge_is_seen_and_stands_beside_its_baselines() -> None:
    *_, board = held_scoreboard(1.0)
    assert board.champion == "lightgbm"
    assert board.strategies["strategy"].to_list() == ["lightgbm", "best constant", "rules ladder", "random"]
    judged = board.classification.row(0, named=True)
    assert judged["accuracy_low"] > judged["base_accuracy"]
    assert judged["log_loss"] < judged["base_log_loss"]
    assert judged["accuracy_low"] < judged["accuracy"] < judged["accuracy_high"]


def test_noise_has_no_champion_and_no_skill() -> None:
    """check 2: the interval of the accuracy holds the base rate, and StepM keeps everybody."""
    *_, board = held_scoreboard(0.0)
    assert board.champion is None
    assert board.why[0].startswith("No view")
    judged = board.classification.row(0, named=True)
    assert judged["accuracy_low"] <= judged["base_accuracy"] <= judged["accuracy_high"]


def test_strategies_by_hand() -> None:
    """No trade is 0, what cannot be had is no trade and counted, random is the mean of what can be had."""
    found, outcomes, realised, held, _ = held_scoreboard(1.0)
    realised = realised.copy()
    realised[found.rows[0], :] = [np.nan, 0.4, -0.2]
    every = {
        each.name: each
        for each in strategies(
            found, outcomes, realised, held, risk_fraction=0.02, rules=np.zeros(len(realised), dtype=int)
        )
    }
    assert every["rules ladder"].skipped == 1
    assert every["rules ladder"].choice[0] == -1
    assert every["rules ladder"].utility[0] == 0.0
    assert every["random"].returns[0] == pytest.approx(0.1)
    expected = found.candidates["lightgbm"].expected
    assert (every["lightgbm"].choice >= 0).sum() + every["lightgbm"].skipped == (expected.max(axis=1) > 0).sum()


def test_regret_is_what_the_best_would_have_made_less_what_was_made() -> None:
    found, _, realised, _, board = held_scoreboard(1.0)
    best = growth(realised[found.rows].max(axis=1), 0.02)
    for row in board.strategies.iter_rows(named=True):
        assert row["mean_regret"] == pytest.approx(best.mean() - row["mean_utility"])
        assert row["mean_regret"] >= 0


def test_a_saved_stage_says_the_same_and_a_changed_file_is_refused(tmp_path: Path) -> None:
    """check 37. Kills: a calibrator that is lost, classes out of order, a model that was exchanged unseen."""
    features, outcomes = market(1.0)
    stage = rounded(fit_stage_one(
        features, outcomes, np.arange(500), regressor=REGRESSOR, classifier=CLASSIFIER, ledger=Everything()
    ))  # fmt: skip
    manifest = save_stage(stage, tmp_path / "stage")
    assert save_stage(stage, tmp_path / "stage") == manifest
    loaded = load_stage(tmp_path / "stage", manifest)
    test = features[500:]
    expected = stage.expected_utility(test)
    assert np.array_equal(loaded.expected_utility(test), expected)
    assert np.array_equal(loaded.probabilities(test), stage.probabilities(test))
    assert np.array_equal(loaded.quantiles(expected), stage.quantiles(expected))
    with pytest.raises(IntegrityBroken, match="not the registered one"):
        load_stage(tmp_path / "stage", "0" * 64)
    page = tmp_path / "stage" / "stage.json"
    page.write_text(page.read_text().replace('"rows":500', '"rows":501'))
    with pytest.raises(IntegrityBroken, match="not the registered one"):
        load_stage(tmp_path / "stage", manifest)
    model = next((tmp_path / "stage" / "long_call").glob("*.txt"))
    model.write_text(model.read_text() + " ")
    with pytest.raises(IntegrityBroken, match="was changed"):
        load_stage(tmp_path / "stage")
