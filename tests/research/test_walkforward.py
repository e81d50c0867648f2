"""Folds that cannot leak, scores that were all made before their outcome, and work that survives a kill."""

import datetime as dt
import os
import signal
import subprocess
import sys
import textwrap
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openbell.core.declare import Model
from openbell.core.errors import BadInput, FeatureUnavailable, IntegrityBroken, LeakFound, Refused, StorageFailed
from openbell.core.types import Panel
from openbell.models.ensemble import ensemble
from openbell.models.lightgbm import lightgbm
from openbell.models.linear import ridge
from openbell.models.naive import naive
from openbell.research import walkforward
from openbell.research.champion import choose, rank_ics
from openbell.research.fitting import fingerprint
from openbell.research.folds import check_fold, folds_over, train_rows
from openbell.research.walkforward import walk_forward

START = dt.date(2018, 1, 1)
LABEL = "forward_rank_5d"
FEATURES = ("momentum_12_1", "b", "c")


def as_of(session: dt.date) -> dt.datetime:
    return dt.datetime(session.year, session.month, session.day, 14, tzinfo=dt.UTC)


def days(n: int) -> list[dt.date]:
    return [START + dt.timedelta(days=at) for at in range(n)]


def decided(n: int) -> pl.DataFrame:
    return pl.DataFrame({"session": days(n), "as_of": [as_of(day) for day in days(n)], "number": range(n)})


def numbers(n: int) -> dict[dt.date, int]:
    return {day: at for at, day in enumerate(days(n))}


def panel(n: int = 120, names: int = 12, horizon: int = 5, edge: float = 0.0, seed: int = 0) -> Panel:
    rng = np.random.default_rng(seed)
    matrix = (rng.random((n * names, 3)) - 0.5).astype(np.float32)
    outcome = edge * matrix[:, 1] + 0.3 * rng.standard_normal(n * names)
    known = [as_of(day + dt.timedelta(days=horizon)) + dt.timedelta(hours=7) for day in days(n)]
    late = np.repeat(np.arange(n) >= n - horizon, names)
    frame = pl.DataFrame(
        {
            "session": [day for day in days(n) for _ in range(names)],
            "as_of": [as_of(day) for day in days(n) for _ in range(names)],
            "symbol": [f"S{at:02d}" for at in range(names)] * n,
            **{name: matrix[:, at] for at, name in enumerate(FEATURES)},
            LABEL: pl.Series(np.where(late, np.nan, outcome)).fill_nan(None),
            f"{LABEL}_known_at": pl.Series(
                [
                    None if hidden else moment
                    for moment, hidden in zip([k for k in known for _ in range(names)], late, strict=True)
                ],
                dtype=pl.Datetime("us", "UTC"),
            ),
        }
    )
    return Panel(frame, FEATURES, (LABEL,), recipe=f"recipe-{n}-{names}-{horizon}-{edge}-{seed}")


class Everything:
    """A ledger that holds every configuration."""

    def __contains__(self, fingerprint: str) -> bool:
        return True


def walked(given_panel: Panel | None = None, n: int = 120, **more):
    source = given_panel or panel(n)
    folds = folds_over(decided(n), folds=3, min_train_sessions=60)
    plain = {"models": [*naive, *ridge], "numbers": numbers(n), "jobs": 1, "ledger": Everything()}
    return walk_forward(source, LABEL, folds, **{**plain, **more})


def test_folds_cover_every_session_after_the_first_training_once():
    folds = folds_over(decided(101), folds=4, min_train_sessions=21)
    covered = [day for fold in folds for day in days(101) if fold.test_first <= day <= fold.test_last]
    assert covered == days(101)[21:]
    assert all(fold.fit_at == as_of(fold.test_first) for fold in folds)
    rolling = folds_over(decided(101), folds=4, min_train_sessions=21, train_sessions=10)
    assert [fold.train_first for fold in rolling] == [fold.test_first - dt.timedelta(days=10) for fold in rolling]


@pytest.mark.parametrize(("n", "folds", "first"), [(10, 5, 6), (10, 0, 2), (3, 1, 3)])
def test_too_few_sessions_are_refused(n, folds, first):
    with pytest.raises(BadInput, match="too few"):
        folds_over(decided(n), folds=folds, min_train_sessions=first)


def sides(train_days, train_known, test_days) -> tuple[pl.DataFrame, pl.DataFrame]:
    train = pl.DataFrame(
        {"session": train_days, "as_of": [as_of(d) for d in train_days], "label_known_at": train_known},
        schema_overrides={"label_known_at": pl.Datetime("us", "UTC")},
    )
    return train, pl.DataFrame({"session": test_days, "as_of": [as_of(d) for d in test_days]})


def test_a_clean_fold_passes():
    d = days(10)
    check_fold(*sides(d[:3], [as_of(d[5])] * 3, d[5:]), as_of(d[5]))


@pytest.mark.parametrize("known", [dt.datetime(2018, 1, 6, 14, 0, 0, 1, tzinfo=dt.UTC), None])
def test_a_label_known_after_the_fit_is_a_leak(known):
    """Check 3, check 16: purged by what was known, to the microsecond."""
    d = days(10)
    with pytest.raises(LeakFound, match="1 training rows"):
        check_fold(*sides(d[:2], [as_of(d[1]), known], d[5:]), as_of(d[5]))


def test_a_test_decision_before_the_fit_is_a_leak():
    d = days(10)
    with pytest.raises(LeakFound, match="1 test rows were decided before"):
        check_fold(*sides(d[:2], [as_of(d[2])] * 2, d[4:]), as_of(d[5]))


def test_a_session_on_both_sides_is_a_leak():
    """Trap 3: rows that share a day are never split."""
    d = days(10)
    with pytest.raises(LeakFound, match="1 sessions stand in training and in test"):
        check_fold(*sides([d[1], d[5]], [as_of(d[2])] * 2, d[5:]), as_of(d[5]))


@given(
    fit=st.integers(0, 30),
    stride=st.integers(1, 7),
    delays=st.lists(st.one_of(st.none(), st.integers(0, 40)), min_size=30, max_size=30),
)
@settings(max_examples=60, deadline=None)
def test_no_training_label_is_known_after_the_fit(fit, stride, delays):
    """Whatever the delays of the labels are: every kept row was known, and every known row of the stride is kept."""
    base = as_of(START)
    known = [None if delay is None else base + dt.timedelta(days=at + delay) for at, delay in enumerate(delays)]
    frame = pl.DataFrame(
        {"session": days(30), "number": range(30), "y": [0.0] * 30, "y_known_at": known},
        schema_overrides={"y_known_at": pl.Datetime("us", "UTC")},
    )
    fit_at = base + dt.timedelta(days=fit)
    kept = frame.filter(train_rows("y", fit_at, stride))["number"].to_list()
    assert kept == [
        at for at, moment in enumerate(known) if moment is not None and moment <= fit_at and at % stride == 0
    ]


def test_a_panel_with_a_lying_label_time_is_not_fitted(monkeypatch):
    """Kills a walk-forward that selects rows without checking them."""
    monkeypatch.setattr(walkforward, "train_rows", lambda *_: pl.col(LABEL).is_not_null())
    monkeypatch.setattr(walkforward, "fit", lambda *_: pytest.fail("it was fitted"))
    with pytest.raises(LeakFound):
        walked()


def test_no_fit_sees_a_later_label(monkeypatch):
    """The rows that reach each fit are counted by hand: session + 5 days + 7 hours <= the fold's first decision."""
    seen = []

    def spied(m, f, y, p, **more):
        seen.append((m.name, len(y), f.height))
        return real(m, f, y, p, **more)

    monkeypatch.setattr(walkforward, "fit", spied)
    walked(n=120, models=[*ridge])
    assert [each[1] for each in seen] == [12 * (60 - 5), 12 * (80 - 5), 12 * (100 - 5)]
    assert all(rows == frame for _, rows, frame in seen)


real = walkforward.fit


def test_every_session_is_scored_and_the_training_is_thinned():
    found = walked(stride=5)
    assert found.scores["session"].unique().sort().to_list() == days(120)[60:]
    assert found.folds["train_dates"].to_list() == [11, 15, 19]
    assert found.scores.columns == ["session", "as_of", "symbol", LABEL, "naive", "ridge"]
    assert found.scores.select(pl.all_horizontal(pl.col("naive", "ridge").is_not_null())).to_series().all()


def test_burning_the_future_changes_no_score():
    """Labels and features after a fold's end cannot change its scores; those of the fold itself change no score."""
    clean = panel()
    later = pl.col("session") >= days(120)[80]
    burnt = clean.frame.with_columns(
        pl.when(later).then(-3 * pl.col("b")).otherwise("b").alias("b"),
        pl.when(pl.col("session") >= days(120)[75]).then(pl.lit(9.0)).otherwise(LABEL).alias(LABEL),
    )
    other = Panel(burnt, clean.features, clean.labels, "burnt")
    models = [*ridge, *lightgbm]
    small = {"lightgbm": {"n_estimators": 5}}
    one, two = (walked(each, models=models, parameters=small).scores for each in (clean, other))
    before = pl.col("session") < days(120)[80]
    assert one.filter(before).select("ridge", "lightgbm").equals(two.filter(before).select("ridge", "lightgbm"))
    assert not one.filter(~before).select("ridge").equals(two.filter(~before).select("ridge"))


def test_a_model_that_memorises_has_no_skill_on_noise():
    """Check 2, trap 1: a model that knows every training label by heart is worth nothing out of sample on noise."""

    class Memory:
        def fit(self, x, y):
            self.x, self.y = x, y
            return self

        def predict(self, x):
            nearest = np.argmin(((x[:, None, :] - self.x[None, :, :]) ** 2).sum(axis=2), axis=1)
            return self.y[nearest]

    memory = Model(name="memory", module=__name__, doc="x", settings={}, build=Memory)
    source = panel(n=220, names=12)
    folds = folds_over(decided(220), folds=3, min_train_sessions=60)
    found = walk_forward(
        source, LABEL, folds, [memory, *ridge], ledger=Everything(), numbers=numbers(220), stride=5, jobs=1
    )
    choice = choose(rank_ics(found.scores, LABEL, ["memory", "ridge"]), horizon=5, replications=1000)
    assert choice.champion is None
    for row in choice.evidence.iter_rows(named=True):
        assert row["lower"] < 0 < row["upper"]


def test_a_planted_edge_is_found():
    source = panel(n=220, edge=0.6)
    folds = folds_over(decided(220), folds=3, min_train_sessions=60)
    found = walk_forward(source, LABEL, folds, [*naive, *ridge], ledger=Everything(), numbers=numbers(220), jobs=1)
    choice = choose(rank_ics(found.scores, LABEL, ["naive", "ridge"]), horizon=5, replications=1000)
    assert choice.champion == "ridge"


def test_threads_do_not_change_the_scores():
    models = [*naive, *ridge, *lightgbm]
    one, two = (
        walked(models=models, parameters={"lightgbm": {"n_estimators": 5}}, jobs=jobs).scores for jobs in (1, 3)
    )
    assert one.equals(two)


def test_a_candidate_without_its_feature_abstains_and_says_so():
    source = panel()
    without = Panel(source.frame.drop("momentum_12_1"), FEATURES[1:], source.labels, "without")
    found = walked(without)
    assert "`momentum_12_1`" in found.abstained["naive"]
    assert found.scores["naive"].null_count() == found.scores.height
    assert found.scores["ridge"].null_count() == 0


def test_finished_folds_are_read_and_not_fitted_again(tmp_path: Path, monkeypatch):
    first = walked(cache=tmp_path)
    monkeypatch.setattr(walkforward, "fit", lambda *_: pytest.fail("it was fitted again"))
    assert walked(cache=tmp_path).scores.equals(first.scores)


@pytest.mark.parametrize(
    "change",
    [
        {"parameters": {"ridge": {"alpha": 7.0}}},
        {"stride": 2},
        {"given_panel": panel(seed=1)},
    ],
    ids=["parameters", "stride", "data"],
)
def test_a_changed_recipe_is_fitted_again(tmp_path: Path, change):
    """Trap 4: nothing is taken from a cache that was filled by something else."""
    walked(cache=tmp_path, models=[*ridge])
    cached, fresh = (walked(cache=folder, models=[*ridge], **change).scores for folder in (tmp_path, None))
    assert cached.equals(fresh)


def test_a_failing_fit_is_not_swallowed():
    def build():
        raise ZeroDivisionError("broken")

    broken = Model(name="broken", module=__name__, doc="x", settings={}, build=build)
    with pytest.raises(ZeroDivisionError):
        walked(models=[broken])


def test_a_feature_unavailable_is_the_only_reason_to_abstain():
    def build():
        raise FeatureUnavailable("none")

    shy = Model(name="shy", module=__name__, doc="x", settings={}, build=build)
    assert walked(models=[shy]).abstained == {"shy": "none"}


def test_progress_counts_every_fit():
    said: list[tuple[int, int, str]] = []
    walked(progress=lambda *each: said.append(each))
    assert [each[:2] for each in said] == [(at, 6) for at in range(1, 7)]
    assert said[0][2] == "naive, fold 1"


KILLED = """
    import os, signal, sys
    from pathlib import Path
    sys.path.insert(0, {here!r})
    import test_walkforward as t
    from openbell.research import walkforward
    real, calls = os.replace, []
    def dies(*arguments):
        calls.append(1)
        if len(calls) == {at}:
            os.kill(os.getpid(), signal.SIGKILL)
        real(*arguments)
    walkforward.os.replace = dies
    t.walked(cache=Path({cache!r}))
"""


@pytest.mark.parametrize("at", [1, 4])
def test_killed_it_goes_on_with_the_same_scores(tmp_path: Path, at: int):
    """kill -9 just before a fold's result gets its name: nothing half-written, the repeat equals an undisturbed run."""
    here = str(Path(__file__).parent)
    code = textwrap.dedent(KILLED.format(here=here, at=at, cache=str(tmp_path)))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, check=False)
    assert done.returncode == -signal.SIGKILL
    assert len(list(tmp_path.glob("*.parquet"))) == at - 1
    assert walked(cache=tmp_path).scores.equals(walked().scores)


class Recorded:
    """A ledger that holds what it was told."""

    def __init__(self, *models: Model) -> None:
        self.prints = {fingerprint(model, {}) for model in models}

    def __contains__(self, fingerprint: str) -> bool:
        return fingerprint in self.prints


@pytest.mark.parametrize("keep_going", [False, True])
def test_an_empty_ledger_is_refused(keep_going):
    """What is not counted is not fitted, and is no failure of the candidate either: the run stops."""
    with pytest.raises(Refused, match="not in the ledger"):
        walked(ledger=set(), keep_going=keep_going)
    with pytest.raises(Refused, match="`ridge` is not in the ledger"):
        walked(ledger=Recorded(*naive), keep_going=keep_going)
    assert walked(ledger=Recorded(*naive, *ridge), keep_going=keep_going).failed == {}


def blend(*members: str) -> Model:
    return replace(ensemble[0], name="blend", members=members)


def spied(monkeypatch) -> list[str]:
    """Names of the models that are fitted from now on."""
    names: list[str] = []

    def spy(model, *rest, **more):
        names.append(model.name)
        return real(model, *rest, **more)

    monkeypatch.setattr(walkforward, "fit", spy)
    return names


QUICK = {"lightgbm": {"n_estimators": 5, "num_leaves": 4, "min_child_samples": 10}}
PAIR = (*ridge, *lightgbm)


def made_of(parameters) -> dict[str, tuple]:
    return {"blend": tuple((each, parameters.get(each.name, {})) for each in PAIR)}


def test_a_blend_whose_members_meet_is_their_mean_and_not_fitted(monkeypatch):
    """Bit-equal to the fitted one, for a third of the time."""
    both = blend("ridge", "lightgbm")
    fits = spied(monkeypatch)
    told = {"parameters": QUICK, "members": made_of(QUICK)}
    fitted = walked(models=[both], **told).scores["blend"]
    assert fits == ["blend"] * 3
    fits.clear()
    for order in ((*PAIR, both), (both, *PAIR)):
        met = walked(models=order, **told)
        assert met.scores["blend"].equals(fitted)
        assert met.scores["blend"].to_numpy() == pytest.approx(
            met.scores.select("ridge", "lightgbm").to_numpy().mean(axis=1)
        )
    assert sorted(fits) == ["lightgbm"] * 6 + ["ridge"] * 6


@pytest.mark.parametrize(
    ("models", "parameters"),
    [((ridge[0],), QUICK), (PAIR, {"lightgbm": {**QUICK["lightgbm"], "num_leaves": 5}}), (PAIR, {})],
    ids=["missing", "others", "defaults"],
)
def test_a_blend_is_fitted_where_a_member_is_missing_or_is_another(monkeypatch, models, parameters):
    """A member that does not meet, or meets with other parameters than it has in the blend, lends it no score."""
    both = blend("ridge", "lightgbm")
    alone = walked(models=[both], parameters=QUICK, members=made_of(QUICK)).scores["blend"]
    fits = spied(monkeypatch)
    met = walked(models=[*models, both], parameters=parameters, members=made_of(QUICK))
    assert fits.count("blend") == 3
    assert met.scores["blend"].equals(alone)


def failing(at: int) -> Model:
    """A ridge that cannot be built the `at`-th time."""
    built: list[int] = []

    def build(**parameters):
        built.append(1)
        if len(built) == at:
            raise ZeroDivisionError("later rows do not suit it")
        return ridge[0].build(**parameters)

    return replace(ridge[0], name="broken", build=build)


def test_one_that_fails_in_the_third_fold_is_left_out_and_the_others_go_on(tmp_path):
    """Issue 3, point 7: its scores are gone, those of the others are bit-equal, and a blend of it fails with it."""
    alone = walked()
    broken = failing(3)
    both = blend("ridge", "broken")
    members = {"blend": ((ridge[0], {}), (broken, {}))}
    found = walked(models=[*naive, broken, both, *ridge], members=members, keep_going=True, cache=tmp_path)
    why = "Fold 3: ZeroDivisionError: later rows do not suit it"
    assert found.failed == {"broken": why, "blend": why}
    assert found.abstained == {}
    assert found.scores.select("broken", "blend").null_count().row(0) == (found.scores.height,) * 2
    assert found.scores.drop("broken", "blend").equals(alone.scores)
    assert found.folds.equals(alone.folds)
    # The folds that went well are kept, the failure is not: mended, it is fitted once more.
    assert len(list(tmp_path.glob("*.parquet"))) == 8


def test_one_that_abstains_later_says_so():
    """A fold without scores in the middle is not passed over in silence."""
    built: list[int] = []

    def build(**parameters):
        built.append(1)
        if len(built) == 2:
            raise FeatureUnavailable("not in this fold")
        return ridge[0].build(**parameters)

    found = walked(models=[replace(ridge[0], name="shy", build=build), *ridge])
    assert found.abstained == {"shy": "not in this fold"}
    middle = pl.col("session").is_between(days(120)[80], days(120)[99])
    assert found.scores.filter(middle)["shy"].is_null().all()
    assert found.scores.filter(~middle)["shy"].equals(found.scores.filter(~middle)["ridge"].alias("shy"))


@pytest.mark.parametrize("error", [LeakFound, StorageFailed, IntegrityBroken])
def test_what_breaks_the_trust_in_all_stops_all(monkeypatch, error):
    def broken(*_, **__):
        raise error("stop")

    monkeypatch.setattr(walkforward, "fit", broken)
    with pytest.raises(error):
        walked(keep_going=True)


@dataclass
class Look:
    """Looks at every fit, and counts how often."""

    name: str = "look 1"
    seen: list = field(default_factory=list)

    def __call__(self, model, fitted, features, rows):
        self.seen.append((model.name, rows["session"][0]))
        assert features.height == rows.height
        assert rows.columns == ["session", "symbol", LABEL]
        return pl.DataFrame({"said": [float(features["b"].sum())]})


def test_what_is_examined_is_kept_under_its_own_name(tmp_path):
    """Read again with its scores; another look finds the scores kept and looks at them anew."""
    first = Look()
    found = walked(examine=first, cache=tmp_path)
    assert len(first.seen) == 6
    assert found.examined.select("model", "fold").rows() == [(m, f) for f in (1, 2, 3) for m in ("naive", "ridge")]
    again, other = Look(), Look("look 2")
    assert walked(examine=again, cache=tmp_path).examined.equals(found.examined)
    assert again.seen == []
    assert walked(examine=other, cache=tmp_path).examined.equals(found.examined)
    assert len(other.seen) == 6
    assert walked().examined is None


def test_what_was_examined_of_one_that_failed_is_not_told():
    found = walked(models=[failing(3), *ridge], keep_going=True, examine=Look())
    assert found.examined["model"].to_list() == ["ridge"] * 3
