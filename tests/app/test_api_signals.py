"""Signals over HTTP: what is active, pages, one signal, what becomes of them, and every refusal with its sentence."""

import base64
import datetime as dt
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import polars as pl
import pytest
from starlette.websockets import WebSocketDisconnect
from tests.app.made_signals import made
from tests.app.served import AT, Served

from openbell.app.api import listening, signal_feed
from openbell.app.api.create import SignalParts
from openbell.app.api.metrics import Metrics
from openbell.app.api.signal_cache import ActiveSignals
from openbell.app.api.signal_feed import GAP_SECONDS, Place, SignalFeed, listener_of
from openbell.app.home import Home
from openbell.app.signals_store import LiveSignals, SignalUpkeep
from openbell.core.errors import StorageFailed
from openbell.core.signal import Call, Status
from openbell.store.cache import open_cache
from openbell.store.signal_outcomes import OUTCOME
from openbell.store.signals import Signals


@pytest.fixture
def served(tmp_path: Path):
    with Served(tmp_path, {"timeout_seconds": 60.0}) as small:
        yield small


def problem(answer, status: int) -> str:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert "x-request-id" in answer.headers
    return answer.json()["detail"]


def active(served: Served, symbol: str = "SPY") -> list[int]:
    answer = served.client.get(f"/signals/active/{symbol}")
    assert answer.status_code == 200, answer.text
    return [each["id"] for each in answer.json()["signals"]]


# --- what is asked ----------------------------------------------------------------------------------------------------


def test_pages_hold_every_signal_once_whatever_the_filters(served):
    """Kills: a page that begins where the last ended, a filter that is left out, an order that is not by time."""
    calls = (Call.BUY, Call.HOLD, Call.BUY, Call.BUY, Call.HOLD)
    made_ = [made(("SPY", "QQQ")[n % 2], call, minutes=-n - 1) for n, call in enumerate(calls)]
    written = served.signals.write([*made_, made("SPY", minutes=-7, model_version="vote@2")], at=AT)
    ids = [each.id for each in written]

    def walked(**filters) -> list[int]:
        found, cursor = [], None
        while True:
            page = served.client.get("/signals", params=filters | {"limit": 2} | ({"cursor": cursor} if cursor else {}))
            assert page.status_code == 200, page.text
            found += [each["id"] for each in page.json()["signals"]]
            assert len(page.json()["signals"]) <= 2
            cursor = page.json()["cursor"]
            if cursor is None:
                return found

    assert walked() == ids
    assert walked(symbol="spy") == [ids[0], ids[2], ids[4], ids[5]]
    assert walked(type="HOLD") == [ids[1], ids[4]]
    assert walked(model_version="vote@2") == [ids[5]]
    assert walked(min_confidence=0.8) == [ids[1], ids[4]]
    assert walked(min_confidence=0.81) == []
    assert walked(status="CANCELLED") == []
    first, last = ((AT - dt.timedelta(minutes=n)).isoformat() for n in (4, 2))
    assert walked(first=first, last=last) == ids[1:4]


def test_a_cursor_that_was_changed_or_belongs_to_other_filters_is_refused(served):
    served.signals.write([made(minutes=-n) for n in (1, 2, 3)], at=AT)
    cursor = served.client.get("/signals?limit=1").json()["cursor"]
    told = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
    forged = base64.urlsafe_b64encode(told.replace(".", "9.", 1).encode()).decode().rstrip("=")
    for bad in (cursor[:-1], cursor + "A", cursor[::-1], forged, "x", "é", " " + cursor, cursor + "\n"):
        assert "no cursor" in problem(served.client.get("/signals", params={"limit": 1, "cursor": bad}), 422), bad
    other = served.client.get("/signals", params={"limit": 1, "cursor": cursor, "symbol": "QQQ"})
    assert "other filters" in problem(other, 422)
    assert served.client.get("/signals", params={"limit": 1, "cursor": cursor}).status_code == 200


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"limit": 0}, "limit"), ({"limit": 1001}, "limit"), ({"type": "BYE"}, "type"), ({"status": "LIVE"}, "status"),
        ({"min_confidence": 1.1}, "min_confidence"), ({"min_confidence": "nan"}, "min_confidence"),
        ({"first": "2025-05-22T10:00:00"}, "time zone"), ({"symbol": "A\0"}, "symbol"),
        ({"symbol": "A" * 11}, "symbol"),
        ({"first": "2025-05-23T00:00:00Z", "last": "2025-05-22T00:00:00Z"}, "lies after the last"),
    ],
)  # fmt: skip
def test_wrong_filters_are_refused(served, params, said):
    assert said in problem(served.client.get("/signals", params=params), 422)


def test_one_signal_is_told_with_its_audit(served):
    (one,) = served.signals.write([made()], at=AT)
    served.client.post(f"/signals/{one.id}/cancel", json={"why": "News.", "by": "a trader"})
    told = served.client.get(f"/signals/{one.id}").json()
    assert (told["status"], told["why"], told["features"]["macd_1d"]) == ("CANCELLED", "News.", None)
    assert told["acted_by"] == f"a trader (key {served.caller.id})"
    assert [(each["what"], each["to_status"]) for each in told["events"]] == [
        ("made", "ACTIVE"),
        ("cancelled", "CANCELLED"),
    ]
    assert told["probabilities"] == {"SELL": 0.1, "HOLD": 0.2, "BUY": 0.7}
    assert "nearest is 1" in problem(served.client.get("/signals/7"), 404)
    assert "`id`" in problem(served.client.get("/signals/0"), 422)
    assert "`id`" in problem(served.client.get(f"/signals/{2**63}"), 422)


def test_words_of_the_path_are_not_taken_for_ids(served):
    """Kills: `/signals/{id}` before the others."""
    served.signals.write([made()], at=AT)
    assert served.client.get("/signals/active/SPY").status_code == 200
    assert served.client.get("/signals/analytics").status_code == 200


def test_a_symbol_that_never_had_a_signal_is_told_the_nearest(served):
    assert "There is none yet" in problem(served.client.get("/signals/active/SPY"), 404)
    served.signals.write([made("SPY"), made("QQQ", minutes=-90)], at=AT)
    assert "Did you mean `SPY`" in problem(served.client.get("/signals/active/SPYX"), 404)
    assert active(served, "qqq") == []
    for bad in ("S%20Y", "S" * 11, "%00"):
        problem(served.client.get(f"/signals/active/{bad}"), 422)


def with_outcomes(served: Served) -> None:
    """Forty HOLDs at 0.8 of which 30 came true, ten BUYs at 0.7 of which 4 did; one more without an outcome."""
    days = [AT - dt.timedelta(days=n) for n in range(1, 42)]
    holds = [made("SPY", Call.HOLD, created_at=at) for at in days[:40]]
    buys = [made("QQQ", created_at=at) for at in days[:11]]
    ids = [each.id for each in served.signals.write([*holds, *buys], at=AT)]
    came = ["HOLD"] * 30 + ["BUY"] * 10 + ["BUY"] * 4 + ["SELL"] * 6
    rows = {
        "id": ids[:50],
        "outcome": came,
        "known_at": [at + dt.timedelta(hours=2) for at in (*days[:40], *days[:10])],
    }
    blank = {name: [None] * 50 for name in OUTCOME if name not in rows}
    gained = {"return_fraction": [None] * 40 + [0.02] * 4 + [-0.01] * 6}
    served.signals.record_outcomes(pl.DataFrame(rows | blank | gained, schema={"id": pl.Int64, **OUTCOME}))


def test_what_signals_were_worth_is_told_by_what_is_asked(served):
    """Worked by hand: 30 of 40 and 4 of 10; the profit factor 0.08 / 0.06. Kills: groups of another thing."""
    with_outcomes(served)
    told = served.client.get("/signals/analytics", params={"by": "symbol"}).json()
    spy, qqq = (next(each for each in told["groups"] if each["value"] == name) for name in ("SPY", "QQQ"))
    assert (spy["signals"], spy["known"], spy["accuracy"]) == (40, 40, 0.75)
    assert (qqq["signals"], qqq["known"], qqq["accuracy"], qqq["hit_rate"]) == (11, 10, 0.4, 0.4)
    assert qqq["profit_factor"] == pytest.approx(0.08 / 0.06)
    assert spy["accuracy_low"] < 0.75 < spy["accuracy_high"]
    assert told["counts"]["signals"] == 51
    assert any("1 of 51" in each for each in told["notes"])
    for by, values in {
        "all": {"all"}, "call": {"BUY", "HOLD"}, "band": {"0.70 to 0.80", "0.80 to 0.90"}, "regime": {"calm"},
        "age": {"not executed"}, "model": {"vote@1"},
    }.items():  # fmt: skip
        told = served.client.get("/signals/analytics", params={"by": by}).json()
        assert ({each["value"] for each in told["groups"]}, told["by"]) == (values, by)
    one = served.client.get("/signals/analytics", params={"symbol": "QQQ", "type": "BUY"}).json()
    assert (one["groups"][0]["signals"], one["counts"]["signals"]) == (11, 11)
    assert "`by`" in problem(served.client.get("/signals/analytics?by=moon"), 422)


def test_analytics_are_kept_for_a_while_and_say_of_when_they_are(served):
    with_outcomes(served)
    first = served.client.get("/signals/analytics?by=call").json()
    served.signals.write([made("IWM")], at=AT)
    served.clock.go(29)
    assert served.client.get("/signals/analytics?by=call").json() == first
    served.clock.go(1)
    later = served.client.get("/signals/analytics?by=call").json()
    assert (later["counts"]["signals"], later["as_of"] > first["as_of"]) == (52, True)


# --- what becomes of them ---------------------------------------------------------------------------------------------


def test_only_one_of_many_acts_on_a_signal_and_its_word_makes_asking_again_safe(served):
    """Check of the store's transaction through the service: eight bots, one is told 200."""
    (one,) = served.signals.write([made()], at=AT)

    def act(number: int):
        return served.client.post(f"/signals/{one.id}/executed", json={"word": f"bot-{number}"})

    with ThreadPoolExecutor(8) as bots:
        answers = list(bots.map(act, range(8)))
    winners = [number for number, each in enumerate(answers) if each.status_code == 200]
    assert len(winners) == 1
    assert {each.status_code for each in answers} == {200, 409}
    again = act(winners[0])
    assert (again.status_code, again.json()["executed"]) == (200, True)
    assert "was executed" in problem(act(99), 409)
    assert [each.what for each in served.signals.events(one.id)] == ["made", "executed"]


def test_what_ended_is_acted_on_by_nobody(served):
    """Requirement 7: an expired signal executed, a cancelled one executed, an executed one cancelled."""
    soon, cancelled, done = served.signals.write(
        [made("A", expires_at=AT + dt.timedelta(seconds=5)), made("B"), made("C")], at=AT
    )
    post = served.client.post
    for _ in range(2):  # to cancel twice is to cancel
        assert post(f"/signals/{cancelled.id}/cancel", json={"why": "News."}).status_code == 200
    assert "was cancelled" in problem(post(f"/signals/{cancelled.id}/executed", json={}), 409)
    assert post(f"/signals/{done.id}/executed", json={}).status_code == 200
    assert "was executed" in problem(post(f"/signals/{done.id}/executed", json={}), 409)
    assert "was executed" in problem(post(f"/signals/{done.id}/cancel", json={"why": "Late."}), 409)
    served.clock.go(5)
    assert "expired" in problem(post(f"/signals/{soon.id}/executed", json={}), 409)
    assert served.signals.get(soon.id).status is Status.EXPIRED
    assert "no signal 99" in problem(post("/signals/99/executed", json={}), 404)
    text = served.client.get("/metrics").text
    assert 'signal_actions_total{action="executed",result="refused"} 3.0' in text
    assert 'signal_actions_total{action="cancel",result="done"} 2.0' in text


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("cancel", {}, 422), ("cancel", {"why": ""}, 422), ("cancel", {"why": "  "}, 422), ("cancel", {"why": 1}, 422),
        ("cancel", {"why": "a\0b"}, 422), ("cancel", {"why": "x" * 501}, 422), ("executed", {"by": "é"}, 422),
        ("executed", {"why": "x"}, 422), ("executed", {"word": ""}, 422), ("executed", [], 422), ("cancel", None, 415),
    ],
)  # fmt: skip
def test_a_body_that_cannot_be_changes_nothing(served, path, body, status):
    (one,) = served.signals.write([made()], at=AT)
    sent = {} if body is None else {"json": body}
    problem(served.client.post(f"/signals/{one.id}/{path}", **sent), status)
    assert served.signals.get(one.id).status is Status.ACTIVE


def test_signals_are_counted_apart_from_predictions(tmp_path: Path):
    with Served(tmp_path, {"predict_per_minute": 2}) as served:
        assert [served.client.get("/signals").status_code for _ in range(3)] == [200, 200, 429]
        assert served.client.get("/models").status_code == 200


# --- the cache --------------------------------------------------------------------------------------------------------


def test_a_kept_answer_is_dropped_by_what_changes_here_and_lives_for_so_long(served):
    one, two = served.signals.write([made(), made(minutes=-2)], at=AT)
    assert active(served) == [one.id, two.id]
    served.signals.cancel(two.id, at=AT, by="another process", why="x")
    assert active(served) == [one.id, two.id]  # for two seconds it may be old, and `as_of` says so
    served.clock.go(2)
    assert active(served) == [one.id]
    served.client.post(f"/signals/{one.id}/executed", json={})
    assert active(served) == []
    text = served.client.get("/metrics").text
    assert 'cache_requests_total{cache="signals",result="hit"} 1.0' in text


def test_a_kept_answer_never_tells_a_signal_past_its_end(served):
    """Kills: a cache that lives for its own time; the answer of a second ago with a signal that is over."""
    served.signals.write([made(expires_at=AT + dt.timedelta(seconds=1))], at=AT)
    assert len(active(served)) == 1
    served.clock.go(0.999)
    assert len(active(served)) == 1
    served.clock.go(0.001)
    assert active(served) == []


def test_what_was_read_before_a_change_is_not_kept_after_it():
    """Kills: the answer of a slow reader put over the change that happened meanwhile."""
    reading, going_on = threading.Event(), threading.Event()

    def read(symbol: str, at: dt.datetime):
        reading.set()
        going_on.wait(5.0)
        return [], b"old"

    kept = ActiveSignals("x", read, open_cache("memory://", 10), Metrics(), lambda: AT, 60.0)
    slow = threading.Thread(target=kept.answer, args=("SPY",))
    slow.start()
    reading.wait(5.0)
    kept.drop("SPY")
    going_on.set()
    slow.join()
    reading.clear()
    kept.answer("SPY")
    assert reading.is_set()  # it was read anew


def test_a_status_is_never_active_past_its_end_though_nobody_tidied(served):
    (one,) = served.signals.write([made()], at=AT)
    served.clock.go(3_600)
    assert served.client.get("/signals").json()["signals"][0]["status"] == "EXPIRED"
    assert served.client.get(f"/signals/{one.id}").json()["status"] == "EXPIRED"
    assert served.signals.get(one.id).status is Status.ACTIVE


# --- parts that are not there -----------------------------------------------------------------------------------------


def test_each_desk_serves_without_the_other_and_health_says_what_is_missing(tmp_path: Path):
    def gone() -> Signals:
        raise StorageFailed("The database failed while reading: gone.")

    broken = SignalParts(gone, "x", open_cache("memory://", 10), 2.0)
    with Served(tmp_path, parts_={"signals": broken}) as served:
        for path in ("/signals", "/signals/active/SPY", "/signals/1", "/signals/analytics"):
            assert "gone" in problem(served.client.get(path), 503)
        assert served.client.get("/ready").status_code == 200
        assert "gone" in served.client.get("/health/detailed").json()["parts"]["signals"]
        with served.client.websocket_connect("/signals/stream") as socket:
            assert "gone" in socket.receive_json()["closed"]
    (tmp_path / "b").mkdir()
    with Served(tmp_path / "b", parts_={"signals": None}) as served:
        problem(served.client.get("/signals"), 503)
        assert "without a store" in served.client.get("/health/detailed").json()["parts"]["signals"]


def test_a_store_that_cannot_be_opened_is_opened_once_it_can_be(tmp_path: Path):
    """A service starts without it: the folder of the store is a file at first."""
    (tmp_path / "signals").write_text("in the way")
    home = Home.open(tmp_path, sets=(f"store.signals=sqlite:///{tmp_path}/signals/s.db",))
    live = LiveSignals(home)
    with pytest.raises(StorageFailed):
        live.store()
    live.close()
    (tmp_path / "signals").unlink()
    with ThreadPoolExecutor(4) as threads:
        assert len({id(each.result()) for each in [threads.submit(live.store) for _ in range(8)]}) == 1
    live.close()


def test_upkeep_ends_what_is_over_and_archives_what_ended_long_ago(served):
    (one,) = served.signals.write([made()], at=AT)
    upkeep = SignalUpkeep(lambda: served.signals, served.clock.now, served.clock.seconds, 30.0)
    upkeep.look()
    assert served.signals.get(one.id).status is Status.ACTIVE
    served.clock.go(3_600)
    upkeep.look()
    assert served.signals.get(one.id).status is Status.EXPIRED
    served.clock.go(31 * 86_400)
    upkeep.look()
    assert served.signals.get(one.id).archived
    assert served.client.get("/signals").json()["signals"] == []
    assert len(served.client.get("/signals?archived=true").json()["signals"]) == 1


# --- the websocket ----------------------------------------------------------------------------------------------------


def closed(socket) -> tuple[int, str]:
    said = socket.receive_json()["closed"]
    with pytest.raises(WebSocketDisconnect) as gone:
        socket.receive_json()
    return gone.value.code, said


def test_what_another_connection_writes_is_heard(served, tmp_path: Path):
    """Another process is another connection; its life is heard too, in order."""
    with (
        served.client.websocket_connect("/signals/stream") as socket,
        Signals.open(f"sqlite:///{tmp_path}/signals.db") as other,
    ):
        assert socket.receive_json() == {"listening": "all", "after": 0}
        (one,) = other.write([made()], at=AT)
        heard = socket.receive_json()
        assert (heard["event"]["what"], heard["signal"]["id"], heard["signal"]["status"]) == ("made", one.id, "ACTIVE")
        other.write([made(call=Call.SELL, minutes=-0.5, confidence=0.9, probabilities=(0.9, 0.1, 0.0))], at=AT)
        later = [socket.receive_json() for _ in range(3)]
        assert {(each["event"]["what"], each["event"]["to_status"]) for each in later} == {
            ("made", "ACTIVE"), ("conflict", "ACTIVE"), ("conflict", "SUPERSEDED"),
        }  # fmt: skip
        assert [each["after"] for each in (heard, *later)] == [1, 2, 3, 4]


def test_symbols_are_chosen_and_a_listener_goes_on_where_it_was(served):
    served.signals.write([made("SPY"), made("QQQ"), made("IWM")], at=AT)
    with served.client.websocket_connect("/signals/stream?symbols=spy,iwm&after=0") as socket:
        assert socket.receive_json() == {"listening": ["IWM", "SPY"], "after": 0}
        assert [socket.receive_json()["signal"]["symbol"] for _ in range(2)] == ["SPY", "IWM"]
        served.signals.write([made("QQQ", minutes=-3), made("SPY", minutes=-3)], at=AT)
        last = socket.receive_json()
        assert (last["signal"]["symbol"], last["after"]) == ("SPY", 5)
    served.signals.write([made("SPY", minutes=-4)], at=AT)
    del served.client.headers["X-API-Key"]
    with served.client.websocket_connect("/signals/stream") as socket:
        socket.send_json({"key": served.key, "symbols": ["SPY"], "after": last["after"]})
        assert socket.receive_json()["after"] == 5
        assert socket.receive_json()["event"]["id"] == 6


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("?after=x", "whole number"), ("?after=-1", "whole number"), ("?symbols=" + "A" * 13, "12 characters"),
        ("?after=" + "9" * 30, "whole number"),
    ],
)  # fmt: skip
def test_a_wrong_url_is_told(served, url, said):
    with served.client.websocket_connect(f"/signals/stream{url}") as socket:
        code, why = closed(socket)
        assert (code, said in why) == (listening.REFUSED, True)


def test_listening_needs_a_key_with_the_scope(served, monkeypatch):
    other, _ = served.keys.create("other", ["predict", "signals"], at=AT)
    with served.client.websocket_connect("/signals/stream", headers={"X-API-Key": other}) as socket:
        assert "scope read" in closed(socket)[1]
    monkeypatch.setattr(listening, "LOOK_AGAIN_SECONDS", 0.05)
    with served.client.websocket_connect("/signals/stream") as socket:
        socket.receive_json()
        served.keys.revoke(served.caller.id, at=AT)
        assert "revoked" in closed(socket)[1]
    assert served.app.state.signals.feed.listeners == set()


def test_who_falls_behind_is_let_go_and_the_others_hear_on(served):
    with served.client.websocket_connect("/signals/stream") as socket:
        socket.receive_json()
        (listener,) = served.app.state.signals.feed.listeners
        served.client.portal.call(listener.behind.set)
        code, said = closed(socket)
        assert (code, "2048 events waited" in said) == (listening.LATER, True)
    slow = listener_of(frozenset())
    for _ in range(signal_feed.MOST_WAITING + 1):
        slow.hear("SPY", b"")
    assert slow.behind.is_set()


def test_no_secret_reaches_the_log(served, tmp_path: Path):
    key = served.key
    (one,) = served.signals.write([made()], at=AT)
    served.client.post(f"/signals/{one.id}/executed", json={"by": key, "word": key[:90]})
    served.client.get("/signals", params={"cursor": key, "model_version": key[:50]})
    served.client.get(f"/signals/active/{key[:10]}")
    with served.client.websocket_connect(f"/signals/stream?symbols={key}") as socket:
        closed(socket)
    assert key.split("_")[2] not in (tmp_path / "log.json").read_text()


# --- ids that come late -----------------------------------------------------------------------------------------------


def test_an_id_that_comes_late_is_told_and_one_that_never_comes_is_not_waited_for_for_ever():
    """PostgreSQL gives ids before a commit. Kills: `told = the highest id`, and a gap that holds up for ever."""
    place = Place(10)
    assert place.take([11, 13, 14], 0.0) == {11, 13, 14}
    assert place.settled == 11
    assert place.take([13, 14, 16], 1.0) == {16}
    assert place.take([12, 13, 14, 16], 2.0) == {12}
    assert place.settled == 14
    assert place.take([16], GAP_SECONDS) == set()
    assert place.settled == 14
    assert place.take([16], GAP_SECONDS + 1.0) == set()
    assert (place.settled, place.told, place.missed) == (16, set(), {})
    assert place.take([10**12], 20.0) == {10**12}
    assert place.settled == 10**12


def test_a_store_that_cannot_be_read_for_a_while_loses_nothing():
    import asyncio

    class Event:
        def __init__(self, id: int) -> None:
            self.id = id

    class Stored:
        signal = made()

    answers = [[], StorageFailed("gone"), RuntimeError("a fault"), [1, 3], [2, 3], [4]]

    def after(id: int, most: int):
        answer = answers.pop(0) if answers else []
        if isinstance(answer, Exception):
            raise answer
        return [(Event(each), Stored()) for each in answer]

    async def listen(feed: SignalFeed) -> list[bytes]:
        listener = listener_of(frozenset({"SPY"}))
        async with feed.listening(listener):
            while answers:
                await asyncio.sleep(0.005)
            await asyncio.sleep(0.02)
        assert feed._poll is None
        return [listener.waiting.get_nowait() for _ in range(listener.waiting.qsize())]

    feed = SignalFeed(after, lambda: 0, Metrics(), lambda: AT, lambda: 0.0, poll_seconds=0.001)
    feed._message = lambda event, stored: str(event.id).encode()
    assert asyncio.run(listen(feed)) == [b"1", b"3", b"2", b"4"]
