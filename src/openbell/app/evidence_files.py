"""What a training was judged on: frames beside its models, each checked against the hash on record."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from pathlib import Path

import polars as pl

from openbell.app.files import write_whole
from openbell.core.errors import IntegrityBroken


def write_evidence(folder: Path, frames: Mapping[str, pl.DataFrame]) -> dict[str, str]:
    """Every frame into ``evidence/`` of `folder`; the SHA-256 of each file by name."""
    hashes = {}
    for name, frame in frames.items():
        buffer = io.BytesIO()
        frame.write_parquet(buffer)
        write_whole(folder / "evidence" / f"{name}.parquet", buffer.getvalue())
        hashes[name] = hashlib.sha256(buffer.getvalue()).hexdigest()
    return hashes


def evidence(folder: Path, name: str, expected: str) -> pl.DataFrame:
    """The frame `name`, whose file has the SHA-256 `expected`."""
    data = (folder / "evidence" / f"{name}.parquet").read_bytes()
    if hashlib.sha256(data).hexdigest() != expected:
        raise IntegrityBroken(f"The evidence {name} of {folder} was changed. Train again, or restore it.")
    return pl.read_parquet(io.BytesIO(data))
