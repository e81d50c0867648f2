"""What a tournament of the stocks desk wrote for a reader, only where it is of the very record that is looked at."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import polars as pl

if TYPE_CHECKING:
    from openbell.app.home import Home


def selection(home: Home, payload: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """``selection.json`` of the tournament of `payload`; None where it is gone, or a later one of its session."""
    from openbell.app.selection_files import selection_folder

    path = selection_folder(home.path / "reports", dt.date.fromisoformat(payload["session"])) / "selection.json"
    if not path.is_file():
        return None
    try:
        found: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if found.get("plan") == payload.get("plan") else None


def table(home: Home, payload: Mapping[str, Any], name: str) -> pl.DataFrame | None:
    """A table of the tournament of `payload`, for example ``gates.csv``; None where it is not there."""
    from openbell.app.selection_files import selection_folder

    if selection(home, payload) is None:
        return None
    path = selection_folder(home.path / "reports", dt.date.fromisoformat(payload["session"])) / name
    return pl.read_csv(path, infer_schema_length=None) if path.is_file() else None
