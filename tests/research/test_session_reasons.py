"""Tests of why a session was called: contributions sum, sentences say value, unit and lineage, silence is silence."""

import numpy as np
import polars as pl
import pytest
from tests.research.session_decisions import FEATURES, Everything, candidates, sessions

from openbell.core.errors import BadInput
from openbell.research.session_models import BASE_RATE, fit_session_models
from openbell.research.session_reasons import contribution_rows, explained, importance, reasons

NAMES = ("logistic", "lightgbm_classifier", "xgboost_classifier", BASE_RATE)


@pytest.fixture(scope="module")
def rows():
    return sessions(n=160, skill=0.9)


@pytest.fixture(scope="module")
def models(rows):
    return fit_session_models(rows, FEATURES, "direction_from_cutoff", candidates(*NAMES), ledger=Everything())


@pytest.mark.parametrize("name", NAMES[:3])
def test_contributions_are_the_same_for_and_against_and_the_edge_is_what_moves_it(models, rows, name):
    """Of two classes what speaks for one speaks as loudly against the other."""
    up, down = (explained(models[name], rows, of) for of in ("UP", "DOWN"))
    assert np.allclose(up.values, -down.values)
    assert up.additivity_error < 1e-4
    first = importance(models[name], rows)
    assert first["feature"][0] == "edge"
    assert first["direction"][0] > 0.5, "more edge speaks for UP"
    assert first["n"].to_list() == [160] * 3


def test_a_sentence_says_value_unit_and_where_it_comes_from(models, rows):
    lineage = {"edge": {"source": "bars", "as_of": "2020-01-06 14:15:00+00:00"}}
    found = reasons(models["logistic"], rows.head(2), ["UP", "DOWN"], units={"edge": "fraction"}, lineage=lineage)
    told, value = next(each for each in found[0] if "`edge`" in each), rows["edge"][0]
    assert told.startswith(f"`edge` at {value:.4g} (fraction; of bars, as of 2020-01-06 14:15) spoke ")
    assert ("for UP" in told) == (explained(models["logistic"], rows.head(1), "UP").values[0, 0] > 0)
    assert told.endswith("of what moved `logistic`.")
    with pytest.raises(BadInput, match="There are 2 rows of features and 1 classes"):
        reasons(models["logistic"], rows.head(2), ["UP"])
    with pytest.raises(BadInput, match="`SIDEWAYS`"):
        reasons(models["logistic"], rows.head(1), ["SIDEWAYS"])


def test_shares_of_a_row_sum_to_the_whole(models, rows):
    found = reasons(models["xgboost_classifier"], rows.head(5), ["UP"] * 5, top=len(FEATURES))
    for told in found:
        shares = [int(each.split(": ")[1].split("%")[0]) for each in told]
        assert abs(sum(shares) - 100) <= len(told)
        assert shares == sorted(shares, reverse=True)


def test_a_missing_value_is_said_to_be_missing(models, rows):
    gap = rows.filter(pl.col("gappy").is_null()).head(1)
    told = reasons(models["lightgbm_classifier"], gap, ["UP"], top=3, units={"gappy": "index"})[0]
    own = [each for each in told if "`gappy`" in each]
    assert all(each.startswith("`gappy`, which is missing, spoke") for each in own)


def test_who_abstains_or_looks_at_nothing_gives_no_reasons(models, rows):
    nothing = rows.head(2).with_columns(pl.lit(None, dtype=pl.Float64).alias(name) for name in FEATURES)
    mixed = pl.concat([nothing, rows.tail(1)])
    told = reasons(models["lightgbm_classifier"], mixed, ["UP"] * 3)
    assert told[0] == told[1] == ("`lightgbm_classifier` abstains: no feature has a value.",)
    assert len(told[2]) == 3 or "spoke" in told[2][0]
    assert reasons(models[BASE_RATE], rows.head(1), ["UP"])[0][0].endswith("looks at no feature.")
    assert importance(models[BASE_RATE], rows)["importance"].to_list() == [0.0] * 3


def test_a_class_that_was_never_seen_cannot_be_explained():
    rows = sessions(n=120, label="archetype_by_range", skill=0.5)
    two = rows.with_columns(pl.when(pl.col("label") == 1).then(0).otherwise("label").cast(pl.Int8).alias("label"))
    asked = candidates("lightgbm_classifier")
    fitted = fit_session_models(two, FEATURES, "archetype_by_range", asked, ledger=Everything())
    model = fitted["lightgbm_classifier"]
    assert explained(model, rows, "RANGE") is None
    assert reasons(model, rows.head(1), ["RANGE"])[0] == (
        "`lightgbm_classifier` never saw RANGE in training; there is nothing to explain.",
    )
    assert importance(model, rows)["importance"][0] > 0


def test_the_rows_of_a_summary_are_values_and_contributions_of_the_latest_sessions(models, rows):
    found = contribution_rows(models["logistic"], rows.sample(160, shuffle=True, seed=1), "UP", most_rows=30)
    assert found["session"].n_unique() == 30
    assert found["session"].min() == rows["session"][-30]
    edge = found.filter(pl.col("feature") == "edge").sort("session")
    assert edge["value"].to_list() == rows["edge"][-30:].to_list()
    assert np.allclose(edge["contribution"], explained(models["logistic"], rows.tail(30), "UP").values[:, 0])
