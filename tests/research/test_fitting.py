"""One fit: what is refused before it, what a failure becomes, and what its hash is made of."""

import sys
import types

import numpy as np
import polars as pl
import pytest

from openbell.core.declare import Model, model
from openbell.core.errors import BadInput, FeatureUnavailable, OpenbellError, Refused
from openbell.research import fitting
from openbell.research.fitting import fingerprint, fit

FRAME = pl.DataFrame({"a": [0.1, -0.2, 0.4, 0.0], "b": [0.0, 0.1, -0.1, 0.2]})
TARGET = np.array([1.0, 2.0, 3.0, 4.0])
KEYS = pl.DataFrame(
    {"session": ["2020-01-02", "2020-01-03", "2020-01-06", "2020-01-07"], "symbol": ["S"] * 4}
).with_columns(pl.col("session").str.to_date())


class Everything:
    """A ledger that holds every configuration."""

    def __contains__(self, fingerprint: str) -> bool:
        return True


def declared(act=None, **how) -> Model:
    """A model whose estimator notes what its `fit` was handed and then does `act`."""

    class Estimator:
        def fit(self, X, y, sample_weight=None, t=None, symbol=None, known_at=None):
            self.seen = {"X": X, "y": y, "sample_weight": sample_weight, "t": t, "symbol": symbol, "known_at": known_at}
            if act is not None:
                act()

        def predict(self, X, **where):
            return X[:, 0]

    def build(*, depth: int = 1):
        """A probe."""
        return Estimator()

    return model(name="probe", handles_missing=True, **how)(build)[0]


def fitted(made: Model, **more):
    given = {"frame": FRAME, "target": TARGET, "parameters": {}, "ledger": Everything(), **more}
    return fit(made, given.pop("frame"), given.pop("target"), given.pop("parameters"), **given)


def test_the_ledger_has_no_default():
    """Kills a ledger that one may forget: a fit that is not counted is a result that lies."""
    with pytest.raises(TypeError, match="ledger"):
        fit(declared(), FRAME, TARGET, {})  # type: ignore[call-arg]


def test_a_configuration_that_was_not_counted_is_not_fitted():
    started = []
    made = declared(lambda: started.append(1))
    counted = {fingerprint(made, {"depth": 2})}
    for parameters in ({}, {"depth": 3}):
        with pytest.raises(Refused, match="is not in the ledger of trials"):
            fitted(made, ledger=counted, parameters=parameters)
    assert started == []
    fitted(made, ledger=counted, parameters={"depth": 2})
    assert started == [1]


def test_what_a_library_raises_becomes_a_sentence():
    """Check 57: the failure of a training is told with the model's name, and never swallowed."""

    def breaks():
        raise ValueError("no such leaf")

    with pytest.raises(OpenbellError, match="`probe` failed to train: ValueError: no such leaf") as told:
        fitted(declared(breaks))
    assert type(told.value) is OpenbellError
    assert told.value.exit_code != 0


@pytest.mark.parametrize("kind", [FeatureUnavailable, BadInput, MemoryError, KeyboardInterrupt])
def test_what_says_enough_itself_is_let_through(kind):
    def breaks():
        raise kind("as it is")

    with pytest.raises(kind, match="as it is"):
        fitted(declared(breaks))


@pytest.mark.parametrize(
    "target", [TARGET[:3], np.array([1.0, np.nan, 2.0, 3.0]), np.array([1.0, np.inf, 2.0, 3.0]), np.array(list("abcd"))]
)
def test_a_target_that_is_none_is_refused(target):
    with pytest.raises(BadInput, match="one finite value for each of the 4 rows"):
        fitted(declared(), target=target)


def test_no_rows_and_unknown_parameters_are_refused():
    with pytest.raises(BadInput, match="no rows to train on"):
        fitted(declared(), frame=FRAME.clear(), target=TARGET[:0])
    with pytest.raises(BadInput, match="no parameter `depht`"):
        fitted(declared(), parameters={"depht": 3})


@pytest.mark.parametrize(
    "weight",
    [np.ones(3), np.array([1, -1, 1, 1.0]), np.zeros(4), np.array([1, np.nan, 1, 1]), np.array([1, np.inf, 1, 1])],
)
def test_weights_that_are_none_are_refused(weight):
    with pytest.raises(BadInput, match="must be 4 finite numbers, none below 0 and not all 0"):
        fitted(declared(), sample_weight=weight)


def test_an_estimator_is_handed_what_its_signature_names():
    weight = np.array([1.0, 2.0, 0.0, 1.0])
    known = KEYS.with_columns(known_at=pl.col("session").cast(pl.Datetime("us", "UTC")))
    seen = fitted(declared(), keys=known, sample_weight=weight).predictor.seen
    assert seen["X"].dtype == np.float32
    assert seen["y"].dtype == np.float32
    np.testing.assert_array_equal(seen["sample_weight"], weight)
    np.testing.assert_array_equal(seen["t"], KEYS["session"].to_numpy())
    np.testing.assert_array_equal(seen["symbol"], ["S"] * 4)
    assert seen["known_at"].dtype == np.dtype("datetime64[us]")
    assert (seen["known_at"] <= seen["t"]).all()
    bare = fitted(declared()).predictor.seen
    assert all(bare[name] is None for name in ("sample_weight", "t", "symbol", "known_at"))


def test_a_sequence_without_its_keys_is_refused():
    with pytest.raises(BadInput, match="needs `keys`"):
        fitted(declared(sequential=True))
    fitted(declared(sequential=True), keys=KEYS)


def test_classes_are_coded_in_order_and_must_be_whole():
    made = declared(task="classification")
    known = fitted(made, target=np.array([5, -1, 5, 2]))
    assert known.classes == (-1.0, 2.0, 5.0)
    np.testing.assert_array_equal(known.predictor.seen["y"], [2, 0, 2, 1])
    assert fitted(made, target=np.array([True, False, True, True])).classes == (0.0, 1.0)
    with pytest.raises(BadInput, match=r"whole numbers; one was 0\.5"):
        fitted(made, target=np.array([1, 0.5, 0, 1]))


def test_a_single_class_is_not_fitted_but_still_counted():
    made = declared(lambda: pytest.fail("fitted"), task="classification")
    assert fitted(made, target=np.ones(4)).predict(FRAME).tolist() == [1.0] * 4
    with pytest.raises(Refused):
        fitted(made, target=np.ones(4), ledger=())


def test_a_regression_has_no_probabilities():
    with pytest.raises(BadInput, match="is a regression"):
        fitted(declared()).predict_proba(FRAME)


def test_the_fingerprint_knows_the_code_that_is_shared(monkeypatch: pytest.MonkeyPatch):
    """Kills a hash of the one file: a change in what it takes from its room is another model."""
    source = {"room.one": "import sklearn", "room.shared": "x = 1", "other.far": "y = 1"}
    modules = {name: types.ModuleType(name) for name in source}

    def build(*, depth: int = 1):
        """A probe."""

    def helper():
        """Shared."""

    build.__module__, helper.__module__ = "room.one", "room.shared"
    modules["room.one"].helper = helper
    for name, each in modules.items():
        monkeypatch.setitem(sys.modules, name, each)
    monkeypatch.setattr(fitting.inspect, "getsource", lambda each: source[each.__name__])
    made = model(name="probe")(build)[0]
    before = fingerprint(made, {})
    source["other.far"] = "y = 2"
    assert fingerprint(made, {}) == before
    source["room.shared"] = "x = 2"
    assert fingerprint(made, {}) != before


def test_the_fingerprint_knows_the_versions_of_what_is_used_alone(monkeypatch: pytest.MonkeyPatch):
    """A new LightGBM is another model where LightGBM is used, and no reason to count a ridge again."""
    from openbell.models.lightgbm import lightgbm
    from openbell.models.linear import ridge

    before = [fingerprint(each[0], {}) for each in (lightgbm, ridge)]
    real = fitting._version
    monkeypatch.setattr(fitting, "_version", lambda name: "9.9" if name == "lightgbm" else real(name))
    after = [fingerprint(each[0], {}) for each in (lightgbm, ridge)]
    assert before[0] != after[0]
    assert before[1] == after[1]
