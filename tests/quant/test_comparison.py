"""SPA, reality check, confidence set and the paired test: arch's own, planted edges, and what must not break them."""

import numpy as np
import pytest
from arch.bootstrap import MCS, SPA

from openbell.core.errors import BadInput
from openbell.quant.comparison import confidence_set, paired, superior_ability
from openbell.quant.significance import long_run_variance, stepm

FAST = {"horizon": 1, "replications": 500}


def noise(n: int, k: int, seed: int, rho: float = 0.5) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.sqrt(rho) * rng.standard_normal((n, 1)) + np.sqrt(1 - rho) * rng.standard_normal((n, k))


def names(k: int) -> list[str]:
    return [f"c{at}" for at in range(k)]


def test_both_p_values_are_those_of_arch_alone():
    """Oracle: each kind of columns on its own, from the same resamples; White's is the upper one of plain means."""
    values = noise(400, 4, 0) + 0.05 * np.arange(4) - 0.05
    # Hopeless and wild: Hansen sets it aside, White takes it seriously.
    values[:, 0] = 5 * values[:, 0] - 2
    found = superior_ability(values, **FAST)
    alone = SPA(np.zeros(400), -values, block_size=found.block_sessions, reps=500, seed=0)
    alone.compute()
    assert found.reality_check == alone.pvalues["upper"] > alone.pvalues["consistent"]
    scaled = values / np.sqrt(long_run_variance(values, found.block_sessions))
    hansen = SPA(np.zeros(400), -scaled, block_size=found.block_sessions, reps=500, seed=0)
    hansen.compute()
    assert [found.spa_lower, found.spa, found.spa_upper] == hansen.pvalues.tolist()
    assert found.spa_lower <= found.spa <= found.spa_upper


def test_a_noisy_stranger_does_not_hide_an_edge_from_the_studentised_test():
    """Kills arch's own `studentize`: a wild column of mean 0 sets the bar for plain means."""
    values = np.column_stack([0.2 + noise(600, 1, 1), 100 * noise(600, 1, 2)])
    found = superior_ability(values, **FAST)
    assert found.spa < 0.01
    assert found.reality_check > 0.1


def test_noise_is_not_better_and_a_constant_is_not_judged():
    values = np.column_stack([noise(600, 3, 3), np.zeros(600), np.full(600, 0.5)])
    found = superior_ability(values, **FAST)
    assert found.candidates == 3
    assert found.spa > 0.01
    assert superior_ability(values[:, 3:], **FAST).spa == 1.0


def test_the_confidence_set_is_arch_s():
    values = noise(400, 5, 4) + np.array([0.0, 0.1, 0.3, 0.28, -0.1])
    found = confidence_set(values, names(5), **FAST)
    oracle = MCS(-values, 0.10, reps=500, block_size=found.block_sessions, seed=0)
    oracle.compute()
    assert np.flatnonzero(found.included).tolist() == oracle.included
    np.testing.assert_allclose(found.p_value, oracle.pvalues["Pvalue"].sort_index())
    assert "c2" in found.members
    assert "c4" not in found.members


def test_copies_share_a_fate_and_a_sure_loser_is_out():
    """Kills a division by the error of a difference that has none: arch's own p-values are NaN or raise here."""
    values = noise(400, 2, 5, rho=0.0) + np.array([0.5, 0.0])
    several = np.column_stack([values, values[:, 0], values[:, 0] - 0.2, values[:, 1]])
    found = confidence_set(several, names(5), **FAST)
    assert found.p_value[0] == found.p_value[2] == 1.0
    assert found.p_value[3] == 0.0
    assert found.p_value[1] == found.p_value[4]
    assert confidence_set(values[:, :1], ["only"], **FAST).members == ("only",)
    assert confidence_set(np.zeros((400, 3)), names(3), **FAST).included.all()


def test_the_best_is_always_in_the_set_and_order_does_not_matter():
    values = noise(300, 4, 6) + np.array([0.0, 0.02, 0.1, 0.05])
    one = confidence_set(values, names(4), **FAST)
    two = confidence_set(values[:, ::-1], names(4)[::-1], **FAST)
    assert one.included[2]
    np.testing.assert_allclose(one.p_value, two.p_value[::-1])


def test_the_paired_test_is_stepm_on_the_differences():
    """What all share with the one in office is no merit: an edge of all is found against nothing, not in pairs."""
    shared = 0.5 + noise(800, 1, 7, rho=0.0)
    better = shared[:, 0] + 0.3 + 0.5 * noise(800, 1, 8)[:, 0]
    alike = shared[:, 0] + 0.5 * noise(800, 1, 9)[:, 0]
    challengers = np.column_stack([better, alike, shared[:, 0]])
    found = paired(challengers, shared[:, 0], names(3), horizon=1, replications=1000)
    assert found.survives.tolist() == [True, False, False]
    assert found.mean[0] == pytest.approx(0.3, abs=0.1)
    oracle = stepm(challengers - shared, names(3), horizon=1, replications=1000)
    assert found.p_value.tolist() == oracle.p_value.tolist()
    assert stepm(challengers, names(3), horizon=1, replications=1000).survives.all()


def test_the_same_seed_gives_the_same_answer():
    values = noise(300, 3, 10)
    assert superior_ability(values, **FAST) == superior_ability(values, **FAST)
    one, two = (confidence_set(values, names(3), **FAST) for _ in range(2))
    assert one.p_value.tobytes() == two.p_value.tobytes()


@pytest.mark.parametrize("test", [superior_ability, lambda values, **more: confidence_set(values, names(2), **more)])
def test_missing_values_short_histories_and_wrong_shapes_are_refused(test):
    values = noise(300, 2, 11)
    values[4, 1] = np.nan
    with pytest.raises(BadInput, match="1 of 600"):
        test(values, **FAST)
    with pytest.raises(BadInput, match="too few for a mean block of 10"):
        test(noise(90, 2, 12), horizon=5)
    with pytest.raises(BadInput, match="shape"):
        test(noise(300, 1, 13)[:, 0], **FAST)


def test_a_size_and_an_incumbent_that_do_not_fit_are_refused():
    with pytest.raises(BadInput, match=r"was 1\.5"):
        confidence_set(noise(300, 2, 0), names(2), size=1.5, **FAST)
    with pytest.raises(BadInput, match=r"\(299,\)"):
        paired(noise(300, 2, 0), np.zeros(299), names(2), horizon=1)
