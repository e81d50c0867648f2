"""A reader of HTML for tests: is it whole, what does it fetch, what does it say."""

import re
from html.parser import HTMLParser

VOID = {"meta", "br", "wbr"}


class Page(HTMLParser):
    """Checks that every element is closed in order, and collects ids, links and words."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.text: list[str] = []
        self.empty_tables = 0
        self._rows = 0
        self.feed(text.replace("<wbr>", ""))
        self.close()

    def handle_starttag(self, tag, attrs):
        for name, value in attrs:
            if name == "id":
                self.ids.append(value)
            if name in ("src", "href", "xlink:href", "srcset", "action"):
                self.links.append(value)
        if tag == "tbody":
            self._rows = 0
        self._rows += tag == "tr"
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag
        self.empty_tables += tag == "tbody" and not self._rows

    def handle_data(self, data):
        if "style" not in self.open:
            self.text.append(data)

    @property
    def words(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.text).replace("\xa0", " "))


def assert_whole_and_offline(html: str) -> None:
    page = Page(html)
    assert page.open == []
    assert len(page.ids) == len(set(page.ids)), "an id stands twice"
    assert [link for link in page.links if not link.startswith("#")] == []
    assert {link[1:] for link in page.links} <= set(page.ids)
    assert set(re.findall(r"url\(#([^)]+)\)", html)) <= set(page.ids)
    assert not re.findall(r"url\((?!['\"]?#)", html)
    assert "@import" not in html
    assert "<script" not in html
    assert set(re.findall(r"https?://[^\"' <)]+", html)) <= {
        "http://www.w3.org/2000/svg",
        "http://www.w3.org/1999/xlink",
    }
    assert page.empty_tables == 0


def assert_no_missing_words(text: str) -> None:
    """No figure reads as a missing or infinite number of a programming language."""
    assert not re.findall(r"(?<![\w.])(?:NaN|nan|None|inf|Infinity|NaT|undefined)(?![\w.])", text)
