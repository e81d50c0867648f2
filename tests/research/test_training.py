"""A whole training on a small made-up market, and the forecast that its models give."""

import dataclasses
import datetime as dt
import json
import shutil
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from openbell.core.declare import feature
from openbell.core.errors import BadInput, FeatureUnavailable, IntegrityBroken
from openbell.core.view import View
from openbell.labels.forward import forward_rank
from openbell.models.lightgbm import lightgbm
from openbell.models.linear import ridge
from openbell.models.naive import naive
from openbell.quant.expressions import close, high, low, raw_close
from openbell.research import candidates as room
from openbell.research.forecasting import forecast, no_view
from openbell.research.panel import build_panel, ranked
from openbell.research.training import Training, TrainSettings, register, train
from openbell.store.artifacts import load_model
from openbell.store.tracker import Tracker

sys.path.insert(0, str(Path(__file__).parent))
from market_of_weekdays import Memory, calendar, memory

CAL = calendar()
DAYS = CAL.dates
RANK_5 = next(each for each in forward_rank if each.horizon_sessions == 5)
NAMES = 14
#: The decision that everything is trained for.
AT = 450


@feature(unit="fraction")
def one_day() -> pl.Expr:
    """Return of the last bar."""
    return close / close.shift(1) - 1


@feature(unit="fraction")
def three_days() -> pl.Expr:
    """Return of the last three bars."""
    return close / close.shift(3) - 1


@feature(unit="fraction")
def day_range() -> pl.Expr:
    """Range of the last bar over its close."""
    return (high - low) / close


@feature(unit="USD")
def far_price() -> pl.Expr:
    """A look-back that these data never fill."""
    return raw_close.shift(1000)


FEATURES = [*one_day, *three_days, *day_range]
MODELS = [*naive, *ridge, *lightgbm]
SETTINGS = TrainSettings(
    warmup_sessions=20,
    folds=3,
    min_train_sessions=120,
    replications=1000,
    jobs=1,
    parameters={
        "lightgbm": {"n_estimators": 5, "min_child_samples": 20},
        "ridge": {"alpha": 10.0},
        "naive": {"column": "three_days"},
    },
)


def planted(strength: float, *, closes_only: bool = False) -> Memory:
    """Yesterday's rank moves the next days' closes and opens by `strength` of their noise."""
    tables = memory(CAL, names=NAMES)
    rng = np.random.default_rng(11)
    n = len(DAYS) - 1
    trait = rng.standard_normal((n, NAMES))
    moves = 0.01 * rng.standard_normal((n, NAMES))
    carry = np.zeros(NAMES)
    for at in range(n):
        moves[at] += 0.01 * strength * carry
        carry = 0.8 * carry + 0.6 * trait[at]
        moves[at] += 0.02 * strength * trait[at]
    path = 40.0 * np.exp(np.cumsum(moves, axis=0))
    prices = pl.concat(
        pl.DataFrame({"symbol": f"S{at:02d}", "session": DAYS[:-1], "planted": path[:, at]}) for at in range(NAMES)
    )
    bars = (
        tables.frames["bars"]
        .join(prices, on=["symbol", "session"], how="left")
        .with_columns(pl.col("planted").fill_null(pl.col("close")).alias("close"))
    )
    around = {
        "open": pl.col("close") * 1.0001,
        "high": pl.col("close") * (1.001 + 0.001 * (pl.col("volume") % 7)),
        "low": pl.col("close") * 0.999,
    }
    empty = {name: pl.lit(None, dtype=pl.Float64) for name in around}
    bars = bars.with_columns(**(empty if closes_only else around), adj_close="close").drop("planted")
    return Memory({**tables.frames, "bars": bars})


NOISE, EDGE = planted(0.0), planted(1.0)


def seen(tables: Memory, at: int = AT) -> View:
    return View(tables, CAL.open(DAYS[at]) - dt.timedelta(minutes=30), CAL)


class Ledger(set):
    """Trials in memory: what was recorded is in it."""

    def record(self, tried, *, at) -> int:
        """Count each configuration once."""
        new = {each.fingerprint for each in tried} - self
        self |= new
        return len(new)


def trained(
    tables: Memory, folder: Path, *, at: int = AT, features=FEATURES, models=MODELS, settings=SETTINGS, **more
) -> Training:
    given = {"universe": "all", "folder": folder, "settings": settings, "ledger": Ledger(), **more}
    return train(seen(tables, at), "stocks", features, RANK_5, models, **given)


@pytest.fixture(scope="module")
def edge(tmp_path_factory: pytest.TempPathFactory) -> tuple[Training, Path]:
    home = tmp_path_factory.mktemp("edge")
    return trained(EDGE, home / "models", cache=home / "cache"), home


def test_a_planted_edge_has_a_champion(edge):
    found, _ = edge
    assert found.choice.champion is not None
    assert found.champion is not None
    assert found.champion.folder is not None
    assert found.choice.tries == 3


def test_noise_has_none_and_every_interval_covers_zero(tmp_path: Path):
    """Check 2: on a market without an edge the desk says that it has no view."""
    found = trained(NOISE, tmp_path)
    assert found.choice.champion is None
    assert found.champion is None
    for row in found.choice.evidence.iter_rows(named=True):
        assert row["lower"] < 0 < row["upper"]


def test_scores_are_out_of_sample_for_every_session(edge):
    found, _ = edge
    sessions = found.scores["session"].unique().sort().to_list()
    assert sessions == list(DAYS[21 + 120 : AT + 1])
    assert (found.folds["last_label_known_at"] <= found.folds["fit_at"]).all()
    assert found.ics["session"].to_list() == sessions
    assert found.ics.columns == ["session", "naive", "ridge", "lightgbm"]
    assert found.scores.filter(pl.col(RANK_5.name).is_null())["session"].unique().sort().to_list() == list(
        DAYS[AT - 5 : AT + 1]
    )


def test_the_same_training_gives_the_same_bytes(edge, tmp_path: Path):
    found, _ = edge
    again = trained(EDGE, tmp_path, settings=dataclasses.replace(SETTINGS, jobs=2))
    assert again.plan == found.plan
    assert_frame_equal(again.scores, found.scores, check_exact=True)
    assert again.choice.why == found.choice.why
    assert [each.manifest_hash for each in again.candidates] == [each.manifest_hash for each in found.candidates]


def test_the_plan_is_written_before_the_first_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Candidates are fixed and hashed first; kills a plan made after the scores are seen."""

    def first_fit(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("openbell.research.training.walk_forward", first_fit)
    with pytest.raises(KeyboardInterrupt):
        trained(EDGE, tmp_path / "models", cache=tmp_path / "cache")
    (plan,) = (tmp_path / "cache").glob("plan-*.json")
    content = json.loads(plan.read_text())
    assert set(content["candidates"]) == {"naive", "ridge", "lightgbm"}
    assert len(content["folds"]) == 3
    assert not (tmp_path / "models").exists()


def test_the_plan_names_everything_that_could_be_tuned(tmp_path: Path):
    """Kills a plan that leaves out the seed, a parameter, a feature, a candidate or the moment."""
    plain = {"models": MODELS[1:2], "settings": dataclasses.replace(SETTINGS, parameters={})}
    changes = [
        {},
        {"settings": dataclasses.replace(SETTINGS, parameters={}, seed=1)},
        {"settings": dataclasses.replace(SETTINGS, parameters={"ridge": {"alpha": 11.0}})},
        {"features": FEATURES[:2]},
        {"models": MODELS[1:], "settings": dataclasses.replace(SETTINGS, parameters={"lightgbm": {"n_estimators": 2}})},
        {"at": AT - 5},
    ]
    plans = {trained(EDGE, tmp_path / str(at), **{**plain, **change}).plan for at, change in enumerate(changes)}
    assert len(plans) == len(changes)
    unchanged = dataclasses.replace(SETTINGS, parameters={}, jobs=2)
    assert trained(EDGE, tmp_path / "jobs", **{**plain, "settings": unchanged}).plan in plans


def test_a_stopped_training_goes_on_and_ends_the_same(edge, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Stopped in the final fits: finished folds and saved models are kept, the end is that of an undisturbed run."""
    found, _ = edge
    real, calls = room.save_model, []

    def dies(*arguments):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(*arguments)

    monkeypatch.setattr(room, "save_model", dies)
    with pytest.raises(KeyboardInterrupt):
        trained(EDGE, tmp_path / "models", cache=tmp_path / "cache")
    monkeypatch.undo()
    monkeypatch.setattr(
        "openbell.research.walkforward.fit", lambda *_, **__: pytest.fail("a finished fold was fitted again")
    )
    again = trained(EDGE, tmp_path / "models", cache=tmp_path / "cache")
    assert [each.manifest_hash for each in again.candidates] == [each.manifest_hash for each in found.candidates]


def test_a_saved_model_that_was_changed_stops_the_training(edge, tmp_path: Path):
    _, home = edge
    shutil.copytree(home, tmp_path / "home")
    (changed,) = (tmp_path / "home" / "models").glob("*/lightgbm/model.txt")
    changed.write_text(changed.read_text() + "\n")
    with pytest.raises(IntegrityBroken, match="was changed"):
        trained(EDGE, tmp_path / "home" / "models", cache=tmp_path / "home" / "cache")


def test_features_without_values_are_left_out_and_said(tmp_path: Path):
    found = trained(
        NOISE,
        tmp_path,
        features=[*FEATURES, *far_price],
        models=MODELS[1:2],
        settings=dataclasses.replace(SETTINGS, parameters={}),
    )
    assert found.features == ("one_day", "three_days", "day_range")
    assert any("far_price" in note and "left out" in note for note in found.notes)


def test_without_its_feature_the_naive_candidate_abstains_and_the_rest_go_on(tmp_path: Path):
    settings = dataclasses.replace(SETTINGS, parameters={k: v for k, v in SETTINGS.parameters.items() if k != "naive"})
    found = trained(EDGE, tmp_path, settings=settings)
    first = found.candidates[0]
    assert (first.name, first.folder) == ("naive", None)
    assert "`momentum_12_1`" in str(first.abstains)
    assert found.choice.champion in {"ridge", "lightgbm"}
    assert found.choice.tries == 2


def test_it_works_on_closes_alone(tmp_path: Path):
    """The sample has no open, high or low."""
    found = trained(planted(1.0, closes_only=True), tmp_path)
    assert found.features == ("one_day", "three_days")
    assert any("`day_range` is switched off" in note for note in found.notes)
    assert found.choice.champion is not None


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"min_train_sessions": 2000}, "too few for 3 folds"),
        ({"warmup_sessions": 5000}, "of warm-up"),
        ({"parameters": {"torch": {}}}, "`torch`, which is not a candidate"),
    ],
)
def test_bad_settings_are_refused(tmp_path: Path, change, said):
    with pytest.raises(BadInput, match=said):
        trained(EDGE, tmp_path / "models", settings=dataclasses.replace(SETTINGS, **change))
    assert not (tmp_path / "models").exists()


def test_no_candidates_is_refused(tmp_path: Path):
    with pytest.raises(BadInput, match="no candidate to train"):
        trained(EDGE, tmp_path, models=[], settings=TrainSettings())


def spoken(found: Training, at: int = AT, **more):
    champion = found.champion
    assert champion is not None
    assert champion.folder is not None
    model = load_model(champion.folder)
    plain = {"universe": "all", "version": "m@1"}
    return model, forecast(seen(EDGE, at), model, FEATURES, DAYS[at], **{**plain, **more})


def test_the_forecast_is_what_the_model_says_of_the_training_panel(edge):
    """Check 14: the serving path and the training panel give the same scores, bit for bit."""
    found, _ = edge
    model, said = spoken(found, why=("Because.",), evidence={"n": 1})
    declared = {each.name: each for each in FEATURES}
    panel = ranked(
        build_panel(
            seen(EDGE), [declared[name] for name in model.features], [], universe="all", first=DAYS[300], last=DAYS[AT]
        )
    )
    day = panel.frame.filter(pl.col("session") == DAYS[AT])
    expected = pl.DataFrame({"symbol": day["symbol"], "score": model.predict(day.select(model.features))})
    assert_frame_equal(said.scores, expected, check_exact=True)
    assert said.model == "m@1"
    assert said.as_of == seen(EDGE).as_of
    assert said.why == ("Because.",)
    assert said.scores.height == NAMES


def test_the_forecast_resolves_when_its_outcome_is_known(edge, tmp_path: Path):
    found = trained(EDGE, tmp_path, at=AT - 10)
    _, said = spoken(found)
    assert said.resolves_at == CAL.close(DAYS[AT + 5])


def test_a_decision_before_the_training_is_refused(edge):
    """A model never speaks about a day that its training has seen."""
    found, _ = edge
    with pytest.raises(BadInput, match="after this decision"):
        spoken(found, at=AT - 1)


def test_a_feature_that_is_gone_is_refused(edge):
    found, _ = edge
    assert found.champion is not None
    assert found.champion.folder is not None
    model = load_model(found.champion.folder)
    with pytest.raises(FeatureUnavailable, match="needs one_day"):
        forecast(seen(EDGE), model, FEATURES[1:], DAYS[AT], universe="all", version="m")


def test_no_view_says_why():
    said = no_view(seen(EDGE).as_of, ["No view: nobody survives."])
    assert not said.has_view
    assert said.scores.is_empty()
    assert said.why == ("No view: nobody survives.",)


def test_names_that_the_model_abstains_on_are_left_out_and_counted(edge, tmp_path: Path):
    """Trap 7: no prediction is no row."""
    found, _ = edge
    folder = next(each.folder for each in found.candidates if each.name == "naive")
    assert folder is not None
    bars = EDGE.frames["bars"].filter((pl.col("symbol") != "S04") | (pl.col("session") >= DAYS[AT - 2]))
    view = seen(Memory({**EDGE.frames, "bars": bars}))
    said = forecast(view, load_model(folder), FEATURES, DAYS[AT], universe="all", version="m")
    assert said.scores.height == NAMES - 1
    assert "S04" not in said.scores["symbol"]
    assert f"1 of {NAMES} names have no score" in said.why[0]


def test_a_training_is_registered_with_its_evidence(edge, tmp_path: Path):
    """Check 5: n, base rate, interval and tries are in the record."""
    found, home = edge
    tracker = Tracker.open(f"sqlite:///{tmp_path / 'mlflow.db'}")
    record = register(tracker, found, home / "models")
    assert record.champion is not None
    assert (home / "models" / record.champion.folder / "manifest.json").exists()
    load_model(home / "models" / record.champion.folder, manifest_hash=record.champion.manifest_hash)
    experiment = tracker._client.get_experiment_by_name("stocks").experiment_id
    runs = {run.info.run_name: run.data.metrics for run in tracker._client.search_runs([experiment])}
    assert set(runs) == {"training", "naive", "ridge", "lightgbm"}
    assert {"mean_rank_ic", "lower", "upper", "dates", "tries", "base_rate", "p_value"} <= set(runs["ridge"])
    assert register(tracker, found, home / "models") == record
