"""The models of the gate: one interface, features by name, levels that speak by evidence, files that read back."""

import datetime as dt
import json

import numpy as np
import polars as pl
import pytest
from scipy.special import logit
from tests.research.gate_worlds import FEATURES, NOISES, STRATEGIES, SYMBOLS, fit_at, log_loss, split, trades

from openbell.core.errors import BadInput, IntegrityBroken, LeakFound
from openbell.core.trade_rows import LEVELS
from openbell.research import gate_fallback, gate_models
from openbell.research.gate_models import NAMES, ModelSettings, fitted

#: Half of the cells: all Butterflies, all of the RUT, and one more.
SKILLED = (
    *((symbol, "Butterfly") for symbol in SYMBOLS),
    *(("RUT", each) for each in STRATEGIES[1:]),
    ("SPX", "Sonar"),
)
WIDE = (*FEATURES, *NOISES)
PRESET = dict(gate_fallback.PRESET)


@pytest.fixture(scope="module")
def short_trees():
    """Trees enough to differ; the preset is asserted by itself."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gate_fallback, "PRESET", {**gate_fallback.PRESET, "n_estimators": 12})
        yield


@pytest.fixture(scope="module")
def world():
    return split(trades(days=110, skilled=SKILLED, effect=0.6, missing=0.05, shared=0.2, seed=5), 80)


@pytest.fixture(scope="module")
def models(world, short_trees):
    train = world[0]
    return {name: fitted(name, train, WIDE, fit_at=fit_at(train)) for name in NAMES}


def test_all_names_are_there():
    assert NAMES == ("hierarchy", "no_pooling", "simple", "fallback", "price", "base_rate")
    assert PRESET == {"n_estimators": 200, "max_depth": 4, "learning_rate": 0.1}
    assert ModelSettings().seed == 42
    with pytest.raises(BadInput, match="Did you mean `hierarchy`"):
        fitted("hierarchie", trades(days=2), FEATURES, fit_at=dt.datetime(2030, 1, 1, tzinfo=dt.UTC))


@pytest.mark.parametrize("name", NAMES)
def test_every_model_speaks_and_reads_back_equal_to_the_last_bit(name, models, world, tmp_path):
    """Check 37: saved, loaded and asked through one interface; two saves are the same bytes."""
    model, test = models[name], world[1]
    said = model.forecast(test)
    assert said.probability.shape == said.effective_n.shape == said.level.shape == (test.height,)
    assert ((said.probability > 0) & (said.probability < 1)).all()
    assert said.weights.sum(axis=1) == pytest.approx(np.ones(test.height))
    assert set(said.level) <= set(LEVELS)
    model.save(tmp_path / "a")
    again = gate_models.load(tmp_path / "a")
    again.save(tmp_path / "b")
    for field in ("probability", "weights", "effective_n", "level"):
        np.testing.assert_array_equal(getattr(again.forecast(test), field), getattr(said, field))
    assert again.features == model.features
    first, second = ({f.name: f.read_bytes() for f in (tmp_path / d).iterdir()} for d in "ab")
    assert first == second
    assert not [f for f in first if not f.endswith((".json", ".npz"))]


@pytest.mark.parametrize("name", NAMES)
def test_one_row_is_answered_as_in_a_table(name, models, world):
    """A request (a table of one row, scalars, or arrays of one) gets what the table of all rows gets, bit for bit."""
    test = world[1][:40]
    whole = models[name].forecast(test)
    row = test.row(7, named=True)
    lists = {column: [value] for column, value in row.items()}
    for rows in (test[7:8], row, lists):
        said = models[name].forecast(rows)
        assert said.probability[0] == whole.probability[7]
        assert said.level[0] == whole.level[7]
    columns = {column: test[column].to_list() for column in test.columns}
    np.testing.assert_array_equal(models[name].forecast(columns).probability, whole.probability)


@pytest.mark.parametrize("name", ["hierarchy", "no_pooling", "simple", "fallback"])
def test_features_go_by_name(name, models, world):
    """Check 37, trap 5: another order changes nothing, a missing name is an error that names what there is instead."""
    test = world[1][:30]
    turned = test.select(sorted(test.columns, reverse=True)).with_columns(unrelated=pl.lit(9.0))
    np.testing.assert_array_equal(models[name].forecast(turned).probability, models[name].forecast(test).probability)
    renamed = test.rename({"edge": "edges"})
    for rows in (renamed, renamed[:1], renamed.row(0, named=True)):
        with pytest.raises(BadInput, match=r"missing: `edge`; not known: .*`edges`"):
            models[name].forecast(rows)


@pytest.mark.parametrize("name", ["hierarchy", "fallback"])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_wild_values_are_refused_where_null_is_missing(name, value, models, world):
    test = world[1][:5]
    wild = test.with_columns(noise=pl.Series([value, *test["noise"][1:]]))
    for rows in (wild, wild[:1], wild.row(0, named=True)):
        with pytest.raises(BadInput, match="NaN or infinite values in `noise`"):
            models[name].forecast(rows)
    absent = test.with_columns(noise=pl.lit(None, dtype=pl.Float64))
    for rows in (absent, absent.row(0, named=True)):
        assert np.isfinite(models[name].forecast(rows).probability).all()
    with pytest.raises(BadInput, match=r"noise|no number"):
        models[name].forecast({**test.row(0, named=True), "noise": "high"})


@pytest.mark.parametrize("rows", ["frame", "row"])
def test_a_price_without_odds_is_no_forecast(rows, models, world):
    bad = world[1][:1].with_columns(price_probability=pl.lit(None, dtype=pl.Float64))
    with pytest.raises(BadInput, match="1 of 1 rows have no `price_probability`"):
        models["hierarchy"].forecast(bad if rows == "frame" else bad.row(0, named=True))


def test_pooling_beats_the_others_where_skill_is_planted_in_some_cells(models, world):
    """Issue 5, show 4: no claim on markets. Half of the cells were made to differ, and elsewhere the price is right."""
    test = world[1]
    loss = {name: log_loss(models[name].forecast(test).probability, test) for name in NAMES}
    truth = log_loss(test["truth"].to_numpy(), test)
    assert truth < loss["hierarchy"] < loss["price"] - 0.005
    assert loss["hierarchy"] < loss["no_pooling"] - 0.001
    assert loss["hierarchy"] < loss["simple"] - 0.003
    assert loss["hierarchy"] < loss["fallback"] - 0.02
    assert loss["price"] < loss["base_rate"]


def test_the_skilled_cells_speak_for_themselves():
    """One cell of 16 knows: it alone leaves its price, at its own level, with its own effective trades."""
    rows = trades(days=90, skilled=[("SPX", "Butterfly")], effect=0.9, seed=3)
    said = fitted("hierarchy", rows, FEATURES, fit_at=fit_at(rows)).forecast(rows)
    skilled = np.array([pair == ("SPX", "Butterfly") for pair in rows.select("symbol", "strategy").iter_rows()])
    moved = np.abs(said.probability - rows["price_probability"].to_numpy())
    assert moved[skilled].mean() > 5 * moved[~skilled].mean()
    assert (said.level[skilled] == "symbol_strategy").all()
    assert said.weights[skilled, 0].min() > 2 * said.weights[~skilled, 0].max()
    assert ((said.effective_n[skilled] > 100) & (said.effective_n[skilled] <= 270)).all()


def test_without_signal_every_pooled_model_says_the_price(short_trees):
    """Days whose trades win and lose together, and no edge: kills evidence counted by rows."""
    rows = trades(days=80, shared=0.8, seed=3)
    for name in ("hierarchy", "simple"):
        said = fitted(name, rows, FEATURES, fit_at=fit_at(rows)).forecast(rows)
        assert np.abs(said.probability - rows["price_probability"].to_numpy()).max() < 0.01
        assert set(said.level) == {"default"}


def test_a_cell_with_few_trades_never_speaks_alone():
    """30 trades with the largest effect of all: their parents speak, in all models that have levels (S1.06)."""
    rows = trades(days=110, symbols=("SPX", "RUT"), strategies=STRATEGIES[:2], skilled=[("SPX", "Butterfly")], effect=4)
    few = (pl.col("symbol") == "SPX") & (pl.col("strategy") == "Butterfly")
    kept = pl.concat([rows.filter(~few), rows.filter(few)[:30]])
    asked = rows.filter(few)[200:210]
    for name in ("hierarchy", "no_pooling"):
        model = fitted(name, kept, FEATURES, fit_at=fit_at(rows))
        assert (model.forecast(asked).level != "symbol_strategy").all()
        alone = fitted(name, rows, FEATURES, fit_at=fit_at(rows)).forecast(asked)
        assert (alone.level == "symbol_strategy").all()
    assert 0.0 < fitted("hierarchy", kept, FEATURES, fit_at=fit_at(rows)).forecast(asked).weights[0, 0] < 1.0


def test_a_hundred_copies_of_one_day_are_not_a_hundred_trades():
    """The minimum counts effective trades: 12 days of 20 copies each are 12. Kills raw counts."""
    once = trades(days=12, each=1, symbols=("SPX",), strategies=("Vertical",), skilled=[("SPX", "Vertical")], effect=3)
    rows = pl.concat([once] * 20)
    said = fitted("hierarchy", rows, FEATURES, fit_at=fit_at(rows)).forecast(once)
    assert set(said.level) == {"default"}
    assert said.effective_n[0] == pytest.approx(12, rel=0.35)
    said = fitted("no_pooling", rows, FEATURES, fit_at=fit_at(rows)).forecast(once)
    assert set(said.level) == {"default"}


def test_who_was_never_seen_is_answered_by_its_parents(models, world):
    """An empty cell by its symbol and strategy, an unknown symbol by the strategy, a group by its members (S1.07)."""
    row = world[1].row(0, named=True)
    train = world[0].filter(~((pl.col("symbol") == "SPY") & (pl.col("strategy") == "Sonar")))
    model = fitted("hierarchy", train, FEATURES, fit_at=fit_at(train))
    never = model.forecast({**row, "symbol": "SPY", "strategy": "Sonar"})
    assert never.weights[0, 0] == 0.0
    assert never.level[0] != "symbol_strategy"
    unknown = models["hierarchy"].forecast({**row, "symbol": "IWM", "strategy": "Sonar"})
    assert unknown.weights[0, :3].tolist() == [0.0, 0.0, 0.0]
    assert unknown.level[0] in ("strategy", "default")
    both = models["hierarchy"].forecast({**row, "symbol": "IWM", "strategy": "Calendar"})
    assert both.weights[0].tolist() == [0.0, 0.0, 0.0, 0.0, 1.0]
    kin = models["hierarchy"].forecast({**row, "symbol": "TSLA", "strategy": "Sonar"})  # QQQ of its group was seen
    assert kin.weights[0, 0] == kin.weights[0, 1] == 0.0 < kin.weights[0, 2]


def test_the_fallback_takes_the_narrowest_level_with_a_model(short_trees):
    rows = trades(days=60, each=2, symbols=("SPX", "RUT"), strategies=("Sonar", "Vertical"), seed=8)
    thin = (pl.col("symbol") == "SPX") & (pl.col("strategy") == "Sonar")
    one_sided = (pl.col("symbol") == "RUT") & (pl.col("strategy") == "Sonar")
    kept = pl.concat([rows.filter(~thin), rows.filter(thin)[:99]]).with_columns(win=pl.col("win") | one_sided)
    model = fitted("fallback", kept, FEATURES, fit_at=fit_at(kept))
    row = rows.row(0, named=True)

    def level(symbol, strategy):
        said = model.forecast({**row, "symbol": symbol, "strategy": strategy})
        assert said.weights[0].max() == 1.0
        return said.level[0]

    assert level("SPX", "Vertical") == "symbol_strategy"
    assert level("SPX", "Sonar") == "symbol"  # 99 trades
    assert level("RUT", "Sonar") == "symbol"  # all won
    assert level("SPY", "Sonar") == "group"
    assert level("NDX", "Sonar") == "strategy"
    assert level("NDX", "Butterfly") == "default"


def test_the_fallback_without_any_level_is_an_error(short_trees):
    """S1.07: error if none."""
    rows = trades(days=4, each=1)
    with pytest.raises(BadInput, match="No level has 100 trades of both outcomes; there are 64"):
        fitted("fallback", rows, FEATURES, fit_at=fit_at(rows))
    won = trades(days=20).with_columns(win=pl.lit(True))
    with pytest.raises(BadInput, match="No level has"):
        fitted("fallback", won, FEATURES, fit_at=fit_at(won))


def test_one_outcome_only_is_no_certainty():
    """A world that always won moves the odds, and stays a probability."""
    rows = trades(days=20, each=1).with_columns(win=pl.lit(True))
    for name in ("hierarchy", "simple", "no_pooling", "base_rate"):
        said = fitted(name, rows, FEATURES, fit_at=fit_at(rows)).forecast(rows)
        assert (said.probability < 1.0).all()
        assert said.probability.mean() > rows["price_probability"].mean()


@pytest.mark.parametrize("name", NAMES)
def test_order_of_the_rows_changes_nothing(name, short_trees):
    """Also of rows that share a moment: the order of a fit depends on the rows' content alone."""
    rows = trades(
        days=12,
        each=9,
        symbols=("SPX", "RUT"),
        strategies=STRATEGIES[:1],
        missing=0.2,
        effect=2.5,
        skilled=[("SPX", "Butterfly"), ("RUT", "Butterfly")],
    )
    rows = rows.with_columns(known_at=pl.col("known_at").dt.truncate("1d"))
    turned = rows.sample(fraction=1.0, shuffle=True, seed=1)
    first, second = (fitted(name, each, FEATURES, fit_at=fit_at(rows)).forecast(rows) for each in (rows, turned))
    np.testing.assert_array_equal(first.probability, second.probability)


def test_outcomes_from_the_future_are_refused(world):
    rows = trades(days=10)
    border = rows["outcome_known_at"].unique().sort()[7]
    with pytest.raises(LeakFound, match=r"96 of 480 outcomes were not known"):
        fitted("price", rows, FEATURES, fit_at=border)
    fitted("price", rows.filter(pl.col("outcome_known_at") <= border), FEATURES, fit_at=border)
    with pytest.raises(LeakFound, match="`closing_delta` tell"):
        fitted("simple", rows.with_columns(closing_delta=1.0), [*FEATURES, "closing_delta"], fit_at=fit_at(rows))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"win": pl.lit(None, dtype=pl.Boolean)}, "`win` of 96 are null"),
        ({"edge": pl.lit(float("nan"))}, "NaN or infinite values in `edge`"),
        ({"price_probability": pl.lit(1.5)}, "no `price_probability`"),
        ({"mood": pl.lit("low")}, "must be numbers; `mood`"),
    ],
)
def test_rows_that_cannot_be_learned_from_are_refused(change, said):
    """Check 6: a missing outcome is no loss."""
    rows = trades(days=2)
    with pytest.raises(BadInput, match=said):
        fitted("hierarchy", rows.with_columns(**change), FEATURES, fit_at=fit_at(rows))


def test_names_of_a_fit_are_checked():
    rows = trades(days=2)
    with pytest.raises(BadInput, match="missing: `edges`"):
        fitted("simple", rows, ["edges"], fit_at=fit_at(rows))
    with pytest.raises(BadInput, match="named twice: `edge`"):
        fitted("simple", rows, ["edge", "edge"], fit_at=fit_at(rows))
    with pytest.raises(BadInput, match="no rows"):
        fitted("simple", rows[:0], FEATURES, fit_at=fit_at(rows))
    with pytest.raises(BadInput, match="at least 1; was 0"):
        ModelSettings(min_trades=0)


def test_missing_says_so_and_a_constant_says_nothing():
    """A feature missing where trades win is found by its absence; one that never varied cannot move a forecast."""
    rows = trades(days=80, symbols=("SPX",), strategies=("Sonar",), each=6, seed=4)
    hidden = rows.with_columns(noise=pl.when(pl.col("win")).then(None).otherwise(pl.col("noise")), mood=pl.lit(3.0))
    model = fitted("simple", hidden, FEATURES, fit_at=fit_at(rows))
    row = rows.row(0, named=True)
    absent, there = (model.forecast({**row, "mood": 3.0, "noise": value}).probability[0] for value in (None, 0.0))
    assert absent > 0.8 > 0.3 > there
    other = model.forecast({**row, "mood": 99.0, "noise": 0.0}).probability[0]
    assert other == there


def test_scales_are_those_of_the_training_rows_alone():
    """What is asked later moves no scale: the same row among others gives the same odds."""
    rows = trades(days=40, skilled=[("SPX", "Sonar")], effect=1.5)
    train, test = split(rows, 30)
    model = fitted("hierarchy", train, FEATURES, fit_at=fit_at(train))
    wide = test.with_columns(pl.when(pl.int_range(pl.len()) > 0).then(pl.col("edge") * 50).otherwise(pl.col("edge")))
    assert model.forecast(wide).probability[0] == model.forecast(test).probability[0]


def test_the_baselines_are_what_they_say(world, models):
    train, test = world
    np.testing.assert_array_equal(models["price"].forecast(test).probability, test["price_probability"].to_numpy())
    won, n = (
        train.filter(pl.col("strategy") == "Sonar")["win"].sum(),
        train.filter(pl.col("strategy") == "Sonar").height,
    )
    said = models["base_rate"].forecast(test.filter(pl.col("strategy") == "Sonar"))
    assert said.probability == pytest.approx(np.full(len(said.probability), (won + 1) / (n + 2)))
    other = models["base_rate"].forecast({**test.row(0, named=True), "strategy": "Calendar"})
    assert other.level[0] == "default"
    assert other.probability[0] == pytest.approx((train["win"].sum() + 1) / (train.height + 2))


def test_an_impossible_price_stays_within_its_odds(models, world):
    """`price_probability` 0 and 1 have no log-odds; 9,999 to 1 is where they are held, as in the facts."""
    row = world[1].row(0, named=True)
    sure = models["simple"].forecast({**row, "price_probability": 1.0}).probability[0]
    held = models["simple"].forecast({**row, "price_probability": 1 - 1e-4}).probability[0]
    assert sure == held
    assert logit(held) == pytest.approx(np.log(9_999), abs=1.0)


def test_files_that_were_changed_or_are_no_models_are_refused(models, tmp_path):
    models["hierarchy"].save(tmp_path / "h")
    arrays = tmp_path / "h" / "arrays.npz"
    arrays.write_bytes(arrays.read_bytes()[:-1] + b"x")
    with pytest.raises(IntegrityBroken, match="is not the file that was saved with the model `hierarchy`"):
        gate_models.load(tmp_path / "h")
    with pytest.raises(IntegrityBroken, match="There is no model of the gate"):
        gate_models.load(tmp_path / "nowhere")
    models["price"].save(tmp_path / "p")
    state = json.loads((tmp_path / "p" / "model.json").read_text())
    (tmp_path / "p" / "model.json").write_text(json.dumps({**state, "model": "prize"}))
    with pytest.raises(BadInput, match="no model of the gate `prize`"):
        gate_models.load(tmp_path / "p")


def test_arrays_that_could_run_are_not_read(models, tmp_path):
    """An npz with a pickled object in it, its hash made to fit: refused, never unpickled."""
    models["simple"].save(tmp_path / "s")
    np.savez(tmp_path / "s" / "arrays.npz", coefficients=np.array([{"run": "me"}], dtype=object))
    state = json.loads((tmp_path / "s" / "model.json").read_text())
    from openbell.research.gate_files import sha256

    state["files"] = {"arrays.npz": sha256(tmp_path / "s" / "arrays.npz")}
    (tmp_path / "s" / "model.json").write_text(json.dumps(state))
    with pytest.raises(IntegrityBroken, match="does not hold plain arrays"):
        gate_models.load(tmp_path / "s")


def test_who_finds_nothing_says_what_the_price_says_to_the_last_bit() -> None:
    """Kills: coefficients of a thousandth that noise leaves, which read as a certain, tiny lack of skill."""
    rows = trades(days=60, each=3, seed=6)
    for name in ("simple", "hierarchy"):
        made = fitted(name, rows, FEATURES, fit_at=fit_at(rows))
        assert np.array_equal(made.forecast(rows).probability, rows["price_probability"].to_numpy())
