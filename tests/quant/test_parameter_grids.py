"""What is tried for each structure: the whole of Annex B, evenly, the same every time."""

import itertools

import numpy as np
import pytest

from openbell.core.errors import BadInput
from openbell.quant.parameter_grids import DIMENSIONS, grid, parameters, whole_grid
from openbell.quant.structures import STRUCTURES

COUNTS = (None, 15, 16, 17, 18, 19, 20)


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("structure", STRUCTURES)
def test_every_value_of_every_dimension_is_tried(structure, count):
    """Check 26: the original's slices dropped the longest expiries."""
    made = grid(structure, count)
    assert 15 <= len(made) <= 20
    for name, values in DIMENSIONS[structure].items():
        assert {each[name] for each in made.values} == set(values)
    assert len({tuple(each.items()) for each in made.values}) == len(made)


@pytest.mark.parametrize("structure", STRUCTURES)
def test_values_are_tried_about_equally_often(structure):
    """Kills a sample that takes the first points of the grid and adds the missing values at its end."""
    made = grid(structure)
    points = whole_grid(structure)
    for name, values in DIMENSIONS[structure].items():
        counts = [sum(each[name] == value for each in made.values) for value in values]
        share = [sum(each[name] == value for each in points) / len(points) * len(made) for value in values]
        assert all(abs(count - expected) <= 1.5 for count, expected in zip(counts, share, strict=True))


def test_pairs_of_values_of_a_condor_meet():
    made = grid("IRON_CONDOR", 18)
    for first, second in itertools.combinations(DIMENSIONS["IRON_CONDOR"], 2):
        met = {(each[first], each[second]) for each in made.values}
        wanted = len(DIMENSIONS["IRON_CONDOR"][first]) * len(DIMENSIONS["IRON_CONDOR"][second])
        assert len(met) >= wanted - 1


def test_the_grids_are_as_wide_as_the_issue_says():
    assert DIMENSIONS["IRON_BUTTERFLY"]["wing"] == (0.02, 0.03, 0.05, 0.07, 0.10)
    for name in ("LONG_CALL", "LONG_PUT", "LONG_STRADDLE"):
        assert 45 in DIMENSIONS[name]["dte"]
    assert 7 in DIMENSIONS["CALENDAR_SPREAD"]["near_dte"]
    assert 30 in DIMENSIONS["CALENDAR_SPREAD"]["far_dte"]
    assert [len(whole_grid(each)) for each in STRUCTURES] == [54, 15, 20, 20, 27, 27, 15, 27, 36, 20]


def test_strikes_of_a_condor_and_of_a_put_spread():
    """Hand-worked: puts use 2 minus the moneyness, wings lie outside."""
    made = grid("IRON_CONDOR")
    for values, row in zip(made.values, made.moneyness, strict=True):
        put, call = 1 - values["put_distance"], 1 + values["call_distance"]
        assert row == pytest.approx([put - values["wing"], put, call, call + values["wing"]])
    spread = grid("BEAR_PUT_SPREAD")
    for values, row in zip(spread.values, spread.moneyness, strict=True):
        long = 2 - values["moneyness"]
        assert row == pytest.approx([long, long - values["width"]])


def test_a_diagonal_never_has_one_strike_and_a_far_leg_is_far():
    diagonal, calendar = grid("DIAGONAL_SPREAD"), grid("CALENDAR_SPREAD")
    assert (diagonal.moneyness[:, 0] > diagonal.moneyness[:, 1]).all()
    for made in (diagonal, calendar):
        assert (made.dte[:, 1] > made.dte[:, 0]).all()
        assert made.ratio.tolist() == [-1, 1]


def test_days_of_all_grids_lie_in_7_to_90():
    for structure in STRUCTURES:
        assert ((grid(structure).dte >= 7) & (grid(structure).dte <= 90)).all()


def test_named_parameters_are_those_of_the_request():
    condor = parameters("IRON_CONDOR", np.array([90.0, 95, 105, 110]), np.array([14] * 4), 3)
    assert condor == {
        "center_strike": 100.0, "long_put": 90.0, "short_put": 95.0, "short_call": 105.0, "long_call": 110.0,
        "dte": 14, "contracts": 3,
    }  # fmt: skip
    assert parameters("CALENDAR_SPREAD", np.array([100.0, 100]), np.array([7, 30]), 1) == {
        "strike": 100.0, "near_dte": 7, "far_dte": 30, "contracts": 1,
    }  # fmt: skip
    assert set(parameters("LONG_STRANGLE", np.array([95.0, 105]), np.array([14, 14]), 1)) == {
        "put_strike", "call_strike", "dte", "contracts",
    }  # fmt: skip


@pytest.mark.parametrize("count", [0, 14, 21])
def test_another_count_is_refused(count):
    with pytest.raises(BadInput, match=f"must lie in 15 to 20; was {count}"):
        grid("IRON_CONDOR", count)


def test_an_unknown_structure_is_refused_with_the_nearest():
    with pytest.raises(BadInput, match="IRON_CONDOR"):
        grid("IRON_CONDO")
