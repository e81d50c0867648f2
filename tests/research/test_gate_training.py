"""Models, calibration and thresholds together: what saw which days, a folder that reads back equal or not at all."""

import datetime as dt
import json

import numpy as np
import polars as pl
import pytest
from scipy.special import expit, logit
from tests.research.gate_worlds import FEATURES, FIRST, fit_at, split, trades

from openbell.core.errors import BadInput, IntegrityBroken, LeakFound, StorageFailed
from openbell.quant.calibration import Sigmoid
from openbell.quant.reliability import expected_calibration_error
from openbell.research import gate_fallback, gate_models, gate_training
from openbell.research.gate_calibration import IDENTITY, MIN_DAYS, Calibration, calibration, group_errors
from openbell.research.gate_thresholds import Thresholds, tuned
from openbell.research.gate_training import load, trained

NAMES = ("hierarchy", "fallback", "price", "base_rate")


@pytest.fixture(scope="module", autouse=True)
def short_trees():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gate_fallback, "PRESET", {**gate_fallback.PRESET, "n_estimators": 15})
        yield


@pytest.fixture(scope="module")
def world():
    symbols, strategies = ("SPX", "RUT"), ("Vertical", "Sonar")
    rows = trades(days=90, symbols=symbols, strategies=strategies, skilled=[("SPX", "Sonar")], effect=1.2, seed=1)
    return split(rows, 80)


@pytest.fixture(scope="module")
def found(world):
    return trained(world[0], FEATURES, NAMES, fit_at=fit_at(world[0]), min_trades=30)


def test_a_folder_reads_back_equal(found, world, tmp_path):
    """Every model, its calibration and thresholds; saving again is a no-op, and other models are not written over."""
    kept = found.save(tmp_path / "gate")
    assert found.save(tmp_path / "gate") == kept
    again = load(tmp_path / "gate", kept)
    for name in NAMES:
        first, second = found.forecast(name, world[1]), again.forecast(name, world[1])
        np.testing.assert_array_equal(first.probability, second.probability)
        np.testing.assert_array_equal(first.weights, second.weights)
        np.testing.assert_array_equal(found.threshold(name, world[1]), again.threshold(name, world[1]))
        one = world[1].row(3, named=True)
        assert again.forecast(name, one).probability[0] == first.probability[3]
        assert again.threshold(name, one)[0] == found.threshold(name, world[1])[3]
    assert again.provenance == found.provenance
    other = trained(world[0], FEATURES, ["price"], fit_at=fit_at(world[0]))
    with pytest.raises(StorageFailed, match="already holds other models"):
        other.save(tmp_path / "gate")


def test_a_changed_folder_is_refused(found, tmp_path):
    kept = found.save(tmp_path / "gate")
    with pytest.raises(IntegrityBroken, match="not the one on record"):
        load(tmp_path / "gate", "0" * 64)
    file = tmp_path / "gate" / "price" / "thresholds.json"
    file.write_text(file.read_text().replace("0.", "0.0", 1))
    with pytest.raises(IntegrityBroken, match="was changed"):
        load(tmp_path / "gate", kept)
    assert "manifest.json" not in json.loads((tmp_path / "gate" / "manifest.json").read_text())["files"]


def test_what_it_was_made_of(found, world):
    made = found.provenance
    assert (made["n"], made["days"], made["validation_days"]) == (80 * 12, 80, 16)
    assert made["first_fit_n"] == 64 * 12
    assert made["validation_from"] == (FIRST + dt.timedelta(days=64)).isoformat()
    assert found.features == FEATURES
    assert made["models"]["hierarchy"]["converged"]
    assert {row["n"] for row in made["models"]["hierarchy"]["validation"]} == {48, 192}
    turned = world[0].sample(fraction=1.0, shuffle=True, seed=3)
    assert trained(turned, FEATURES, ["price"], fit_at=fit_at(turned)).provenance["rows"] == made["rows"]


def test_calibration_and_thresholds_see_no_row_their_model_was_fitted_on(world, monkeypatch):
    """Check 8: the first fit ends before the validation days; only they make calibration and thresholds."""
    seen = {"fit": [], "calibration": [], "tuned": []}

    def watched(what, function):
        def call(*args, **kwargs):
            rows = args[1] if what == "fit" else args[0]
            seen[what].append((rows["session"].min(), rows["session"].max(), kwargs.get("fit_at")))
            return function(*args, **kwargs)

        return call

    monkeypatch.setattr(gate_models, "fitted", watched("fit", gate_models.fitted))
    monkeypatch.setattr(gate_training, "calibration", watched("calibration", calibration))
    monkeypatch.setattr(gate_training, "tuned", watched("tuned", tuned))
    train = world[0]
    trained(train, FEATURES, ["simple"], fit_at=fit_at(train), calibration_share=0.25)
    border = FIRST + dt.timedelta(days=60)
    (_, last_early, opened), (_, last, at) = seen["fit"]
    assert last_early < border == seen["calibration"][0][0] == seen["tuned"][0][0]
    assert opened == train.filter(pl.col("session") == border)["known_at"].min()
    assert (last, at) == (train["session"].max(), fit_at(train))


def test_an_outcome_that_comes_late_is_not_in_the_first_fit(world):
    """A trade of an early day whose outcome was known after the validation began: in the last fit only."""
    late = pl.col("session") == FIRST + dt.timedelta(days=50)
    rows = world[0].with_columns(
        outcome_known_at=pl.when(late)
        .then(pl.col("outcome_known_at") + pl.duration(days=20))
        .otherwise("outcome_known_at")
    )
    made = trained(rows, FEATURES, ["base_rate"], fit_at=fit_at(rows)).provenance
    assert made["first_fit_n"] == 63 * 12
    assert made["n"] == 80 * 12
    with pytest.raises(LeakFound, match="252 of 960 outcomes were not known"):
        trained(rows, FEATURES, ["base_rate"], fit_at=fit_at(rows) - dt.timedelta(days=20))


def test_imported_thresholds_hold_for_every_model(world):
    own = Thresholds.from_json(
        json.dumps({"SPX": dict.fromkeys(("Butterfly", "Iron Condor", "Vertical", "Sonar"), 0.61)})
    )
    made = trained(world[0], FEATURES, ["simple", "price"], fit_at=fit_at(world[0]), thresholds=own)
    spx = world[1]["symbol"].to_numpy() == "SPX"
    for name in ("simple", "price"):
        assert set(made.threshold(name, world[1])[spx]) == {0.61}
        assert set(made.threshold(name, world[1])[~spx]) == {0.5}
    assert made.provenance["thresholds"] == "imported"


def test_feature_lists_are_compared_by_name(found):
    """Check 37: the order does not matter, a difference names both sides."""
    found.compared(FEATURES[::-1])
    with pytest.raises(BadInput, match=r"fitted on 3 features; missing here: `mood`; not known to it: `moods`"):
        found.compared(["edge", "noise", "moods"])
    with pytest.raises(BadInput, match="no trained model of the gate `simple`"):
        found.forecast("simple", {})


@pytest.mark.parametrize("days", [0, 1])
def test_too_few_days_are_refused(days):
    rows = trades(days=2)
    with pytest.raises(BadInput, match=r"no rows|at least 2"):
        trained(split(rows, days)[0], FEATURES, ["price"])


def overconfident(rows, slope):
    """Odds that are `slope` times too far from even."""
    return expit(slope * logit(rows["truth"].to_numpy()))


def test_a_model_that_is_too_sure_is_put_right():
    """Found in every cell from the cells together; the baselines are left as they are."""
    rows = trades(days=60, each=4, seed=4)
    raw = overconfident(rows, 2.0)
    line = calibration(rows, raw)
    calibrated = line.apply(rows, raw)
    assert np.abs(calibrated - rows["truth"].to_numpy()).max() < 0.06
    fresh = trades(days=60, each=4, seed=5)
    after = group_errors(fresh, line.apply(fresh, overconfident(fresh, 2.0)))
    before = group_errors(fresh, overconfident(fresh, 2.0))
    assert after["ece"][0] < 0.03 < before["ece"][0]


def test_one_cell_alone_is_put_right_by_itself():
    rows = trades(days=80, each=4, seed=6)
    wrong = (pl.col("symbol") == "RUT") & (pl.col("strategy") == "Sonar")
    at = rows.select(wrong).to_series().to_numpy()
    raw = np.where(at, expit(logit(rows["truth"].to_numpy()) + 1.0), rows["truth"].to_numpy())
    calibrated = calibration(rows, raw).apply(rows, raw)
    assert np.abs(calibrated - raw)[~at].max() < 0.03
    assert (raw - calibrated)[at].mean() > 0.12


@pytest.mark.parametrize("shared", [0.0, 0.7])
def test_without_evidence_the_odds_stay(shared):
    """Right odds, also where days win and lose together: kills a sigmoid that takes each row for evidence."""
    rows = trades(days=24, each=4, shared=shared, seed=7)
    raw = rows["truth"].to_numpy()
    assert np.abs(calibration(rows, raw).apply(rows, raw) - raw).max() < 0.05


def test_a_cell_of_few_days_has_its_parents_line():
    """However wrong it looks: its line is that of its symbol and strategy without it."""
    rows = trades(days=40, each=4, seed=8)
    cell = (pl.col("symbol") == "RUT") & (pl.col("strategy") == "Sonar")
    early = pl.col("session") < FIRST + dt.timedelta(days=MIN_DAYS - 1)
    kept = rows.filter(~cell | early).with_columns(win=pl.col("win") | cell)
    line = calibration(kept, kept["truth"].to_numpy())
    by_pair = dict(zip(line.pairs, line.sigmoids, strict=True))
    own, symbol = by_pair["RUT", "Sonar"], by_pair["RUT", ""]
    assert own.intercept[1] == pytest.approx(symbol.intercept[1] + by_pair["", "Sonar"].intercept[1], abs=0.05)


def test_calibration_reads_back_equal_and_knows_strangers():
    rows = trades(days=30, each=4, seed=9)
    raw = overconfident(rows, 1.7)
    line = calibration(rows, raw)
    again = Calibration.from_json(line.to_json())
    np.testing.assert_array_equal(again.apply(rows, raw), line.apply(rows, raw))
    row = {"symbol": "IWM", "strategy": "Calendar"}
    assert line.apply(row, np.array([0.9]))[0] == pytest.approx(0.9, abs=0.3)
    assert all(isinstance(each, Sigmoid) for each in again.sigmoids)
    np.testing.assert_array_equal(
        line.sigmoids[0].apply(np.array([[0.4, 0.6]]))[:, 1],
        line.apply({"symbol": line.pairs[0][0], "strategy": line.pairs[0][1]}, np.array([0.6])),
    )
    with pytest.raises(IntegrityBroken, match="not a stored calibration"):
        Calibration.from_json('[{"pair": ["SPX"]}]')


def test_odds_that_never_vary_or_a_world_that_never_lost_are_left_alone():
    rows = trades(days=4)
    assert calibration(rows, np.full(rows.height, 0.4)) is IDENTITY
    assert calibration(rows.with_columns(win=pl.lit(True)), rows["truth"].to_numpy()) is IDENTITY
    np.testing.assert_array_equal(IDENTITY.apply(rows, rows["truth"].to_numpy()), rows["truth"].to_numpy())


def test_errors_by_group_are_those_of_the_reliability_module():
    """Oracle: `expected_calibration_error`; few days have no interval, many have one around it or above."""
    rows = trades(days=60, each=4, seed=10)
    raw = overconfident(rows, 1.5)
    table = group_errors(rows, raw)
    own = rows.select((pl.col("symbol") == "SPX") & (pl.col("strategy") == "Sonar")).to_series().to_numpy()
    line = table.filter((pl.col("symbol") == "SPX") & (pl.col("strategy") == "Sonar")).row(0, named=True)
    p = raw[own]
    oracle = expected_calibration_error(
        np.column_stack([1 - p, p]), rows["win"].to_numpy()[own].astype(int), kind="classwise"
    )
    assert line["ece"] == pytest.approx(oracle)
    assert (line["n"], line["days"]) == (240, 60)
    assert line["ece_low"] < line["ece_high"]
    assert group_errors(rows[:200], raw[:200])["ece_low"].null_count() > 0
