"""What other people's bots import: ask a running Openbell whether to take a trade, before taking it.

>>> async with PredictionClient({"api_url": "http://127.0.0.1:8000"}) as gate:           # doctest: +SKIP
...     should_execute, details = await gate.check_trade(message)

`SyncPredictionClient` is the same without ``async`` and ``await``. The client fails closed: where the service is down,
slow, disabled or answers what cannot be, the answer is ``(False, details)`` and ``details["why"]`` says so. The key
comes from the argument `api_key` or the variable OPENBELL_API_KEY, and is shown nowhere.
"""

from __future__ import annotations

import asyncio
import copy
import json
import math
import os
import random
import threading
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, fields
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from openbell.core.errors import BadInput, OpenbellError, unknown
from openbell.signal_client import SignalCalls, SyncSignalCalls

if TYPE_CHECKING:
    from datetime import datetime

    from openbell.core.ticket import Ticket

    #: An order as text, as a ticket, or as the fields of ``POST /predict``.
    Order = str | Ticket | Mapping[str, Any]

KEY_VARIABLE = "OPENBELL_API_KEY"
MOST_ORDERS = 100
_T = TypeVar("_T")
_INSTRUCTION = ("symbol", "strategy", "strikes", "premium", "action", "quantity", "option_type")
_EXECUTE = ("ACCEPT", "REDUCE")


class ServiceError(OpenbellError):
    """The service refused or could not be asked; `status` is that of HTTP, None where there was no answer."""

    exit_code = 1

    def __init__(self, why: str, status: int | None = None) -> None:
        super().__init__(why)
        self.status = status


class _Again(ServiceError):
    """A failure after which asking again is of use; `after_seconds` where the service said when."""

    after_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class ClientSettings:
    """How the service is asked.

    `timeout` bounds one call in seconds, all its attempts and waits together; `retry_attempts` counts the first one.
    Answers are kept for `cache_seconds` where `cache_predictions` is on; what is sent differently is asked anew.
    """

    api_url: str = "http://127.0.0.1:8000"
    enabled: bool = True
    min_win_probability: float = 0.55
    timeout: float = 5.0
    retry_attempts: int = 3
    cache_predictions: bool = True
    cache_seconds: float = 30.0

    def __post_init__(self) -> None:
        parts = urlsplit(self.api_url) if isinstance(self.api_url, str) else None
        if parts is not None and (parts.username or parts.password or parts.query):
            raise BadInput("`api_url` must carry neither a password nor a query; the key has its own argument.")
        if parts is None or parts.scheme not in ("http", "https") or not parts.hostname:
            raise BadInput(f"`api_url` must be an address like https://gate.example.org; was {self.api_url!r}.")
        for name, low, high in (
            ("min_win_probability", 0.0, 1.0), ("timeout", 0.001, 600.0), ("retry_attempts", 1, 20),
            ("cache_seconds", 0.0, 3600.0),
        ):  # fmt: skip
            value = getattr(self, name)
            whole = name == "retry_attempts"
            if (
                isinstance(value, bool)
                or not isinstance(value, int if whole else (int, float))
                or not low <= value <= high
            ):
                raise BadInput(f"`{name}` must be a number from {low:g} to {high:g}; was {value!r}.")
        for name in ("enabled", "cache_predictions"):
            if not isinstance(getattr(self, name), bool):
                raise BadInput(f"`{name}` must be True or False; was {getattr(self, name)!r}.")

    @classmethod
    def of(cls, given: ClientSettings | Mapping[str, Any] | None) -> ClientSettings:
        """The settings of a mapping; an unknown name is refused with the nearest."""
        if given is None or isinstance(given, ClientSettings):
            return given or cls()
        names = [each.name for each in fields(cls)]
        for name in given:
            if name not in names:
                raise unknown("setting of the client", str(name), names)
        return cls(**given)


class PredictionClient(SignalCalls):
    """Asks a running service; an async context manager, safe for many calls at once.

    Parameters
    ----------
    settings : `ClientSettings` or a mapping of them.
    api_key : by default the variable OPENBELL_API_KEY.
    transport, sleep : of tests.
    """

    def __init__(
        self,
        settings: ClientSettings | Mapping[str, Any] | None = None,
        *,
        api_key: str | None = None,
        transport: Any = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.settings = ClientSettings.of(settings)
        self._key = (api_key if api_key is not None else os.environ.get(KEY_VARIABLE, "")).strip()
        self._transport, self._sleep = transport, sleep
        self._http: Any = None
        self._kept: OrderedDict[str, tuple[float, dict[str, Any]]] = OrderedDict()

    def __repr__(self) -> str:
        return f"PredictionClient({self.settings.api_url!r}, key {'set' if self._key else 'missing'})"

    async def __aenter__(self) -> PredictionClient:
        if self.settings.enabled:
            httpx2, _ = _libraries()
            headers = {"X-API-Key": self._key} if self._key else {}
            self._http = httpx2.AsyncClient(
                base_url=self.settings.api_url,
                headers=headers,
                timeout=self.settings.timeout,
                transport=self._transport,
            )
        return self

    async def __aexit__(self, *_: object) -> None:
        http, self._http = self._http, None
        if http is not None:
            await http.aclose()

    async def check_trade(
        self, order: Order, predictions: Mapping[str, Any] | None = None, *, at: datetime | None = None
    ) -> tuple[bool, dict[str, Any]]:
        """Whether to take a trade, and everything that was said of it.

        Parameters
        ----------
        order : text in any dialect (also a whole message with predictions), a `Ticket`, or the fields of S1.22.
        predictions : what the message says beside it, over what the order itself says: ``predicted_price,
            short_term, long_term, target1, target2, trade_id``.
        at : the moment of a text, for a year or expiry that it leaves out.

        Returns
        -------
        True only where the service accepts the trade, or so many units of it as ``details["quantity"]`` says, and its
        calibrated odds reach both its own threshold and `min_win_probability`. ``details["why"]`` has the sentences.
        """
        try:
            self._refuse_disabled()
            async with asyncio.timeout(self.settings.timeout):
                body = await self._request(order, predictions, at)
                found, cached = await self._predicted(body)
            return self._judged(body, found, cached)
        except Exception as error:
            return False, self._failed(error)

    async def predict_batch(
        self, orders: Sequence[Order], predictions: Mapping[str, Any] | None = None, *, at: datetime | None = None
    ) -> list[tuple[bool, dict[str, Any]]]:
        """`check_trade` of up to 100 orders in one request, one answer for each, in order; fails closed for each."""
        if len(orders) > MOST_ORDERS:
            raise BadInput(f"A batch has at most {MOST_ORDERS} orders; {len(orders)} were given. Nothing was cut off.")
        answers: list[tuple[bool, dict[str, Any]] | None] = [None] * len(orders)
        bodies: dict[int, dict[str, Any]] = {}
        try:
            self._refuse_disabled()
            async with asyncio.timeout(self.settings.timeout):
                asked = await asyncio.gather(
                    *(self._request(each, predictions, at) for each in orders), return_exceptions=True
                )
                for place, body in enumerate(asked):
                    if isinstance(body, dict):
                        bodies[place] = body
                    elif isinstance(body, Exception):
                        answers[place] = (False, self._failed(body))
                    else:
                        raise body
                found = await self._batch(list(bodies.values())) if bodies else []
            for (place, body), one in zip(bodies.items(), found, strict=True):
                answers[place] = self._judged_or_failed(body, one)
        except Exception as error:
            return [each or (False, self._failed(error)) for each in answers]
        return [each or (False, self._failed(ServiceError("It was not answered."))) for each in answers]

    async def calculate_risk_reward(self, order: Order, *, at: datetime | None = None) -> dict[str, Any]:
        """Risk, reward and breakevens of an order (S1.21); a refusal or a failure is a `ServiceError`."""
        async with self._within():
            body = await self._form(order, at)
            asked = {name: body[name] for name in _INSTRUCTION if name in body}
            return await self._ask("POST", "/calculate_risk_reward", asked)

    async def parse(self, text: str, *, dialect: str = "auto", at: datetime | None = None) -> dict[str, Any]:
        """The orders and predictions of a text, and what in it was refused; a failure is a `ServiceError`."""
        async with self._within():
            return await self._parsed(text, dialect, at)

    def _within(self) -> _Deadline:
        self._refuse_disabled()
        return _Deadline(self.settings.timeout)

    def _refuse_disabled(self) -> None:
        if not self.settings.enabled:
            raise ServiceError("The client is disabled in its settings, so no trade is checked and none is allowed.")

    async def _parsed(self, text: str, dialect: str, at: datetime | None) -> dict[str, Any]:
        body: dict[str, Any] = {"text": text, "dialect": dialect}
        if at is not None:
            body["at"] = at.isoformat()
        return await self._ask("POST", "/parse", body)

    async def _request(
        self, order: Order, predictions: Mapping[str, Any] | None, at: datetime | None
    ) -> dict[str, Any]:
        """The body of ``/predict``."""
        body = await self._form(order, at) | dict(predictions or {})
        if body.get("predicted_price") is None:
            raise BadInput(
                "Neither the order nor its message says where the underlying is foreseen to close; hand in "
                'predictions={"predicted_price": …}.'
            )
        return body

    async def _form(self, order: Order, at: datetime | None) -> dict[str, Any]:
        """The fields of S1.22 of an order, and of the message around it."""
        from openbell.core.order_fields import fields_of_parsed, fields_of_ticket

        if isinstance(order, str):
            return fields_of_parsed(await self._parsed(order, "auto", at))
        if isinstance(order, Mapping):
            return dict(order)
        return fields_of_ticket(order)

    async def _predicted(self, body: dict[str, Any]) -> tuple[dict[str, Any], bool]:
        """The answer to `body`, and whether it was kept from before."""
        key = json.dumps(body, sort_keys=True, allow_nan=False)
        now = time.monotonic()
        kept = self._kept.get(key) if self.settings.cache_predictions else None
        if kept is not None and now - kept[0] < self.settings.cache_seconds:
            return copy.deepcopy(kept[1]), True
        found = await self._ask("POST", "/predict", body)
        _check_answer(body, found)
        if self.settings.cache_predictions:
            self._kept[key] = (now, found)
            self._kept.move_to_end(key)
            while len(self._kept) > 1_000:
                self._kept.popitem(last=False)
        return copy.deepcopy(found), False

    async def _batch(self, bodies: list[dict[str, Any]]) -> list[Any]:
        found = (await self._ask("POST", "/predict/batch", {"requests": bodies})).get("predictions")
        if not isinstance(found, list) or len(found) != len(bodies):
            raise ServiceError("The service did not answer each order of the batch; no answer is used.")
        return found

    def _judged_or_failed(self, body: dict[str, Any], found: Any) -> tuple[bool, dict[str, Any]]:
        try:
            if not isinstance(found, dict):
                raise ServiceError("The service answered with something else than a prediction.")
            _check_answer(body, found)
            return self._judged(body, dict(found), False)
        except Exception as error:
            return False, self._failed(error)

    def _judged(self, body: dict[str, Any], found: dict[str, Any], cached: bool) -> tuple[bool, dict[str, Any]]:
        why = [str(each) for each in found.get("why") or ()]
        odds, threshold = found["win_probability"], found.get("threshold")
        wanted = max(self.settings.min_win_probability, threshold or 0.0)
        execute = found["verdict"] in _EXECUTE and odds is not None and odds >= wanted and found["quantity"] >= 1
        if odds is None:
            why.append("No model speaks for this trade, so there are no odds to act on.")
        elif odds < wanted:
            why.append(f"The odds of {odds:.3f} do not reach the {wanted:.3f} that are asked for.")
        quantity = found["quantity"] if execute else 0
        told = {"should_execute": execute, "why": why, "quantity": quantity, "error": None, "from_client_cache": cached}
        return execute, found | told | {"asked": body}

    def _failed(self, error: Exception) -> dict[str, Any]:
        """The details of a trade that could not be checked."""
        if isinstance(error, TimeoutError):
            why = f"The service gave no answer within {self.settings.timeout:g} seconds."
        elif isinstance(error, OpenbellError):
            why = str(error)
        else:
            text = str(error).replace(self._key, "…") if self._key else str(error)
            why = f"The trade could not be checked: {type(error).__name__}: {text}"
        return {
            "should_execute": False, "verdict": "REFUSE", "win_probability": None, "quantity": 0,
            "why": [why, "A trade that cannot be checked is not taken."],
            "error": why, "status": getattr(error, "status", None), "from_client_cache": False,
        }  # fmt: skip

    async def _told(self, method: str, path: str, body: Any = None, params: Any = None) -> dict[str, Any]:
        async with self._within():
            return await self._ask(method, path, body, params)

    async def _ask(self, method: str, path: str, body: Any = None, params: Any = None) -> dict[str, Any]:
        """The object that the service answers with; a failure worth it is tried again, with jitter."""
        if self._http is None:
            raise ServiceError("The client is not open; use it as `async with PredictionClient(...) as gate:`.")
        _, tenacity = _libraries()
        sent = {} if params is None else {"params": params}
        if body is not None:
            content = json.dumps(body, sort_keys=True, allow_nan=False).encode()
            sent = {"content": content, "headers": {"Content-Type": "application/json"}}
        attempts = tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception_type(_Again),
            stop=tenacity.stop_after_attempt(self.settings.retry_attempts),
            wait=self._wait,
            sleep=self._sleep,
            reraise=True,
        )
        return dict(await attempts(self._once, method, path, sent))

    def _wait(self, state: Any) -> float:
        """What the service asked for, else 0.1, 0.2, 0.4 … seconds, each times a random half to whole."""
        error = state.outcome.exception()
        asked = getattr(error, "after_seconds", None)
        if asked is None:
            return float(min(0.1 * 2 ** (state.attempt_number - 1), 2.0)) * random.uniform(0.5, 1.0)
        if asked >= self.settings.timeout:
            raise ServiceError(f"{error} It asks to wait {asked:g} seconds.", getattr(error, "status", None))
        return float(asked) + random.uniform(0.0, 0.1)

    async def _once(self, method: str, path: str, sent: Mapping[str, Any]) -> dict[str, Any]:
        httpx2, _ = _libraries()
        try:
            response = await self._http.request(method, path, **sent)
        except (httpx2.NetworkError, httpx2.RemoteProtocolError, httpx2.ConnectTimeout, httpx2.PoolTimeout) as error:
            raise _Again(
                f"The service at {self.settings.api_url} cannot be reached ({type(error).__name__})."
            ) from None
        except httpx2.TimeoutException:
            raise TimeoutError from None
        if response.status_code in (429, 503):
            again = _Again(_sentence(response), response.status_code)
            again.after_seconds = _retry_after(response.headers.get("Retry-After"))
            raise again
        if response.status_code != 200:
            raise ServiceError(_sentence(response), response.status_code)
        try:
            found = response.json()
        except ValueError:
            raise ServiceError("The service's answer is no JSON.", 200) from None
        if not isinstance(found, dict):
            raise ServiceError("The service's answer is no object of fields.", 200)
        return found


class _Deadline:
    """A time limit whose end is a `ServiceError`."""

    def __init__(self, seconds: float) -> None:
        self._seconds, self._limit = seconds, asyncio.timeout(seconds)

    async def __aenter__(self) -> None:
        await self._limit.__aenter__()

    async def __aexit__(self, kind: Any, error: Any, trace: Any) -> None:
        try:
            await self._limit.__aexit__(kind, error, trace)
        except TimeoutError:
            raise ServiceError(f"The service gave no answer within {self._seconds:g} seconds.") from None
        if kind is TimeoutError:
            raise ServiceError(f"The service gave no answer within {self._seconds:g} seconds.") from None


class SyncPredictionClient(SyncSignalCalls):
    """`PredictionClient` for code without an event loop: a context manager whose calls wait for their answers.

    The calls run on one loop in a thread of its own, so many threads may use it.
    """

    def __init__(self, settings: ClientSettings | Mapping[str, Any] | None = None, **given: Any) -> None:
        self._client = PredictionClient(settings, **given)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def __repr__(self) -> str:
        return f"Sync{self._client!r}"

    @property
    def settings(self) -> ClientSettings:
        """As they were given."""
        return self._client.settings

    def __enter__(self) -> SyncPredictionClient:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="openbell-client", daemon=True)
        self._thread.start()
        try:
            self._wait(self._client.__aenter__())
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._wait(self._client.__aexit__())
        finally:
            self._stop()

    def check_trade(self, order: Order, *args: Any, **given: Any) -> tuple[bool, dict[str, Any]]:
        """`PredictionClient.check_trade`."""
        if self._loop is None:
            return False, self._client._failed(ServiceError("The client is not open; use it in a `with` statement."))
        return self._wait(self._client.check_trade(order, *args, **given))

    def predict_batch(self, orders: Sequence[Order], *args: Any, **given: Any) -> list[tuple[bool, dict[str, Any]]]:
        """`PredictionClient.predict_batch`."""
        return self._wait(self._client.predict_batch(orders, *args, **given))

    def calculate_risk_reward(self, order: Order, **given: Any) -> dict[str, Any]:
        """`PredictionClient.calculate_risk_reward`."""
        return self._wait(self._client.calculate_risk_reward(order, **given))

    def parse(self, text: str, **given: Any) -> dict[str, Any]:
        """`PredictionClient.parse`."""
        return self._wait(self._client.parse(text, **given))

    def _wait(self, call: Coroutine[Any, Any, _T]) -> _T:
        if self._loop is None:
            call.close()
            raise ServiceError("The client is not open; use it in a `with` statement.")
        return asyncio.run_coroutine_threadsafe(call, self._loop).result()

    def _stop(self) -> None:
        loop, thread, self._loop, self._thread = self._loop, self._thread, None, None
        if loop is not None and thread is not None:
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()


def _libraries() -> tuple[Any, Any]:
    """The packages httpx2 and tenacity, which nothing else of the library needs."""
    try:
        import httpx2
        import tenacity
    except ImportError as error:
        raise BadInput(
            f"The client needs the package {error.name}. Install it with `pip install 'openbell[client]'`."
        ) from None
    return httpx2, tenacity


def _sentence(response: Any) -> str:
    """What the service says of its refusal."""
    try:
        found = response.json()
    except ValueError:
        found = None
    said = found.get("detail") if isinstance(found, dict) else None
    return str(said)[:1_000] if isinstance(said, str) and said else f"The service answered {response.status_code}."


def _retry_after(text: str | None) -> float | None:
    """Seconds of the header Retry-After, which may be a date; None where it is missing or neither."""
    try:
        seconds = float(text) if text else math.nan
    except ValueError:
        try:
            seconds = parsedate_to_datetime(str(text)).timestamp() - time.time()
        except ValueError:
            return None
    return max(seconds, 0.0) if math.isfinite(seconds) else None


def _check_answer(body: Mapping[str, Any], found: Mapping[str, Any]) -> None:
    from openbell.core.order_fields import fault_of_answer

    fault = fault_of_answer(body, found)
    if fault is not None:
        raise ServiceError(f"The service's answer cannot be used: {fault}.", 200)
