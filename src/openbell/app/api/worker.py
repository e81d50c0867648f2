"""One process that answers: everything opened on a home, from the environment that `openbell serve` sets."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import logging
import os
import signal
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog

from openbell.app.api import logs, metrics
from openbell.app.api.companion_files import CompanionFiles
from openbell.app.api.create import Parts, SignalParts, create
from openbell.app.api.feed import LOOK_BACK
from openbell.app.api.figures import LogFigures
from openbell.app.api.live_gate import LiveGate
from openbell.app.api.tidying import Tidying
from openbell.app.api.warming import settle, warm
from openbell.app.clock import now, seconds
from openbell.app.signals_store import LiveSignals, SignalUpkeep
from openbell.core.errors import BadInput, unknown
from openbell.market.state_providers import CompanionSource, LiveSource, RedisSource, StoredSource, download_minutes
from openbell.market.state_sources import Chain, Freshness, Source, guarded
from openbell.store.assignments import Assignment
from openbell.store.cache import open_cache
from openbell.store.prediction_measures import Chosen
from openbell.store.prediction_rows import Prediction

if TYPE_CHECKING:
    from fastapi import FastAPI
    from starlette.types import ASGIApp

    from openbell.app.gate import Gate
    from openbell.app.home import Home
    from openbell.app.sections import Serve
    from openbell.store.experiments import Experiments

#: What `openbell serve` was told, as JSON: home, settings file and overrides. Workers are processes of their own.
SERVED = "OPENBELL_SERVED"
#: The password of Redis, which is never in a URL.
REDIS_PASSWORD = "OPENBELL_REDIS_PASSWORD"
#: How long the thread that assesses may keep the interpreter from the one that answers.
SWITCH_SECONDS = 0.001
_log = structlog.get_logger()


def application() -> ASGIApp:
    """The application of this worker: the API, and the lab beside it where that is installed."""
    from openbell.app.home import Home

    sys.setswitchinterval(SWITCH_SECONDS)
    told = json.loads(os.environ[SERVED])
    home = Home.open(
        Path(told["home"]), sets=tuple(told["sets"]), settings_file=Path(told["file"]) if told["file"] else None
    )
    configure_logs(home.settings.serve)
    return with_lab(create(parts_of(home)), home, told)


def with_lab(api: FastAPI, home: Home, told: Mapping[str, Any]) -> ASGIApp:
    """`api` with the lab at /lab, behind the same keys; `api` alone where the lab is not installed."""
    from openbell.app.lab import opening

    if not opening.installed():
        _log.info("the lab is not installed: pip install openbell[lab]")
        return api
    from openbell.app.lab.mounting import Beside
    from openbell.app.lab.place import Place

    place = Place(told["home"], tuple(told["sets"]), told["file"])
    door = opening.door_of(home, os.environ.get(REDIS_PASSWORD))
    return Beside(api, opening.lab_server(home, place, door=door))


def configure_logs(settings: Serve) -> None:
    """The log of this process, and what the server says in it."""
    logs.configure(settings.log_level, settings.log_file)
    server = logging.getLogger("uvicorn")
    server.handlers[:] = [logs.Events()]
    server.setLevel(settings.log_level)
    server.propagate = False


def parts_of(home: Home) -> Parts:
    """The parts of the service of `home`, opened; the models are loaded once it runs."""
    from openbell.dialects.reading import read

    settings = home.settings.serve
    check_environment(home)
    password = os.environ.get(REDIS_PASSWORD)
    arms = StoredArms(home.experiments)
    gates = LiveGate(home, now, opened=lambda gate: prepare(home, gate))
    longest = min(settings.max_age_seconds, _safety_seconds(home))
    settings = settings.model_copy(update={"max_age_seconds": longest})
    sources, background, closing = _sources(home, settings, password)
    caches = [open_cache(settings.cache, settings.cache_entries, password=password) for _ in range(3)]
    log, signals = home.predictions, LiveSignals(home)
    return Parts(
        settings=settings,
        gates=gates,
        markets=Chain(
            guarded(
                sources,
                failures=settings.breaker_failures,
                open_seconds=settings.breaker_seconds,
                timeout_seconds=settings.timeout_seconds / (len(sources) + 1),
                seconds=seconds,
            ),
            Freshness(home.sessions, longest),
            now,
        ),
        keys=home.api_keys,
        log=log,
        read=read,
        sessions=home.sessions,
        market_cache=caches[0],
        prediction_cache=caches[1],
        now=now,
        seconds=seconds,
        arms=arms,
        redis_password=password,
        recent=_recent(log) if settings.workers > 1 else None,
        figures=(LogFigures(log, now),),
        background=(
            gates.keep_new,
            Tidying(log.database).keep,
            SignalUpkeep(signals.store, now, seconds, home.settings.signals.archive_days).keep,
            *background,
            *_companion_files(home, settings),
        ),
        closing=(*closing, *(each.close for each in caches), log.close, signals.close),
        signals=SignalParts(
            signals.store,
            home.settings.store.signals,
            caches[2],
            home.settings.signals.signal_cache_seconds,
        ),
    )


def check_environment(home: Home) -> None:
    """Refuse what must not run in production."""
    settings = home.settings
    if settings.serve.environment == "production" and not settings.store.predictions.startswith("postgresql"):
        raise BadInput(
            "In production the prediction log must be PostgreSQL (`serve.environment` is production). Set "
            "`store.predictions` to postgresql://user@host/database, its password in PGPASSWORD."
        )


@dataclass(frozen=True, slots=True)
class StoredArms:
    """The arms of the gate's own A/B test."""

    experiments: Experiments

    def assigned(self, trade_ids: Sequence[str]) -> dict[str, Assignment]:
        """The arm of each trade; of none where no test is running."""
        from openbell.app.ab import NAME

        return self.experiments.assigned(NAME, trade_ids)

    def standing(self, wanted: Assignment) -> Assignment:
        """The arm that is stored of a trade, after storing `wanted` where there was none."""
        return self.experiments.keep([wanted], at=now())[wanted.trade_id]


def prepare(home: Home, gate: Gate) -> None:
    """What is done with a gate before it takes over."""
    begin_test(home, gate)
    warm(gate, now())
    settle()


def begin_test(home: Home, gate: Gate) -> None:
    """Begin the A/B test of the settings, or its next version; one that somebody stopped is not begun again by itself.

    It needs both models in the training, and a share of trades for each.
    """
    from openbell.app.ab import NAME, definition

    settings = home.settings.gate
    models = (settings.ab_control, settings.ab_test)
    training = gate.training
    if training is None or not set(models) <= set(training.models.models) or not 0 < settings.ab_share < 1:
        return
    wanted = definition(settings, {name: training.version(name) for name in models})
    latest = home.experiments.latest(NAME)
    if latest is not None and not latest.running and latest.definition.salt == wanted.salt:
        return
    begun = home.experiments.begin(wanted, at=now())
    _log.info("A/B test runs", name=NAME, version=begun.version)


def _companion_files(home: Home, settings: Serve) -> list[Callable[[], Any]]:
    """What writes the companion's files, where the settings name a folder for them."""
    if not settings.companion_folder:
        return []
    return [CompanionFiles(Path(settings.companion_folder), home.predictions, home.sessions, now).keep]


def _safety_seconds(home: Home) -> float:
    """The limit of the safety check on the market's age, where it is stricter than that of the service."""
    return float(home.settings.safety.get("gate_market_age", {}).get("max_market_seconds", float("inf")))


def _recent(log: Any) -> Callable[[dt.datetime], list[Prediction]]:
    def recent(since: dt.datetime) -> list[Prediction]:
        """What was logged since then, oldest first; at most the newest thousand."""
        page = log.history(Chosen(since=since - LOOK_BACK), limit=1_000)
        return [each.prediction for each in reversed(page.rows)]

    return recent


def _sources(
    home: Home, settings: Serve, password: str | None
) -> tuple[list[Source], list[Callable[[], Any]], list[Callable[[], Any]]]:
    """The sources in the order of the settings, what runs for them, and what closes them."""
    import httpx2

    volatility = home.settings.options.volatility_index
    found: list[Source] = []
    background: list[Callable[[], Any]] = []
    closing: list[Callable[[], Any]] = []
    for name in settings.sources:
        if name == "companion":
            client = httpx2.AsyncClient(timeout=settings.timeout_seconds)
            closing.append(client.aclose)
            found.append(CompanionSource(client, settings.companion_url))
        elif name == "live":
            found.append(LiveSource(download_minutes, volatility))
        elif name == "redis":
            if not settings.cache.startswith("memory"):
                source = RedisSource(_redis(settings.cache, password))
                background.append(source.listen)
                closing.append(source.client.aclose)
                found.append(source)
        elif name == "stored":
            found.append(StoredSource(home.tables, home.sessions, volatility))
        else:
            raise unknown("source of market data", name, ("companion", "live", "redis", "stored"))
    return found, background, closing


def _redis(url: str, password: str | None) -> Any:
    from redis.asyncio import Redis

    return Redis.from_url(url, socket_connect_timeout=1.0, **({} if password is None else {"password": password}))


def run(home: Home, told: Mapping[str, Any]) -> None:
    """Serve until told to stop; what is asked is then answered, and what was answered is on disk.

    `told` is what workers need to open the same home: ``home``, ``sets``, ``file``.

    Raises
    ------
    BadInput
        Where the port is taken, or production runs on SQLite.
    """
    import uvicorn
    from uvicorn.supervisors import Multiprocess

    settings = home.settings.serve
    check_environment(home)
    configure_logs(settings)
    os.environ[SERVED] = json.dumps(told)
    config = uvicorn.Config(
        "openbell.app.api.worker:application",
        factory=True,
        host=settings.host,
        port=settings.port,
        workers=settings.workers,
        loop="uvloop",
        http="httptools",
        ws_max_size=65_536,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_worker_healthcheck=30,
        timeout_graceful_shutdown=int(settings.timeout_seconds) + 5,
    )
    listening = _bound(settings)
    # The server raises the signal again when it is down; by then there is nothing left to stop.
    signal.signal(signal.SIGTERM, lambda *_: None)
    with _metrics_folder(settings.workers), contextlib.closing(listening):
        _log.info("listening", host=settings.host, port=listening.getsockname()[1], workers=settings.workers)
        if settings.workers > 1:
            Multiprocess(config, sockets=[listening]).run()
        else:
            uvicorn.Server(config).run(sockets=[listening])


def _bound(settings: Serve) -> socket.socket:
    """The socket that all workers accept on."""
    listening = socket.socket(socket.AF_INET6 if ":" in settings.host else socket.AF_INET)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((settings.host, settings.port))
    except OSError as failure:
        listening.close()
        raise BadInput(
            f"{settings.host}:{settings.port} cannot be listened on: {failure.strerror or failure}. "
            "Choose another with --host and --port."
        ) from None
    listening.set_inheritable(True)
    return listening


@contextlib.contextmanager
def _metrics_folder(workers: int) -> Iterator[None]:
    """Where several workers put their metrics, in the environment before prometheus_client is imported by any."""
    if workers == 1 or metrics.FOLDER in os.environ:
        yield
        return
    with tempfile.TemporaryDirectory(prefix="openbell-metrics-") as folder:
        os.environ[metrics.FOLDER] = folder
        try:
            yield
        finally:
            del os.environ[metrics.FOLDER]
