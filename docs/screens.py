"""Pictures of the lab's pages for the documents: ``python docs/screens.py URL PAGE [PAGE …]`` into ``docs/lab/``.

URL is that of a lab that runs, such as http://127.0.0.1:8050/lab/; PAGE may carry a query, ``almanac?s=…``, and words
behind a colon that are pressed first: ``gate:Take an example,Ask the gate``.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

FOLDER = Path(__file__).parent / "lab"
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic"]
WIDTH, HEIGHT, WAIT_MS = 1280, 1200, 20_000


def main(url: str, pages: list[str]) -> None:
    """One picture a page, of what a window of this size shows first."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        window = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        for page in pages:
            address, _, pressed = page.partition(":")
            window.goto(url + address)
            window.wait_for_selector("main h1")
            window.wait_for_timeout(WAIT_MS)
            for word in filter(None, pressed.split(",")):
                window.get_by_role("button", name=word, exact=True).first.click()
                window.wait_for_timeout(WAIT_MS // 2)
            window.screenshot(path=FOLDER / f"{address.partition('?')[0]}.png")
        browser.close()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
