"""The files of one look at the almanac: its tables, what was asked, what it says, and images of its charts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from openbell.app.files import write_whole
from openbell.research.almanac_export import csv_text, zip_bytes

if TYPE_CHECKING:
    from openbell.app.almanac import Look


def export_files(found: Look, images: Mapping[str, bytes] | None = None) -> dict[str, str | bytes]:
    """Every file of `found` by its name; `images` are PNG by name."""
    kept = found.kept
    days = found.almanac.days.filter(found.almanac.days["session"].is_in(kept.sessions.implode()))
    said = {
        "text": found.scenario.as_text(),
        "n": kept.n,
        "of": kept.of,
        "sufficient": kept.sufficient,
        "looks": found.looks,
        "p_adjusted": found.p_adjusted,
        "sentences": [*found.sentences, *found.told.sentences],
    }
    files: dict[str, str | bytes] = {
        "scenario.json": found.scenario.as_json(),
        "findings.json": json.dumps(said, indent=1, ensure_ascii=False) + "\n",
        "sessions.csv": csv_text(days),
        "filters.csv": csv_text(kept.counts),
    }
    files |= {f"{name}.csv": csv_text(frame) for name, frame in found.told.tables.items()}
    return files | {f"{name}.png": image for name, image in (images or {}).items()}


def written(place: Path, files: Mapping[str, str | bytes]) -> None:
    """Write `files` into one ZIP at `place`, whole or not at all."""
    write_whole(place, zip_bytes(files))
