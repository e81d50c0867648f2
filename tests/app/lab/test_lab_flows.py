"""What a person does with the lab, from the first page to the answer, in a real browser."""

import pytest
import session_homes
from labs import running

from openbell.app.lab.pages.gate import EXAMPLE, EXAMPLE_AT

pytestmark = pytest.mark.xdist_group("browser")
#: What a small training takes on a busy machine, at most.
TRAINING_MS = 400_000


def test_an_order_is_pasted_and_judged(browse, empty_lab):
    """The verdict with its reasons; a line that is none is shown as it was written, and runs nothing."""
    window = browse(width=390).open(empty_lab.page("gate"))
    page = window.page
    page.on("dialog", lambda dialog: window.errors.append(f"dialog: {dialog.message}"))
    script = "SELL -1 VERTCAL SPX <img src=x onerror=alert(1)> @1"
    page.fill("#gate-order", f"{EXAMPLE}\n{script}")
    for id, text in (("gate-as-of", EXAMPLE_AT), ("gate-price", "6450"), ("gate-volatility", "0.2")):
        page.fill(f"#{id}", text)
    page.keyboard.press("Tab")
    page.click("#gate-ask")
    page.wait_for_selector("#gate-order-1 .headline .badge")
    assert page.inner_text("#gate-order-1 .headline .badge") in ("ACCEPT", "REDUCE", "REFUSE")
    assert "1,425 USD" in page.inner_text("#gate-order-1")
    assert "onerror" in page.inner_text("#gate-answer .refusal")
    assert page.locator("#gate-answer img").count() == 0
    window.check_narrow()
    window.check_accessible()
    page.fill("#gate-price", "minus one")
    page.keyboard.press("Tab")
    page.click("#gate-ask")
    page.wait_for_function("() => document.getElementById('lab-alert').textContent.includes('is no number')")
    window.check_quiet()


@pytest.mark.slow
def test_a_desk_is_trained_from_its_page_to_its_result(browse, tmp_path):
    """The training itself, in a process of its own: started, watched, finished, and its scores seen fold by fold."""
    session_homes.bars_alone(tmp_path / "home")
    with running(tmp_path / "home") as lab:
        window = browse().open(lab.page("training", "?desk=session"))
        page = window.page
        page.click("#training-start")
        page.wait_for_selector("#training-watched progress")
        page.wait_for_selector('#training-watched .badge:text-is("done")', timeout=TRAINING_MS)
        page.wait_for_selector("#training-folds .main-svg")
        assert "proved itself" in page.inner_text("#training-watched")
        window.check_accessible()
        page.click('#training-watched a:has-text("evaluation")')
        page.wait_for_function("() => document.title.startsWith('Evaluation')")
        window.stands()
        assert "desk=session" in page.url
        assert "Internal error" not in page.inner_text("body")
        window.check_quiet()
