"""Homes, labs and a browser for the tests of the lab."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parent.parent))
import labs
import session_homes


@pytest.fixture(scope="session")
def chromium() -> str:
    """The system's Chromium; without one, tests that need a browser are skipped."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        pytest.skip("there is no chromium on this machine")
    return found


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Any]:
    """One browser for the tests of a file: as long as it runs, so does a loop that other tests must not meet."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium, args=labs.FLAGS)
        yield started
        started.close()


@pytest.fixture
def browse(browser: Any) -> Iterator[Callable[..., labs.Browsing]]:
    """Opens a window: ``browse(width=390, theme="dark")``; it is watched, and closed at the end of the test."""
    contexts = []

    def opened(width: int = 1280, theme: str = "light", **given: Any) -> labs.Browsing:
        context = browser.new_context(viewport={"width": width, "height": 844}, color_scheme=theme, **given)
        contexts.append(context)
        context.set_default_timeout(labs.WAIT_MS)
        return labs.Browsing(context.new_page()).watch()

    yield opened
    for each in contexts:
        each.close()


@pytest.fixture(scope="session")
def empty_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[labs.Running]:
    """The lab of a home in which nothing is."""
    path = tmp_path_factory.mktemp("lab") / "home"
    path.mkdir()
    with labs.running(path) as found:
        yield found


@pytest.fixture(scope="session")
def session_desk(tmp_path_factory: pytest.TempPathFactory) -> session_homes.SmallSession:
    """A home of the session desk: trained, back-tested, and run once. Never change it."""
    from openbell.app.session_backtest import backtest_session
    from openbell.app.session_daily import run_session

    made = session_homes.small_session(tmp_path_factory.mktemp("session-desk") / "home")
    backtest_session(made.home)
    run_session(made.home)
    return made


@pytest.fixture(scope="session")
def session_lab(session_desk: session_homes.SmallSession) -> Iterator[labs.Running]:
    """The lab of the home of the session desk."""
    with labs.running(session_desk.home.path) as found:
        yield found
