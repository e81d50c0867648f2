"""Scikit-learn's models as skops files whose bytes say nothing but the model."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from openbell.core.errors import BadInput

#: What a scikit-learn file may hold beyond skops' own list; never taken from the file itself.
TRUSTED = ("numpy.dtype", "sklearn.tree._tree.Tree")

_PART = re.compile(r"()(\d+)(\.np[yz])")
_EPOCH = (1980, 1, 1, 0, 0, 0)


def save_skops(predictor: Any, folder: Path) -> None:
    """Write ``model.skops``; refuses what holds a type that is not trusted."""
    import skops.io

    content = skops.io.dumps(predictor)
    foreign = sorted(set(skops.io.get_untrusted_types(data=content)) - set(TRUSTED))
    if foreign:
        raise BadInput(
            f"A {type(predictor).__name__} cannot be saved: it holds {', '.join(foreign)}, which is not on the list "
            "of trusted types. Build it from scikit-learn's own parts."
        )
    (folder / "model.skops").write_bytes(_canonical(content))


def load_skops(folder: Path, _: Mapping[str, Any]) -> Any:
    """Read ``model.skops``, trusting our own list alone."""
    import skops.io

    return skops.io.load(folder / "model.skops", trusted=list(TRUSTED))


def _canonical(content: bytes) -> bytes:
    """The same archive with objects numbered in order and no clock: skops names parts by memory address and time."""
    numbers: dict[str, str] = {}

    def number(found: re.Match[str]) -> str:
        return found[1] + numbers.setdefault(found[2], str(len(numbers))) + found[3]

    target = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as source, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        schema = re.sub(r'("__id__": |"file": ")(\d+)(\b)', number, source.read("schema.json").decode())
        parts = {number(found): found[0] for found in map(_PART.fullmatch, source.namelist()) if found}
        others = set(source.namelist()) - set(parts.values()) - {"schema.json"}
        if others:
            raise BadInput(f"skops wrote parts that this version does not know: {', '.join(sorted(others))}.")
        for name in sorted(parts):
            archive.writestr(zipfile.ZipInfo(name, _EPOCH), source.read(parts[name]), zipfile.ZIP_DEFLATED)
        archive.writestr(zipfile.ZipInfo("schema.json", _EPOCH), schema, zipfile.ZIP_DEFLATED)
    return target.getvalue()
