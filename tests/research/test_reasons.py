"""Why the held names have their scores: of these names, proven to sum, and never in the way of a decision."""

import datetime as dt
import math
import re
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from openbell.core.types import Forecast
from openbell.models.lightgbm import lightgbm
from openbell.models.linear import ridge
from openbell.research import reasons as room
from openbell.research.explanation import contributions
from openbell.research.fitting import fit
from openbell.research.forecasting import FEATURES_READ, no_view
from openbell.research.reasons import Reasons, reasons
from openbell.store.artifacts import FittedModel

sys.path.insert(0, str(Path(__file__).parent))
from training_window import counted

AS_OF = dt.datetime(2020, 3, 16, 13, tzinfo=dt.UTC)
NAMES = ("driver", "helper", "partner", "idle")
COEFFICIENTS = np.array([0.4, -0.2, 0.1, 0.0])


def rows(n: int, seed: int = 0) -> pl.DataFrame:
    values = np.random.default_rng(seed).uniform(-0.5, 0.5, (n, len(NAMES)))
    return pl.DataFrame(values, schema=list(NAMES)).cast(pl.Float32)


def fitted(declared=lightgbm[0], **parameters) -> FittedModel:
    frame = rows(600, seed=1)
    target = frame.to_numpy() @ COEFFICIENTS
    return fit(declared, frame, target, parameters, ledger=counted(declared, parameters))


BOOSTED = fitted(n_estimators=20)


def said_by(model: FittedModel, n: int = 80) -> Forecast:
    read = rows(n).select(pl.Series("symbol", [f"S{at:03d}" for at in range(n)]), *NAMES)
    scores = read.select("symbol", pl.Series("score", model.predict(read.select(NAMES))))
    return Forecast(AS_OF, scores, "m@1", evidence={FEATURES_READ: read})


def held(*names: str) -> dict[str, float]:
    return dict.fromkeys(names, 0.1)


def test_each_held_name_is_told_its_largest_contributions() -> None:
    """Kills a table whose rows belong to other names: each sentence is compared with its own row, by hand."""
    model = fitted(ridge[0], alpha=1e-6)
    said = said_by(model)
    found = reasons(model, said, held("S070", "S003", "S031"))
    assert sorted(found.because) == ["S003", "S031", "S070"]
    assert (found.method, found.unit, found.notes) == ("linear", "score", ())
    for symbol, told in found.because.items():
        row = said.evidence[FEATURES_READ].row(by_predicate=pl.col("symbol") == symbol, named=True)
        parts = {name: row[name] * weight for name, weight in zip(NAMES, COEFFICIENTS, strict=True)}
        order = sorted(NAMES, key=lambda name: -abs(parts[name]))[:3]
        told_of = [re.fullmatch(r"`(\w+)` at (\S+) (raised|lowered) the score by (\S+)\.", each) for each in told]
        for name, match in zip(order, told_of, strict=True):
            assert match is not None
            assert match.group(1, 2, 3) == (name, f"{row[name]:.3g}", "raised" if parts[name] > 0 else "lowered")
            assert float(match.group(4)) == pytest.approx(abs(parts[name]), rel=0.01)


def test_the_same_forecast_is_explained_in_the_same_words() -> None:
    said = said_by(BOOSTED)
    first = reasons(BOOSTED, said, held("S001", "S002"))
    assert first == reasons(BOOSTED, said, held("S002", "S001"))
    alone = reasons(BOOSTED, said, held("S002"))
    assert alone.because["S002"] == first.because["S002"]


class Opaque:
    """A model of no library: it is explained by permutation."""

    def predict(self, matrix: np.ndarray) -> np.ndarray:
        return matrix.astype(np.float64) @ COEFFICIENTS


def test_what_is_not_known_does_not_depend_on_what_is_held() -> None:
    """Kills a background drawn from the held names, which are all alike: high scores."""
    model = FittedModel("opaque", NAMES, Opaque(), handles_missing=True)
    said = said_by(model)
    one, many = reasons(model, said, held("S005")), reasons(model, said, held("S005", "S006", "S007", "S008"))
    assert one.method == many.method == "permutation"
    assert one.because["S005"] == many.because["S005"]


def test_the_heaviest_are_explained_and_the_rest_is_said() -> None:
    said = said_by(BOOSTED)
    weights = {f"S{at:03d}": 0.001 * (1 + at) for at in range(60)}
    found = reasons(BOOSTED, said, weights)
    assert sorted(found.because) == [f"S{at:03d}" for at in range(10, 60)]
    assert found.notes == ("Of 60 names the 50 heaviest are explained.",)


def test_a_held_name_without_a_score_is_named() -> None:
    found = reasons(BOOSTED, said_by(BOOSTED), held("S001", "GONE", "LATE"))
    assert list(found.because) == ["S001"]
    assert found.notes == ("2 held names have no score to explain: GONE, LATE.",)
    assert reasons(BOOSTED, said_by(BOOSTED), held("GONE")).because == {}


class Sequence:
    sequential, sequence_length = True, 4


class Broken:
    """A predictor whose library fails when it is asked again."""

    def predict(self, matrix: np.ndarray) -> np.ndarray:
        raise RuntimeError("out of luck")


@pytest.mark.parametrize(
    ("predictor", "sentence"),
    [
        (Sequence(), "The model `lightgbm` reads sequences; a forecast of it is not made of one row's values."),
        (Broken(), "RuntimeError: out of luck"),
    ],
)
def test_what_cannot_be_explained_is_said_and_stops_nothing(predictor, sentence: str) -> None:
    found = reasons(replace(BOOSTED, predictor=predictor), said_by(BOOSTED), held("S001"))
    assert found == Reasons(notes=(f"The scores are not explained. {sentence}",))


def test_contributions_that_do_not_sum_are_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """A check that fails is a sentence in the report: kills a `reasons` that asks for no check."""
    other = fitted(n_estimators=40, learning_rate=0.3)

    class Swapped:
        def predict(self, matrix, **asked):
            return (other if asked.get("pred_contrib") else BOOSTED).predictor.predict(matrix, **asked)

    Swapped.__module__ = "lightgbm.tampered"
    found = reasons(replace(BOOSTED, predictor=Swapped()), said_by(BOOSTED), held("S001"))
    assert found.because == {}
    assert "they explain another model. They are not shown." in found.notes[0]
    asked = []

    def spied(model, frame, **more):
        asked.append(frame.height)
        return contributions(model, frame, **more)

    monkeypatch.setattr(room, "contributions", spied)
    assert reasons(BOOSTED, said_by(BOOSTED), held("S001", "S002")).because
    assert asked == [2], "only what is held is explained"


def test_without_a_view_or_a_holding_there_is_nothing_to_explain() -> None:
    quiet = no_view(AS_OF, ["No view."])
    for model in (None, BOOSTED):
        assert reasons(model, quiet, held("S001")).notes == ("There is no view, so there is nothing to explain.",)
    assert reasons(BOOSTED, said_by(BOOSTED), {}).notes == ("Nothing is held, so there is nothing to explain.",)


def test_a_model_that_is_silent_here_says_so() -> None:
    """A name whose forecast is missing has no contributions, and no number stands in for them."""

    class Silent:
        def predict(self, matrix: np.ndarray) -> np.ndarray:
            return np.full(len(matrix), math.nan)

    found = reasons(FittedModel("silent", NAMES, Silent(), handles_missing=True), said_by(BOOSTED), held("S001"))
    assert found.because == {}
    assert "abstains on 16 rows of its own background" in found.notes[0]
