"""The gates by hand on both sides of every limit, the order of the rules, and the rate they hold."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openbell.core.declare import Criterion, Threshold
from openbell.core.errors import BadInput
from openbell.quant.deflation import deflated_sharpe, effective_trials
from openbell.quant.significance import stepm
from openbell.research.selection import Rules, regime_consistency, select, weighted_score

#: The stocks desk's (S2.31, S2.32).
CRITERIA = (
    Criterion("sharpe", 0.30, 0.0, 2.0),
    Criterion("max_drawdown", 0.25, -0.30, 0.0),
    Criterion("calmar", 0.20, 0.0, 1.5),
    Criterion("turnover", 0.15, 0.50, 0.0),
    Criterion("regime_consistency", 0.10, 0.0, 1.0),
)
THRESHOLDS = (
    Threshold("sharpe", at_least=1.0),
    Threshold("max_drawdown", at_least=-0.20),
    Threshold("calmar", at_least=0.5),
    Threshold("turnover", at_most=0.40),
)
GOOD = {"sharpe": 1.5, "max_drawdown": -0.10, "calmar": 1.0, "turnover": 0.2, "regime_consistency": 0.8}


def rules(**more) -> Rules:
    return Rules(**{"criteria": CRITERIA, "thresholds": THRESHOLDS, "replications": 1000, "horizon": 1, **more})


def returns(means, seed: int = 0, n: int = 400, rho: float = 0.5) -> np.ndarray:
    """Active returns a day with the given annual Sharpe ratios."""
    rng = np.random.default_rng(seed)
    shocks = np.sqrt(rho) * rng.standard_normal((n, 1)) + np.sqrt(1 - rho) * rng.standard_normal((n, len(means)))
    shocks = (shocks - shocks.mean(axis=0)) / shocks.std(axis=0)
    return 0.004 * (shocks + np.asarray(means) / np.sqrt(252))


def table(names, **columns) -> pl.DataFrame:
    rows = {name: columns.get(name, [value] * len(names)) for name, value in GOOD.items()}
    return pl.DataFrame({"entrant": names, **rows}, strict=False)


def gate(found, entrant: str, name: str) -> dict:
    return found.gates.row(by_predicate=(pl.col("entrant") == entrant) & (pl.col("gate") == name), named=True)


@pytest.mark.parametrize(
    ("measure", "value", "passes"),
    [
        ("sharpe", 1.0, True),
        ("sharpe", 1.0 - 1e-9, False),
        ("max_drawdown", -0.20, True),
        ("max_drawdown", -0.2000001, False),
        ("max_drawdown", -0.05, True),
        ("max_drawdown", -0.60, False),
        ("calmar", 0.5, True),
        ("calmar", 0.4999, False),
        ("turnover", 0.40, True),
        ("turnover", 0.4001, False),
        ("sharpe", None, False),
        ("calmar", float("nan"), False),
    ],
)
def test_each_threshold_on_both_sides(measure, value, passes):
    """Check 54: drawdowns are negative, a limit is itself allowed, and what is missing does not pass."""
    found = select(["a"], returns([5.0]), table(["a"], **{measure: [value]}), rules(), reported=False)
    row = gate(found, "a", measure)
    assert row["passed"] is passes
    assert found.champion == ("a" if passes else None)
    others = found.gates.filter(pl.col("gate") != measure)
    assert others["passed"].all()
    if not passes:
        assert f"The gate `{measure}` stopped 1 of 1: `a`." in found.why
        assert "was" in row["why"] or "has no" in row["why"]


def test_the_score_by_hand():
    """Check 54: one best, one worst, one between, one beyond both ends."""
    measures = pl.DataFrame(
        {
            "sharpe": [2.0, 0.0, 1.0, 7.0],
            "max_drawdown": [0.0, -0.30, -0.15, -0.90],
            "calmar": [1.5, 0.0, 0.75, 9.0],
            "turnover": [0.0, 0.50, 0.25, 3.0],
            "regime_consistency": [1.0, 0.0, 0.5, None],
        }
    )
    assert weighted_score(measures, CRITERIA).tolist() == pytest.approx([1.0, 0.0, 0.5, 0.30 + 0.20])


better = {"sharpe": 1, "max_drawdown": 1, "calmar": 1, "turnover": -1, "regime_consistency": 1}


@settings(max_examples=80, deadline=None)
@given(
    values=st.fixed_dictionaries({name: st.floats(-3, 3) for name in better}),
    measure=st.sampled_from(sorted(better)),
    by=st.floats(0, 3),
)
def test_the_score_lies_in_0_to_1_and_never_falls_for_a_better_measure(values, measure, by):
    """Check 54."""
    improved = {**values, measure: values[measure] + better[measure] * by}
    before, after = weighted_score(pl.DataFrame([values, improved]), CRITERIA)
    assert 0.0 <= before <= after + 1e-15 <= 1.0 + 1e-15


def test_regime_consistency_by_hand():
    ratios = np.array([[1.0, 1.0, 1.0], [0.0, 1.0, 2.0], [-9.0, 1.0, 9.0], [1.0, np.nan, 3.0], [1.0, np.nan, np.nan]])
    found = regime_consistency(ratios, np.array([300, 300, 300]))
    assert found.tolist() == pytest.approx([1.0, 1 - np.sqrt(2 / 3) / 2, 0.0, 0.5, 0.0])
    # A regime of a few weeks says nothing, and one regime alone shows no consistency.
    assert regime_consistency(ratios[1:2], np.array([300, 62, 300])).tolist() == pytest.approx([0.5])
    assert regime_consistency(ratios[1:2], np.array([300, 63, 300])).tolist() == found[1:2].tolist()
    assert regime_consistency(ratios[:1], np.array([300, 10, 10])).tolist() == [0.0]
    assert regime_consistency(ratios[:2], np.array([[300, 9, 9], [300, 300, 300]])).tolist() == [0.0, found[1]]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(-5, 5), min_size=3, max_size=3), st.floats(0, 1))
def test_more_alike_regimes_are_more_consistent(ratios, shrink):
    values = np.array([ratios])
    nearer = values.mean() + shrink * (values - values.mean())
    one, two = (float(regime_consistency(each, np.array([100] * 3))[0]) for each in (values, nearer))
    assert 0.0 <= one <= two + 1e-12 <= 1.0 + 1e-12


def test_the_score_chooses_among_those_who_pass_and_nobody_else():
    """Kills a champion by score alone (c scores best and is luck) or by statistic alone (a is surer than b)."""
    names = ["a", "b", "c"]
    measures = table(names, sharpe=[1.2, 1.6, 2.0])
    found = select(names, returns([9.0, 6.0, 0.3]), measures, rules())
    board = found.leaderboard
    assert found.champion == "b"
    assert board["entrant"].to_list() == ["b", "a", "c"]
    assert board["rank"].to_list() == [1, 2, 3]
    assert board["eligible"].to_list() == [True, True, False]
    assert board.filter(pl.col("entrant") == "c")["weighted_score"][0] == board["weighted_score"].max()
    assert found.why[0].startswith("`b` is the champion: 2 of 3 entrants passed every gate")
    assert "The gate `beats_baseline` stopped 1 of 3: `c`." in found.why
    assert found.pbo is not None
    assert found.spa is not None
    assert found.mcs is not None
    assert found.spa.spa < 0.01


def test_the_figures_are_those_of_the_tests_they_come_from():
    names, active = ["a", "b"], returns([4.0, 1.0], seed=2)
    earlier = returns([0.0] * 3, seed=3)
    found = select(names, active, table(names), rules(seed=5), trial_returns=earlier, tries=60, reported=False)
    oracle = stepm(active, names, horizon=1, replications=1000, seed=5)
    board = found.leaderboard.sort("entrant")
    assert board["statistic"].to_list() == oracle.statistic.tolist()
    assert board["p_value"].to_list() == oracle.p_value.tolist()
    seen = effective_trials(np.hstack([active, earlier]))
    effective = 60 ** (np.log(seen) / np.log(5))
    worth = deflated_sharpe(active, trials=effective).probability
    assert board["deflated_sharpe"].to_list() == pytest.approx(worth.tolist())
    assert found.trials["seen"] == 5
    assert found.trials["tries"] == 60
    assert found.trials["effective_seen"] == pytest.approx(seen)
    assert found.trials["effective"] == pytest.approx(effective)
    assert gate(found, "a", "beats_baseline")["value"] == pytest.approx(oracle.statistic[0])
    assert gate(found, "a", "beats_baseline")["limit"] == pytest.approx(oracle.critical)


def test_deflation_is_a_gate_of_its_own_and_earlier_trials_raise_it():
    """Kills a deflation that forgets the ledger: the same entrant passes alone and not as one of a great many."""
    active = returns([4.0], n=300)
    alone = select(["a"], active, table(["a"]), rules(alpha=0.05), reported=False)
    searched = select(["a"], active, table(["a"]), rules(alpha=0.05), tries=100_000, reported=False)
    assert gate(alone, "a", "deflated_sharpe")["value"] > gate(searched, "a", "deflated_sharpe")["value"]
    assert alone.champion == "a"
    assert searched.champion is None
    assert "The gate `deflated_sharpe` stopped 1 of 1: `a`." in searched.why
    strict = select(["a"], active, table(["a"]), rules(alpha=0.05, deflated_at_least=0.9999999), reported=False)
    assert strict.champion is None


def test_every_gate_is_shown_for_every_entrant():
    names = ["a", "b", "c"]
    measures = table(names, sharpe=[0.1, 1.5, None], turnover=[0.9, 0.1, 0.1])
    found = select(names, returns([0.0, 0.0, 0.0]), measures, rules(), incumbent=returns([1.0])[:, 0], reported=False)
    order = ["beats_baseline", "sharpe", "max_drawdown", "calmar", "turnover", "deflated_sharpe", "beats_incumbent"]
    assert found.gates["gate"].unique(maintain_order=True).to_list() == order
    assert found.gates.height == 3 * len(order)
    assert found.gates["why"].null_count() == 0
    assert found.champion is None
    assert found.why[0] == "There is no champion: 0 of 3 entrants passed every gate."
    assert "The gate `sharpe` stopped 2 of 3: `a`, `c`." in found.why
    assert "The gate `beats_baseline` stopped 3 of 3: `a`, `b`, `c`." in found.why
    assert "1 entrants have no `sharpe` and score 0 there: `c`." in found.why


def test_the_champion_in_office_is_beaten_in_pairs_only():
    """An edge that the office has too is no reason to change; being better than it is."""
    shared = returns([6.0], seed=4, n=600)
    extra = returns([5.0, 0.0], seed=5, n=600, rho=0.0)
    names = ["better", "alike"]
    active = np.column_stack([shared[:, 0] + extra[:, 0], shared[:, 0] + 0.2 * extra[:, 1]])
    measures = table(names, sharpe=[1.1, 2.0])
    found = select(names, active, measures, rules(), incumbent=shared[:, 0], reported=False)
    assert found.champion == "better"
    assert not gate(found, "alike", "beats_incumbent")["passed"]
    assert gate(found, "alike", "beats_baseline")["passed"]
    alone = select(["alike"], active[:, 1:], measures[1:], rules(), incumbent=shared[:, 0], reported=False)
    assert alone.champion is None
    assert not alone.stays
    free = select(names, active, measures, rules(), reported=False)
    assert free.champion == "alike"


def test_a_champion_in_office_among_the_entrants_is_not_paired_with_itself():
    shared = returns([6.0], seed=4, n=600)[:, 0]
    alike = shared + 0.2 * returns([0.0], seed=6, n=600)[:, 0]
    names = ["alike", "office"]
    found = select(names, np.column_stack([alike, shared]), table(names), rules(), incumbent="office", reported=False)
    assert found.champion is None
    assert found.stays
    assert found.why[0].startswith("The champion in office `office` stays")
    pairs = found.gates.filter(pl.col("gate") == "beats_incumbent")
    assert pairs["entrant"].to_list() == ["alike"]
    weak = select(["office"], returns([0.0]), table(["office"]), rules(), incumbent="office", reported=False)
    assert weak.champion is None
    assert not weak.stays


def test_too_few_sessions_make_nobody_champion():
    found = select(["a", "b"], returns([30.0, 30.0], n=90), table(["a", "b"]), rules(horizon=5))
    assert found.champion is None
    assert "90 sessions are too few for a mean block of 10: at least 100" in gate(found, "a", "beats_baseline")["why"]
    assert gate(found, "b", "sharpe")["passed"]
    assert found.superior is None
    assert found.leaderboard["p_value"].null_count() == 2
    assert not found.leaderboard["eligible"].any()


def test_an_entrant_that_is_the_baseline_is_no_champion():
    """Active returns of 0 have no Sharpe ratio: neither chosen nor an error."""
    names = ["same", "good"]
    active = np.column_stack([np.zeros(400), returns([6.0])[:, 0]])
    found = select(names, active, table(names, sharpe=[2.0, 1.1]), rules())
    assert found.champion == "good"
    assert gate(found, "same", "deflated_sharpe")["value"] is None
    assert select(["same"], active[:, :1], table(["same"]), rules()).champion is None


@pytest.mark.parametrize("order", [[4, 3, 2, 1, 0], [2, 4, 0, 3, 1]])
def test_the_order_of_entry_does_not_matter(order):
    """Ties included: d and e are the same entrant twice, and the first by name wins."""
    names = ["a", "b", "c", "d", "e"]
    active = returns([5.0, 0.0, 3.0, 8.0], seed=7)[:, [0, 1, 2, 3, 3]]
    measures = table(names, sharpe=[1.2, 2.0, 1.5, 1.7, 1.7])
    usual = select(names, active, measures, rules(), reported=False)
    mixed = select([names[at] for at in order], active[:, order], measures, rules(), reported=False)
    assert mixed.champion == usual.champion == "d"
    assert mixed.why == usual.why
    keys = ["entrant", "eligible", "survives", "rank", "p_value", "weighted_score"]
    assert mixed.leaderboard.select(keys).equals(usual.leaderboard.select(keys))
    worth = [each.leaderboard["deflated_sharpe"].to_numpy() for each in (mixed, usual)]
    np.testing.assert_allclose(*worth, rtol=1e-9)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"criteria": ()}, "sum to 1"),
        ({"criteria": CRITERIA[:4]}, r"was 0\.9"),
        ({"criteria": (Criterion("a", 1.5, 0, 1), Criterion("b", -0.5, 0, 1))}, "at least 0"),
        ({"criteria": (Criterion("a", 1.0, 1, 1),)}, "two different ends"),
        ({"thresholds": (Threshold("a"),)}, "finite"),
        ({"thresholds": (Threshold("a", at_least=float("nan")),)}, "finite"),
        ({"deflated_at_least": 1.0}, "was 1.0"),
    ],
)
def test_rules_that_rule_nothing_are_refused(change, said):
    with pytest.raises(BadInput, match=said):
        rules(**change)


def test_what_cannot_be_judged_is_refused():
    names, active = ["a", "b"], returns([1.0, 1.0])
    broken = active.copy()
    broken[3, 1] = np.nan
    cases = [
        ((names, broken, table(names)), {}, "those of b were not"),
        ((["a", "a"], active, table(["a", "a"])), {}, "`a` was there twice"),
        ((names, active[:, :1], table(names)), {}, "a column for each of the 2"),
        ((names, active, table(["a"])), {}, "exactly one row"),
        ((names, active, table(names).drop("calmar")), {}, "no measure `calmar`"),
        ((names, active, table(names, sharpe=[np.inf, 1.0])), {}, "must not be infinite"),
        ((names, active, table(names)), {"incumbent": "c"}, "`c` is not among"),
        ((names, active, table(names)), {"incumbent": active[:9, 0]}, r"\(9,\)"),
        ((names, active, table(names)), {"trial_returns": broken}, "must be finite"),
    ]
    for arguments, more, said in cases:
        with pytest.raises(BadInput, match=said):
            select(*arguments, rules(), reported=False, **more)


def promoted(trials: int, n: int, k: int, horizon: int) -> int:
    """How often pure noise has a champion where nothing but the rate is asked for."""
    lax = rules(thresholds=(), deflated_at_least=0.0, horizon=horizon)
    names = [f"e{at}" for at in range(k)]
    found = 0
    for seed in range(trials):
        shocks = np.random.default_rng(seed).standard_t(5, (n, k + 1))
        active = 0.003 * (shocks[:, :1] + shocks[:, 1:])
        found += select(names, active, table(names), lax, reported=False).champion is not None
    return found


def test_noise_has_no_champion():
    """At 1 % of 8 null tournaments at most 2 may have one: 3 or more has a chance of 1 in 20,000."""
    assert promoted(8, 252, 4, 5) <= 2


@pytest.mark.slow
@pytest.mark.parametrize("n", [504, 1512])
def test_noise_has_a_champion_as_rarely_as_alpha_says(n):
    """Nominal 1 % of 200: a true 2 % exceeds 9 with a chance of 1 %."""
    assert promoted(200, n, 12, 5) <= 9


def test_the_gates_of_the_request_alone_promote_luck():
    """Why the first gate stands first: a market's Sharpe ratio of 1.5 passes every threshold without any skill."""
    names = [f"e{at}" for at in range(8)]
    found = select(names, returns([0.0] * 8), table(names), rules(), reported=False)
    thresholds = found.gates.filter(pl.col("gate").is_in([each.measure for each in THRESHOLDS]))
    assert thresholds["passed"].all()
    assert found.champion is None
