"""Presets of scenarios, and the files of a look: what the buttons of the page do, without the page."""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from openbell.app.almanac import Look
from openbell.app.almanac_files import export_files
from openbell.core.errors import BadInput
from openbell.research.almanac_export import csv_text, zip_bytes
from openbell.research.almanac_scenario import Scenario, scenario_from
from openbell.store.presets import Preset, Presets

KIND = "almanac"
#: Images in one export, and bytes of each.
MOST_IMAGES, LARGEST_IMAGE = 8, 3_000_000
_NAME = re.compile(r"[a-z][a-z-]{0,30}")


def save(
    presets: Presets, name: str | None, scenario: Scenario, *, by: str, at: dt.datetime, expected: int | None
) -> Preset:
    """Keep `scenario` under `name`."""
    if not (name or "").strip():
        raise BadInput("A preset needs a name. Write one in the field beside the button.")
    document = {"scenario": scenario.as_dict()}
    return presets.save(KIND, str(name).strip(), document, by=by, at=at, expected_version=expected)


def scenario_in(preset: Preset) -> Scenario:
    """The scenario of a preset; one that an older version wrote and this one cannot read is refused in a sentence."""
    return scenario_from(preset.document.get("scenario"))


def imported(presets: Presets, contents: str | None, most_bytes: int, *, by: str, at: dt.datetime) -> Preset:
    """Keep the preset of an uploaded file; its scenario must be one before anything is kept."""
    text = _decoded(contents, most_bytes).decode("utf-8", errors="replace")
    try:
        told = json.loads(text)
    except (ValueError, RecursionError):
        raise BadInput("The file is not JSON; it must be a preset that the lab exported.") from None
    document = told.get("document") if isinstance(told, dict) else None
    scenario_from(document.get("scenario") if isinstance(document, dict) else None)
    return presets.imported(KIND, text, by=by, at=at)


def _decoded(contents: str | None, most_bytes: int) -> bytes:
    """The bytes of a ``data:`` address."""
    _, comma, coded = (contents or "").partition(",")
    if not comma:
        raise BadInput("No file arrived. Choose one again.")
    if len(coded) > most_bytes * 4 // 3 + 4:
        raise BadInput(f"The file is larger than {most_bytes:,} bytes, which is the most that a page takes.")
    try:
        return base64.b64decode(coded, validate=True)
    except (binascii.Error, ValueError):
        raise BadInput("The file did not arrive whole. Choose it again.") from None


def file_name(scenario: Scenario, ending: str) -> str:
    """What an export is called."""
    product = re.sub(r"[^A-Za-z0-9]+", "", scenario.product) or "product"
    return f"almanac-{product}-{scenario.statistic}.{ending}"


def main_csv(look: Look) -> str:
    """The main table of a look."""
    return csv_text(next(iter(look.told.tables.values())))


def whole_zip(look: Look, images: Sequence[Any]) -> bytes:
    """Everything of a look, with the images of its charts that the browser made."""
    return zip_bytes(export_files(look, _images(images)))


def _images(images: Sequence[Any]) -> Mapping[str, bytes]:
    found: dict[str, bytes] = {}
    if not isinstance(images, list | tuple) or len(images) > MOST_IMAGES:
        raise BadInput(f"An export holds up to {MOST_IMAGES} images.")
    for each in images:
        if not isinstance(each, list | tuple) or len(each) != 2 or not all(isinstance(part, str) for part in each):
            raise BadInput("An image of an export is a name and its data.")
        name, contents = each
        plain = name.replace("_", "-")
        if not _NAME.fullmatch(plain):
            raise BadInput(f"`{name[:40]}` cannot name an image of an export.")
        found[plain] = _decoded(contents, LARGEST_IMAGE)
    return found
