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


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"sessions": 10, "names": 10}, "at least 30 sessions"),
        ({"sessions": 50, "names": 3}, "5 names"),
        ({"sessions": 50, "names": 10, "edge": 0.9}, "was 0.9"),
        ({"sessions": 50, "names": 10, "edge": float("nan")}, "was nan"),
        ({"sessions": 50, "names": 10, "sectors": 0}, "sectors; was 0"),
    ],
)
def test_impossible_markets_are_refused(arguments: dict[str, float], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        simulated_market(**arguments, seed=1)  # type: ignore[arg-type]
