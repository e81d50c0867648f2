"""Tables of the almanac for other programs: CSV that no spreadsheet takes for a formula, and all of it in one ZIP."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Mapping

import polars as pl

from openbell.core.errors import BadInput

#: A cell that begins with one of these is a formula to a spreadsheet (OWASP, CSV Injection), blanks before it or not.
_FORMULA = re.compile(r"^[\s\x00-\x1f\u200b-\u200f\u2060\ufeff]*[=+\-@\uff1d\uff0b\uff0d\uff20]|^[\t\r\n]")
_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,79}")
_PNG = b"\x89PNG\r\n\x1a\n"
#: Every file of a ZIP is of this moment, so that the same look gives the same bytes.
_MOMENT = (1980, 1, 1, 0, 0, 0)


def neutral(text: str) -> str:
    """`text` as a cell that a spreadsheet shows and does not compute: a quote is put before what would be a formula."""
    return f"'{text}" if _FORMULA.match(text) else text


def csv_text(frame: pl.DataFrame) -> str:
    """`frame` as CSV. Numbers stay numbers, also negative ones; text and names that would be formulas get a quote.

    Lists are joined by blanks. Whatever holds a comma, a quote or a line break is quoted.
    """
    columns = []
    for name in frame.columns:
        column = frame[name]
        if isinstance(column.dtype, pl.List):
            column = column.cast(pl.List(pl.String)).list.join(" ")
        if column.dtype in (pl.String, pl.Categorical) or isinstance(column.dtype, pl.Enum):
            words = {each: neutral(each) for each in column.cast(pl.String).unique().drop_nulls().to_list()}
            column = column.cast(pl.String).replace_strict(words, default=None, return_dtype=pl.String)
        columns.append(column.alias(neutral(name)))
    return pl.DataFrame(columns).write_csv(quote_style="necessary")


def zip_bytes(files: Mapping[str, str | bytes]) -> bytes:
    """`files` in one ZIP, sorted by name; the same files give the same bytes.

    Raises
    ------
    BadInput
        A name that could leave the folder it is unpacked into, or an image that is no PNG.
    """
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(files):
            content = files[name]
            if not _NAME.fullmatch(name) or ".." in name:
                raise BadInput(
                    f"`{name[:80]}` cannot name a file of an export; use small letters, digits, `_`, `-`, `.`."
                )
            if name.endswith(".png") and not (isinstance(content, bytes) and content.startswith(_PNG)):
                raise BadInput(f"`{name}` holds no PNG image.")
            info = zipfile.ZipInfo(name, _MOMENT)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = 0o644 << 16
            archive.writestr(info, content)
    return made.getvalue()
