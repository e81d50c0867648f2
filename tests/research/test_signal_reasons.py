"""Why a call was made: the feature that decides is told first, on its side, with its own value."""

import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from signal_worlds import FEATURES, MODELS, SMALL, Everything, decisions

from openbell.core.errors import BadInput
from openbell.research.explanation import contributions
from openbell.research.signal_models import candidate, fit_signal_model
from openbell.research.signal_reasons import explainable, feature_importance, reasons, split_column

ROWS = decisions(sessions=150, symbols=4, skill=0.9)
XGB, FOREST, LSTM = "xgboost_classifier", "random_forest_classifier", "lstm_classifier"


def fitted(name, **more):
    given = {"ledger": Everything(), "coverage": 0.8, "importance_rows": 0}
    return fit_signal_model(ROWS, FEATURES, candidate(name, MODELS, parameters=SMALL, **more), **given)


@pytest.fixture(scope="module")
def voting():
    return fitted("voting")


def test_what_decides_is_told_first_with_value_frame_and_unit(voting):
    shown = ROWS.filter(pl.col("edge_1d").abs() > 0.7).head(40)
    calls = np.where(shown["edge_1d"].to_numpy() > 0, "BUY", "SELL").tolist()
    told = reasons(voting, shown, calls, units={"edge_1d": "index"})
    for row, call, each in zip(shown.iter_rows(named=True), calls, told, strict=True):
        assert each[0].startswith(f"`edge` on 1d bars (index), at {row['edge_1d']:.4g}, spoke for {call}: ")
        assert len(each) <= 3
    against = reasons(voting, shown, [{"BUY": "SELL", "SELL": "BUY"}[each] for each in calls])
    assert all("spoke against" in each[0] for each in against)


def test_a_missing_value_is_told_as_missing(voting):
    shown = ROWS.filter(pl.col("sparse_1h").is_null()).head(20)
    said = [sentence for each in reasons(voting, shown, ["BUY"] * 20) for sentence in each]
    told = [sentence for sentence in said if "`sparse` on 1h" in sentence]
    assert told
    assert all("which is missing" in each for each in told)


def test_shares_are_those_of_the_contributions(voting):
    """Against the contributions themselves: of one member the shares of its class, of two their weighted mean."""
    shown = ROWS.head(6)
    ranked = pl.DataFrame(voting.matrix(shown), schema=list(FEATURES))
    share = np.zeros((6, 3))
    for name, weight in ((XGB, 0.4 / 0.7), (FOREST, 0.3 / 0.7)):
        values = contributions(voting.members[name], ranked, of=2).values
        share += weight * values / np.abs(values).sum(axis=1, keepdims=True)
    told = reasons(voting, shown, ["BUY"] * 6, quick=False)
    for row in range(6):
        largest = np.abs(share[row]).max()
        assert told[row][0].endswith(f"BUY: {largest:.0%} of what moved {XGB} and {FOREST}.")
    alone = reasons(voting, shown, ["BUY"] * 6, members=[XGB, LSTM], quick=False)
    assert alone != told
    assert reasons(voting, shown, ["BUY"] * 6) == alone
    forest = reasons(voting, shown, ["BUY"] * 6, members=[FOREST, LSTM])
    assert forest == reasons(voting, shown, ["BUY"] * 6, members=[FOREST], quick=False)


def test_who_reads_sequences_is_not_explained_row_by_row():
    model = fitted(LSTM)
    assert explainable(model) == ()
    assert (
        reasons(model, ROWS.head(2), ["BUY", "HOLD"])
        == [("lstm_classifier cannot be explained by the values of one row.",)] * 2
    )


def test_importance_of_all_members_names_the_feature_that_decides(voting):
    """S3.08: by contributions for trees; what reads sequences loses most without it."""
    table = feature_importance(voting, ROWS.filter(pl.col("label").is_not_null()).tail(200), before=ROWS.head(300))
    first = table.group_by("member", maintain_order=True).first()
    assert first["feature"].to_list() == ["edge_1d"] * 3
    assert first["method"].to_list() == ["contribution", "contribution", "permutation"]
    again = feature_importance(voting, ROWS.filter(pl.col("label").is_not_null()).tail(200), before=ROWS.head(300))
    assert again.equals(table)
    base = feature_importance(fitted("base_rate"), ROWS.filter(pl.col("label").is_not_null()))
    assert base["importance"].to_list() == [0.0] * 3


def test_columns_are_split_at_their_frame():
    assert split_column("rsi_14_5m") == ("rsi_14", "5m")
    assert split_column("rsi_14") == ("rsi_14", "")
    with pytest.raises(BadInput, match="2 rows of features and 1 calls"):
        reasons(fitted("base_rate"), ROWS.head(2), ["BUY"])
