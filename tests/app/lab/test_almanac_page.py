"""The page Almanac: a scenario from and to the form, presets, exports, and all of it in a browser."""

import base64
import datetime as dt
import io
import json
import re
import shutil
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.app.lab import labs
from tests.research.almanac_world import bars, made

from openbell.app.almanac import look
from openbell.app.home import Home
from openbell.app.lab import almanac
from openbell.app.lab.almanac import builder, charts, form, keeping
from openbell.app.lab.almanac.help import SHORTCUTS
from openbell.app.lab.pages.almanac import PAGE, layout
from openbell.core.errors import BadInput, OpenbellError, Refused
from openbell.research.almanac_filters import Group, filter_of, kinds
from openbell.research.almanac_kept import study
from openbell.research.almanac_scenario import STATISTICS, Scenario
from openbell.store.presets import Presets

DAYS = tuple(day for day in (dt.date(2023, 3, 1) + dt.timedelta(days=n) for n in range(75)) if day.weekday() < 5)
NOW = dt.datetime(2024, 1, 2, tzinfo=dt.UTC)
FILTERS = ("gap", "previous", "weekdays days=mon,tue", "times a=10:00 b=09:30", "relative_volume ratio=1")
PNG = "data:image/png;base64," + base64.b64encode(b"\x89PNG\r\n\x1a\nrest").decode()


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    path = tmp_path_factory.mktemp("almanac")
    home = Home.open(path)
    home.tables.append("minutes", bars(DAYS, minutes=15, symbol="ES"))
    home.tables.append("minutes", bars(DAYS, minutes=15, symbol="NQ", seed=4))
    return path


@pytest.fixture
def home(place):
    return Home.open(place)


@pytest.fixture
def presets(tmp_path):
    found = Presets.open(f"sqlite:///{tmp_path}/lab.db")
    yield found
    found.close()


def scenario(*filters, join="and", **more):
    return Scenario("ES", filters=Group(join, tuple(map(filter_of, filters))), **more)


def texts(component):
    if component is None:
        return ""
    if isinstance(component, list | tuple):
        return " ".join(texts(each) for each in component)
    return texts(component.children) if hasattr(component, "children") else str(component)


leaf = st.sampled_from(FILTERS).map(filter_of)
group = st.tuples(st.sampled_from(["and", "or"]), st.lists(leaf, min_size=1, max_size=3))
trees = st.tuples(st.sampled_from(["and", "or"]), st.lists(st.one_of(leaf, group), max_size=5))


@settings(max_examples=80, deadline=None)
@given(trees)
def test_the_form_loses_no_filter(tree):
    """Whatever a scenario holds, loading it into the form and showing it again asks the same of every session."""
    join, members = tree
    whole = Group(join, tuple(Group(*_of(each)) if isinstance(each, tuple) else each for each in members))
    back = form.tree_of(form.entries(whole), join)
    assert back.words() == whole.words()
    assert form.tree_of(form.entries(back), join) == back


def _of(pair):
    return pair[0], tuple(pair[1])


def test_the_form_says_every_part_of_a_scenario():
    wanted = scenario(
        *FILTERS, first=DAYS[0], last=DAYS[9], cutoff="11:00", trades_at="cut-off", statistic="survival",
        metric="gap_pct", bin=30, freq="15m", against="NQ",
    )  # fmt: skip
    values = {name: str(value) for name, value in wanted.as_dict().items() if name in form.CONTROLS}
    assert set(form.CONTROLS) == set(wanted.as_dict()) - {"filters"}
    assert form.scenario_of(values, form.entries(wanted.filters), "and") == wanted


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"product": ""}, "Choose a product"),
        ({"first": "soon"}, "soon"),
        ({"trim": "much"}, "much"),
        ({"bin": "1e9"}, "1 to 240"),
        ({"cutoff": "25:00"}, "25:00"),
        ({"against": "<script>"}, "symbol"),
    ],
)
def test_what_people_type_wrongly_is_a_sentence(values, said):
    with pytest.raises(BadInput, match=said):
        form.scenario_of({"product": "ES"} | values, [], "and")


def test_every_kind_of_filter_has_a_card_that_says_when_it_is_known():
    """Check 64: the mark is computed, and a refused one is explained on its card."""
    rows = [form.new_entry(kind) for kind in kinds()]
    cards = builder.filter_cards(rows, "and")
    assert len(cards) == len(rows)
    asked = study(Scenario("NQ", trades_at="cut-off"), made())
    marks = {row["kind"]: texts(builder.mark(row, asked)) for row in rows}
    assert marks["weekdays"].startswith("pre-open")
    assert marks["gap"].startswith("pre-cut-off")
    assert marks["direction"].startswith("full-day")
    assert "refused" in marks["direction"]
    assert "16:00" in marks["direction"]
    assert "refused" not in marks["gap"]
    wrong = form.new_entry("gap")
    wrong["values"]["percent"] = "much"
    assert "cannot be" in texts(builder.mark(wrong, asked))


def test_every_statistic_is_shown(home):
    for name in STATISTICS:
        if name == "volatility":
            continue  # needs a hundred sessions
        found = look(home, scenario(statistic=name, against="NQ", metric="change_pct"))
        for shape in charts.SHAPES if name in ("weekday", "distribution") else ("bar",):
            told = texts(charts.shown(found, "mean", shape))
            assert "Sessions kept" in told
            assert f"{found.kept.n:,} of {found.kept.of:,}" in told
            assert "Looks" in told


def test_a_page_without_bars_says_what_to_do(tmp_path):
    told = texts(layout(labs.lab_at(tmp_path), {}))
    assert "openbell data import minutes" in told


@pytest.mark.parametrize("text", ["a1.x", "<script>", "a1." + "A" * 3000, "../../x"])
def test_a_malformed_address_shows_a_sentence_and_the_page(place, text):
    """Check: a malformed URL state."""
    told = texts(layout(labs.lab_at(place), {"s": text}))
    assert "scenario" in told
    assert "Show" in told


def test_a_preset_is_kept_loaded_exported_and_imported(presets):
    wanted = scenario("gap", "previous")
    first = keeping.save(presets, " gaps ", wanted, by="ann", at=NOW, expected=None)
    assert keeping.scenario_in(presets.load("almanac", "gaps")) == wanted
    with pytest.raises(Refused, match="ann"):
        keeping.save(presets, "gaps", scenario("gap"), by="bob", at=NOW, expected=None)
    keeping.save(presets, "gaps", scenario("gap"), by="bob", at=NOW, expected=first.version)
    text = presets.exported("almanac", "gaps")
    presets.delete("almanac", "gaps", by="ann", at=NOW)
    coded = "data:application/json;base64," + base64.b64encode(text.encode()).decode()
    done = keeping.imported(presets, coded, 10_000, by="bob", at=NOW)
    assert keeping.scenario_in(done) == scenario("gap")


@pytest.mark.parametrize("name", ["../x", "", "  ", "a/b", "x" * 99, "<b>"])
def test_a_preset_name_that_is_none_is_refused(presets, name):
    """Check: a preset name with ``../``."""
    with pytest.raises(BadInput):
        keeping.save(presets, name, scenario(), by="ann", at=NOW, expected=None)
    assert presets.names("almanac") == []


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{",
        "[" * 5_000,
        json.dumps({"format": "openbell preset", "kind": "almanac", "name": "x", "document": {}}),
        json.dumps({"format": "openbell preset", "kind": "almanac", "name": "x",
                    "document": {"scenario": {"product": 1}}}),
        json.dumps({"format": "openbell preset", "kind": "almanac", "name": "../x",
                    "document": {"scenario": {"product": "ES"}}}),
        "x" * 20_000,
    ],
)  # fmt: skip
def test_a_file_that_is_no_preset_is_refused_and_nothing_is_kept(presets, text):
    coded = "data:application/json;base64," + base64.b64encode(text.encode()).decode()
    with pytest.raises(OpenbellError):
        keeping.imported(presets, coded, 10_000, by="ann", at=NOW)
    for broken in (None, "", "x", "data:,***"):
        with pytest.raises(BadInput):
            keeping.imported(presets, broken, 10_000, by="ann", at=NOW)
    assert presets.names("almanac") == []


def test_the_zip_holds_the_images_of_the_browser_and_nothing_else_of_it(home):
    found = look(home, scenario(statistic="weekday"))
    with zipfile.ZipFile(io.BytesIO(keeping.whole_zip(found, [["change", PNG], ["high_by_month", PNG]]))) as archive:
        assert {"change.png", "high-by-month.png", "weekday.csv", "scenario.json"} <= set(archive.namelist())
    for wrong in (
        [["../x", PNG]],
        [["change", "data:image/png;base64," + base64.b64encode(b"<svg>").decode()]],
        [["change", "not a file"]],
        [["change"]],
        [["change", PNG]] * 9,
        "change",
    ):
        with pytest.raises(BadInput):
            keeping.whole_zip(found, wrong)
    assert keeping.file_name(Scenario("^GSPC"), "csv") == "almanac-GSPC-hourly.csv"


def test_the_keys_of_the_help_are_those_the_browser_reads():
    code = (Path(almanac.__file__).parents[1] / "assets" / "almanac.js").read_text()
    read = {key for line in re.findall(r"var (?:press|go) = \{(.*)\};", code) for key in re.findall(r"(\w): \"", line)}
    assert read | {"?", "Escape"} == set(SHORTCUTS)
    ids = set(re.findall(r'"(almanac-[a-z-]+)"', code))
    body = Path(PAGE.layout.__code__.co_filename).read_text()
    for name in ids - {"almanac-help", "almanac-help-close", "almanac-figure-", "almanac-"}:
        assert f'"{name}"' in body or f'button("{name.removeprefix("almanac-")}"' in body


def pick(page, id, text):
    """Choose `text` in the dropdown `id`."""
    page.click(f"#{id}")
    page.get_by_role("option", name=text, exact=True).or_(page.get_by_text(text, exact=True)).last.click()


def keep(window, name):
    """Press Save with `name` in its field."""
    if not window.page.is_visible("#almanac-preset-name"):
        window.page.click("summary:has-text('Presets')")
    window.page.fill("#almanac-preset-name", name)
    window.page.keyboard.press("Tab")
    window.page.click("#almanac-save")


@pytest.mark.xdist_group("browser")
def test_of_two_people_who_save_one_name_the_second_is_told(browse, place, tmp_path):
    """Check: two people at once; what the first saved stands, and the second may take it, or another name."""
    with labs.running(shutil.copytree(place, tmp_path / "home"), pages=(PAGE,)) as lab:
        ann = browse().open(lab.page("almanac", f"?s={scenario('gap').as_text()}"))
        ben = browse().open(lab.page("almanac", f"?s={scenario('previous').as_text()}"))
        keep(ann, "mornings")
        ann.page.wait_for_selector("text=version 1")
        keep(ben, "mornings")
        ben.page.wait_for_function("() => document.getElementById('lab-alert').innerText.includes('mornings')")
        assert "this machine" in ben.alert
        assert ben.page.input_value("#almanac-preset-name") == "mornings"
        assert keeping.scenario_in(lab.lab.presets.load("almanac", "mornings")) == scenario("gap")
        keep(ben, "mornings of ben")
        ben.page.wait_for_selector("text=Kept as “mornings of ben”, version 1")
        pick(ben.page, "almanac-preset", "mornings")
        ben.page.click("#almanac-load")
        ben.page.wait_for_selector("#almanac-filters :text('Gap')")
        ben.page.wait_for_function("said => location.search.includes(said)", arg=scenario("gap").as_text())
        assert set(lab.lab.presets.names("almanac")) == {"mornings", "mornings of ben"}
        ann.check_quiet()
        ben.check_quiet()


@pytest.mark.xdist_group("browser")
def test_a_file_that_is_too_large_or_no_preset_is_refused_in_words(browse, place, tmp_path):
    """Check: a 200 MB upload, and a CSV with formulas in its cells; nothing is kept, and the page goes on."""
    large = tmp_path / "large.json"
    with large.open("wb") as file:
        file.truncate(200_000_000)
    formulas = tmp_path / "formulas.csv"
    formulas.write_text('=cmd|\' /C calc\'!A0,"=HYPERLINK(""http://x"")"\n+1,-1\n')
    with labs.running(shutil.copytree(place, tmp_path / "home"), pages=(PAGE,)) as lab:
        window = browse().open(lab.page("almanac"))
        window.page.click("summary:has-text('Presets')")
        for file, said in ((large, "200,000,000 bytes; at most 5,000,000"), (formulas, "The file is not JSON")):
            window.page.set_input_files("#almanac-upload input", str(file))
            window.page.wait_for_function(
                "said => document.getElementById('lab-alert').innerText.includes(said)", arg=said
            )
        assert lab.lab.presets.names("almanac") == []
        keep(window, "after it")
        window.page.wait_for_selector("text=version 1")
        window.check_quiet()


@pytest.mark.slow
@pytest.mark.xdist_group("browser")
def test_a_scenario_is_built_shown_kept_and_reloaded_by_its_address(browse, place):
    """The way of a person: filters, a refusal explained, a look, a preset, the same by its address, an export."""
    with labs.running(place, pages=(PAGE,)) as lab:
        window = browse().open(lab.page("almanac"))
        page = window.page
        page.wait_for_selector("#almanac-results .cards")
        pick(page, "almanac-kind", "Bull or bear")
        page.wait_for_selector(".badge:has-text('full-day')")
        pick(page, "almanac-trades_at", "at the cut-off")
        page.wait_for_selector("text=refused")
        page.click("#almanac-show")
        page.wait_for_selector("#almanac-results .empty:has-text('full-day')")
        page.click("button:has-text('Remove')")
        page.wait_for_selector("text=No filter")
        pick(page, "almanac-kind", "Gap at the open")
        page.wait_for_selector(".badge:has-text('pre-cut-off')")
        page.fill("input[id*='percent']", "0.1")
        page.keyboard.press("Tab")
        page.click("#almanac-show")
        page.wait_for_selector("#almanac-results :text('gap up > 0.1 %')")
        assert "?s=a1." in page.url
        kept = page.inner_text("#almanac-results .cards")
        page.click("summary:has-text('Presets')")
        page.fill("#almanac-preset-name", "../gaps")
        page.click("#almanac-save")
        page.wait_for_function("() => document.getElementById('lab-alert').innerText.includes('cannot name')")
        page.fill("#almanac-preset-name", "gaps")
        page.keyboard.press("Tab")
        page.click("#almanac-save")
        page.wait_for_selector("text=version 1")
        with page.expect_download() as download:
            page.click("#almanac-zip")
        with zipfile.ZipFile(download.value.path()) as archive:
            assert {"change.png", "hour.csv", "scenario.json"} <= set(archive.namelist())
        other = browse(width=390, theme="dark").open(page.url)
        other.page.wait_for_selector("#almanac-results .cards")
        assert other.page.inner_text("#almanac-results .cards") == kept
        other.check_narrow()
        other.check_accessible()
        other.page.keyboard.press("?")
        other.page.wait_for_selector("dialog[open]")
        other.check_accessible()
        other.page.keyboard.press("Escape")
        other.check_quiet()
        window.check_accessible()
        window.check_quiet()
