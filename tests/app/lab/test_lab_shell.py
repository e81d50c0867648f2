"""What surrounds every page: the way between them, errors as sentences, themes, the state in the address."""

from types import SimpleNamespace

import plotly.graph_objects as go
import pytest
from dash import Input, Output, dcc, html
from labs import lab_at, running

from openbell.app.lab import theme, ui
from openbell.app.lab.page import Page
from openbell.app.lab.urls import LONGEST_QUERY, QUERY, page_of, path, query_of
from openbell.core.errors import BadInput

pytestmark = pytest.mark.xdist_group("browser")


def _layout(lab, query):
    if query.get("fault") == "ours":
        raise ZeroDivisionError("what only the log may say")
    if query.get("fault"):
        raise BadInput(f"`{query['fault']}` is no fault. Use another.")
    figure = go.Figure([go.Bar(x=["a"], y=[1.0]), go.Heatmap(z=[[1.0, 2.0]], colorscale=list(theme.DIVERGING))])
    figure.update_layout(template="openbell")
    return html.Div(
        [
            html.P(f"asked for {sorted(query.items())}", id="one-asked"),
            ui.figure("one-figure", figure, "A bar"),
            ui.field("Words", dcc.Input(id="one-words", value=query.get("words", ""))),
            html.Button("Say", id="one-say"),
            html.P(id="one-said"),
        ]
    )


def _register(app, lab):
    @app.callback(
        Output("one-said", "children"),
        Output(QUERY, "data", allow_duplicate=True),
        Input("one-words", "value"),
        prevent_initial_call=True,
    )
    def say(words):
        if words == "bad":
            raise BadInput("The words `bad` are not taken. Write others.")
        if words == "worse":
            raise ZeroDivisionError("what only the log may say")
        return f"said {words}", {"words": words, "none": None}


ONE = Page("one", "One", 1, "A page that does everything.", _layout, _register)
TWO = Page("two", "Two", 2, "Another page.", lambda lab, query: html.P("the second"))


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    home = tmp_path_factory.mktemp("shell") / "home"
    home.mkdir()
    with running(home, pages=(ONE, TWO)) as found:
        yield found


def test_the_way_between_pages(browse, lab):
    """By keyboard: skip link, navigation, focus on the new page, titles, back."""
    window = browse().open(lab.url)
    assert window.page.title() == "One · Openbell"
    window.page.keyboard.press("Tab")
    assert window.page.evaluate("document.activeElement.textContent") == "Skip to the page"
    window.page.focus("#lab-link-two")
    window.page.keyboard.press("Enter")
    window.page.wait_for_function("() => document.title === 'Two · Openbell'")
    assert window.page.evaluate("document.activeElement.id") == "lab-main"
    assert window.page.locator('[aria-current="page"]').inner_text() == "Two"
    window.page.go_back()
    window.page.wait_for_function("() => document.title === 'One · Openbell'")
    window.check_quiet()


def test_a_page_that_there_is_not(browse, lab):
    window = browse().open(lab.page("tow"))
    told = window.page.inner_text("main")
    assert "There is no page `tow`" in told
    assert "`two`" in told
    window.check_accessible()
    window.check_quiet()


def test_what_a_layout_refuses_stands_in_place_of_the_page(browse, lab):
    window = browse().open(lab.page("one", "?fault=<b>x</b>"))
    assert "`<b>x</b>` is no fault. Use another." in window.page.inner_text("main")
    window.open(lab.page("one", "?fault=ours"))
    told = window.page.inner_text("main")
    assert "Internal error: ZeroDivisionError. This is a fault of Openbell" in told
    assert "only the log" not in window.page.content()
    window.open(lab.page("one", "?x=" + "y" * LONGEST_QUERY))
    assert "at most 8,000 are read" in window.page.inner_text("main")
    window.check_quiet()


def test_what_a_callback_refuses_stands_in_the_alert_and_the_page_stays(browse, lab):
    window = browse().open(lab.page("one"))
    window.page.fill("#one-words", "good")
    window.page.wait_for_function("() => document.getElementById('one-said').textContent === 'said good'")
    window.page.fill("#one-words", "bad")
    window.page.wait_for_function("() => document.getElementById('lab-alert').textContent !== ''")
    assert window.alert == "The words `bad` are not taken. Write others."
    assert window.page.inner_text("#one-said") == "said good"
    window.check_accessible()
    window.page.click("#lab-alert-dismiss")
    window.page.wait_for_function("() => document.getElementById('lab-alert').textContent === ''")
    window.page.fill("#one-words", "worse")
    window.page.wait_for_function("() => document.getElementById('lab-alert').textContent !== ''")
    assert "ZeroDivisionError. This is a fault of Openbell" in window.alert
    assert "only the log" not in window.alert
    window.check_quiet()


def test_a_state_goes_into_the_address_and_comes_back_from_it(browse, lab):
    window = browse().open(lab.page("one"))
    window.page.fill("#one-words", "a&b=c d")
    window.page.wait_for_function("() => location.search.includes('words')")
    assert "none" not in window.page.url
    window.page.reload()
    window.stands()
    assert window.page.input_value("#one-words") == "a&b=c d"
    assert "[('words', 'a&b=c d')]" in window.page.inner_text("#one-asked")
    window.check_quiet()


def _drawn(window):
    return window.page.evaluate(
        """() => { const d = document.querySelector('#one-figure .js-plotly-plot');
        return [d._fullLayout.font.color, d._fullLayout.colorway[0], d.data[1].colorscale[0][1]]; }"""
    )


def test_figures_follow_the_theme(browse, lab):
    """At first, when it changes, and when they are drawn later; the choice outlives a reload."""
    light = [theme.templates()[theme.NAME].layout.font.color, theme.LIGHT_COLOURS[0], theme.DIVERGING[0][1]]
    dark = [theme.templates()[theme.DARK].layout.font.color, theme.DARK_COLOURS[0], theme.DIVERGING_DARK[0][1]]
    window = browse(theme="dark").open(lab.page("one"))
    window.page.wait_for_selector(".js-plotly-plot .bars")
    assert _drawn(window) == dark
    window.page.click("#lab-theme-light")
    assert _drawn(window) == light
    assert window.page.get_attribute("#lab-theme-light", "aria-pressed") == "true"
    window.page.click("#lab-theme-dark")
    window.page.emulate_media(color_scheme="light")
    window.page.reload()
    window.stands()
    window.page.wait_for_selector(".js-plotly-plot .bars")
    assert _drawn(window) == dark
    window.page.click("#lab-theme-system")
    assert _drawn(window) == light
    window.check_quiet()


def test_two_windows_agree_on_the_theme(browse, lab):
    first = browse().open(lab.page("two"))
    second = first.page.context.new_page()
    second.goto(lab.page("two"))
    second.wait_for_selector("main h1")
    second.click("#lab-theme-dark")
    first.page.wait_for_function("() => document.documentElement.dataset.theme === 'dark'")


def test_what_plotly_looks_into_is_whole_before_anybody_asks(tmp_path, monkeypatch):
    """Mutant: pandas imported by one request while another is written, which then fails for half a module."""
    from openbell.app.lab import create as creating

    asked = []
    lab = lab_at(tmp_path)
    monkeypatch.setattr(creating, "importlib", SimpleNamespace(import_module=asked.append))
    creating.create(lab, pages=())
    assert asked[:1] == ["pandas"]
    lab.presets.close()


def test_addresses():
    assert path("almanac", desk="a b", none=None, x=1) == "/lab/almanac?desk=a+b&x=1"
    assert query_of("?a=1&a=2&b=&c=%ff") == {"a": "2", "b": "", "c": "\ufffd"}
    assert query_of(None) == {}
    assert [page_of(each) for each in ("/lab/", "/lab", None, "/lab/one", "/lab/one/two", "/lab/one/")] == [
        "", "", "", "one", "one", "one"]  # fmt: skip
