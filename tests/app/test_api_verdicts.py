"""The websocket of verdicts: who may listen, what is heard, and who is let go."""

import datetime as dt
from pathlib import Path

import pytest
from starlette.websockets import WebSocketDisconnect
from tests.app.served import AT, BUTTERFLY, CONDOR, Served

from openbell.app.api import feed, listening, verdicts
from openbell.app.api.feed import Feed, Listener
from openbell.core.errors import StorageFailed
from openbell.store.prediction_rows import Prediction


@pytest.fixture
def served(tmp_path: Path):
    with Served(tmp_path) as made:
        yield made


def closed(socket) -> tuple[int, str]:
    """How the other side closed, and what it said before."""
    said = socket.receive_json()["closed"]
    with pytest.raises(WebSocketDisconnect) as gone:
        socket.receive_json()
    return gone.value.code, said


def made(name: str, symbol: str = "SPX") -> Prediction:
    return Prediction(name, AT, symbol, "Vertical", "ACCEPT", 1, {"a": 1})


def test_a_verdict_is_pushed_once_it_is_on_record(served):
    with served.client.websocket_connect("/verdicts") as socket:
        assert socket.receive_json() == {"listening": "all"}
        told = served.client.post("/predict", json=CONDOR | {"trade_id": "a"}).json()
        heard = socket.receive_json()
        assert heard["prediction_id"] == told["prediction_id"]
        assert (heard["verdict"], heard["win_probability"], heard["trade_id"]) == ("ACCEPT", 0.9, "a")
        served.client.post("/predict/batch", json={"requests": [BUTTERFLY, CONDOR]})
        assert [socket.receive_json()["strategy"] for _ in range(2)] == ["Butterfly", "Iron Condor"]


def test_the_key_may_come_in_the_first_message_with_symbols(served):
    with served.client.websocket_connect("/verdicts", headers={"X-API-Key": ""}) as socket:
        assert closed(socket)[0] == listening.REFUSED  # an empty header is a wrong key, not none
    del served.client.headers["X-API-Key"]
    with served.client.websocket_connect("/verdicts") as socket:
        socket.send_json({"key": served.key, "symbols": ["xsp"]})
        assert socket.receive_json() == {"listening": ["XSP"]}
        header = {"X-API-Key": served.key}
        for symbol in ("SPX", "XSP"):
            served.client.post("/predict", json=CONDOR | {"symbol": symbol}, headers=header)
        assert socket.receive_json()["symbol"] == "XSP"


@pytest.mark.parametrize(
    "first", ['{"key": "ob_x"}', '{"key": 1}', "no json", '{"key": "x", "more": 1}', "x" * 5_000, '{"symbols": []}']
)
def test_a_stranger_is_told_and_closed(served, first):
    del served.client.headers["X-API-Key"]
    with served.client.websocket_connect("/verdicts") as socket:
        socket.send_text(first)
        code, said = closed(socket)
        assert code == listening.REFUSED
        assert said
    assert served.service.feed.listeners == set()


def test_a_key_in_the_url_is_none_and_silence_is_not_waited_for(served, monkeypatch):
    monkeypatch.setattr(listening, "FIRST_MESSAGE_SECONDS", 0.05)
    del served.client.headers["X-API-Key"]
    with served.client.websocket_connect(f"/verdicts?key={served.key}&X-API-Key={served.key}") as socket:
        assert closed(socket) == (listening.REFUSED, "There was no key.")


def test_another_scope_may_not_listen(served):
    other, _ = served.keys.create("other", ["predict"], at=AT)
    with served.client.websocket_connect("/verdicts", headers={"X-API-Key": other}) as socket:
        code, said = closed(socket)
        assert (code, "scope read" in said) == (listening.REFUSED, True)


def test_a_listener_whose_key_is_revoked_is_let_go(served, monkeypatch):
    monkeypatch.setattr(listening, "LOOK_AGAIN_SECONDS", 0.05)
    with served.client.websocket_connect("/verdicts") as socket:
        socket.receive_json()
        served.keys.revoke(served.caller.id, at=AT)
        code, said = closed(socket)
        assert (code, "revoked" in said) == (listening.REFUSED, True)


def test_too_many_listeners_are_told_to_come_later(served, monkeypatch):
    monkeypatch.setattr(verdicts, "MOST_LISTENERS", 1)
    with served.client.websocket_connect("/verdicts") as first:
        first.receive_json()
        with served.client.websocket_connect("/verdicts") as second:
            assert closed(second)[0] == listening.LATER
    with served.client.websocket_connect("/verdicts") as third:
        assert "listening" in third.receive_json()


def test_who_is_too_slow_is_told_and_let_go(served, monkeypatch):
    """Slow means that its queue is full; the others hear on."""
    with served.client.websocket_connect("/verdicts") as socket:
        socket.receive_json()
        (listener,) = served.service.feed.listeners
        served.client.portal.call(listener.behind.set)
        code, said = closed(socket)
        assert (code, "waited for you" in said) == (listening.LATER, True)
    assert served.service.feed.listeners == set()


def test_a_queue_holds_so_many_and_no_more(monkeypatch):
    slow, quick = Listener(), Listener()
    own = Feed(lambda: AT)
    with own.listening(slow), own.listening(quick):
        for number in range(feed.MOST_WAITING + 3):
            own.push([made(f"p{number}")])
            quick.waiting.get_nowait()
    assert slow.behind.is_set()
    assert slow.waiting.qsize() == feed.MOST_WAITING
    assert not quick.behind.is_set()


def test_verdicts_of_other_workers_are_read_out_of_the_log_once_each(monkeypatch):
    """A log that cannot be read for a while loses nothing: it is read from where it was last."""
    import asyncio

    answers = [[made("a"), made("b", "NDX")], StorageFailed("gone"), [made("b", "NDX"), made("c")]]
    sinces = []

    def recent(since: dt.datetime):
        sinces.append(since)
        answer = answers.pop(0) if answers else []
        if isinstance(answer, Exception):
            raise answer
        return answer

    clock = [AT]

    def now():
        clock[0] += dt.timedelta(seconds=20)
        return clock[0]

    async def listen():
        own, listener = Feed(now, recent, poll_seconds=0.001), Listener(frozenset({"SPX"}))
        own.push([made("before")])  # nobody listened
        with own.listening(listener):
            own.push([made("a")])  # this worker's own, before the log is read
            while answers:
                await asyncio.sleep(0.005)
            await asyncio.sleep(0.01)
        assert own._poll is None
        return [listener.waiting.get_nowait() for _ in range(listener.waiting.qsize())]

    heard = asyncio.run(listen())
    assert [b'"a"' in heard[0], b'"c"' in heard[1], len(heard)] == [True, True, 2]
    assert sinces[2] == sinces[1] < sinces[3]
