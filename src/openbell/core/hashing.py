"""Hashes that say what a thing was made of: the same content gives the same hash on every machine."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import math
from collections.abc import Mapping
from enum import Enum
from typing import Any

import numpy as np
import polars as pl


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, (set, frozenset)):
        return sorted(_plain(item) for item in value)
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, dt.datetime):
        return value.astimezone(dt.UTC).isoformat()
    if isinstance(value, dt.date):
        return value.isoformat()
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"A record cannot hold the number {value}; write null where a value is missing.")
    return value


def canonical_json(value: Any) -> str:
    """`value` as JSON with sorted keys and no blanks: equal content, equal text."""
    return json.dumps(_plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def digest(value: Any) -> str:
    """SHA-256 of the canonical JSON of `value`, as 64 hexadecimal digits."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def frame_digest(frame: pl.DataFrame) -> str:
    """SHA-256 over the column names, types and values of `frame`, in its row order."""
    sha = hashlib.sha256(canonical_json([[name, str(kind)] for name, kind in frame.schema.items()]).encode())
    for column in frame.rechunk().get_columns():
        sha.update(np.packbits(column.is_null().to_numpy()).tobytes())
        if column.dtype == pl.String or isinstance(column.dtype, (pl.Categorical, pl.Enum)):
            text = column.cast(pl.String).fill_null("")
            # Lengths first: without them the border between two words could move unseen.
            sha.update(np.ascontiguousarray(text.str.len_bytes().to_numpy()).tobytes())
            sha.update("".join(text.to_list()).encode())
        elif column.dtype.is_nested():
            sha.update(canonical_json(column.to_list()).encode())
        else:
            sha.update(np.ascontiguousarray(column.to_physical().fill_null(0).to_numpy()).tobytes())
    return sha.hexdigest()
