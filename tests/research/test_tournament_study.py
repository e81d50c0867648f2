"""The promise of the tournament: on a market without an edge nobody is promoted, however many meet."""

import os

import pytest
from benchmarks.tournament_study import EDGE, study

JOBS = min(os.cpu_count() or 1, 2)


@pytest.mark.slow
@pytest.mark.timeout(14_400)
def test_luck_is_promoted_as_rarely_as_stated() -> None:
    """check 2. Kills: a gate that forgets how many met, that takes beta for skill, or that looks at total returns."""
    found = study(range(400), 0.0, jobs=JOBS)
    promoted = [each.seed for each in found if each.champion is not None]
    print(f"size: {len(promoted)} of {len(found)} markets without an edge have a champion: {promoted}")
    assert len(promoted) <= 20


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_an_edge_is_nearly_always_let_through_by_the_gate_that_holds_the_error() -> None:
    """Kills: a gate so strict that an active Sharpe ratio of about 2 goes unseen over four years."""
    found = study(range(40), EDGE, jobs=JOBS)
    print(f"power: {sum(each.survivors > 0 for each in found)} of {len(found)} markets have a survivor")
    assert sum(each.survivors > 0 for each in found) >= 32
