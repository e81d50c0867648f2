"""Labs to test: a server on a free port of this machine, and a browser that notes what a page must not do."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import uvicorn
from axe_playwright_python.sync_playwright import Axe

from openbell.app.clock import now
from openbell.app.home import Home
from openbell.app.lab.create import create
from openbell.app.lab.jobs import Jobs
from openbell.app.lab.mounting import LabServer
from openbell.app.lab.page import Lab, Page
from openbell.app.lab.place import Place
from openbell.store.jobs import JobStore
from openbell.store.presets import Presets

#: Without a graphics card, a sandbox and anything that a page could reach.
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic"]
#: What a page takes until it stands, at most; a busy machine needs some of it.
WAIT_MS = 60_000
#: A grid makes its rows some frames after its frame.
_GRIDS = """() => [...document.querySelectorAll('.ag-root')].every(grid => grid.offsetParent === null
  || (grid.querySelector('.ag-header-cell') && grid.querySelector('.ag-cell, .ag-overlay-no-rows-center')))"""


@dataclass(frozen=True)
class Running:
    """A lab that answers at `url`, which ends in ``/lab/``."""

    url: str
    path: Path
    lab: Lab

    def page(self, name: str, query: str = "") -> str:
        """The address of a page."""
        return f"{self.url}{name}{query}"


def lab_at(path: Path, *, command: tuple[str, ...] | None = None, most: int = 1) -> Lab:
    """The lab of the home at `path`; `command` runs its jobs."""
    place = Place(str(path))
    database = place.opened().lab_database
    given: dict[str, Any] = {} if command is None else {"command": command}
    return Lab(place.opened, Jobs(JobStore(database), place, now, most, **given), Presets(database), now)


@contextlib.contextmanager
def running(path: Path, *, pages: Sequence[Page] | None = None, **given: Any) -> Iterator[Running]:
    """The lab of the home at `path`, served while the block lasts."""
    lab = lab_at(path, **given)
    app = create(lab, pages=pages)
    with served(lambda port: LabServer(app, 9_000_000, None, (f"127.0.0.1:{port}",))) as url:
        yield Running(f"{url}/lab/", path, lab)
    lab.presets.close()


@contextlib.contextmanager
def served(made: Callable[[int], Any]) -> Iterator[str]:
    """An ASGI application on a free port, in a thread."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port = listening.getsockname()[1]
        config = uvicorn.Config(made(port), log_config=None, access_log=False, timeout_graceful_shutdown=1)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        until = time.monotonic() + 30
        while not server.started:
            assert time.monotonic() < until, "the server does not start"
            time.sleep(0.01)
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            server.should_exit = True
            thread.join(20)


@dataclass
class Browsing:
    """A page of the browser and what it did that it must not: errors, and requests that leave the server."""

    page: Any
    errors: list[str] = field(default_factory=list)
    outside: list[str] = field(default_factory=list)
    host: str = ""

    def watch(self) -> Browsing:
        """Note everything from now on."""
        self.page.on("console", lambda said: self._said(said))
        self.page.on("pageerror", lambda error: self.errors.append(f"pageerror: {error}"))
        self.page.on("request", lambda request: self._asked(request.url))
        return self

    def open(self, address: str) -> Browsing:
        """Go there, and wait until the page stands and nothing loads any more."""
        self.host = urlsplit(address).netloc
        self.page.goto(address, timeout=WAIT_MS)
        return self.stands()

    def stands(self) -> Browsing:
        """Wait until the page stands and nothing loads any more."""
        self.page.wait_for_selector("main h1", timeout=WAIT_MS)
        self.page.wait_for_function(
            "() => !document.querySelector('[data-dash-is-loading]') && document.title.includes('·')", timeout=WAIT_MS
        )
        self.page.wait_for_load_state("networkidle", timeout=WAIT_MS)
        self.page.wait_for_function(_GRIDS, timeout=WAIT_MS)
        return self

    def _said(self, said: Any) -> None:
        if said.type in ("error", "warning"):
            self.errors.append(f"{said.type}: {said.text}")

    def _asked(self, url: str) -> None:
        if urlsplit(url).scheme not in ("data", "blob") and urlsplit(url).netloc != self.host:
            self.outside.append(url)

    @property
    def alert(self) -> str:
        """What the alert line says."""
        return self.page.inner_text("#lab-alert")

    def check_quiet(self) -> None:
        """Neither an error on the console nor a request that left the server."""
        assert not self.errors, self.errors
        assert not self.outside, self.outside

    def check_narrow(self) -> None:
        """Nothing is wider than the window: what is wide scrolls in its own box."""
        with contextlib.suppress(Exception):  # figures follow a new width a moment later
            self.page.wait_for_function(
                "() => document.documentElement.scrollWidth <= document.documentElement.clientWidth", timeout=8_000
            )
        wide = self.page.evaluate(
            """() => { const room = document.documentElement.clientWidth;
              if (document.documentElement.scrollWidth <= room) return [];
              return [...document.querySelectorAll('main *')].filter(e => e.getBoundingClientRect().right > room + 1)
                .slice(0, 5).map(e => e.tagName + '#' + e.id + '.' + e.className); }"""
        )
        assert not wide, wide
        assert self.page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")

    def check_accessible(self) -> None:
        """What axe finds is neither serious nor critical."""
        found = Axe().run(self.page).response["violations"]
        serious = [
            (each["id"], each["impact"], [(node["html"][:200], node["failureSummary"]) for node in each["nodes"][:3]])
            for each in found
            if each["impact"] in ("serious", "critical")
        ]
        assert not serious, serious


def opened(path: Path) -> Home:
    """The home at `path`, made where it is not there."""
    path.mkdir(parents=True, exist_ok=True)
    return Home.open(path)
