"""`openbell serve` in a process of its own, and the companion that tells it the market."""

import contextlib
import datetime as dt
import http.server
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2
import orjson

_MAIN = "from openbell.app.cli import main; main()"


@contextlib.contextmanager
def companion(
    price: float = 5860.0,
    volatility: float = 0.16,
    now: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC),
) -> Iterator[str]:
    """The address of a companion that sees every symbol at `price`, now."""

    gone = threading.Event()

    class Companion(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            if gone.is_set():  # a connection that is kept open must not outlive it
                self.close_connection = True
                return
            seen = {"spot_price": price, "volatility": volatility, "timestamp": now().isoformat()}
            told = json.dumps(seen).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(told)))
            self.end_headers()
            self.wfile.write(told)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Companion) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            gone.set()
            server.shutdown()
            thread.join()


#: Run by every process as it starts, where the service is to believe in another moment.
_MOVED = """\
import datetime as dt
import openbell.app.clock as clock
_now, _moved = clock.now, dt.timedelta(seconds={seconds})
clock.now = lambda: _now() + _moved
"""


class Service:
    """`openbell serve` in a folder of its own, by a clock that is `moved` against the machine's."""

    def __init__(
        self, folder: Path, url: str, workers: int, *, moved: dt.timedelta = dt.timedelta(), **settings: object
    ) -> None:
        self.folder, self.log_file = folder, folder / "log.json"
        paths = [path for path in sys.path if path]
        if moved:
            (folder / "clock").mkdir()
            (folder / "clock" / "sitecustomize.py").write_text(_MOVED.format(seconds=moved.total_seconds()))
            paths.insert(0, str(folder / "clock"))
        words = {
            "serve.sources": '["companion"]', "serve.companion_url": url, "serve.log_file": str(self.log_file),
            "serve.predict_per_minute": 1_000_000, **settings,
        }  # fmt: skip
        sets = [word for name, value in words.items() for word in ("--set", f"{name}={value}")]
        self.process = subprocess.Popen(
            [sys.executable, "-c", _MAIN, "serve", "--home", folder, "--port", "0", "--workers", str(workers), *sets],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    def lines(self) -> list[dict]:
        if not self.log_file.exists():
            return []
        return [orjson.loads(line) for line in self.log_file.read_bytes().splitlines()]

    def base(self) -> str:
        """Its address, once all is up."""
        wait_for(lambda: any(line["event"] == "listening" for line in self.lines()) or self.process.poll() is not None)
        assert self.process.poll() is None, self.process.stdout.read().decode()
        (port,) = [line["port"] for line in self.lines() if line["event"] == "listening"]
        url = f"http://127.0.0.1:{port}"
        wait_for(lambda: ready(url))
        return url

    def workers(self) -> list[int]:
        """Process numbers of those that answer."""
        started = [line["event"] for line in self.lines() if line["event"].startswith("Started server process")]
        return [int(each.partition("[")[2].rstrip("]")) for each in started]

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        with self.process:
            return self.process.wait(60)


def wait_for(what, seconds: float = 120.0) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "It took too long."
        time.sleep(0.05)


def ready(url: str) -> bool:
    with contextlib.suppress(httpx2.HTTPError):
        return httpx2.get(f"{url}/ready", timeout=5.0).status_code == 200
    return False
