"""Figures of a walk of sessions: by hand, against scikit-learn, and in worlds whose truth is known."""

import json
import math
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import brier_score_loss, confusion_matrix, precision_recall_fscore_support, roc_auc_score
from sklearn.metrics import log_loss as sklearn_log_loss
from statsmodels.stats.power import NormalIndPower
from statsmodels.stats.proportion import proportion_effectsize

sys.path.insert(0, str(Path(__file__).parent))
from session_decisions import sessions

from openbell.core.errors import BadInput
from openbell.core.session import CLASSES, DECISIONS, NO_CALL, probability
from openbell.quant.day_blocks import DayBlocks, macro_auc
from openbell.quant.intervals import observations_needed
from openbell.research.class_scores import running_base_rates
from openbell.research.session_evidence import PARTLY_SEEN, sessions_needed
from openbell.research.session_scores import SessionScores, scored
from openbell.research.session_walk import called, forecast_columns

LABEL = "archetype_by_structure"
FOUR, TWO = CLASSES[LABEL], CLASSES["direction_from_cutoff"]
ROWS = sessions(n=300, label=LABEL, products=("ES", "NQ"), shares=(0.3, 0.4, 0.1, 0.2), open_last=1)
PAIR = sessions(n=300, shares=(0.45, 0.55))


def forecasts(rows, probabilities, classes, model="m", least=0.5):
    """A walk in which `model` said `probabilities` (n, k) of every decision."""
    p = np.asarray(probabilities, dtype=np.float64)
    frame = rows.select(list(DECISIONS)).with_columns(
        pl.lit(model).alias("model"),
        (pl.col("session").rank("dense") // 151).cast(pl.Int32).alias("fold"),
        *(pl.Series(probability(name), p[:, at]).fill_nan(None) for at, name in enumerate(classes)),
    )
    columns = forecast_columns(classes)
    return called(frame, classes, least).select(list(columns)).cast(columns)


def knowing(rows, k, weight, seed=0):
    """Random probabilities with `weight` on what happened, (n, k)."""
    rng = np.random.default_rng(seed)
    label = rows["label"].fill_null(0).to_numpy().astype(int)
    return (1 - weight) * rng.dirichlet(np.full(k, 2.0), rows.height) + weight * np.eye(k)[label]


def four(weight=0.15):
    frames = [
        forecasts(ROWS, knowing(ROWS, 4, weight), FOUR, "knows"),
        forecasts(ROWS, np.tile([0.3, 0.4, 0.1, 0.2], (ROWS.height, 1)), FOUR, "base_rate"),
        forecasts(ROWS, knowing(ROWS.with_columns(pl.col("label").shuffle(seed=4)), 4, weight, 1), FOUR, "boasts"),
    ]
    return pl.concat(frames)


@pytest.fixture(scope="module")
def found():
    return scored(four(), ROWS, FOUR, alpha=0.01, replications=1000)


def row_of(found, model):
    return found.models.row(by_predicate=pl.col("model") == model, named=True)


def test_every_figure_of_a_model_against_scikit_learn(found):
    own = forecasts(ROWS, knowing(ROWS, 4, 0.15), FOUR).filter(pl.col("label").is_not_null())
    p, label = own.select(probability(name) for name in FOUR).to_numpy(), own["label"].to_numpy()
    row, likeliest = row_of(found, "knows"), p.argmax(axis=1)
    assert (row["n"], row["sessions"], row["silent"]) == (598, 299, 0)
    assert row["log_loss"] == pytest.approx(sklearn_log_loss(label, p))
    assert row["accuracy"] == pytest.approx((likeliest == label).mean())
    assert row["auc"] == pytest.approx(roc_auc_score(label, p, multi_class="ovr", average="macro"))
    assert row["auc_low"] < row["auc"] < row["auc_high"]
    assert row["brier"] == pytest.approx(brier_score_loss(label, p, scale_by_half=False))
    assert (row["commonest_class"], row["commonest"]) == ("RANGE", pytest.approx((label == 1).mean()))
    assert row["share_reversal"] == pytest.approx((label == 2).mean())
    classes = found.classes.filter((pl.col("model") == "knows") & (pl.col("rule") == "likeliest"))
    precision, recall, _, support = precision_recall_fscore_support(label, likeliest)
    np.testing.assert_allclose(classes["precision"], precision)
    np.testing.assert_allclose(classes["recall"], recall)
    np.testing.assert_allclose(classes["base_rate"], support / 598)
    matrix = found.confusion.filter((pl.col("model") == "knows") & (pl.col("rule") == "likeliest"))
    np.testing.assert_array_equal(matrix["n"].to_numpy().reshape(4, 4), confusion_matrix(label, likeliest))


def test_two_classes_against_scikit_learn():
    p = knowing(PAIR, 2, 0.2)
    frame = forecasts(PAIR, p, TWO)
    row = scored(frame, PAIR, TWO, replications=1000).models.row(0, named=True)
    label = PAIR["label"].to_numpy()
    assert row["auc"] == pytest.approx(roc_auc_score(label, p[:, 1]))
    assert row["brier"] == pytest.approx(2 * brier_score_loss(label, p[:, 1]))


def test_calls_are_counted_and_judged_apart(found):
    """Check 69: what is not called is counted as such and judged nowhere."""
    own = forecasts(ROWS, knowing(ROWS, 4, 0.15), FOUR).filter(pl.col("label").is_not_null())
    row, made = row_of(found, "knows"), own.filter(pl.col("call").is_not_null())
    words = {name: at for at, name in enumerate(FOUR)}
    right = made.select((pl.col("call").replace_strict(words, return_dtype=pl.Int8) == pl.col("label")).mean()).item()
    assert 0 < row["calls"] == made.height < row["n"]
    assert row["call_share"] == pytest.approx(made.height / own.height)
    assert row["calls_right"] == pytest.approx(right)
    assert row["calls_over_base"] == pytest.approx(right - row["calls_base"])
    rates = running_base_rates(ROWS, range(4), FOUR)
    then = made.join(rates, on="session", how="left", maintain_order="left")
    hand = [row[name] for row, name in zip(then.iter_rows(named=True), then["call"], strict=True)]
    assert row["calls_base"] == pytest.approx(np.mean(hand))
    told = found.confusion.filter((pl.col("model") == "knows") & (pl.col("rule") == "call"))
    assert told["n"].sum() == own.height
    assert told.filter(pl.col("said") == NO_CALL)["n"].sum() == own.height - made.height
    classes = found.classes.filter((pl.col("model") == "knows") & (pl.col("rule") == "call"))
    assert classes["said"].sum() == made.height


def test_only_who_knows_more_than_the_base_rates_is_proven(found):
    """Check 2: n, base rate and interval with every figure; who is sure of noise loses by it."""
    assert found.proven == ("knows",)
    assert found.best == "knows"
    assert row_of(found, "knows")["skill_nats_low"] > 0
    assert row_of(found, "boasts")["skill_nats_high"] < 0
    assert row_of(found, "base_rate")["kind"] == "baseline"
    assert row_of(found, "base_rate")["p_value"] is None
    assert not row_of(found, "base_rate")["proven"]
    assert found.why[0].startswith("StepM against the base rates at 1.0%, one-sided: 2 candidates on 299 days")
    assert found.evidence == row_of(found, "knows")["evidence"]
    for model, words in (("knows", "Evidence: "), ("boasts", "Worse than the base rates: "), ("base_rate", "`base_")):
        told = row_of(found, model)["evidence"]
        assert told.startswith(words)
        assert "598 forecasts in 299 sessions" in told
        assert "95 % interval" in told
        assert "RANGE alone would have been in" in told


def test_the_skill_is_measured_against_what_was_known_then():
    """A class that became common later: the shares of the whole would have known it."""
    rows = PAIR.with_columns((pl.int_range(300) >= 150).cast(pl.Int8).alias("label"))
    frame = forecasts(rows, np.full((300, 2), 0.5), TWO)
    row = scored(frame, rows, TWO, replications=1000).models.row(0, named=True)
    seen = [(min(day, 150) + 1) / (day + 2) for day in range(300)]
    hand = np.mean([-math.log(p if day < 150 else 1 - p) for day, p in enumerate(seen)])
    assert row["base_log_loss"] == pytest.approx(hand)
    assert row["skill_nats"] == pytest.approx(hand - math.log(2))


def test_few_sessions_are_no_evidence_whatever_they_say():
    """S4.26: below `min_sessions` nothing is proven, and it is told how many it would take."""
    few = scored(four(0.4), ROWS, FOUR, alpha=0.01, replications=1000, min_sessions=300)
    assert few.proven == ()
    assert row_of(few, "knows")["skill_nats_low"] > 0
    assert few.evidence.startswith("Not enough evidence: 299 sessions are fewer than the 300 below which nothing")
    assert "With 80% power an accuracy is told from" in few.evidence


def test_very_few_sessions_have_no_interval_and_say_so():
    short = PAIR.head(15)
    told = scored(forecasts(short, knowing(short, 2, 0.3), TWO), PAIR, TWO, replications=1000)
    assert told.models["skill_nats_low"][0] is None
    assert "they are too few for an interval" in told.evidence
    assert "(no interval)" in told.evidence
    assert told.why == ("Nothing can be proven: 15 days are too few; 30 are needed.",)


def guesses(share, seed):
    """Who leans by 0.06 to the right side with the probability `share`, (n, 2)."""
    rng, label = np.random.default_rng(seed), PAIR["label"].to_numpy()
    up = np.where(rng.random(PAIR.height) < share, label, 1 - label)
    return np.column_stack([0.56 - 0.12 * up, 0.44 + 0.12 * up])


def test_a_skill_that_did_not_survive_the_number_of_tries_says_so():
    """The same forecasts are proven alone, and not as the best of twelve that were tried."""
    lucky = forecasts(PAIR, guesses(0.58, 5), TWO, "lucky")
    others = [forecasts(PAIR, guesses(0.5, 100 + at), TWO, f"m{at}") for at in range(11)]
    alone = scored(lucky, PAIR, TWO, alpha=0.01, replications=1000)
    among = scored(pl.concat([lucky, *others]), PAIR, TWO, alpha=0.01, replications=1000)
    assert (alone.proven, among.proven, among.best) == (("lucky",), (), "lucky")
    assert row_of(among, "lucky")["skill_nats_low"] == row_of(alone, "lucky")["skill_nats_low"] > 0
    assert "the gain does not survive the test of 12 tries at 1.0% (p 0.0" in among.evidence


def test_a_label_that_is_partly_seen_is_told_apart(found):
    """The archetype of a day holds the range before the cut-off; foretelling that part earns nothing."""
    day = scored(four(), ROWS, FOUR, alpha=0.01, replications=1000, label=LABEL)
    assert day.why[-1] == PARTLY_SEEN
    assert day.evidence == f"{found.evidence} {PARTLY_SEEN}"
    after = scored(
        forecasts(PAIR, knowing(PAIR, 2, 0.2), TWO), PAIR, TWO, replications=1000, label="direction_from_cutoff"
    )
    assert PARTLY_SEEN not in after.why


def test_an_abstention_is_counted_and_judged_nowhere():
    p = knowing(PAIR, 2, 0.2)
    p[:40] = np.nan
    told = scored(forecasts(PAIR, p, TWO), PAIR, TWO, replications=1000)
    rest = scored(forecasts(PAIR[40:], p[40:], TWO), PAIR, TWO, replications=1000)
    assert told.models.select("n", "silent").row(0) == (260, 40)
    assert told.models["skill_nats"][0] == pytest.approx(rest.models["skill_nats"][0])
    with pytest.raises(BadInput, match="Every model abstained"):
        scored(forecasts(PAIR, np.full((300, 2), np.nan), TWO), PAIR, TWO)
    with pytest.raises(BadInput, match="no forecast with a known outcome"):
        scored(forecasts(PAIR, p, TWO).with_columns(pl.lit(None, pl.Int8).alias("label")), PAIR, TWO)


def test_folds_and_products_add_up(found):
    """S4.08: scores of every fold."""
    row = row_of(found, "knows")
    for frame, key in ((found.folds, "fold"), (found.symbols, "symbol")):
        own = frame.filter(pl.col("model") == "knows")
        assert own[key].n_unique() == own.height == 2
        assert own["n"].sum() == row["n"]
        for figure in ("accuracy", "skill_nats", "log_loss"):
            assert (own[figure] * own["n"]).sum() / row["n"] == pytest.approx(row[figure])
        assert own["calls"].sum() == row["calls"]
    assert found.folds["first"].to_list()[:2] == [str(ROWS["session"][0]), str(ROWS["session"].unique().sort()[150])]


def test_reliability_is_there_for_the_likeliest_and_for_every_class(found):
    table = found.reliability.filter(pl.col("model") == "knows")
    assert table["of"].unique(maintain_order=True).to_list() == ["likeliest", *FOUR]
    assert (table.group_by("of").agg(pl.col("n").sum())["n"] == 598).all()
    assert (
        table.select((pl.col("low") <= pl.col("observed")) & (pl.col("observed") <= pl.col("high"))).to_series().all()
    )


def test_the_record_is_json_and_gives_the_same_scores_back(found):
    text = json.dumps(found.record)
    again = SessionScores.from_record(json.loads(text))
    assert json.dumps(again.record) == text
    assert (again.proven, again.why, again.label_classes, again.best) == (found.proven, found.why, FOUR, "knows")
    assert again.models.select("model", "n", "accuracy").equals(found.models.select("model", "n", "accuracy"))
    assert found.card("knows")["p_value"] == row_of(found, "knows")["p_value"]


def test_the_same_forecasts_give_the_same_figures_in_any_order(found):
    shuffled = four().sample(fraction=1.0, shuffle=True, seed=1).sort("model", "session", "symbol")
    again = scored(shuffled, ROWS.sample(fraction=1.0, shuffle=True, seed=2), FOUR, alpha=0.01, replications=1000)
    was, now = (each.models.sort("model").drop("evidence") for each in (found, again))
    for name in was.columns:
        assert was[name].to_list() == pytest.approx(now[name].to_list())


@pytest.mark.parametrize(("share", "base"), [(0.53, 0.5), (0.55, 0.515), (0.57, 0.54), (0.45, 0.4)])
def test_the_observations_that_it_takes_have_the_power_that_is_told(share, base):
    """Against the exact binomial test: the normal formula is within a few percent of it."""
    from scipy.stats import binom

    n = observations_needed(share, base, alpha=0.05, power=0.8)
    assert n is not None
    critical = binom.isf(0.05, n, base)
    assert binom.sf(critical, n, share) == pytest.approx(0.8, abs=0.03)
    arcsine = NormalIndPower(ddof=0).solve_power(
        proportion_effectsize(share, base), alpha=0.05, power=0.8, ratio=0, alternative="larger"
    )
    assert n == pytest.approx(arcsine, rel=0.05, abs=2)


def test_an_accuracy_that_is_not_above_the_base_rate_is_never_seen():
    assert observations_needed(0.53, 0.53) is None
    table = sessions_needed(0.54, 2, 0.05)
    assert table["accuracy"].to_list() == [0.53, 0.55, 0.57]
    assert table["sessions"][0] is None
    assert table["sessions"][1] > table["sessions"][2] > 0
    np.testing.assert_allclose(sessions_needed(0.4, 3, 0.05)["accuracy"], [0.43, 0.45, 0.47])
    assert sessions_needed(1.0, 2, 0.05)["sessions"].null_count() == 3
    with pytest.raises(BadInput, match="`share` must lie in"):
        observations_needed(1.0, 0.5)


def test_the_macro_auc_leaves_out_a_class_that_never_happened():
    rng = np.random.default_rng(0)
    p, label = rng.dirichlet([1, 1, 1, 1], 400), rng.choice([0, 1, 3], 400)
    blocks = DayBlocks.of(np.arange(400), replications=200)
    told = macro_auc(blocks, p, label)
    hand = np.mean([roc_auc_score(label == at, p[:, at]) for at in (0, 1, 3)])
    assert told.value == pytest.approx(hand)
    assert told.low < told.value < told.high
    assert macro_auc(blocks, p, np.zeros(400)).value is None
