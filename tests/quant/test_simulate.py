"""Generated markets: consistent bars, the stated edge and no other."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr

from openbell.core.errors import BadInput
from openbell.quant.simulate import SimulatedMarket, centred_ranks, mean_rank_ic, simulated_market, visible_signal


def forward(market: SimulatedMarket, horizon: int = 1) -> np.ndarray:
    """Log return from the open after the signal to the open `horizon` sessions later, in the rows of the signal."""
    opens = np.log(market.open)
    return opens[1 + horizon :] - opens[1:-horizon]


@settings(max_examples=25, deadline=None)
@given(
    sessions=st.integers(30, 80),
    names=st.integers(5, 12),
    seed=st.integers(0, 10**6),
    edge=st.sampled_from([0.0, 0.05, -0.2]),
)
def test_every_bar_is_possible(sessions: int, names: int, seed: int, edge: float) -> None:
    """Check 62."""
    market = simulated_market(sessions, names, seed=seed, edge=edge, sectors=3)
    top, bottom = np.maximum(market.open, market.close), np.minimum(market.open, market.close)
    assert market.close.shape == (sessions, names)
    assert (market.high >= top).all()
    assert (bottom >= market.low).all()
    assert (market.low > 0).all()
    assert (market.volume >= 1).all()
    assert np.isfinite(market.high).all()


def test_the_mean_rank_ic_is_scipy_s() -> None:
    rng = np.random.default_rng(1)
    left, right = rng.normal(size=(40, 30)), rng.normal(size=(40, 30))
    oracle = np.mean([spearmanr(a, b).statistic for a, b in zip(left, right, strict=True)])
    assert mean_rank_ic(left, right) == pytest.approx(oracle, abs=1e-12)
    assert centred_ranks(np.array([[3.0, 1.0, 2.0]]))[0].tolist() == pytest.approx([1 / 3, -1 / 3, 0.0])


def test_the_visible_signal_looks_back_only_and_by_hand() -> None:
    volume = np.exp(np.arange(1.0, 31.0))[:, None] * np.ones((1, 2))
    told = visible_signal(volume)
    assert told[:3, 0] == pytest.approx([0.0, 0.5, 1.0])
    assert told[25, 0] == pytest.approx(26 - np.mean(np.arange(7, 27)))
    assert visible_signal(volume[:12]).tolist() == told[:12].tolist()
    market = simulated_market(60, 6, seed=1)
    assert visible_signal(market.volume)[30:] == pytest.approx(market.signal[30:])


@pytest.mark.parametrize("edge", [0.05, 0.0, -0.05])
def test_the_planted_edge_has_its_stated_size(edge: float) -> None:
    """Mean daily rank IC over seeds within 0.01 of what was asked for; here within three standard errors too."""
    measured = []
    for seed in range(24):
        market = simulated_market(504, 60, seed=seed, edge=edge)
        measured.append(mean_rank_ic(market.signal[:-2], forward(market)))
    assert abs(np.mean(measured) - edge) < 0.01
    assert abs(np.mean(measured) - edge) < 3 * np.std(measured) / np.sqrt(len(measured)) + 0.001


def visible(market: SimulatedMarket) -> dict[str, np.ndarray]:
    """What a model may make of the bars of a session: direction, size, range and volume, short and long."""
    returns = np.vstack([np.zeros((1, market.close.shape[1])), np.diff(np.log(market.close), axis=0)])
    month = np.cumsum(returns, axis=0)
    month[20:] = month[20:] - month[:-20]
    size = np.cumsum(np.abs(returns), axis=0)
    size[20:] = size[20:] - size[:-20]
    return {
        "return": returns,
        "month": month,
        "volatility": size,
        "range": np.log(market.high / market.low),
        "volume": market.volume,
        "signal": market.signal,
        "intraday": market.close / market.open,
        "price": market.close,
    }


@pytest.mark.parametrize("horizon", [1, 5, 20])
def test_without_an_edge_nothing_visible_tells_the_next_return(horizon: int) -> None:
    """Means over seeds of the rank IC of eight predictors, each within four standard errors of 0."""
    told: dict[str, list[float]] = {}
    for seed in range(30):
        market = simulated_market(400, 40, seed=1000 + seed)
        outcome = forward(market, horizon)
        for name, values in visible(market).items():
            told.setdefault(name, []).append(mean_rank_ic(values[30 : len(outcome)], outcome[30:]))
    for name, each in told.items():
        assert abs(np.mean(each)) < 4 * np.std(each, ddof=1) / np.sqrt(len(each)), name


def test_volume_goes_with_the_size_of_the_move_and_not_with_its_direction() -> None:
    market = simulated_market(1008, 60, seed=3)
    returns = np.log(market.close[1:] / market.close[:-1])
    assert mean_rank_ic(market.signal[1:], np.abs(returns)) > 0.05
    assert abs(mean_rank_ic(market.signal[1:], returns)) < 0.015


def test_the_market_looks_like_one() -> None:
    """Clustered volatility, fat tails, correlated names, more so within a sector, and regimes of different size."""
    market = simulated_market(2000, 40, seed=11)
    returns = np.diff(np.log(market.close), axis=0)
    assert 0.008 < returns.std() < 0.035
    scaled = returns / returns.std(axis=0)
    assert (scaled**4).mean() > 4.5
    clustered = np.mean([np.corrcoef(abs(column[1:]), abs(column[:-1]))[0, 1] for column in returns.T])
    assert clustered > 0.05
    correlation = np.corrcoef(returns.T)
    same = market.sector[:, None] == market.sector[None, :]
    off = ~np.eye(40, dtype=bool)
    assert 0.1 < correlation[~same].mean() < correlation[same & off].mean() < 0.8
    size = [returns[market.regime[1:] == state].std() for state in range(3)]
    assert size[0] < size[1] < size[2]


def test_a_seed_is_a_market() -> None:
    one, two, other = (simulated_market(50, 6, seed=seed) for seed in (4, 4, 5))
    assert one.close.tobytes() == two.close.tobytes()
    assert one.close.tobytes() != other.close.tobytes()


#: Last closes and whole volume of markets as they were before there were other kinds of them.
BEFORE = {
    0.0: (
        [
            25.35418530974345,
            72.47872087449642,
            142.25422514381617,
            59.22121350445343,
            125.14921379135889,
            169.05636807458743,
        ],
        289175837.0,
    ),
    0.05: (
        [
            64.29155198267182,
            205.40407965189743,
            120.46529798270534,
            156.97973323336535,
            130.12903440255968,
            127.37348009007928,
        ],
        220252530.0,
    ),
}


@pytest.mark.parametrize(("edge", "seed"), [(0.0, 1), (0.05, 3)])
def test_the_markets_of_old_seeds_are_what_they_were(edge: float, seed: int) -> None:
    """Kills a draw, an order of draws or a default that changed: measured sizes and powers stand on these markets."""
    market = simulated_market(40, 6, seed=seed, edge=edge)
    closes, volume = BEFORE[edge]
    assert market.close[-1] == pytest.approx(closes, rel=1e-12)
    assert market.volume.sum() == volume
    spelled = simulated_market(40, 6, seed=seed, edge=edge, neutral="rank", drift_sharpe=0.0, persistence=0.8)
    assert spelled.close.tobytes() == market.close.tobytes()


def statistic(values: np.ndarray) -> float:
    return float(values.mean() / values.std() * np.sqrt(len(values)))


def earned_by(weights: np.ndarray, returns: np.ndarray) -> np.ndarray:
    """Daily return of a portfolio without net money, each row of `weights` made so; shape (t,)."""
    centred = weights - weights.mean(axis=1, keepdims=True)
    return (centred * returns).sum(axis=1) / np.abs(centred).sum(axis=1)


def by_variance_and_momentum(market: SimulatedMarket) -> tuple[np.ndarray, np.ndarray]:
    """Daily returns of portfolios long what was volatile (net of market and sector) or rose, short the rest."""
    simple = market.close[1:] / market.close[:-1] - 1
    own = simple.copy()
    for sector in range(market.sector.max() + 1):
        own[:, market.sector == sector] -= own[:, market.sector == sector].mean(axis=1, keepdims=True)
    factor = simple.mean(axis=1)
    own -= np.outer(factor, factor @ own / (factor @ factor))
    variance = np.full_like(own, 1e-4)
    for at in range(1, len(own)):
        variance[at] = 0.94 * variance[at - 1] + 0.06 * np.minimum(own[at - 1] ** 2, 9 * variance[at - 1])
    momentum = market.close[60:-1] / market.close[:-61]
    return earned_by(variance[60:], own[60:]), earned_by(centred_ranks(momentum), simple[60:])


def test_no_selection_earns_anything_where_means_are_neutral() -> None:
    """The null of the tournament: chances of 1 in 15,000 for a right market; half the variance shows at over 5."""
    told: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {"mean": [], "rank": []}
    for seed in range(20):
        for neutral, each in told.items():
            each.append(by_variance_and_momentum(simulated_market(1000, 100, seed=seed, neutral=neutral)))  # type: ignore[arg-type]
    variance, momentum = (np.concatenate(parts) for parts in zip(*told["mean"], strict=True))
    assert abs(statistic(variance)) < 4
    assert abs(statistic(momentum)) < 4
    assert statistic(np.concatenate([variance for variance, _ in told["rank"]])) > 4


def test_the_night_of_a_neutral_market_does_not_tell_its_day() -> None:
    """Kills a split in which only the names' own noise parts night and day: the market's night tells its day then.

    And one that is uncorrelated and no more: a name's small nights, mostly noise, are then taken back in the day.
    """
    nights, days, quiet = [], [], []
    for seed in range(6):
        market = simulated_market(800, 60, seed=seed, neutral="mean")
        night, day = market.open[1:] / market.close[:-1] - 1, market.close[1:] / market.open[1:] - 1
        nights.append(night.mean(axis=1))
        days.append(day.mean(axis=1))
        small = np.abs(night) < night.std(axis=0)
        quiet.append((np.sign(night) * small * day / day.std(axis=0)).mean(axis=1))
    assert abs(statistic(np.concatenate(quiet))) < 4
    night, day = np.concatenate(nights), np.concatenate(days)
    assert abs(statistic(night * day)) < 4
    assert abs(statistic(np.sign(night) * day)) < 4
    assert 0.15 < night.var() / (night.var() + day.var()) < 0.35


@pytest.mark.parametrize("neutral", ["rank", "mean"])
def test_a_drift_has_its_stated_sharpe_ratio_and_is_the_same_for_all(neutral: str) -> None:
    def sharpe(drift: float, seed: int) -> float:
        market = simulated_market(1008, 40, seed=seed, drift_sharpe=drift, neutral=neutral)  # type: ignore[arg-type]
        returns = (market.close[1:] / market.close[:-1] - 1).mean(axis=1)
        return float(returns.mean() / returns.std() * np.sqrt(252))

    gained = [sharpe(0.8, seed) - sharpe(0.0, seed) for seed in range(6)]
    assert np.mean(gained) == pytest.approx(0.8, abs=0.01)
    none, some = (simulated_market(100, 8, seed=2, drift_sharpe=drift, neutral=neutral) for drift in (0.0, 2.0))  # type: ignore[arg-type]
    if neutral == "mean":
        more = (some.close / some.open) - (none.close / none.open)
    else:
        more = np.log(some.close / some.open) - np.log(none.close / none.open)
    assert (more > 0).all()
    assert np.ptp(more) < 1e-12


def test_the_drift_of_neutral_means_is_the_whole_of_it() -> None:
    """Without a drift the equal-weight market has mean 0; exp of symmetric logs would have half its variance."""
    returns = []
    for seed in range(20):
        market = simulated_market(500, 30, seed=seed, neutral="mean")
        returns.append((market.close[1:] / market.close[:-1] - 1).mean(axis=1))
    assert abs(statistic(np.concatenate(returns))) < 4


@pytest.mark.parametrize("edge", [0.05, -0.1])
def test_an_edge_is_planted_in_neutral_means_too(edge: float) -> None:
    measured = []
    for seed in range(12):
        market = simulated_market(504, 60, seed=seed, edge=edge, neutral="mean", persistence=0.95, signal_sessions=60)
        measured.append(mean_rank_ic(market.signal[:-2], forward(market)))
    assert abs(np.mean(measured) - edge) < 0.01


def test_a_slow_signal_is_kept_for_a_week() -> None:
    def kept(**more: float) -> float:
        signal = simulated_market(1008, 60, seed=1, neutral="mean", **more).signal[60:]  # type: ignore[arg-type]
        return mean_rank_ic(signal[:-5], signal[5:])

    assert kept() < 0.3
    assert kept(persistence=0.95, signal_sessions=60) > 0.5


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6), edge=st.sampled_from([0.0, 0.5]), drift=st.sampled_from([0.0, -5.0]))
def test_every_bar_of_a_neutral_market_is_possible(seed: int, edge: float, drift: float) -> None:
    """Check 62; a simple return of -100 % or less would be no price."""
    market = simulated_market(60, 8, seed=seed, edge=edge, drift_sharpe=drift, neutral="mean")
    assert (market.low > 0).all()
    assert np.isfinite(market.high).all()
    assert (market.high >= np.maximum(market.open, market.close)).all()
    assert (market.low <= np.minimum(market.open, market.close)).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"sessions": 10, "names": 10}, "at least 30 sessions"),
        ({"sessions": 50, "names": 3}, "5 names"),
        ({"sessions": 50, "names": 10, "edge": 0.9}, "was 0.9"),
        ({"sessions": 50, "names": 10, "edge": float("nan")}, "was nan"),
        ({"sessions": 50, "names": 10, "sectors": 0}, "sectors; was 0"),
        ({"sessions": 50, "names": 10, "drift_sharpe": float("nan")}, "was nan"),
        ({"sessions": 50, "names": 10, "neutral": "means"}, "Did you mean `mean`"),
        ({"sessions": 50, "names": 10, "persistence": 1.0}, "was 1.0"),
        ({"sessions": 50, "names": 10, "signal_sessions": 1}, "was 1"),
    ],
)
def test_impossible_markets_are_refused(arguments: dict[str, float], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        simulated_market(**arguments, seed=1)  # type: ignore[arg-type]
