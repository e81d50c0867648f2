"""Allocators: caps on every day, and days on which the wanted one has no answer."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openbell.core.errors import BadInput
from openbell.quant import allocation, allocation_convex
from openbell.quant.allocation import ALIASES, ALLOCATORS, CASCADE, OPTIMISERS, Problem, allocate, allocations
from openbell.quant.weights import capped, equal_weights, inverse_volatility_weights, score_weights


def returns(names: int, sessions: int = 252, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    market = rng.normal(0.0004, 0.009, (sessions, 1))
    return market * rng.uniform(0.5, 1.5, names) + rng.normal(0, 0.012, (sessions, names))


def problem(names: int = 20, *, sessions: int = 252, seed: int = 0, **how: object) -> Problem:
    scores = np.random.default_rng(seed + 1).normal(size=names)
    return Problem(**{"returns": returns(names, sessions, seed), "scores": scores, **how})


def test_every_cascade_ends_in_equal_weights() -> None:
    assert {steps[-1] for name, steps in CASCADE.items() if name != "equal"} == {"equal"}
    assert set(ALIASES.values()) <= set(ALLOCATORS)


def test_simple_allocators_are_their_base_weights_under_the_caps() -> None:
    some = problem(12, volatility=np.linspace(0.1, 0.6, 12), sectors=["a"] * 6 + ["b"] * 6, max_sector_weight=0.6)
    for name, base in (
        ("equal", equal_weights(12)),
        ("score", score_weights(some.scores)),
        ("inverse_volatility", inverse_volatility_weights(some.volatility)),
    ):
        expected = capped(base, some.sectors, 1.0, 0.15, 0.6)
        assert (allocate(name, some).weights == expected).all(), name


def test_inverse_volatility_measures_it_where_none_is_given() -> None:
    some = problem(5, max_weight=1.0)
    assert allocate("inverse_volatility", some).weights * some.returns.std(axis=0) == pytest.approx(
        np.full(5, 1 / (1 / some.returns.std(axis=0)).sum())
    )


@pytest.mark.parametrize(("alias", "name"), ALIASES.items())
def test_an_alias_is_its_allocator(alias: str, name: str) -> None:
    some = problem(10)
    assert (allocate(alias, some).weights == allocate(name, some).weights).all()
    assert allocate(alias, some).method == name


def test_an_unknown_allocator_is_refused_with_the_nearest() -> None:
    with pytest.raises(BadInput, match=r"no allocator `max_sharp`.*`max_sharpe`"):
        allocate("max_sharp", problem(3))


def test_several_at_once_equal_each_alone() -> None:
    some = problem(15)
    together = allocations(ALLOCATORS, some)
    assert list(together) == list(ALLOCATORS)
    for name, found in together.items():
        alone = allocate(name, Problem(some.returns.copy(), some.scores.copy()))
        assert (found.weights == alone.weights).all()
        assert (found.method, found.fallback) == (alone.method, alone.fallback) == (name, None)


def test_optimisers_differ_from_equal_weights_and_from_each_other() -> None:
    """Check 44: no allocator is equal weight in disguise."""
    found = allocations(ALLOCATORS, problem(20))
    weights = np.array([each.weights for each in found.values()])
    apart = np.abs(weights[:, None] - weights[None]).max(axis=2)
    assert (apart[~np.eye(len(weights), dtype=bool)] > 1e-3).all()


@given(
    st.integers(1, 30),
    st.sampled_from(ALLOCATORS),
    st.floats(0.02, 1.0),
    st.floats(0.05, 1.0),
    st.sampled_from([0.3, 0.5, 1.0]),
    st.integers(0, 10_000),
    st.sampled_from([0, 3, 40, 61, 252]),
)
@settings(deadline=None, max_examples=250)
def test_caps_hold_on_every_day(
    count: int, name: str, cap: float, sector_cap: float, gross: float, seed: int, sessions: int
) -> None:
    """Check 42: no cap is broken, the sum is the gross or all that the caps on the weighed names leave room for."""
    rng = np.random.default_rng(seed)
    sample = returns(count, sessions, seed) + rng.normal(0, 0.001, count)
    sample[rng.random(sample.shape) < rng.choice([0.0, 0.05])] = np.nan
    sectors = [None if at == 0 else f"s{at}" for at in rng.integers(0, 5, count)] if seed % 3 else None
    some = Problem(sample, rng.normal(size=count), sectors, gross=gross, max_weight=cap, max_sector_weight=sector_cap)
    found = allocate(name, some)
    weights = found.weights
    assert np.isfinite(weights).all()
    assert (weights >= 0).all()
    assert weights.max() <= cap + 1e-9
    assert weights.sum() <= gross + 1e-9
    counted = np.isfinite(sample).sum(axis=0)
    weighed = np.ones(count, dtype=bool)
    if found.method in (*OPTIMISERS, "inverse_volatility", "hybrid"):
        weighed = counted >= 60
    room = weighed.sum() * cap
    if sectors is not None and any(sectors):
        of = np.array([str(sector) for sector in sectors])
        assert max(weights[of == each].sum() for each in set(of)) <= sector_cap + 1e-9
        room = sum(min((weighed & (of == each)).sum() * cap, sector_cap) for each in set(of))
    assert weights.sum() == pytest.approx(min(gross, room), abs=1e-6)
    assert (found.method == name) or found.fallback


@pytest.mark.parametrize("name", ALLOCATORS)
def test_ten_calls_give_one_answer_and_change_nothing(name: str) -> None:
    """Check 43."""
    some = problem(15, sectors=["a", None, "b"] * 5)
    before = [some.returns.copy(), some.scores.copy(), list(some.sectors)]
    answers = set()
    for _ in range(10):
        allocation._remembered.cache_clear()
        answers.add(allocate(name, some).weights.tobytes())
    assert len(answers) == 1
    assert (some.returns == before[0]).all()
    assert (some.scores == before[1]).all()
    assert some.sectors == before[2]


def test_an_answer_that_is_remembered_belongs_to_its_inputs_alone() -> None:
    """Scores do not reach the model-free ones; every other input does."""
    some = problem(15)
    first = allocate("min_volatility", some)
    assert allocate("min_volatility", problem(15, scores=-some.scores)) is first
    assert not first.weights.flags.writeable
    for change in (
        {"gross": 0.5},
        {"max_weight": 0.12},
        {"max_sector_weight": 0.2, "sectors": ["a", "b", "c"] * 5},
        {"sectors": ["a", "b", "c"] * 5},
        {"returns": some.returns + np.r_[1e-3, np.zeros(14)] * np.sign(some.returns)},
        {"volatility": np.full(15, 0.2)},
        {"symbols": [f"S{at}" for at in range(15)]},
    ):
        assert allocate("min_volatility", problem(15, **change)) is not first, change


def test_expected_returns_below_the_risk_free_rate_give_way() -> None:
    """DESIGN 9, trap 15: on the bad day the run goes on and says what was used."""
    falling = returns(20) - 0.003
    found = allocate("max_sharpe", Problem(falling))
    assert found.method == "min_volatility"
    assert "`max_sharpe` gave way to `min_volatility`: no expected return is above the risk-free rate" in found.fallback
    assert (found.weights == allocate("min_volatility", Problem(falling)).weights).all()
    rising = allocate("max_sharpe", Problem(returns(20) + 0.002))
    assert (rising.method, rising.fallback) == ("max_sharpe", None)


def test_one_good_name_that_the_cap_keeps_small_gives_way() -> None:
    """The best portfolio that holds the caps still earns less than cash: its ratio is not to be maximised."""
    sample = returns(20) - 0.004
    sample[:, 0] += 0.006
    found = allocate("max_sharpe", Problem(sample))
    assert found.method == "min_volatility"
    assert "no portfolio that holds the caps is expected to earn the risk-free rate" in found.fallback


def test_equal_scores_say_nothing() -> None:
    found = allocate("max_sharpe", problem(10, scores=np.full(10, 0.1)))
    assert found.method == "min_volatility"
    assert "all scores are equal" in found.fallback


def test_scores_are_measured_against_the_cross_section_they_were_chosen_from() -> None:
    """All of the chosen stand above the rest: then none is expected to lose, and none is shut out by the others."""
    some = problem(12, max_weight=0.5)
    among = Problem(some.returns, some.scores + 5.0, max_weight=0.5)
    of_all = Problem(some.returns, some.scores + 5.0, max_weight=0.5, score_mean=0.0, score_deviation=1.0)
    assert allocate("max_sharpe", among).weights == pytest.approx(allocate("max_sharpe", some).weights, abs=1e-6)
    assert (allocate("max_sharpe", of_all).weights > 0).sum() > (allocate("max_sharpe", among).weights > 0).sum()
    below = Problem(some.returns, some.scores, score_mean=10.0, score_deviation=1.0)
    assert allocate("max_sharpe", below).method == "min_volatility"


@pytest.mark.parametrize("name", OPTIMISERS)
def test_singular_covariances_are_no_obstacle(name: str) -> None:
    """Names twice, and more names than sessions: shrinkage keeps the matrix regular."""
    sample = returns(15)
    twice = np.hstack([sample, sample])
    found = allocate(name, Problem(twice, np.r_[np.arange(15.0), np.arange(15.0)]))
    assert (found.method, found.fallback) == (name, None)
    if name != "hrp":
        assert found.weights[:15] == pytest.approx(found.weights[15:], abs=1e-4)
    wide = allocate(name, problem(120, sessions=61))
    assert (wide.method, wide.fallback) == (name, None)
    assert wide.weights.sum() == pytest.approx(1.0)


@pytest.mark.parametrize("name", OPTIMISERS)
def test_names_without_a_history_are_left_out_by_name(name: str) -> None:
    sample = returns(20)
    sample[:-3, 4] = np.nan
    sample[:, 7] = np.nan
    sample[:, 9] = 0.0
    found = allocate(name, Problem(sample, np.arange(20.0), symbols=[f"S{at:02d}" for at in range(20)]))
    assert found.method == name
    assert (found.weights[[4, 7, 9]] == 0).all()
    assert found.weights.sum() == pytest.approx(1.0)
    assert "left out 3 of 20 names" in found.fallback
    assert "S04 (3 returns), S07 (0 returns), S09 (252 returns)" in found.fallback


def test_no_history_at_all_falls_to_volatility_then_to_equal() -> None:
    none = np.zeros((0, 8))
    given = allocate("hrp", Problem(none, volatility=np.linspace(0.1, 0.5, 8)))
    assert given.method == "inverse_volatility"
    assert "no name has 60 returns" in given.fallback
    bare = allocate("max_sharpe", Problem(none, np.arange(8.0)))
    assert bare.method == "equal"
    assert bare.weights == pytest.approx(np.full(8, 0.125))
    for step in ("max_sharpe", "min_volatility", "inverse_volatility"):
        assert f"`{step}` gave way" in bare.fallback


def test_constant_prices_have_no_risk_to_weigh_by() -> None:
    found = allocate("min_volatility", Problem(np.zeros((252, 8))))
    assert found.method == "equal"
    assert "a price that moves" in found.fallback


def test_gaps_are_counted() -> None:
    sample = returns(10)
    sample[5:15, 2] = np.nan
    found = allocate("min_volatility", Problem(sample))
    assert found.fallback is None
    assert found.notes == ("10 of 2520 returns were missing and count as the mean of their name in its covariances.",)
    assert allocate("min_volatility", Problem(returns(10))).notes == ()


@pytest.mark.parametrize("name", ALLOCATORS)
def test_one_name_holds_its_cap_and_the_rest_is_cash(name: str) -> None:
    scores = np.array([1.0])
    found = allocate(name, Problem(returns(1), scores, volatility=np.array([0.2])))
    assert found.weights == pytest.approx([0.15])
    assert (allocate(name, Problem(returns(1), scores, gross=0.0)).weights == 0).all()


@pytest.mark.parametrize("name", ALLOCATORS)
def test_infeasible_caps_leave_explicit_cash(name: str) -> None:
    """Check 42: four names at 15 % hold 60 %; two sectors at 30 % hold 60 % of ten."""
    few = allocate(name, problem(4, volatility=np.full(4, 0.2)))
    assert few.weights == pytest.approx(np.full(4, 0.15))
    assert few.method == name or name == "max_sharpe"
    two = allocate(name, problem(10, sectors=["a", "b"] * 5, volatility=np.linspace(0.1, 0.3, 10)))
    assert two.weights.sum() == pytest.approx(0.6, abs=1e-6)
    assert two.weights.max() <= 0.15


def test_sector_caps_bind_inside_the_optimiser() -> None:
    """The best names of a capped sector are kept and the rest is optimised anew: better than cutting afterwards."""
    sample = returns(12, seed=3) * np.r_[np.full(4, 0.4), np.ones(8)]
    sectors = ["calm"] * 4 + ["wild"] * 8
    inside = allocate("min_volatility", Problem(sample, sectors=sectors, max_weight=0.3, max_sector_weight=0.7))
    free = allocate("min_volatility", Problem(sample, max_weight=0.3))
    assert free.weights[:4].sum() > 0.7
    assert inside.weights[:4].sum() == pytest.approx(0.7, abs=1e-6)
    after = capped(free.weights, sectors, 1.0, 0.3, 0.7)
    risk = [each @ np.cov(sample.T) @ each for each in (inside.weights, after)]
    assert risk[0] < risk[1]


@pytest.mark.parametrize("name", ["max_sharpe", "min_volatility", "risk_parity"])
@pytest.mark.parametrize("fault", ["raises", "nan", "breaks caps", "negative"])
def test_a_solver_that_fails_is_named(monkeypatch: pytest.MonkeyPatch, name: str, fault: str) -> None:
    """Check 44: a failure is a flagged fallback, whatever its kind, never a silent equal weight."""
    some = problem(12, volatility=np.linspace(0.1, 0.3, 12), seed=len(fault))

    def broken(quadratic: np.ndarray, **rest: object) -> np.ndarray:
        if fault == "raises":
            raise RuntimeError("the solver crashed")
        size = len(quadratic)
        return {"nan": np.full(size, np.nan), "breaks caps": np.eye(size)[0], "negative": np.eye(size)[0] - 0.2}[fault]

    monkeypatch.setattr(allocation_convex, "_solved", broken)
    found = allocate(name, some)
    assert found.method == "inverse_volatility"
    assert f"`{name}` gave way" in found.fallback
    said = {
        "raises": "RuntimeError: the solver crashed",
        "nan": "no finite numbers",
        "breaks caps": "break the caps",
        "negative": "negative",
    }
    assert said[fault] in found.fallback
    assert found.weights == pytest.approx(allocate("inverse_volatility", some).weights)


def test_a_solver_that_gives_up_is_named() -> None:
    """Clarabel's own word for it stands in the sentence."""
    whole, none = (np.ones((1, 3)), np.ones(1)), (np.eye(3), np.zeros(3))
    with pytest.raises(allocation_convex.NotSolved, match="the solver ended with `PrimalInfeasible`"):
        allocation_convex._solved(np.eye(3), equalities=whole, inequalities=none)


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"returns": np.zeros(5)}, "matrix of sessions by names"),
        ({"returns": np.zeros((5, 0))}, "matrix of sessions by names"),
        ({"returns": np.full((5, 3), np.inf)}, "one is infinite"),
        ({"scores": np.ones(2)}, "`scores` must have one entry for each of the 3"),
        ({"scores": np.array([1.0, np.nan, 2.0])}, "finite"),
        ({"sectors": ["a"]}, "`sectors`"),
        ({"volatility": np.ones(4)}, "`volatility`"),
        ({"gross": 1.3}, "gross"),
        ({"max_weight": 0.0}, "max_weight"),
        ({"max_sector_weight": 1.5}, "max_sector_weight"),
    ],
)
@pytest.mark.parametrize("name", ["equal", "max_sharpe"])
def test_what_is_no_problem_is_refused(name: str, how: dict, words: str) -> None:
    with pytest.raises(BadInput, match=words):
        allocate(name, Problem(**{"returns": np.zeros((5, 3)), "scores": None, **how}))


def test_weights_that_break_a_cap_never_leave() -> None:
    """Check 42: what the last step asserts, case by case."""
    for weights, words in (
        ([0.2, 0.1], "cap 0.15"),
        ([0.15, 0.15, 0.15, 0.15], r"gross 0\.5"),
        ([-0.01, 0.1], "negative"),
        ([np.nan, 0.1], "no numbers"),
    ):
        with pytest.raises(allocation.IntegrityBroken, match=words):
            allocation.check_caps(np.array(weights), None, 0.5, 0.15, 0.3)
    with pytest.raises(allocation.IntegrityBroken, match="sector"):
        allocation.check_caps(np.array([0.15, 0.15, 0.1]), ["a", "a", "b"], 0.5, 0.15, 0.2)
    allocation.check_caps(np.array([0.15, 0.15, 0.1]), ["a", "a", "b"], 0.5, 0.15, 0.3)
