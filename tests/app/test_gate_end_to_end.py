"""The gate as a bot meets it: a message, a key, real HTTP, a real log, and a market that a companion tells."""

import asyncio
import contextlib
import datetime as dt
import json
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
import structlog
import uvicorn
from tests.app.processes import companion, ready, wait_for

from openbell.app import cli
from openbell.app.api import logs, worker
from openbell.app.api.create import create
from openbell.app.home import Home
from openbell.client import PredictionClient, SyncPredictionClient

pytestmark = pytest.mark.xdist_group("gate")

MESSAGE = """\
SPX 0DTE Analysis
Price: 2,490.25
Predicted Close: 2,495
Short term: 2,492
Long term: 2,500
Short term bias: Up
Target 1: 2,510
Target 2: 2,470

{}
"""
BUTTERFLY = (
    "Butterfly: Neutral bias with a center strike\nBUY +1 Butterfly SPX 100 2 Jan 19 2520/2495/2470 CALL @6.10 LMT"
)
CONDOR = "SELL -2 Iron Condor SPX 100 2 Jan 19 2545/2550/2435/2430 CALL/PUT @0.35 LMT"
ASKED, CLOSED = dt.datetime(2019, 1, 2, 15, 35, tzinfo=dt.UTC), dt.datetime(2019, 1, 2, 21, 5, tzinfo=dt.UTC)
#: An owner who asks for no proof: the fixture's trades have no edge, and its model says so of itself.
WILLING = ("desks.gate.require_edge=false", "desks.gate.min_expected_value_usd=-1e9")
REPORT = ("openbell", "gate", "report", "--live", "--json")


class Clock:
    """The exchange's time, as the test tells it."""

    at = ASKED

    def now(self) -> dt.datetime:
        return self.at


@contextlib.contextmanager
def serving(home: Home, log_file: Path) -> Iterator[str]:
    """The address of the service of `home`: everything that `openbell serve` opens, on a socket, in a thread."""
    target = logs.configure("INFO", str(log_file))
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        config = uvicorn.Config(create(worker.parts_of(home)), http="httptools", loop="uvloop", log_config=None)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=([listening],))
        thread.start()
        try:
            wait_for(lambda: ready(url))
            yield url
        finally:
            server.should_exit = True
            thread.join(30)
            structlog.reset_defaults()
            target.close()


async def asked(url: str, key: str, text: str) -> tuple[bool, dict]:
    async with PredictionClient({"api_url": url}, api_key=key) as gate:
        return await gate.check_trade(text, {"trade_id": "butterfly-1"}, at=ASKED)


def test_a_message_becomes_a_verdict_a_record_an_outcome_and_a_report(gate_home, tmp_path, monkeypatch, capsys):
    """S1.28 and S1.30, message to report. Kills: a client that says yes or no to all, one that acts without a market,
    a verdict that is in no log, an outcome of another trade."""
    clock = Clock()
    monkeypatch.setattr(worker, "now", clock.now)
    path = gate_home.copied(tmp_path / "home")
    sets = (*WILLING, "serve.market_seconds=0", 'serve.sources=["companion"]')
    with contextlib.ExitStack() as market:
        at = market.enter_context(companion(2_490.25, 0.28, clock.now))
        home = Home.open(path, sets=(*sets, f"serve.companion_url={at}"))
        key, _ = home.api_keys.create("bot", ["predict", "read", "outcomes"], at=ASKED)
        with serving(home, tmp_path / "log.json") as url:
            with httpx2.Client(base_url=url, headers={"X-API-Key": key}, timeout=30.0) as http:
                sent = {"text": MESSAGE.format(BUTTERFLY), "at": ASKED.isoformat()}
                check_parsed(http.post("/parse", json=sent).json())
                no, butterfly = asyncio.run(asked(url, key, MESSAGE.format(BUTTERFLY)))
                with SyncPredictionClient({"api_url": url}, api_key=key) as gate:
                    yes, condor = gate.check_trade(MESSAGE.format(CONDOR), at=ASKED)
                check_answers(no, butterfly, yes, condor)
                market.close()
                check_fails_closed(url, key)
                history = http.get("/confidence/history").json()["predictions"]
                clock.at = CLOSED
                for told in (butterfly, condor):
                    outcome = {"prediction_id": told["prediction_id"], "profit": 68.7 if told is condor else -612.6}
                    assert http.post("/outcomes", json=outcome).json() == {"joined": 1}
                joined = http.get("/confidence/history", params={"trade_id": "butterfly-1"}).json()["predictions"]
            logged = {each["prediction_id"]: (each["verdict"], each["win_probability"]) for each in history}
            told = [(each["prediction_id"], (each["verdict"], each["win_probability"])) for each in (butterfly, condor)]
            assert dict(told).items() < logged.items()
            assert len(logged) == 3  # what was refused for want of a market is on record too
            assert [(each["win"], each["profit"]) for each in joined] == [(False, -612.6)]
    assert key.split("_")[2] not in (tmp_path / "log.json").read_text()
    monkeypatch.setattr(sys, "argv", [*REPORT, "--home", str(path)])
    assert reported(capsys) == {"judged": 2, "no model spoke": 1}


def check_parsed(told: dict) -> None:
    (trade,) = told["trades"]
    assert (trade["symbol"], trade["strategy"], trade["action"], trade["expiry"]) == (
        "SPX", "Butterfly", "BUY", "2019-01-02",
    )  # fmt: skip
    # Wings of 25 points at 6.10: by hand 1,890 to make and 610 to lose.
    assert (trade["risk"], trade["reward"]) == (610.0, 1_890.0)
    assert trade["breakevens"] == {"breakeven_lower": 2_476.1, "breakeven_upper": 2_513.9}
    assert told["refusals"] == []
    assert (told["said"]["predicted_close"], told["said"]["target2"]) == (2_495.0, 2_470.0)


def check_answers(no: bool, butterfly: dict, yes: bool, condor: dict) -> None:
    """One is refused for its odds, the other taken whole; both say on what they stand."""
    assert (no, butterfly["should_execute"], butterfly["verdict"], butterfly["prediction"]) == (
        False, False, "REFUSE", "LOSS",
    )  # fmt: skip
    assert (yes, condor["should_execute"], condor["verdict"], condor["prediction"]) == (True, True, "ACCEPT", "WIN")
    assert (condor["quantity"], condor["risk"], condor["reward"]) == (2, 930.0, 70.0)
    assert (butterfly["risk"], butterfly["reward"], butterfly["trade_id"]) == (610.0, 1_890.0, "butterfly-1")
    assert butterfly["risk_reward_ratio"] == pytest.approx(1_890 / 610)
    for told in (butterfly, condor):
        assert told["error"] is None
        assert told["data_source"] == "companion"
        assert told["n_features"] > 20
        assert told["effective_n"] > 0
        assert told["model_level"] in told["level_weights"]
    assert butterfly["win_probability"] < butterfly["threshold"] <= condor["win_probability"]
    assert butterfly["win_probability"] == pytest.approx(butterfly["price_probability"], abs=0.1)
    assert butterfly["arm"] in ("control", "test")
    assert condor["arm"] is None


def check_fails_closed(url: str, key: str) -> None:
    """The very order that was taken a moment ago, without a market."""
    with SyncPredictionClient({"api_url": url}, api_key=key) as gate:
        yes, told = gate.check_trade(MESSAGE.format(CONDOR), at=ASKED)
    assert not yes
    assert (told["verdict"], told["quantity"], told["win_probability"], told["error"]) == ("REFUSE", 0, None, None)
    assert any("companion" in each for each in told["why"]), told["why"]


def reported(capsys: pytest.CaptureFixture) -> dict[str, int]:
    """Trades by what the report on the log does with them."""
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert not ended.value.code
    told = json.loads(capsys.readouterr().out)
    assert told["source"] == "prediction log"
    return {row["reason"]: row["trades"] for row in told["computed"]}
