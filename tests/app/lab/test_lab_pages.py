"""Every page in a real browser, on a home in which nothing is: it loads, says what to do, and everybody can use it."""

import pytest

from openbell.app.lab.pages import pages

pytestmark = pytest.mark.xdist_group("browser")

NAMES = [page.name for page in pages()]


@pytest.mark.parametrize("name", NAMES)
def test_a_page_of_an_empty_home(browse, empty_lab, name):
    """Loads without an error, by light and by dark, on a desk and on a phone; axe finds nothing serious."""
    window = browse(width=1280, theme="light").open(empty_lab.page(name))
    assert window.page.inner_text("main h1") == next(page.title for page in pages() if page.name == name)
    assert window.page.locator('#lab-navigation a[aria-current="page"]').count() == 1
    window.check_accessible()
    window.page.click("#lab-theme-dark")
    assert window.page.evaluate("document.documentElement.dataset.theme") == "dark"
    window.page.set_viewport_size({"width": 390, "height": 844})
    window.check_narrow()
    window.check_accessible()
    window.check_quiet()
    assert "Internal error" not in window.page.inner_text("main")


@pytest.mark.parametrize("name", NAMES)
def test_a_malformed_query_is_no_error(browse, empty_lab, name):
    """Check: a malformed URL state."""
    query = (
        "?=&&x=%ff%00&desk=%3Cscript%3E&job=../..&id=%27--&page=-1&from=9999-99-99&symbol=%F0%9F%92%A9&scenario=%7B%22"
    )
    window = browse().open(empty_lab.page(name, query))
    assert "Internal error" not in window.page.inner_text("body")
    assert window.page.locator("main h1").count() == 1
    window.check_quiet()
