"""Import of a `config.yaml` as the stocks request writes it: each of its keys has one place here, or a reason."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from openbell.app.request_keys import KEYS, Holds, Ours
from openbell.app.settings import load
from openbell.app.toml_text import literal, text
from openbell.core.declare import Catalogue, discover
from openbell.core.errors import BadInput, nearest


@dataclass(frozen=True)
class Report:
    """What became of each key of the file: taken over, true here anyway, or left out and why."""

    taken: dict[str, str] = field(default_factory=dict)
    holds: dict[str, str] = field(default_factory=dict)
    left: dict[str, str] = field(default_factory=dict)

    def lines(self) -> list[str]:
        """The report in sentences, one per key."""
        return [
            *(f"{theirs} -> {ours}" for theirs, ours in self.taken.items()),
            *(f"{theirs}: holds here anyway. {why}" for theirs, why in self.holds.items()),
            *(f"{theirs}: not taken over. {why}" for theirs, why in self.left.items()),
        ]


@dataclass(frozen=True)
class _Entry:
    key: str
    value: Any
    line: int


def _refuse_duplicates(node: yaml.Node, path: Path) -> None:
    """A key given twice in one mapping is an error; YAML itself would let the second win in silence."""
    if isinstance(node, yaml.SequenceNode):
        for each in node.value:
            _refuse_duplicates(each, path)
    if not isinstance(node, yaml.MappingNode):
        return
    seen: dict[str, int] = {}
    for name, value in node.value:
        line = name.start_mark.line + 1
        if name.value in seen:
            raise BadInput(
                f"{path}, line {line}: `{name.value}` is given a second time; the first is on line "
                f"{seen[name.value]}. Keep one of the two."
            )
        seen[name.value] = line
        _refuse_duplicates(value, path)


def _entries(node: yaml.Node, path: Path, prefix: str = "") -> Iterator[_Entry]:
    """Every leaf below `node` with its dotted key and line."""
    if not isinstance(node, yaml.MappingNode):
        raise BadInput(f"{path} must hold sections of keys; it holds a {node.tag.rpartition(':')[2]}.")
    for name, value in node.value:
        key = f"{prefix}{name.value}"
        if isinstance(value, yaml.MappingNode):
            yield from _entries(value, path, f"{key}.")
        else:
            yield _Entry(key, _constructed(value), name.start_mark.line + 1)


def _constructed(node: yaml.Node) -> Any:
    loader = yaml.SafeLoader("")
    try:
        return loader.construct_document(node)
    finally:
        loader.dispose()


def _read(path: Path) -> list[_Entry]:
    try:
        node = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
        if node is None:
            return []
        _refuse_duplicates(node, path)
        return list(_entries(node, path))
    except OSError as failure:
        raise BadInput(f"{path} cannot be read: {failure.strerror}.") from failure
    except UnicodeDecodeError as failure:
        raise BadInput(f"{path} is not UTF-8 text: {failure.reason}.") from failure
    except yaml.YAMLError as failure:
        mark = getattr(failure, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        raise BadInput(f"{path}{where} is not YAML: {getattr(failure, 'problem', None) or failure}.") from failure


class _Import:
    """One import: what is taken so far, and every complaint, so that all are told at once."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.values: dict[str, tuple[Any, str]] = {}
        self.report = Report()
        self.complaints: list[str] = []

    def add(self, entry: _Entry) -> None:
        rule = KEYS.get(entry.key)
        if rule is None:
            self.complaints.append(f"line {entry.line}: there is no key `{entry.key}`. {nearest(entry.key, KEYS)}")
        elif isinstance(rule, Ours):
            self._take(entry, rule)
        elif isinstance(rule, Holds):
            self._compare(entry, rule)
        else:
            self.report.left[entry.key] = rule.why

    def _take(self, entry: _Entry, rule: Ours) -> None:
        try:
            got = rule.taken(entry.value)
        except ValueError as failure:
            self.complaints.append(f"line {entry.line}: `{entry.key}` {failure}")
            return
        earlier = self.values.get(got.key)
        if earlier is not None and earlier[0] != got.value:
            self.complaints.append(
                f"line {entry.line}: `{entry.key}` says {literal(got.value)}, but `{earlier[1]}` says "
                f"{literal(earlier[0])}, and both are `{got.key}` here. Make them agree, or keep one."
            )
            return
        self.values[got.key] = (got.value, entry.key)
        self.report.taken[entry.key] = f"{got.key} = {literal(got.value)}" + (f" ({got.note})" if got.note else "")

    def _compare(self, entry: _Entry, rule: Holds) -> None:
        if entry.value == rule.value:
            self.report.holds[entry.key] = rule.why
        else:
            self.complaints.append(
                f"line {entry.line}: `{entry.key}` can only be {literal(rule.value)}; was {literal(entry.value)}. "
                f"{rule.why}"
            )


def import_config(path: Path, catalogue: Catalogue | None = None) -> tuple[str, Report]:
    """The settings that a request-style file at `path` asks for, as TOML, with a report on each of its keys.

    Every unknown key, every value that cannot hold here and every two keys that disagree are told together; then
    nothing comes back. A key given twice is refused with its line.
    """
    work = _Import(path)
    for entry in _read(path):
        work.add(entry)
    if work.complaints:
        raise BadInput(f"{path} cannot be taken over:\n" + "\n".join(f"  {each}" for each in work.complaints))
    values = {key: value for key, (value, _) in sorted(work.values.items())}
    words = [f"{key}={value if isinstance(value, str) else literal(value)}" for key, value in values.items()]
    load(catalogue or discover(), overrides=words, environ={}, cwd=path.parent)
    notes = {key: [f"from {theirs}"] for key, (_, theirs) in work.values.items()}
    return text(values, notes, [f"Taken over from {path.name}."]), work.report
