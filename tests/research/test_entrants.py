"""Who meets: by name and once, with parameters that were searched for in the first training window alone."""

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from openbell.core.declare import Model
from openbell.core.errors import BadInput, LeakFound, Refused
from openbell.core.types import Panel
from openbell.models.linear import ridge
from openbell.models.naive import naive
from openbell.research import entrants as module
from openbell.research.entrants import Entrants, entrants_of, tuned
from openbell.research.fitting import fingerprint
from openbell.research.folds import Fold
from openbell.store.trials import Trials

sys.path.insert(0, str(Path(__file__).parent))
import small_tournament as small
from training_window import Ledger

#: Ridge with a search of its own; the space lies away from the defaults.
SEARCHED = replace(ridge[0], search={"alpha": {"low": 1e-3, "high": 1e5, "log": True}})


def find(name: str) -> Model:
    return {"ridge": SEARCHED, "naive": naive[0], "blend": small.BLEND, "lightgbm": small.found("lightgbm")}[name]


@pytest.fixture(scope="module")
def panel() -> Panel:
    place = small.venue(None)
    return place.panel(place.decisions())


@pytest.fixture(scope="module")
def fold() -> Fold:
    place = small.venue(None)
    return place.folds(place.decisions())[0]


def test_a_name_meets_once_and_in_the_order_it_was_entered():
    met = entrants_of(("naive", "ridge", "naive"), ("hrp", "equal", "hrp"), find, {})
    assert [each.name for each in met.models] == ["naive", "ridge"]
    assert met.allocators == ("hrp", "equal")
    assert (met.tuned, dict(met.members), dict(met.out)) == ((), {}, {})


@pytest.mark.parametrize(("names", "allocators"), [((), ("equal",)), (("naive",), ())])
def test_nobody_is_no_tournament(names, allocators):
    with pytest.raises(BadInput, match="at least one candidate and one allocator"):
        entrants_of(names, allocators, find, {})


def test_a_model_without_a_search_is_not_tuned():
    with pytest.raises(BadInput, match="`naive` declares no search space, so there is no `naive_tuned`"):
        entrants_of(("naive_tuned",), ("equal",), find, {})


def test_a_tuned_one_is_its_stem_under_a_name_of_its_own():
    met = entrants_of(("ridge", "ridge_tuned"), ("equal",), find, {})
    plain, searched = met.models
    assert (searched.name, searched.build, searched.search) == ("ridge_tuned", plain.build, plain.search)
    assert met.tuned == ("ridge_tuned",)
    assert met.prints["ridge"] != met.prints["ridge_tuned"]


def test_parameters_are_those_of_its_own_name_and_else_of_the_declared_one():
    given = {"ridge": {"alpha": 7.0}, "lightgbm": {"n_estimators": 5}}
    met = entrants_of(("ridge", "ridge_tuned", "naive", "blend"), ("equal",), find, given)
    assert met.parameters == {"ridge": {"alpha": 7.0}, "ridge_tuned": {"alpha": 7.0}, "naive": {}, "blend": {}}
    own = entrants_of(("ridge", "ridge_tuned"), ("equal",), find, {**given, "ridge_tuned": {"alpha": 9.0}})
    assert own.parameters == {"ridge": {"alpha": 7.0}, "ridge_tuned": {"alpha": 9.0}}
    assert [(each.name, used) for each, used in met.members["blend"]] == [
        ("ridge", {"alpha": 7.0}),
        ("lightgbm", {"n_estimators": 5}),
    ]


def test_a_print_changes_with_parameters_and_with_members():
    one = entrants_of(("ridge", "blend"), ("equal",), find, {}).prints
    other = entrants_of(("ridge", "blend"), ("equal",), find, {"ridge": {"alpha": 7.0}}).prints
    assert one["ridge"] == fingerprint(SEARCHED, {})
    assert one["ridge"] != other["ridge"]
    assert one["blend"] != other["blend"]


def searched(panel: Panel, fold: Fold, ledger: Any, names=("naive", "ridge_tuned"), **changes: Any):
    return tuned(small.venue(ledger, **changes), entrants_of(names, ("equal",), find, {}), panel, fold)


def test_without_one_to_tune_nothing_is_searched(panel, fold, monkeypatch):
    monkeypatch.setattr(module, "tune", lambda *_, **__: pytest.fail("it searched"))
    met, table, notes = searched(panel, fold, Ledger(), ("naive", "ridge"))
    assert [each.name for each in met.models] == ["naive", "ridge"]
    assert table.is_empty()
    assert table.columns == ["model", "trial", "value", "default_value", "state"]
    assert notes == ()


def test_every_trial_is_told_and_counted_once(panel, fold, tmp_path):
    """The best parameters go to the entrant, the defaults stay with the others, and the ledger has each trial."""
    with Trials.open(f"sqlite:///{tmp_path}/trials.db") as trials:
        met, table, notes = searched(panel, fold, trials, trials=6)
        kept = trials.table("stocks")
        again = searched(panel, fold, trials, trials=6)
        assert trials.table("stocks").equals(kept)
    assert again[1].equals(table)
    assert again[0].parameters == met.parameters
    assert table["model"].to_list() == ["ridge_tuned"] * 6
    assert table["trial"].to_list() == list(range(6))
    assert table["default_value"].to_list() == [table["value"][0]] * 6
    assert kept["kind"].to_list() == ["tuning"] * 6
    best = table["value"].arg_max()
    alphas = [json.loads(each)["alpha"] for each in kept["parameters"]]
    assert best is not None
    assert best > 0
    assert met.parameters["ridge_tuned"] == {"alpha": alphas[best]}
    assert met.parameters["naive"] == {}
    assert [note for note in notes if note.startswith("ridge_tuned: the best of 6 trials has a mean rank IC of ")]
    assert fingerprint(met.models[1], met.parameters["ridge_tuned"]) in set(kept["fingerprint"])


def test_the_search_reads_the_first_training_window_alone(panel, fold):
    """All that comes after it, and the labels within it that were not known at its end, are turned to nonsense."""
    label = small.venue(None).label.name
    known = pl.col(f"{label}_known_at") <= fold.fit_at
    later = pl.col("session") >= fold.test_first
    before = pl.col("session") < fold.train_first
    assert panel.frame.filter(~known & ~later).height > 0
    nonsense = [
        pl.when(later | before).then(-3.0 * pl.col(name)).otherwise(name).cast(pl.Float32).alias(name)
        for name in panel.features
    ]
    outcome = pl.when(~known.fill_null(False) | before).then(-pl.col(label)).otherwise(label).alias(label)
    burnt = Panel(panel.frame.with_columns(*nonsense, outcome), panel.features, panel.labels, panel.recipe)
    one, other = (searched(each, fold, Ledger(), trials=6) for each in (panel, burnt))
    assert one[0].parameters == other[0].parameters
    assert one[1].equals(other[1])
    some = ~later & (pl.col("session").dt.month() > 6)
    flipped = panel.frame.with_columns(pl.when(some).then(-pl.col(label)).otherwise(label).alias(label))
    inside = searched(Panel(flipped, panel.features, panel.labels, panel.recipe), fold, Ledger(), trials=6)
    assert not inside[1].equals(one[1])


def test_a_search_that_fails_takes_its_own_candidate_out(panel, fold, monkeypatch):
    """Its defaults under its name would be another candidate; the others are searched for."""
    real = module.tune

    def moody(model: Model, *rest: Any, **more: Any) -> Any:
        if model.name == "ridge_tuned":
            raise ArithmeticError("nothing converged")
        return real(model, *rest, **more)

    monkeypatch.setattr(module, "tune", moody)
    names = ("naive", "ridge_tuned", "lightgbm_tuned")
    quick = {"lightgbm": {"n_estimators": 3, "num_leaves": 4}}
    met = entrants_of(names, ("equal",), find, quick)
    small_search = replace(met.models[2], search={"num_leaves": {"low": 3, "high": 5}})
    met = replace(met, models=(*met.models[:2], small_search))
    found, table, _ = tuned(small.venue(Ledger(), trials=2), met, panel, fold)
    assert [each.name for each in found.models] == ["naive", "lightgbm_tuned"]
    assert found.out == {"ridge_tuned": "ArithmeticError: nothing converged"}
    assert table["model"].unique().to_list() == ["lightgbm_tuned"]
    assert found.parameters["lightgbm_tuned"]["n_estimators"] == 3


@pytest.mark.parametrize("error", [LeakFound, Refused])
def test_a_leak_or_a_bypassed_ledger_is_nobodys_own_failure(panel, fold, monkeypatch, error):
    def leaks(*_: Any, **__: Any) -> None:
        raise error("stop")

    monkeypatch.setattr(module, "tune", leaks)
    with pytest.raises(error):
        searched(panel, fold, Ledger())


def test_the_time_of_all_searches_is_shared(panel, fold, monkeypatch):
    asked = []

    def watched(model: Model, rows: Any, *, settings: Any, **_: Any) -> None:
        asked.append((settings.time_budget_seconds, settings.trials, len(np.unique(rows.keys["session"]))))
        raise ArithmeticError

    monkeypatch.setattr(module, "tune", watched)
    searched(panel, fold, Ledger(), ("ridge_tuned", "lightgbm_tuned"), time_budget_seconds=60.0)
    assert [each[:2] for each in asked] == [(30.0, 3)] * 2
    # 252 sessions of training hold 50 rebalances; the label of the last two was not known yet.
    assert 47 <= asked[0][2] <= 50


def test_entrants_are_frozen():
    assert Entrants((), ()).prints == {}
    with pytest.raises(AttributeError):
        Entrants((), ()).allocators = ("equal",)
