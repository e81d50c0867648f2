"""What every test stands on: one thread per library, no network, and the real data where they lie."""

import os

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "POLARS_MAX_THREADS"):
    os.environ.setdefault(_name, "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import functools
import re
import socket
from pathlib import Path

import pytest
from hypothesis import settings

# No test asserts a time: not by way of a deadline either, which a busy machine would miss.
settings.register_profile("house", deadline=None)
settings.load_profile("house")

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT.parent / "shared" / "data"


@pytest.fixture(scope="session")
def root() -> Path:
    """The project's folder."""
    return ROOT


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real market data; tests that need it are skipped, with a message, where it is absent."""
    if not DATA.exists():
        pytest.skip(f"the real data are not at {DATA}")
    return DATA


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection to anything but this machine fails the test."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: object) -> None:
        host = address[0] if isinstance(address, tuple) else None
        if host not in (None, "127.0.0.1", "::1", "localhost"):
            raise AssertionError(f"A test tried to reach {address}.")
        connect(self, address)  # type: ignore[arg-type]

    monkeypatch.setattr(socket.socket, "connect", guarded)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Modules of one `xdist_group` go to one worker, so that what they share is made once.

    pytest 9.2 keeps the id of a test in another place than xdist 3.8 writes the group to, so `--dist loadgroup` alone
    spreads them; here the group is read from the module.
    """
    from xdist.scheduler import LoadScopeScheduling

    class Groups(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            path = nodeid.partition("::")[0]
            return _group_of(config.rootpath / path) or nodeid

    return Groups(config, log) if config.getvalue("dist") == "loadgroup" else None


@functools.cache
def _group_of(path):
    text = path.read_text(encoding="utf-8")
    found = re.search(r'^pytestmark = pytest\.mark\.xdist_group\("(\w+)"\)', text, re.MULTILINE)
    return found and found[1]
