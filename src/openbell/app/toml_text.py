"""Settings as the text of a TOML file."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any


def literal(value: Any) -> str:
    """`value` as TOML writes it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")  # TOML forbids DEL, JSON does not
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(literal, value))}]"
    return repr(value)


def text(values: Mapping[str, Any], notes: Mapping[str, Iterable[str]], head: Iterable[str] = ()) -> str:
    """`values` by dotted key as TOML, sections and keys below their `notes`; a value of None stands as a comment."""
    lines = [f"# {line}".rstrip() for line in head]
    section = None
    for key, value in sorted(values.items(), key=lambda each: "." in each[0]):
        here, _, name = key.rpartition(".")
        if here != section:
            lines += ["", *(f"# {note}" for note in notes.get(here, ())), *([f"[{here}]"] if here else [])]
            section = here
        lines += [f"# {note}" for note in notes.get(key, ())]
        lines.append(f"# {name} = …" if value is None else f"{name} = {literal(value)}")
    return "\n".join(lines) + "\n"
