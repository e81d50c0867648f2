"""Exports of the almanac: no formula in a cell, no way out of a folder, the same bytes again."""

import csv
import io
import zipfile

import polars as pl
import pytest

from openbell.core.errors import BadInput
from openbell.research.almanac_export import csv_text, neutral, zip_bytes

FORMULAS = (
    "=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", " =1", "\u00a0=1", "\ufeff=1", "\u200b=1",
    '=HYPERLINK("http://x","y")', "=cmd|' /C calc'!A0", "\uff1d1", "-2+3,4",
)  # fmt: skip


@pytest.mark.parametrize("text", FORMULAS)
def test_no_cell_is_a_formula(text):
    """Check: CSV injection (OWASP)."""
    read = list(
        csv.reader(io.StringIO(csv_text(pl.DataFrame({text: [text, "x"], "plain": ["a,b", 'say "x"']})), newline=""))
    )
    assert read[0] == [f"'{text}", "plain"]
    assert read[1:] == [[f"'{text}", "a,b"], ["x", 'say "x"']]


def test_numbers_and_plain_words_stay_what_they_are():
    frame = pl.DataFrame({"a": [-1.5, None], "b": [True, None], "c": ["by - hour", None], "d": [["x", "=y"], []]})
    assert csv_text(frame).splitlines() == ["a,b,c,d", "-1.5,true,by - hour,x =y", ',,,""']
    assert neutral("plain = x") == "plain = x"
    assert csv_text(pl.DataFrame({"d": [["=y"]]})).splitlines() == ["d", "'=y"]


def test_a_zip_is_the_same_bytes_again_and_holds_what_was_given():
    png = b"\x89PNG\r\n\x1a\nrest"
    files = {"b.csv": "x\n1\n", "a.png": png, "scenario.json": "{}"}
    made = zip_bytes(files)
    assert made == zip_bytes(dict(reversed(files.items())))
    with zipfile.ZipFile(io.BytesIO(made)) as archive:
        assert archive.namelist() == ["a.png", "b.csv", "scenario.json"]
        assert (archive.read("a.png"), archive.read("b.csv")) == (png, b"x\n1\n")


@pytest.mark.parametrize("name", ["../x.csv", "/etc/x", "a/b.csv", "a\\b.csv", "..", "x..csv", "", "A.csv", "x" * 99])
def test_no_name_leaves_the_folder(name):
    with pytest.raises(BadInput, match="cannot name"):
        zip_bytes({name: "x"})


def test_an_image_that_is_none_is_refused():
    with pytest.raises(BadInput, match="PNG"):
        zip_bytes({"a.png": b"<svg onload=alert(1)>"})
