"""Allocators against skfolio's own answers, closed forms and second formulas, on well-posed problems."""

import numpy as np
import pytest

from openbell.quant.allocation import Problem, allocate
from openbell.quant.allocation_convex import max_sharpe, min_volatility, risk_parity
from openbell.quant.allocation_hierarchical import hrp
from openbell.quant.allocation_moments import Room, grinold_excess_returns, moments, room_of, shrunk_excess_returns

FREE = Room(1.0, 1.0, None)


def returns(names: int, sessions: int = 252, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    market = rng.normal(0.0004, 0.009, (sessions, 1))
    return market * rng.uniform(0.5, 1.5, names) + rng.normal(0.0002, 0.012, (sessions, names)) * rng.uniform(
        0.5, 2.0, names
    )


@pytest.fixture(scope="module")
def given():
    """skfolio, with a prior that hands it our covariance and expected returns."""
    optimization = pytest.importorskip("skfolio.optimization")
    from skfolio.prior import BasePrior, ReturnDistribution

    class Given(BasePrior):
        def __init__(self, mu=None, covariance=None):
            self.mu = mu
            self.covariance = covariance

        def fit(self, X, y=None, **params):
            self.return_distribution_ = ReturnDistribution(
                mu=self.mu, covariance=self.covariance, returns=np.asarray(X)
            )
            return self

    return optimization, Given


def constraints(names: int) -> tuple[list[str], dict, Room]:
    """Five sectors, a cap of 0.12 on a name and of 0.3 on a sector: for us, and for skfolio."""
    sectors = [f"s{at % 5}" for at in range(names)]
    theirs = {
        "groups": [sectors],
        "linear_constraints": [f"s{at} <= 0.3" for at in range(5)],
        "max_weights": 0.12,
    }
    return sectors, theirs, room_of(sectors, names, 1.0, 0.12, 0.3)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_min_volatility_is_skfolios(given, seed: int) -> None:
    optimization, Given = given
    sample = returns(25, seed=seed)
    measured = moments(sample)
    _, theirs, room = constraints(25)
    expected = optimization.MeanRisk(
        prior_estimator=Given(measured.mean, measured.covariance),
        scale_objective=1e4,
        **theirs,
    ).fit(sample)
    found = min_volatility(measured.covariance, room)
    assert found == pytest.approx(expected.weights_, abs=1e-5)
    variance = [weights @ measured.covariance @ weights for weights in (found, expected.weights_)]
    assert variance[0] <= variance[1] * (1 + 1e-6)
    assert found.max() == pytest.approx(0.12, abs=1e-6), "the cap binds, or the test shows little"


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_max_sharpe_is_skfolios(given, seed: int) -> None:
    optimization, Given = given
    sample = returns(25, seed=seed)
    measured = moments(sample)
    scores = np.random.default_rng(seed).normal(size=25)
    excess = grinold_excess_returns(measured, scores)
    _, theirs, room = constraints(25)
    expected = optimization.MeanRisk(
        objective_function=optimization.ObjectiveFunction.MAXIMIZE_RATIO,
        prior_estimator=Given(excess / 252 + 0.02 / 252, measured.covariance),
        risk_free_rate=0.02 / 252,
        solver_params={"tol_gap_abs": 1e-10, "tol_gap_rel": 1e-10},
        **theirs,
    ).fit(sample)
    found = max_sharpe(measured.covariance, excess, room)
    ratios = [excess @ each / np.sqrt(each @ measured.covariance @ each) for each in (found, expected.weights_)]
    assert ratios[0] == pytest.approx(ratios[1], rel=1e-6)
    assert found == pytest.approx(expected.weights_, abs=1e-4)


@pytest.mark.parametrize("cap", [1.0, 0.06])
def test_risk_parity_is_skfolios(given, cap: float) -> None:
    optimization, Given = given
    sample = returns(25, seed=3)
    measured = moments(sample)
    expected = optimization.RiskBudgeting(
        prior_estimator=Given(measured.mean, measured.covariance), max_weights=cap
    ).fit(sample)
    found = risk_parity(measured.covariance, room_of(None, 25, 1.0, cap, 1.0))
    assert found == pytest.approx(expected.weights_, abs=1e-5)
    contributions = found * (measured.covariance @ found)
    assert (np.ptp(contributions) < 1e-5 * contributions.sum()) == (cap == 1.0)


@pytest.mark.parametrize(("names", "cap"), [(2, 1.0), (2, 0.55), (3, 1.0), (24, 1.0), (24, 0.055)])
def test_hrp_is_skfolios(given, names: int, cap: float) -> None:
    optimization, Given = given
    sample = returns(names, seed=4)
    measured = moments(sample)
    expected = optimization.HierarchicalRiskParity(
        prior_estimator=Given(measured.mean, measured.covariance), max_weights=cap
    ).fit(sample)
    found = hrp(measured.covariance, measured.correlation, cap)
    assert found == pytest.approx(expected.weights_, rel=1e-9)
    assert found.max() <= cap + 1e-12


def test_covariance_is_skfolios_ledoit_wolf() -> None:
    moments_ = pytest.importorskip("skfolio.moments")
    sample = returns(20, sessions=120)
    assert moments(sample).covariance == pytest.approx(moments_.LedoitWolf().fit(sample).covariance_, rel=1e-12)


def test_covariance_of_names_with_gaps_keeps_their_variance_and_stays_positive() -> None:
    """A name with half of its returns missing has the variance of the half that is there."""
    sample = returns(12, sessions=252, seed=5)
    gappy = sample.copy()
    gappy[::2, 3] = np.nan
    measured = moments(gappy)
    assert measured.missing == 126
    assert measured.deviation[3] == pytest.approx(np.nanstd(gappy[:, 3], ddof=1), rel=1e-12)
    # The shrunk diagonal is between the observed variance and the mean one, which lie within these.
    observed = np.nanvar(gappy, axis=0)
    assert observed.min() * 0.8 < measured.covariance[3, 3] < observed.max() * 1.6
    assert measured.covariance[3, 3] == pytest.approx(observed[3], rel=0.35)
    assert np.linalg.eigvalsh(measured.covariance)[0] > 0


def test_shrunk_means_are_skfolios() -> None:
    """Where James-Stein's intensity lies in [0, 1]; else ours stops at the bound instead of turning round."""
    skfolio_moments = pytest.importorskip("skfolio.moments")
    sample = returns(20, seed=6) + np.linspace(-0.002, 0.002, 20)
    theirs = skfolio_moments.ShrunkMu(covariance_estimator=skfolio_moments.LedoitWolf()).fit(sample)
    assert 0 < theirs.beta_ < 1
    assert shrunk_excess_returns(moments(sample), 0.02) == pytest.approx(theirs.mu_ * 252 - 0.02, rel=1e-9)
    alike = returns(20, seed=6)
    alike -= alike.mean(axis=0) - 1e-9 * np.arange(20)
    means = shrunk_excess_returns(moments(alike), 0.0)
    assert np.ptp(means) == pytest.approx(0.0, abs=1e-12), "nothing but noise between the names: one mean"


def test_min_variance_of_two_assets_by_hand() -> None:
    """w1 = (s2^2 - c) / (s1^2 + s2^2 - 2c) with s = 10 %, 20 %, correlation 0.25: 0.035 / 0.04 = 0.875."""
    covariance = np.array([[0.01, 0.005], [0.005, 0.04]])
    assert min_volatility(covariance, FREE) == pytest.approx([0.875, 0.125], abs=1e-7)


def test_tangency_portfolio_by_its_closed_form() -> None:
    """w ~ inverse(C) excess, where all of that is positive."""
    covariance = np.array([[0.04, 0.006, 0.0], [0.006, 0.09, 0.01], [0.0, 0.01, 0.01]])
    excess = np.array([0.05, 0.08, 0.03])
    raw = np.linalg.solve(covariance, excess)
    assert (raw > 0).all()
    assert max_sharpe(covariance, excess, FREE) == pytest.approx(raw / raw.sum(), abs=1e-7)
    assert max_sharpe(covariance, 100 * excess, FREE) == pytest.approx(raw / raw.sum(), abs=1e-7)


def test_risk_parity_of_two_assets_is_inverse_volatility() -> None:
    """Whatever their correlation."""
    covariance = np.array([[0.01, 0.012], [0.012, 0.04]])
    assert risk_parity(covariance, FREE) == pytest.approx([2 / 3, 1 / 3], abs=1e-6)


def test_expected_returns_by_hand() -> None:
    """Grinold: 0.03 * 1.5 standard scores * volatility; no score above the mean earns nothing above cash."""
    measured = moments(returns(3))
    excess = grinold_excess_returns(measured, np.array([1.5, 0.0, -1.0]))
    annual = returns(3).std(axis=0, ddof=1) * np.sqrt(252)
    assert excess == pytest.approx([0.03 * 1.5 * annual[0], 0.0, -0.03 * annual[2]])


def test_the_higher_score_gets_more_of_two_alike() -> None:
    sample = returns(8, seed=7)
    twins = np.column_stack([sample, sample[:, 0] + np.random.default_rng(1).normal(0, 1e-4, 252)])
    scores = np.array([1.0, 0, 0, 0, 0, 0, 0, 0, 2.0])
    weights = allocate("max_sharpe", Problem(twins, scores, max_weight=1.0)).weights
    assert weights[8] > weights[0]


def test_hybrid_is_score_times_inverse_volatility() -> None:
    scores, volatility = np.array([3.0, 2.0, 1.0]), np.array([0.4, 0.2, 0.1])
    problem = Problem(np.zeros((0, 3)), scores, volatility=volatility, max_weight=1.0, max_sector_weight=1.0)
    raw = np.array([3.0, 2.0, 1.0]) / volatility
    assert allocate("hybrid", problem).weights == pytest.approx(raw / raw.sum())


@pytest.mark.parametrize("name", ["max_sharpe", "min_volatility", "risk_parity"])
def test_no_feasible_portfolio_is_better(name: str) -> None:
    """The optimum beats 2,000 random portfolios that hold the same caps."""
    sample = returns(12, seed=8)
    scores = np.random.default_rng(2).normal(size=12)
    sectors = [f"s{at % 4}" for at in range(12)]
    problem = Problem(sample, scores, sectors, max_weight=0.2, max_sector_weight=0.35)
    weights = allocate(name, problem).weights
    measured = moments(sample)
    excess = grinold_excess_returns(measured, (scores - scores.mean()) / scores.std())

    def worth(each: np.ndarray) -> np.ndarray:
        variance = np.einsum("ki,ij,kj->k", each, measured.covariance, each)
        if name == "max_sharpe":
            return each @ excess / np.sqrt(variance)
        if name == "min_volatility":
            return -variance
        return np.log(np.maximum(each, 1e-300)).sum(axis=1) - 6 * np.log(variance)

    rng = np.random.default_rng(3)
    others = rng.dirichlet(np.ones(12), 20_000)
    sums = np.stack([others[:, at::4].sum(axis=1) for at in range(4)], axis=1)
    others = others[(others.max(axis=1) <= 0.2) & (sums.max(axis=1) <= 0.35)]
    assert len(others) > 100
    assert worth(weights[None])[0] >= worth(others).max() - 1e-9
