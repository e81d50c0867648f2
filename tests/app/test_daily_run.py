"""The daily run on a tiny market: its files, its constraints, its account, and what it refuses."""

from __future__ import annotations

import csv
import datetime as dt
import json
import math
import os
import shutil
from pathlib import Path

import constraints_of_outputs as outputs
import polars as pl
import polars.testing as polars_testing
import pytest
import sqlalchemy as sa
import trained_homes as tiny

from openbell.app.daily import run_stocks
from openbell.app.home import Home
from openbell.app.training import latest_training, train_stocks
from openbell.core.errors import BadInput, IntegrityBroken, Refused

GOLDEN = Path(__file__).parent / "golden"
ECONOMIC = ("opening", "execution", "order", "fill", "expired", "settled", "split", "distribution", "vanished")


def bars_before(home: Home, session: dt.date) -> pl.DataFrame:
    return home.tables.scan("bars").filter(pl.col("session") < session).collect().sort("symbol", "session")


def known(home: Home, session: dt.date) -> tuple[dict[str, float], dict[str, float]]:
    """Last raw close and mean volume of 20 sessions before `session`, by the simplest code there is."""
    prices, volumes = {}, {}
    for (symbol,), rows in bars_before(home, session).group_by(["symbol"]):
        prices[symbol] = rows["close"][-1]
        volumes[symbol] = rows["volume"][-20:].mean()
    return prices, volumes


def files(folder: Path) -> dict[str, bytes]:
    return {str(each.relative_to(folder)): each.read_bytes() for each in sorted(folder.rglob("*")) if each.is_file()}


def test_every_output_holds_every_constraint(fortnight, open_home) -> None:
    """checks 42, 45: each day's files checked by a reader that knows nothing of Openbell."""
    home = open_home(fortnight.tiny.path)
    traded = 0
    for lived in fortnight.days:
        folder = fortnight.out / lived.session.isoformat()
        day = outputs.check(folder, lived.shares_before, lived.cash_before, *known(home, lived.session))
        assert day.signals["view"]
        assert day.signals["model"].startswith(f"lightgbm@{fortnight.tiny.trained_on}#")
        traded += len(day.trades)
    assert traded > 25, "the staged first build takes more than a day"


def test_a_day_without_a_view_holds_every_constraint(plain_home, trained_without_edge, tmp_path, open_home) -> None:
    """The portfolio without a view is held under the same caps, and the files say why."""
    home = open_home(plain_home)
    assert trained_without_edge.trained.champion is None
    shares, cash = {}, 100_000.0
    for number in range(2):
        session = tiny.later(home, trained_without_edge, number)
        run_stocks(home, session, execute=True, out=tmp_path)
        day = outputs.check(tmp_path / session.isoformat(), shares, cash, *known(home, session))
        assert not day.signals["view"]
        assert day.signals["signals"] == []
        assert any(line.startswith("No view: ") for line in day.signals["why"])
        assert day.trades
        shares, cash = outputs.positions((tmp_path / "current_positions.csv").read_text())


def test_a_small_day_is_as_it_was_recorded(plain_home, trained_without_edge, tmp_path, open_home) -> None:
    """The golden day: a change that moves it is meant, and recorded anew with OPENBELL_GOLDEN=1, or it is a fault."""
    home = open_home(plain_home)
    session = trained_without_edge.trained_on
    run_stocks(home, session, out=tmp_path)
    made = tmp_path / session.isoformat()
    if os.environ.get("OPENBELL_GOLDEN"):
        GOLDEN.mkdir(exist_ok=True)
        for name in ("trades.csv", "portfolio_weights.csv", "signals.json"):
            shutil.copy(made / name, GOLDEN / name)
    for name in ("trades.csv", "portfolio_weights.csv"):
        polars_testing.assert_frame_equal(pl.read_csv(made / name), pl.read_csv(GOLDEN / name), rel_tol=1e-7)
    mine, theirs = (json.loads((folder / "signals.json").read_text()) for folder in (made, GOLDEN))
    for changing in ("decision", "made_of"):  # hashes, of the code and the settings too
        assert mine.pop(changing).__class__ is theirs.pop(changing).__class__
    assert _rounded(mine) == _rounded(theirs)


def test_what_is_held_says_why_and_decides_nothing_by_it(edge_home, trained_with_edge, tmp_path, open_home) -> None:
    """Each held name has three sentences in the files; where the explanation fails, the decision is the same one."""
    home = open_home(edge_home)
    session = tiny.later(home, trained_with_edge, 0)
    done = run_stocks(home, session, out=tmp_path / "well")
    written = json.loads((tmp_path / "well" / session.isoformat() / "signals.json").read_text())
    told = {row["symbol"]: row["because"] for row in written["signals"] if "because" in row}
    assert set(told) == set(written["targets"])
    assert written["explanation"] == {"method": "tree", "notes": [], "unit": "score"}
    assert all(len(each) == 3 for each in told.values())
    assert len({tuple(each) for each in told.values()}) > len(told) / 2
    report = (tmp_path / "well" / session.isoformat() / "report.html").read_text()
    assert "Why these names" in report
    said = next(iter(told.values()))[0].replace("`", "")
    assert said in report.replace("<code>", "").replace("</code>", "")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("openbell.research.reasons.contributions", _missed)
        broken = run_stocks(home, session, out=tmp_path / "broken")
    assert broken.decided.decision.key == done.decided.decision.key
    folders = [tmp_path / each / session.isoformat() for each in ("well", "broken")]
    for name in ("trades.csv", "portfolio_weights.csv"):
        assert (folders[0] / name).read_bytes() == (folders[1] / name).read_bytes()
    why = "The scores are not explained. They miss."
    assert why in (folders[1] / "report.html").read_text()
    assert json.loads((folders[1] / "signals.json").read_text())["explanation"]["notes"] == [why]


def _missed(*given, **more):
    raise IntegrityBroken("They miss.")


def _rounded(value: object) -> object:
    """`value` with numbers to 9 digits: machines differ in the last bits."""
    if isinstance(value, dict):
        return {name: _rounded(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_rounded(each) for each in value]
    return float(f"{value:.9g}") if isinstance(value, float) else value


def test_the_account_follows_from_its_fills_by_hand(fortnight, open_home) -> None:
    """check 47: cash, shares and daily equity recomputed from trades and raw prices, with no code of the house."""
    home = open_home(fortnight.tiny.path)
    bars = home.tables.scan("bars").collect()
    opens = {(s, d): v for s, d, v in bars.select("symbol", "session", "open").iter_rows()}
    closes = {(s, d): v for s, d, v in bars.select("symbol", "session", "close").iter_rows()}
    cash, shares, equity = 100_000.0, {}, []
    for lived in fortnight.days:
        session = lived.session
        text = (fortnight.out / session.isoformat() / "trades.csv").read_text()
        trades = list(csv.DictReader(text.splitlines()))
        sells = [row for row in trades if row["side"] == "SELL"]
        buys = [row for row in trades if row["side"] == "BUY"]
        for row in sells:
            price, count = opens[row["symbol"], session], int(row["shares"])
            cash += count * price * (1 - 3e-4)
            shares[row["symbol"]] -= count
        needed = sum(int(row["shares"]) * opens[row["symbol"], session] for row in buys) * (1 + 3e-4)
        fraction = min(1.0, cash / needed) if needed else 1.0
        filled = 0
        for row in buys:
            price = opens[row["symbol"], session]
            count = math.floor(int(row["shares"]) * fraction)
            cash -= count * price * (1 + 3e-4)
            shares[row["symbol"]] = shares.get(row["symbol"], 0) + count
            filled += count > 0
        assert lived.fills == len(sells) + filled
        shares = {name: count for name, count in shares.items() if count}
        equity.append(cash + sum(count * closes[name, session] for name, count in shares.items()))
        told_shares, told_cash = outputs.positions(lived.account["current_positions.csv"])
        assert told_shares == shares
        assert told_cash == pytest.approx(cash, abs=0.01)
    history = list(csv.DictReader(fortnight.days[-1].account["performance_history.csv"].splitlines()))
    assert [row["session"] for row in history] == [lived.session.isoformat() for lived in fortnight.days]
    assert [float(row["equity_usd"]) for row in history] == pytest.approx(equity, abs=0.01)
    wealth = [100_000.0, *equity]
    returns = [after / before - 1 for before, after in zip(wealth, equity, strict=False)]
    assert [float(row["return"]) for row in history] == pytest.approx(returns, abs=1e-9)
    peaks = [max(wealth[: place + 2]) for place in range(len(equity))]
    drawdowns = [value / peak - 1 for value, peak in zip(equity, peaks, strict=True)]
    assert [float(row["drawdown"]) for row in history] == pytest.approx(drawdowns, abs=1e-9)


@pytest.mark.parametrize("number", [1, 5])
def test_the_same_command_twice_changes_nothing(number, fortnight, tmp_path, open_home) -> None:
    """The same bytes, no second order, no second fill; an early session run again does not turn the account back."""
    out = shutil.copytree(fortnight.out, tmp_path / "live")
    home = open_home(tiny.copied(fortnight.tiny, tmp_path / "home"))
    records = home.journal.records()
    done = run_stocks(home, fortnight.days[number].session, execute=True, out=out)
    # The home's own path is in no file, so a copy elsewhere writes the same bytes.
    assert files(out) == files(fortnight.out)
    assert home.journal.records() == records
    assert done.fills == fortnight.days[number].fills


def test_the_past_is_not_executed_in_hindsight(fortnight, tmp_path, open_home) -> None:
    """A session before the account's last one, never executed, cannot be executed any more; a dry run can be."""
    home = open_home(tiny.copied(fortnight.tiny, tmp_path / "home"))
    records = home.journal.records()
    before = home.sessions.shift(fortnight.days[0].session, -1)
    with pytest.raises(Refused, match="in hindsight"):
        run_stocks(home, before, execute=True, out=tmp_path / "live")
    assert not (tmp_path / "live").exists()
    assert home.journal.records() == records


def test_a_dry_run_orders_nothing_and_writes_no_account(edge_home, trained_with_edge, tmp_path, open_home) -> None:
    home = open_home(edge_home)
    session = tiny.later(home, trained_with_edge, 0)
    before = len(home.journal.records())
    done = run_stocks(home, session, out=tmp_path / "live")
    assert done.decided.decision.trades.height > 0
    assert not done.executed
    assert done.fills == 0
    assert [each.name for each in (tmp_path / "live").iterdir()] == [session.isoformat()]
    assert [each.kind for each in home.journal.records()[before:]] == ["decision"]
    assert home.journal.records(kind=ECONOMIC) == []


def test_a_dry_run_decides_what_the_executed_run_decides(fortnight, tmp_path, open_home) -> None:
    """The dry run settles in a copy what a run with orders would settle, and writes none of it."""
    home = open_home(tiny.copied(fortnight.tiny, tmp_path / "home"))
    session = home.sessions.shift(fortnight.days[-1].session, 1)
    records = home.journal.records(kind=ECONOMIC)
    dry = run_stocks(home, session, out=tmp_path / "dry")
    assert home.journal.records(kind=ECONOMIC) == records
    wet = run_stocks(home, session, execute=True, out=tmp_path / "live")
    assert dry.decided.decision.key == wet.decided.decision.key
    folders = [tmp_path / each / session.isoformat() for each in ("dry", "live")]
    for name in ("trades.csv", "signals.json", "portfolio_weights.csv"):
        assert (folders[0] / name).read_bytes() == (folders[1] / name).read_bytes()


def test_the_next_open_after_the_data_ends_waits_for_its_bar(edge_home, tmp_path, open_home) -> None:
    """check 48: at the last date the orders wait; nothing is filled at a price that is not there."""
    home = open_home(edge_home)
    last = home.stored[1]
    done = run_stocks(home, None, execute=True, out=tmp_path)
    assert done.as_json()["trades"] == done.decided.decision.trades.height
    assert done.decided.decision.session == home.sessions.shift(last, 1)
    assert done.executed
    assert done.fills == 0
    assert len(home.journal.records(kind="order")) == done.decided.decision.trades.height > 0
    assert home.journal.records(kind="fill") == []
    assert outputs.positions((tmp_path / "current_positions.csv").read_text()) == ({}, 100_000.0)


def test_a_model_of_the_future_is_never_used(edge_home, trained_with_edge, tmp_path, open_home) -> None:
    home = open_home(edge_home)
    before = tiny.later(home, trained_with_edge, -1)
    assert latest_training(home, home.as_of(before)) is None
    done = run_stocks(home, before, out=tmp_path)
    assert not done.decided.forecast.has_view
    assert "No training was done by" in " ".join(done.decided.decision.why)
    on = tiny.later(home, trained_with_edge, 0)
    assert run_stocks(home, on, out=tmp_path).decided.forecast.model == trained_with_edge.trained.champion


def test_the_latest_training_that_was_known_decides(plain_home, trained_without_edge, tmp_path, open_home) -> None:
    """Each decision takes the newest training of its own past, in whichever order they were done."""
    home = open_home(plain_home)
    newer = tiny.later(home, trained_without_edge, 5)
    second = train_stocks(home, newer)
    older = latest_training(home, home.as_of(tiny.later(home, trained_without_edge, 4)))
    assert older is not None
    assert older.payload["training"] == trained_without_edge.trained.payload["training"]
    latest = latest_training(home, home.as_of(newer))
    assert latest is not None
    assert latest.payload["training"] == second.payload["training"] != older.payload["training"]


def test_training_twice_is_training_once(plain_home, trained_without_edge, open_home) -> None:
    home = open_home(plain_home)
    records, models = home.journal.records(), files(plain_home / "models")
    again = train_stocks(home, trained_without_edge.trained_on)
    assert again.payload == trained_without_edge.trained.payload
    assert home.journal.records() == records
    assert files(plain_home / "models") == models


def test_the_kill_switch_stops_the_day_and_says_so(fortnight, tmp_path, open_home) -> None:
    """A loss above the limit: exit code 1, every file written, no order; also when it is run again."""
    home = open_home(tiny.copied(fortnight.tiny, tmp_path / "home"))
    held = fortnight.days[-1].session
    session = home.sessions.shift(held, 1)
    marks = home.tables.scan("bars").filter(pl.col("session") == held).collect()
    # Closes restated before the decision, a fifth lower: the account has lost more than 3 %.
    home.tables.append(
        "bars",
        marks.with_columns(
            pl.col("open", "high", "low", "close") * 0.8,
            pl.lit(home.as_of(session)).alias("known_at").dt.cast_time_unit("us"),
        ),
    )
    orders = home.journal.records(kind="order")
    for _ in range(2):
        done = run_stocks(home, session, execute=True, out=tmp_path / "live")
        assert done.exit_code == 1
        assert not done.executed
        assert home.journal.records(kind="order") == orders
    read = outputs.read(tmp_path / "live" / session.isoformat())
    blocked = {each["check"] for each in read.signals["verdicts"] if each["outcome"] == "BLOCK"}
    assert blocked == {"daily_loss"}
    assert "Kill switch" in read.report
    assert read.trades == [], "whoever reads the trades alone finds nothing to place"
    weights = {name: (row["weight"], row["current_weight"]) for name, row in read.weights.items()}
    assert all(after == before for after, before in weights.values())


def test_another_decision_for_an_executed_session_is_refused_and_leaves_its_files(
    fortnight, tmp_path, open_home
) -> None:
    """What lies in the day's folder is what was ordered."""
    out = shutil.copytree(fortnight.out, tmp_path / "live")
    home = open_home(tiny.copied(fortnight.tiny, tmp_path / "home"), "desks.stocks.top_k=12")
    records = home.journal.records()
    with pytest.raises(Refused, match="has executed another decision"):
        run_stocks(home, fortnight.days[-1].session, execute=True, out=out)
    assert files(out) == files(fortnight.out)
    assert home.journal.records() == records


@pytest.mark.parametrize("pattern", ["*/evidence/equity.parquet", "*/evidence/figures.json"])
def test_evidence_that_was_changed_is_refused(pattern: str, edge_home, trained_with_edge, tmp_path, open_home) -> None:
    """checks 39, 57: fail closed, with exit code 4, and no order."""
    found = [each for each in (edge_home / "models").glob(pattern) if each.is_file()]
    assert found
    for each in found:
        content = bytearray(each.read_bytes())
        content[len(content) // 2] ^= 0xFF
        each.write_bytes(content)
    home = open_home(edge_home)
    with pytest.raises(IntegrityBroken) as refused:
        run_stocks(home, tiny.later(home, trained_with_edge, 0), execute=True, out=tmp_path / "live")
    assert refused.value.exit_code == 4
    assert home.journal.records(kind=ECONOMIC) == []
    assert not (tmp_path / "live").exists()


def test_a_rewritten_journal_is_named_by_its_record(fortnight, tmp_path, open_home) -> None:
    home = open_home(tiny.copied(fortnight.tiny, tmp_path / "home"))
    count = home.journal.verify()
    assert count == len(home.journal.records())
    fill = home.journal.records(kind="fill")[3]
    engine = sa.create_engine(home.settings.store.journal)
    with engine.begin() as connection:
        text = json.dumps({**fill.payload, "price_usd": fill.payload["price_usd"] * 0.5}, sort_keys=True)
        connection.execute(sa.text("DROP TRIGGER IF EXISTS journal_no_update"))
        for trigger in connection.execute(sa.text("SELECT name FROM sqlite_master WHERE type = 'trigger'")).scalars():
            connection.execute(sa.text(f"DROP TRIGGER {trigger}"))
        connection.execute(sa.text("UPDATE journal SET payload = :p WHERE seq = :s"), {"p": text, "s": fill.seq})
    engine.dispose()
    with pytest.raises(IntegrityBroken, match=f"Record {fill.seq} ") as broken:
        open_home(tmp_path / "home").journal.verify()
    assert broken.value.exit_code == 4


@pytest.mark.parametrize(
    ("session", "sentence"),
    [
        (dt.date(2011, 7, 4), "2011-07-04"),
        (dt.date(2011, 7, 2), "2011-07-02"),
        (dt.date(2009, 6, 1), "not after 2010-01-04"),
        (dt.date(2010, 1, 4), "Choose a session from 2010-01-05 on"),
        (dt.date(2012, 6, 1), "stale prices"),
    ],
)
def test_a_date_that_cannot_be_decided_is_refused(session, sentence, plain_home, tmp_path, open_home) -> None:
    home = open_home(plain_home)
    records = home.journal.records()
    with pytest.raises(BadInput, match=sentence):
        run_stocks(home, session, execute=True, out=tmp_path / "live")
    assert not (tmp_path / "live").exists()
    assert home.journal.records() == records


def test_the_opening_cash_is_what_the_account_began_with(edge_home, trained_with_edge, tmp_path, open_home) -> None:
    """A later --capital changes nothing: cash does not come from nowhere."""
    home = open_home(edge_home)
    day = [tiny.later(home, trained_with_edge, number) for number in range(2)]
    run_stocks(home, day[0], execute=True, capital_usd=50_000.0, out=tmp_path)
    done = run_stocks(home, day[1], execute=True, capital_usd=1_000_000.0, out=tmp_path)
    assert done.decided.book.value_usd == pytest.approx(50_000.0, rel=0.03)
