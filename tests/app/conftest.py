"""Homes that many tests of the wiring begin with."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import gate_homes
import trained_homes as tiny

from openbell.app.home import Home

Opener = Callable[..., Home]


@pytest.fixture(scope="session")
def trained_without_edge(tmp_path_factory: pytest.TempPathFactory) -> tiny.Tiny:
    """A home on a market without any edge: its training found no view. Never change it: copy it."""
    return tiny.build(tmp_path_factory.mktemp("no-edge") / "home", tiny.market(seed=2))


@pytest.fixture(scope="session")
def trained_with_edge(tmp_path_factory: pytest.TempPathFactory) -> tiny.Tiny:
    """A home on a market with a planted edge: its training found a champion. Never change it: copy it."""
    return tiny.build(tmp_path_factory.mktemp("edge") / "home", tiny.market(edge=0.15))


@pytest.fixture(scope="session")
def fortnight(trained_with_edge: tiny.Tiny, tmp_path_factory: pytest.TempPathFactory) -> tiny.Fortnight:
    """Six executed sessions of the home with a champion. Never change it: copy it."""
    return tiny.traded(trained_with_edge, tmp_path_factory.mktemp("fortnight"), 6)


@pytest.fixture
def edge_home(trained_with_edge: tiny.Tiny, tmp_path: Path) -> Path:
    """A home with a champion, to be changed."""
    return tiny.copied(trained_with_edge, tmp_path / "home")


@pytest.fixture
def plain_home(trained_without_edge: tiny.Tiny, tmp_path: Path) -> Path:
    """A home without a view, to be changed."""
    return tiny.copied(trained_without_edge, tmp_path / "home")


@pytest.fixture
def open_home() -> Iterator[Opener]:
    """`trained_homes.opened`, closed at the end of the test."""
    homes: list[Home] = []

    def opened(path: Path, *sets: str) -> Home:
        homes.append(tiny.opened(path, *sets))
        return homes[-1]

    yield opened
    for home in homes:
        tiny.close(home)


@pytest.fixture(scope="session")
def gate_home(tmp_path_factory: pytest.TempPathFactory) -> gate_homes.SmallGate:
    """A home whose gate was trained on trades without an edge. Never change it: copy it."""
    return gate_homes.build(tmp_path_factory.mktemp("gate") / "home")
