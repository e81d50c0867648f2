"""The gate as it is opened from a home: what it is told is what it learned from, and each answer stands alone."""

import datetime as dt
import json
import sys
from dataclasses import replace

import polars as pl
import pytest

from openbell.app import cli
from openbell.app.gate import Gate
from openbell.app.gate_data import prepared
from openbell.app.gate_training import latest_gate, train_gate
from openbell.app.home import Home
from openbell.core.assessment import Answer, Asked
from openbell.core.ticket import MarketState, Prophecy
from openbell.dialects.reading import read
from openbell.market.trade_importing import stored_trades

pytestmark = pytest.mark.xdist_group("gate")

BUTTERFLY = "BUY +1 Butterfly SPX 100 22 May 25 5905/5855/5805 CALL @24.82 LMT"
#: After the last close of the sample: what is asked then knows all of it.
AT = dt.datetime(2019, 1, 2, 15, 35, tzinfo=dt.UTC)


@pytest.fixture(scope="module")
def gate(gate_home) -> Gate:
    return Gate.open(Home.open(gate_home.path), AT)


def asked(text: str, at: dt.datetime = AT, price: float = 2_490.0, **more) -> Asked:
    symbol = read(text, at=at).tickets[0].underlying
    state = MarketState(symbol, price, at, "made by hand", 0.28)
    said = Prophecy(predicted_close=2_495.0, short_term=2_492.0, long_term=2_500.0, target1=2_510.0, target2=2_470.0)
    return Asked(read(text, at=at).tickets[0], at, state, said, **more)


CONDOR = "SELL -1 Iron Condor SPX 100 2 Jan 19 2515/2520/2465/2460 CALL/PUT @1.55 LMT"
VERTICAL = "SELL -2 Vertical SPX 100 2 Jan 19 2515/2520 CALL @0.85 LMT"


def test_each_answer_is_what_it_would_be_alone(gate) -> None:
    """Checks 14 and 35. Kills: answers that share a row of one minute, and a batch that is computed another way."""
    questions = [asked(CONDOR), asked(VERTICAL), asked(CONDOR, arm="control"), asked(BUTTERFLY)]
    together = gate.assess(questions)
    assert together == [gate.assess([each])[0] for each in questions]
    assert together[0].features != together[1].features
    assert together[0].features_hash != together[1].features_hash
    assert together[0].features == together[2].features


def test_a_model_speaks_with_its_level_its_weights_and_its_evidence(gate) -> None:
    condor, control, leader = gate.assess([asked(CONDOR, arm="test"), asked(CONDOR, arm="control"), asked(CONDOR)])
    assert condor.win_probability is not None
    assert 0 < condor.win_probability < 1
    assert sum(condor.level_weights.values()) == pytest.approx(1.0)
    assert condor.model_level in condor.level_weights
    # Two trades a day share a close: the evidence is less than their number.
    assert 0 < condor.effective_n < 50 * 2 * 32
    assert condor.model_version.startswith("hierarchy@")
    assert control.model_version.startswith("simple@")
    assert leader.model_version.startswith(f"{gate.training.leader}@")
    assert control.model_level == "default"
    assert condor.n_features == len(gate.training.payload["features"])


def test_money_is_of_the_whole_order(gate) -> None:
    """Two verticals sold at 0.85: 170 to make, 830 to lose. Kills: a unit in place of the order."""
    said = gate.assess([asked(VERTICAL)])[0]
    assert (said.reward_usd, said.risk_usd) == (170.0, 830.0)
    assert said.breakevens == (2_515.85,)
    assert said.ratio == pytest.approx(170 / 830)


def test_what_was_not_shown_to_know_more_than_the_price_takes_nothing(gate) -> None:
    """The trades have no edge, and the model says so of itself."""
    said = gate.assess([asked(CONDOR)])[0]
    assert said.answer is Answer.REFUSE
    assert said.quantity == 0
    assert not said.proven
    assert any("has not been shown to know more than the price" in each for each in said.why)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"market": None}, "says nothing of its odds"),
        ({"market": MarketState("SPX", 2_490.0, AT - dt.timedelta(minutes=4), "old", 0.28)}, None),
    ],
)
def test_without_a_market_no_model_speaks(gate, change, words) -> None:
    said = gate.assess([replace(asked(CONDOR), **change)])[0]
    assert said.answer is Answer.REFUSE
    if words:
        assert said.win_probability is None
        assert any(words in each for each in said.why), said.why
    else:
        assert said.data_age_seconds == 240.0


def allowed(gate: Gate) -> Gate:
    """The same gate, for an owner who asks for no proof, no threshold and no expected value."""
    wanted = {**gate.wanted, "require_edge": False, "min_expected_value_usd": -1e9, "gate_risk_fraction": 0.02}
    models = replace(gate.training.models, thresholds=dict.fromkeys(gate.training.models.models, Nothing()))
    training = replace(gate.training)
    object.__setattr__(training, "__dict__", {**vars(training), "models": models})
    return replace(gate, wanted=wanted, training=training)


class Nothing:
    """Thresholds of 0."""

    def on(self, rows):
        import numpy as np

        return np.zeros(len(rows))


def test_an_order_is_accepted_reduced_or_stopped_by_safety(gate) -> None:
    """Kills: a check that is not asked, and a budget per order in place of per unit."""
    willing = allowed(gate)
    few, many = asked(VERTICAL), asked(VERTICAL.replace("-2", "-9"))
    old = replace(few, market=replace(few.market, observed_at=AT - dt.timedelta(minutes=6)))
    over = asked(VERTICAL, at=dt.datetime(2019, 1, 2, 21, 5, tzinfo=dt.UTC))
    said = willing.assess([few, many, old, over])
    # One unit risks 415 USD and two commissions; 2 % of 100,000 USD hold four.
    assert [(each.answer, each.quantity) for each in said] == [
        (Answer.ACCEPT, 2), (Answer.REDUCE, 4), (Answer.REFUSE, 0), (Answer.REFUSE, 0),
    ]  # fmt: skip
    assert said[1].why[0] == "REDUCE SELL 9 Vertical on SPX to 4."
    assert any("since it was seen" in each for each in said[2].why)
    assert any("ended at" in each for each in said[3].why)


def test_a_holiday_does_not_age_the_market(gate) -> None:
    """Seen at the close before New Year, asked before the next open: nothing has moved. Kills: seconds of the clock."""
    close = dt.datetime(2018, 12, 31, 21, 0, tzinfo=dt.UTC)
    before = dt.datetime(2019, 1, 2, 14, 0, tzinfo=dt.UTC)
    ten_past = before + dt.timedelta(minutes=40)
    state = MarketState("SPX", 2_485.0, close, "stored", 0.28)
    offers = gate.offers([replace(asked(CONDOR, at=at), market=state) for at in (before, ten_past)])
    assert [each.market_age_seconds for each in offers] == [0.0, 600.0]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("SELL -1 SPX 100 2 Jan 19 2500 CALL @8.40 LMT", "no bound"),
        ("BUY +1 CALENDAR SPX 100 18 JAN 19/2 JAN 19 2490 PUT @15.80 LMT", "end on one known day"),
        ("SELL -1 Vertical SPX 100 2 Jan 19 2515/2520 CALL @7.85 LMT", "7.85"),
    ],
    # Without names of their own they hold an @, and xdist would take what follows for their group.
    ids=["no bound", "two expiries", "more than its width"],
)
def test_what_the_models_do_not_know_is_refused_with_its_reason(gate, text, words) -> None:
    """Check 23: a calendar has numbers, by valuation, and no model."""
    said = gate.assess([asked(text)])[0]
    assert said.answer is Answer.REFUSE
    assert any(words in each for each in said.why), said.why
    if "CALENDAR" in text:
        assert said.risk_usd == pytest.approx(1_580.0, rel=1e-6)
        assert 0 < said.reward_usd < 5_000
        assert len(said.breakevens) == 2
        assert 0 < said.price_probability < 1


def test_what_is_told_live_is_what_was_learned_from(gate_home) -> None:
    """Check 14: the features of a stored trade and of the same trade as an order, told at its moment."""
    home = Home.open(gate_home.path)
    data = prepared(home)
    stored = stored_trades(home.tables).filter(pl.col("strategy") != "Sonar", pl.col("short_term").is_not_null())
    keys = ["symbol", "strategy", "known_at"]
    unknown = {"call_delta", "put_delta", "expected_move", "bid", "ask", "mid", "predicted_delta", "low", "high"}
    seen = 0
    for row in stored.sample(12, seed=1).iter_rows(named=True):
        at = row["known_at"]
        ticket = read(row["trade_description"], at=at).tickets[0]
        if abs(abs(ticket.premium) - abs(row["premium"])) > 1e-9:
            ticket = replace(ticket, premium=row["premium"] if row["strategy"] == "Butterfly" else -row["premium"])
        said = Prophecy(
            predicted_close=row["predicted"], short_term=row["short_term"], long_term=row["long_term"],
            target1=row["target1"], target2=row["target2"],
        )  # fmt: skip
        gate = Gate.open(home, at)
        gate = replace(gate, training=latest_gate(home, data.as_of))
        state = MarketState(row["symbol"], row["price"], at, "stored row")
        live = gate.assess([Asked(ticket, at, state, said)])[0].features
        learned = data.rows.join(
            pl.DataFrame({name: [row[name]] for name in keys}, schema=stored.select(keys).schema), on=keys
        )
        for name, value in live.items():
            feature = home.catalogue.features[name]
            reads = set(feature.expression.meta.root_names())
            if any(each.rstrip("1234") in unknown for each in reads) or reads & PRICED:
                continue
            before = learned[name][0]
            assert (value is None) == (before is None), name
            assert value is None or value == pytest.approx(before, rel=1e-9, abs=1e-12), name
            seen += 1
    assert seen > 300


#: Facts whose source differs: a stored row has quotes of its legs, an order only its premium.
PRICED = {
    "price_probability", "logit_price", "deviation", "implied_move", "atm_iv", "iv1", "iv2", "iv3", "iv4",
    "price_basis", "expected_move", "smile_slope",
}  # fmt: skip


def test_the_same_training_is_not_made_twice(gate_home, tmp_path) -> None:
    home = Home.open(gate_home.copied(tmp_path / "home"))
    before = len(list(home.journal.records(kind=("training",))))
    again = train_gate(home)
    assert again.payload["training"] == gate_home.trained.payload["training"]
    assert len(list(home.journal.records(kind=("training",)))) == before
    assert (again.folder / "report.html").is_file()


def test_a_training_speaks_only_from_its_own_moment_on(gate_home) -> None:
    """Kills: the newest training, whenever it was made."""
    home = Home.open(gate_home.path)
    assert Gate.open(home, AT).training is not None
    assert Gate.open(home, dt.datetime(2018, 12, 3, 15, 0, tzinfo=dt.UTC)).training is None


def run(capsys, *words: str) -> tuple[int, str]:
    """What a command prints, and its exit code."""
    before = sys.argv
    sys.argv = ["openbell", *words]
    try:
        with pytest.raises(SystemExit) as ended:
            cli.main()
    finally:
        sys.argv = before
    return int(ended.value.code or 0), capsys.readouterr().out


def test_odds_of_an_order_without_any_home(capsys, tmp_path) -> None:
    """S1.17 to the cent, and a refusal that says why."""
    code, out = run(capsys, "odds", BUTTERFLY, "--home", str(tmp_path), "--as-of", "2025-05-22", "--json")
    said = json.loads(out)["assessments"][0]
    assert code == 1
    assert (said["risk"], said["reward"]) == (2_482.0, 2_518.0)
    assert said["breakevens"] == [5_829.82, 5_880.18]
    assert round(said["risk_reward_ratio"], 4) == 1.0145
    assert said["verdict"] == "REFUSE"
    assert any("openbell train gate" in each for each in said["why"])


def test_odds_of_text_that_is_no_order_or_only_a_part_of_one(capsys, tmp_path) -> None:
    code, _ = run(capsys, "odds", "good morning", "--home", str(tmp_path))
    assert code == 2
    code, out = run(capsys, "odds", f"{BUTTERFLY} & BOT -1 SPX 100 22 MAY 25 6300 CALL @8.40", "--home", str(tmp_path))
    assert code == 3
    assert "Not read at" in out


def test_backtest_of_the_gate_stands_beside_taking_everything(capsys, gate_home, tmp_path) -> None:
    code, out = run(capsys, "backtest", "gate", "--home", str(gate_home.path), "--json", "--out", str(tmp_path / "b"))
    told = json.loads(out)
    names = [each["account"] for each in told["accounts"]]
    assert code == 0
    assert names[1:] == ["take every trade", "price"]
    assert told["accounts"][1]["proposed"] == gate_home.trained.payload["trades"]
    assert any("made up" in each for each in told["notes"])
    assert (tmp_path / "b" / "daily.csv").is_file()


def test_a_tournament_without_a_champion_ends_with_1_and_spends_its_error(capsys, gate_home, tmp_path) -> None:
    home = gate_home.copied(tmp_path / "home")
    code, out = run(capsys, "tournament", "gate", "--home", str(home), "--candidates", "simple")
    assert code == 1
    assert "Nobody knows more than the price" in out
    code, _ = run(capsys, "tournament", "gate", "--home", str(home), "--candidates", "oracle")
    assert code == 2
