"""How soon the pages of the lab show something and stand, in Chromium, on the home that is named.

Cold: the first visit of a new browser, which has nothing cached; the very first of all also waits for what the server
looks up once. Warm: the same page again. First contentful paint is the browser's own; a page stands once its heading is
there and nothing loads any more. Figures of a busy machine say little: the load is printed beside them.

``python -m benchmarks lab_paint HOME [--runs 3] [--pages today,gate]``
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import select
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

from benchmarks.measuring import ROOT, machine, table
from openbell.app.lab.pages import pages

#: Without a graphics card and a sandbox, as the tests of the lab run it.
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic"]
#: Seconds until the server answers, and milliseconds until a page stands, at most.
START_S, WAIT_MS = 120.0, 120_000
#: Notes on every frame whether the page is still at work; what it noted last is when the page stood.
WATCH = """
  window.openbellBusyMs = 0;
  (function look() {
    const stands = document.querySelector("main h1") && !document.querySelector("[data-dash-is-loading]");
    if (!stands) window.openbellBusyMs = performance.now();
    requestAnimationFrame(look);
  })();
"""
MEASURE = """() => [
  (performance.getEntriesByName("first-contentful-paint")[0] || {startTime: NaN}).startTime, window.openbellBusyMs]"""


@contextlib.contextmanager
def served(home: str) -> Iterator[str]:
    """The lab of `home` on a free port, as the command opens it; its address."""
    started = "from openbell.app.cli import main; main()"
    command = [sys.executable, "-c", started, "lab", "--home", home, "--port", "0"]
    paths = os.pathsep.join([str(ROOT), str(ROOT / "src")])
    environment = {**os.environ, "PYTHONPATH": paths, "PYTHONUNBUFFERED": "1"}
    server = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        yield _address(server)
    finally:
        server.terminate()
        server.wait(30)


def _address(server: subprocess.Popen[str]) -> str:
    said, until = "", time.monotonic() + START_S
    assert server.stdout is not None
    while time.monotonic() < until and server.poll() is None:
        if select.select([server.stdout], [], [], 1.0)[0]:
            said += server.stdout.readline()
            found = re.search(r"http://[\d.]+:\d+/lab/", said)
            if found:
                return found[0]
    sys.exit(f"The lab does not start: {said or 'it says nothing'}")


def visit(page: Any, address: str) -> tuple[float, float]:
    """Milliseconds from the request to the first contentful paint, and until the page stands."""
    page.goto(address, timeout=WAIT_MS)
    page.wait_for_selector("main h1", timeout=WAIT_MS)
    page.wait_for_load_state("networkidle", timeout=WAIT_MS)
    paint, stood = page.evaluate(MEASURE)
    return float(paint), float(stood)


def measured(browser: Any, address: str, runs: int) -> dict[str, list[tuple[float, float]]]:
    """So many cold visits, each by a new browser, and a warm one after each."""
    found: dict[str, list[tuple[float, float]]] = {"cold": [], "warm": []}
    for _ in range(runs):
        context = browser.new_context(viewport={"width": 1280, "height": 844})
        context.add_init_script(WATCH)
        page = context.new_page()
        for kind in ("cold", "warm"):
            found[kind].append(visit(page, address))
        context.close()
    return found


def rows(browser: Any, url: str, names: list[str], runs: int) -> list[list[str]]:
    """A line of the table for each page: medians, and the slowest paint of all."""
    lines = []
    for name in names:
        found = measured(browser, f"{url}{name}", runs)
        figures = [statistics.median(each[at] for each in found[kind]) for kind in ("cold", "warm") for at in (0, 1)]
        worst = max(paint for visits in found.values() for paint, _ in visits)
        lines.append([name, *(f"{each:,.0f} ms" for each in (*figures, worst))])
        print(" ".join(lines[-1]), flush=True)
    return lines


def main(words: list[str]) -> None:
    """Measure the pages of a home."""
    from playwright.sync_api import sync_playwright

    asked = argparse.ArgumentParser(prog="lab_paint", description=__doc__)
    asked.add_argument("home")
    asked.add_argument("--runs", type=int, default=3)
    asked.add_argument("--pages", default=",".join(page.name for page in pages()))
    told = asked.parse_args(words)
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        sys.exit("There is no chromium on this machine.")
    title = f"The lab in Chromium, medians of {told.runs} on {machine()}"
    with served(told.home) as url, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        lines = rows(browser, url, told.pages.split(","), told.runs)
        browser.close()
    head = ["page", "cold: paint", "stands", "warm: paint", "stands", "slowest paint"]
    print(table(title, head, lines))
    print(f"load now {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main(sys.argv[1:])
