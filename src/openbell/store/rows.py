"""What a frame must be to become rows of a table."""

from __future__ import annotations

import re

import polars as pl

from openbell.core.errors import BadInput, nearest
from openbell.core.time import MOMENT

Schema = tuple[tuple[str, str], ...]

_NAME = re.compile(r"[a-z][a-z0-9_]*")


def schema_of(frame: pl.DataFrame) -> Schema:
    """(column, type) of `frame` in order."""
    return tuple((column, str(kind)) for column, kind in frame.schema.items())


def checked(name: str, frame: pl.DataFrame, schema: Schema | None) -> pl.DataFrame:
    """`frame` with its columns in the order of `schema`, or the refusal of what is wrong with it."""
    if not _NAME.fullmatch(name):
        raise BadInput(f"`{name}` cannot name a table: write lower-case letters, digits and `_`, a letter first.")
    _check_known_at(name, frame)
    _check_types(name, frame)
    if schema is None:
        return frame
    _check_schema(name, frame, schema)
    return frame.select([column for column, _ in schema])


def _check_known_at(name: str, frame: pl.DataFrame) -> None:
    if "known_at" not in frame.columns:
        raise BadInput(
            f"The rows for `{name}` have no column `known_at`, the first moment each could be acted on. "
            f"{nearest('known_at', frame.columns)}"
        )
    kind = frame.schema["known_at"]
    if kind != MOMENT:
        naive = isinstance(kind, pl.Datetime) and kind.time_zone is None
        cure = (
            "It is naive: say which clock it was read from with `.dt.replace_time_zone(…)`, then convert it to UTC."
            if naive
            else 'Convert it to `pl.Datetime("us", "UTC")`.'
        )
        raise BadInput(f"`known_at` of the rows for `{name}` must be Datetime[us, UTC]; it was {kind}. {cure}")
    missing = frame["known_at"].null_count()
    if missing:
        at = frame["known_at"].is_null().arg_true()[0]
        raise BadInput(
            f"{missing:,} of {len(frame):,} rows for `{name}` have no `known_at`, the first of them row {at}: "
            f"{frame.row(at, named=True)}. A row that nobody knows when to show is not stored."
        )


def _check_types(name: str, frame: pl.DataFrame) -> None:
    untyped = [column for column, kind in frame.schema.items() if kind in (pl.Null, pl.Object)]
    if untyped:
        raise BadInput(
            f"The columns {_listed(untyped)} of the rows for `{name}` have no type that can be stored. "
            "Cast each to the type of the values that it will hold."
        )


def _check_schema(name: str, frame: pl.DataFrame, schema: Schema) -> None:
    """Name every column that is missing, extra or of another type than in the table's first commit."""
    was, now = dict(schema), dict(schema_of(frame))
    wrong = []
    if missing := [column for column in was if column not in now]:
        wrong.append(f"missing {_listed(missing)}")
    if extra := [column for column in now if column not in was]:
        wrong.append(f"extra {_listed(extra)}")
    if retyped := [column for column in was if column in now and was[column] != now[column]]:
        wrong.append(", ".join(f"`{column}` is {now[column]} and was {was[column]}" for column in retyped))
    if wrong:
        raise BadInput(
            f"The columns of `{name}` are fixed by its first commit: {'; '.join(wrong)}. "
            "Bring the rows into that shape, or append them to a table of another name."
        )


def _listed(columns: list[str]) -> str:
    return ", ".join(f"`{column}`" for column in columns)
