"""Every page in a real browser on homes with data: of the session desk, the stocks desk, the gate, options, signals."""

import pytest
from labs import running

from openbell.app.home import Home
from openbell.app.lab.pages import pages

pytestmark = pytest.mark.xdist_group("browser")

NAMES = [page.name for page in pages()]


@pytest.fixture(scope="module")
def gate_lab(gate_home, tmp_path_factory):
    from tests.app.made_signals import made
    from tests.app.served import AT

    path = gate_home.copied(tmp_path_factory.mktemp("demo") / "gate")
    Home.open(path).signals.write(
        [made(symbol, minutes=-at) for at, symbol in enumerate(("SPY", "QQQ"), start=1)], at=AT
    )
    with running(path) as found:
        yield found


@pytest.fixture(scope="module")
def stocks_lab(trained_with_edge, tmp_path_factory):
    import trained_homes

    with running(trained_homes.copied(trained_with_edge, tmp_path_factory.mktemp("demo") / "stocks")) as found:
        yield found


@pytest.fixture(scope="module")
def options_lab(tmp_path_factory):
    """A chain, two decisions on options, and signals, none of them trained for."""
    from tests.app import chain_by_hand
    from tests.app.made_signals import made
    from tests.app.served import AT

    path = tmp_path_factory.mktemp("demo") / "options"
    path.mkdir()
    home = Home.open(path)
    home.tables.append("quotes", chain_by_hand.quotes())
    for structure in ("IRON_CONDOR", None):
        home.journal.append("decision", chain_by_hand.decision(structure), at=chain_by_hand.AT)
    home.signals.write([made(symbol, minutes=-at) for at, symbol in enumerate(("SPY", "QQQ"), start=1)], at=AT)
    with running(path) as found:
        yield found


@pytest.mark.slow
@pytest.mark.parametrize("home", ["gate_lab", "options_lab", "session_lab", "stocks_lab"])
@pytest.mark.parametrize("name", NAMES)
def test_a_page_of_a_home_with_data(request, browse, home, name):
    """Loads without an error, by light and by dark, on a desk and on a phone; axe finds nothing serious."""
    lab = request.getfixturevalue(home)
    window = browse(width=1280, theme="dark").open(lab.page(name))
    window.check_accessible()
    window.page.click("#lab-theme-light")
    window.page.set_viewport_size({"width": 390, "height": 844})
    window.check_narrow()
    window.check_accessible()
    window.check_quiet()
    assert "Internal error" not in window.page.inner_text("body")


def test_every_page_of_the_session_desk(browse, session_lab):
    """The same in short, one window from page to page on a phone."""
    window = browse(width=390)
    for name in NAMES:
        window.open(session_lab.page(name))
        window.check_narrow()
        assert "Internal error" not in window.page.inner_text("body"), name
        window.check_quiet()
