"""The client of other people's bots fails closed, whatever the service does. Faults are injected at the transport."""

import asyncio
import datetime as dt
import json
import logging
import sys

import httpx2
import pytest

from openbell.client import ClientSettings, PredictionClient, ServiceError, SyncPredictionClient
from openbell.core.errors import BadInput
from openbell.core.ladders import ladder
from openbell.core.ticket import Ticket
from openbell.core.types import Right, Side

KEY = "obk_0123456789abcdef-secret"
ORDER = {
    "symbol": "SPX", "strategy": "Butterfly", "strikes": [5905, 5855, 5805], "premium": 24.82, "action": "BUY",
    "quantity": 4, "predicted_price": 5862.0,
}  # fmt: skip
TEXT = "BUY +1 Butterfly SPX 100 22 May 25 5905/5855/5805 CALL @24.82 LMT"


def answer(**changes) -> dict:
    return {
        "symbol": "SPX", "strategy": "Butterfly", "verdict": "ACCEPT", "win_probability": 0.61, "threshold": 0.5,
        "quantity": 4, "prediction": "WIN", "why": ["The odds are better than the price says."],
    } | changes  # fmt: skip


class Service:
    """A service that answers from a list, the last for ever; exceptions are raised. It remembers what it was sent."""

    def __init__(self, *answers, parsed=None) -> None:
        self.answers, self.parsed, self.sent, self.waited = list(answers), parsed, [], []

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        self.sent.append((request.url.path, json.loads(request.content), request.headers.get("X-API-Key")))
        if request.url.path == "/parse":
            return httpx2.Response(200, json=self.parsed)
        found = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(found, Exception):
            raise found
        if isinstance(found, httpx2.Response):
            return found
        return httpx2.Response(200, json=found)

    async def sleep(self, seconds: float) -> None:
        self.waited.append(seconds)

    def client(self, key=KEY, **settings) -> PredictionClient:
        given = {"api_url": "http://gate.test"} | settings
        return PredictionClient(given, api_key=key, transport=httpx2.MockTransport(self), sleep=self.sleep)


def checked(service: Service, order=ORDER, predictions=None, **settings):
    async def ask():
        async with service.client(**settings) as gate:
            return await gate.check_trade(order, predictions)

    return asyncio.run(ask())


def test_an_accepted_trade_is_taken():
    service = Service(answer())
    execute, details = checked(service)
    assert execute is True
    assert details["quantity"] == 4
    assert details["win_probability"] == 0.61
    assert service.sent == [("/predict", ORDER, KEY)]


@pytest.mark.parametrize(
    ("changes", "settings", "execute", "quantity"),
    [
        ({"verdict": "REDUCE", "quantity": 2}, {}, True, 2),
        ({"verdict": "REDUCE", "quantity": 0}, {}, False, 0),
        ({"verdict": "REFUSE", "quantity": 0}, {}, False, 0),
        ({"verdict": "REFUSE", "quantity": 4}, {}, False, 0),
        ({"win_probability": 0.55}, {}, True, 4),
        ({"win_probability": 0.5499}, {}, False, 0),
        ({"win_probability": 0.6, "threshold": 0.65}, {}, False, 0),
        ({"win_probability": 0.6, "threshold": None}, {"min_win_probability": 0.7}, False, 0),
        ({"win_probability": None}, {"min_win_probability": 0.0}, False, 0),
    ],
)
def test_the_verdict_and_the_odds_decide_together(changes, settings, execute, quantity):
    """Kills: `>` for `>=` at 0.55, the service's own threshold left out, no odds taken for enough."""
    found, details = checked(Service(answer(**changes)), **settings)
    assert (found, details["quantity"], details["should_execute"]) == (execute, quantity, execute)
    assert details["why"]


def problem(status, detail, **headers):
    return httpx2.Response(status, json={"detail": detail, "status": status}, headers=headers)


FAULTS = [
    (httpx2.ConnectError("refused"), "cannot be reached (ConnectError)", 3),
    (httpx2.ReadError("reset"), "cannot be reached (ReadError)", 3),
    (httpx2.RemoteProtocolError("gone"), "cannot be reached (RemoteProtocolError)", 3),
    (httpx2.ReadTimeout("slow"), "no answer within", 1),
    (problem(503, "The market data are too old."), "The market data are too old.", 3),
    (problem(429, "The key has used up its limit."), "used up its limit", 3),
    (problem(401, "The key is unknown."), "The key is unknown.", 1),
    (problem(422, "A butterfly has 3 strikes."), "A butterfly has 3 strikes.", 1),
    (problem(500, ""), "The service answered 500.", 1),
    (problem(504, "Too slow."), "Too slow.", 1),
    (httpx2.Response(302, headers={"Location": "http://elsewhere.test"}), "answered 302", 1),
    (httpx2.Response(200, text="<html>"), "is no JSON", 1),
    (httpx2.Response(200, text="[1]"), "no object of fields", 1),
    (httpx2.Response(200, text='{"verdict": "ACCEPT"'), "is no JSON", 1),
    (httpx2.Response(200, json={}), "its verdict is None", 1),
    (answer(verdict="YES"), "its verdict is 'YES'", 1),
    (answer(win_probability=1.2), "its win_probability is 1.2", 1),
    (answer(win_probability="0.9"), "its win_probability is '0.9'", 1),
    (answer(win_probability=True), "its win_probability is True", 1),
    (httpx2.Response(200, text=json.dumps(answer()).replace("0.61", "NaN")), "its win_probability is nan", 1),
    ({k: v for k, v in answer().items() if k != "win_probability"}, "its win_probability is ''", 1),
    (answer(threshold=-1), "its threshold is -1", 1),
    (answer(quantity=5), "its quantity is 5 of 4", 1),
    (answer(quantity=-1), "its quantity is -1 of 4", 1),
    (answer(quantity=None), "its quantity is None", 1),
    (answer(symbol="SPY"), "it is about the symbol 'SPY'", 1),
    (answer(strategy="Vertical"), "it is about the strategy 'Vertical'", 1),
    (RuntimeError(f"boom {KEY}"), "RuntimeError: boom …", 1),
]


@pytest.mark.parametrize(("fault", "because", "asked"), FAULTS, ids=[str(at) for at in range(len(FAULTS))])
def test_every_fault_fails_closed(fault, because, asked):
    """Check 39. Kills: an exception let out, a fault taken for a yes, a retry of what will not get better."""
    service = Service(fault)
    execute, details = checked(service)
    assert execute is False
    assert because in details["why"][0]
    assert details["error"] == details["why"][0]
    assert (details["verdict"], details["quantity"], details["win_probability"]) == ("REFUSE", 0, None)
    assert len(service.sent) == asked
    assert KEY not in json.dumps(details)


def test_a_fault_that_passes_is_overcome():
    service = Service(httpx2.ConnectError("refused"), problem(503, "Starting."), answer())
    execute, _ = checked(service)
    assert execute
    assert len(service.waited) == 2
    assert 0.05 <= service.waited[0] <= 0.1
    assert 0.1 <= service.waited[1] <= 0.2


def test_the_service_says_how_long_to_wait():
    """Retry-After in seconds and as a date; one beyond the timeout ends it at once, and is told."""
    service = Service(problem(429, "Slow down.", **{"Retry-After": "2"}), answer())
    assert checked(service)[0]
    assert 2.0 <= service.waited[0] <= 2.1
    past = Service(problem(503, "Wait.", **{"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}), answer())
    assert checked(past)[0]
    assert past.waited[0] <= 0.1
    long = Service(problem(429, "Slow down.", **{"Retry-After": "60"}), answer())
    execute, details = checked(long)
    assert not execute
    assert "asks to wait 60 seconds" in details["why"][0]
    assert len(long.sent) == 1


def test_one_attempt_is_one_attempt():
    service = Service(httpx2.ConnectError("refused"))
    assert not checked(service, retry_attempts=1)[0]
    assert len(service.sent) == 1


def test_the_timeout_bounds_everything_together():
    """Kills: a limit per attempt, so that three slow ones block a bot three times as long."""

    async def slow(request):
        await asyncio.sleep(30)

    async def ask():
        client = PredictionClient({"timeout": 0.05}, api_key=KEY, transport=httpx2.MockTransport(slow))
        async with client as gate:
            with pytest.raises(ServiceError, match=r"no answer within 0.05 seconds"):
                await gate.parse("x")
            batch = await gate.predict_batch([ORDER])
            return await gate.check_trade(ORDER), batch

    (execute, details), batch = asyncio.run(ask())
    assert not execute
    assert "no answer within 0.05 seconds" in details["why"][0]
    assert [each[0] for each in batch] == [False]


def test_disabled_or_not_opened_allows_nothing():
    service = Service(answer())
    execute, details = checked(service, enabled=False)
    assert not execute
    assert "disabled" in details["why"][0]
    execute, details = asyncio.run(service.client().check_trade(ORDER))
    assert not execute
    assert "not open" in details["why"][0]
    assert not SyncPredictionClient(api_key=KEY).check_trade(ORDER)[0]
    assert service.sent == []


def test_the_same_question_is_asked_once_and_any_other_anew():
    """Check 35: the key of the cache holds everything that is sent. Kills: a key of symbol and strategy."""
    others = [
        ORDER | {"strikes": [5910, 5855, 5805]}, ORDER | {"premium": 24.83}, ORDER | {"quantity": 5},
        ORDER | {"predicted_price": 5863.0}, ORDER | {"short_term": 0.6}, ORDER | {"trade_id": "a"},
        ORDER | {"expiry": "2025-05-22"},
    ]  # fmt: skip

    async def ask(service, **settings):
        async with service.client(**settings) as gate:
            first = await gate.check_trade(ORDER)
            first[1]["why"].append("changed by the caller")
            again = await gate.check_trade(dict(reversed(ORDER.items())))
            for each in others:
                await gate.check_trade(each)
            return again

    service = Service(answer(quantity=1))
    execute, details = asyncio.run(ask(service))
    assert execute
    assert details["from_client_cache"]
    assert "changed by the caller" not in details["why"]
    assert len(service.sent) == 1 + len(others)
    plain = Service(answer(quantity=1))
    asyncio.run(ask(plain, cache_predictions=False))
    assert len(plain.sent) == 2 + len(others)


def test_a_failure_is_not_kept():
    service = Service(answer(verdict="MAYBE"), answer())

    async def ask():
        async with service.client() as gate:
            return [(await gate.check_trade(ORDER))[0] for _ in range(2)]

    assert asyncio.run(ask()) == [False, True]


LEGS = [(1, "CALL", 5805.0), (-2, "CALL", 5855.0), (1, "CALL", 5905.0)]


def parsed(**changes) -> dict:
    trade = {
        "symbol": "SPX", "strategy": "Butterfly", "action": "BUY", "quantity": 1, "strikes": [5805, 5855, 5905],
        "option_type": "CALL", "premium": 24.82, "expiry": "2025-05-22", "multiplier": 100.0,
        "legs": [{"ratio": r, "right": k, "strike": s, "expiry": "2025-05-22"} for r, k, s in LEGS],
    } | changes  # fmt: skip
    said = {"symbol": "SPX", "predicted_close": 5862.0, "short_term": 5860.0, "long_term": 5865.0, "target1": None}
    return {"dialect": "alert", "trades": [trade], "refusals": [], "said": said}


def test_a_message_is_parsed_then_asked_with_what_it_foresees():
    service = Service(answer(quantity=1), parsed=parsed())
    execute, _ = checked(service, TEXT)
    assert execute
    (parse, predict) = service.sent
    assert parse[:2] == ("/parse", {"text": TEXT, "dialect": "auto"})
    assert predict[1] == {
        "symbol": "SPX", "strategy": "Butterfly", "strikes": [5805.0, 5855.0, 5905.0], "premium": 24.82,
        "action": "BUY", "quantity": 1, "option_type": "CALL", "expiry": "2025-05-22", "predicted_price": 5862.0,
        "short_term": 5860.0, "long_term": 5865.0,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("found", "because"),
    [
        (parsed() | {"trades": []}, "holds 0 orders"),
        (parsed() | {"trades": parsed()["trades"] * 2}, "holds 2 orders"),
        (parsed() | {"refusals": [{"why": "A sign against its verb."}]}, "A sign against its verb."),
        (parsed(premium=-0.4), "a price of -0.4"),
        (parsed(premium=None), "has no price"),
        (parsed(strategy="Custom"), "this custom is none"),
        (parsed(multiplier=50.0), "not 100 USD each"),
        (parsed(legs=[{"ratio": 1, "right": "CALL", "strike": s, "expiry": None} for s in (1, 2, 3)]), "these legs"),
        (parsed() | {"said": {"symbol": "NDX", "predicted_close": 21000.0}}, "where the underlying is foreseen"),
        ({"trades": None}, "no list of trades"),
        ({"trades": [{}], "refusals": []}, "not 100 USD each"),
    ],
)
def test_a_text_that_the_service_cannot_be_asked_about_fails_closed(found, because):
    """Kills: an order sent as another one, such as a broken wing for a credit as one for a debit."""
    service = Service(answer(quantity=1), parsed=found)
    execute, details = checked(service, TEXT)
    assert not execute
    assert because in details["why"][0]
    assert len(service.sent) == 1


def test_a_ticket_is_asked_as_its_fields():
    day = dt.date(2025, 5, 22)
    legs = ladder("IRON CONDOR", [5905, 5910, 5780, 5775], None, Side.SELL, day)
    service = Service(answer(strategy="Iron Condor", quantity=2))
    ticket = Ticket("SPX", Side.SELL, 2, "IRON CONDOR", legs, -0.63)
    execute, _ = checked(service, ticket, {"predicted_price": 5850.0, "trade_id": "m-1"})
    assert execute
    assert service.sent[0][1] == {
        "symbol": "SPX", "strategy": "Iron Condor", "strikes": [5775.0, 5780.0, 5905.0, 5910.0], "premium": 0.63,
        "action": "SELL", "quantity": 2, "option_type": "CALL/PUT", "expiry": "2025-05-22", "predicted_price": 5850.0,
        "trade_id": "m-1",
    }  # fmt: skip


@pytest.mark.parametrize(
    "ticket",
    [
        Ticket("/ESZ26", Side.BUY, 1, "SINGLE", ladder("SINGLE", [5000], Right.CALL, Side.BUY), 1.0, multiplier=50.0),
        Ticket("SPX", Side.BUY, 1, "SINGLE", ladder("SINGLE", [5000], Right.CALL, Side.SELL), 1.0),
        Ticket("SPX", Side.BUY, 1, "BUTTERFLY", ladder("BUTTERFLY", [1, 2, 4], Right.CALL, Side.BUY), -0.1),
        Ticket("SPX", Side.BUY, 1, "SINGLE", ladder("SINGLE", [5000], Right.CALL, Side.BUY), None),
        object(),
        None,
    ],
)
def test_a_ticket_that_the_fields_cannot_say_is_never_sent(ticket):
    service = Service(answer())
    execute, details = checked(service, ticket, {"predicted_price": 5.0})
    assert not execute
    assert details["error"]
    assert service.sent == []


def test_a_number_that_json_cannot_say_fails_closed():
    service = Service(answer())
    assert not checked(service, ORDER | {"premium": float("nan")})[0]
    assert service.sent == []


def test_a_batch_answers_each_in_its_place():
    bad = {k: v for k, v in ORDER.items() if k != "predicted_price"}
    second = ORDER | {"symbol": "NDX"}
    found = [answer(), answer(symbol="NDX", verdict="REFUSE", quantity=0)]
    service = Service({"predictions": found})

    async def ask(orders):
        async with service.client() as gate:
            return await gate.predict_batch(orders)

    answers = asyncio.run(ask([ORDER, bad, second]))
    assert [each[0] for each in answers] == [True, False, False]
    assert "foreseen to close" in answers[1][1]["why"][0]
    assert [path for path, *_ in service.sent] == ["/predict/batch"]
    assert service.sent[0][1] == {"requests": [ORDER, second]}
    with pytest.raises(BadInput, match="at most 100 orders; 101 were given"):
        asyncio.run(ask([ORDER] * 101))
    for wrong in ({"predictions": found[:1]}, {"predictions": [answer(), answer()]}, {"predictions": [1, 2]}):
        service.answers = [wrong]
        assert asyncio.run(ask([ORDER, second]))[1][0] is False


def test_risk_and_reward_and_parsing_raise_what_the_service_says():
    service = Service({"risk": 2482.0, "reward": 2518.0}, problem(422, "A butterfly has 3 strikes."), parsed=parsed())

    async def ask():
        async with service.client() as gate:
            first = await gate.calculate_risk_reward(ORDER)
            with pytest.raises(ServiceError, match="A butterfly has 3 strikes") as refused:
                await gate.calculate_risk_reward(ORDER)
            assert refused.value.status == 422
            return first, await gate.parse(TEXT, at=dt.datetime(2025, 5, 22, 15, tzinfo=dt.UTC))

    first, said = asyncio.run(ask())
    assert first["risk"] == 2482.0
    assert "predicted_price" not in service.sent[0][1]
    assert said["dialect"] == "alert"
    assert service.sent[-1][1]["at"] == "2025-05-22T15:00:00+00:00"


def test_the_sync_twin_says_the_same_also_inside_a_running_loop():
    service = Service(answer(), httpx2.ConnectError("refused"))

    def ask():
        given = {"api_url": "http://gate.test", "cache_predictions": False}
        client = SyncPredictionClient(given, api_key=KEY, transport=httpx2.MockTransport(service), sleep=service.sleep)
        assert KEY not in repr(client)
        with client as gate:
            return gate.check_trade(ORDER), gate.check_trade(ORDER), gate.predict_batch([])

    async def inside():
        return ask()

    for answers in (ask(), asyncio.run(inside())):
        assert answers[1][0] is False
        assert answers[2] == []
    assert len(service.sent) >= 4


def test_the_key_is_from_the_argument_or_the_environment_and_shown_nowhere(monkeypatch, caplog):
    """Check of the issue: keys never in a log."""
    monkeypatch.setenv("OPENBELL_API_KEY", "from-the-environment")
    caplog.set_level(logging.DEBUG)
    service = Service(problem(401, "The key is unknown."))
    checked(service, key=None)
    checked(service)
    assert [key for _, _, key in service.sent] == ["from-the-environment", KEY]
    assert KEY not in repr(service.client()) + caplog.text
    assert "from-the-environment" not in caplog.text
    monkeypatch.delenv("OPENBELL_API_KEY")
    checked(service, key=None)
    assert service.sent[-1][2] is None


def test_without_its_packages_the_client_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "tenacity", None)
    with pytest.raises(BadInput, match=r"needs the package tenacity. Install it with"):
        asyncio.run(PredictionClient(api_key=KEY).__aenter__())
    with pytest.raises(BadInput, match=r"needs the package tenacity"), SyncPredictionClient(api_key=KEY):
        pass


@pytest.mark.parametrize(
    ("given", "because"),
    [
        ({"api_ulr": "http://x"}, "Did you mean `api_url`"),
        ({"api_url": "gate.test"}, "must be an address"),
        ({"api_url": "ftp://gate.test"}, "must be an address"),
        ({"api_url": "http://me:secret@gate.test"}, "neither a password"),
        ({"api_url": "ftp://me:secret@gate.test"}, "neither a password"),
        ({"min_win_probability": 55}, "from 0 to 1; was 55"),
        ({"timeout": 0}, "was 0"),
        ({"retry_attempts": 2.5}, "was 2.5"),
        ({"retry_attempts": 0}, "was 0"),
        ({"enabled": "yes"}, "True or False; was 'yes'"),
    ],
)
def test_settings_that_cannot_be_are_refused(given, because):
    with pytest.raises(BadInput) as refused:
        PredictionClient(given)
    assert because in str(refused.value)
    assert "secret" not in str(refused.value)


def test_the_defaults_are_those_of_the_request():
    """S1.28."""
    found = ClientSettings()
    assert (found.enabled, found.min_win_probability, found.timeout) == (True, 0.55, 5.0)
    assert (found.retry_attempts, found.cache_predictions) == (3, True)


class Signals:
    """A service of signals: what it is asked is kept, what it answers is next in the list."""

    def __init__(self, *answers) -> None:
        self.answers, self.asked = list(answers), []

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        body = json.loads(request.content) if request.content else None
        self.asked.append((request.method, request.url.raw_path.decode(), body))
        found = self.answers.pop(0)
        return found if isinstance(found, httpx2.Response) else httpx2.Response(200, json=found)


def of_signals(service: Signals, **settings) -> SyncPredictionClient:
    given = {"api_url": "http://gate.test"} | settings
    return SyncPredictionClient(given, api_key=KEY, transport=httpx2.MockTransport(service), sleep=Service().sleep)


def test_every_endpoint_of_signals_is_asked_as_it_wants_it():
    service = Signals(*({"n": n} for n in range(6)))
    with of_signals(service) as client:
        found = [
            client.signals(symbol="SPY", first=dt.datetime(2025, 5, 22, tzinfo=dt.UTC), cursor=None),
            client.signal(7),
            client.active_signals("BRK/B"),
            client.signal_analytics(by="band"),
            client.signal_executed(7, by="me"),
            client.cancel_signal(8, "News."),
        ]
    assert found == [{"n": n} for n in range(6)]
    acted = service.asked[4][2]
    assert service.asked == [
        ("GET", "/signals?symbol=SPY&first=2025-05-22T00%3A00%3A00%2B00%3A00", None),
        ("GET", "/signals/7", None),
        ("GET", "/signals/active/BRK%2FB", None),
        ("GET", "/signals/analytics?by=band", None),
        ("POST", "/signals/7/executed", {"by": "me", "word": acted["word"]}),
        ("POST", "/signals/8/cancel", {"why": "News."}),
    ]


def test_an_act_that_is_tried_again_is_one_act_and_a_refusal_is_not_tried_again():
    """Kills: a new word for each try, by which the second try of an act that was done is refused."""
    service = Signals(
        problem(503, "Busy."), {"status": "EXECUTED"}, {"status": "EXECUTED"}, problem(409, "It expired.")
    )
    with of_signals(service) as client:
        client.signal_executed(7)
        client.signal_executed(7)
        with pytest.raises(ServiceError, match="It expired") as refused:
            client.signal_executed(7)
    words = [body["word"] for _, _, body in service.asked]
    assert words[0] == words[1]
    assert len(set(words)) == 3
    assert refused.value.status == 409


def test_a_client_that_is_disabled_acts_on_no_signal():
    service = Signals()
    with of_signals(service, enabled=False) as client, pytest.raises(ServiceError, match="disabled"):
        client.signal_executed(7)
    assert service.asked == []
