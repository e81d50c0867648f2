"""The one tree of errors, each with the exit code of DESIGN §7 and the house wording."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class OpenbellError(Exception):
    """Anything Openbell refuses or fails at, in a full sentence."""

    exit_code = 70


class Refused(OpenbellError):
    """A gate or a safety check said no."""

    exit_code = 1


class BadInput(OpenbellError):
    """What was handed in cannot be used; nothing was written."""

    exit_code = 2


class DataMissing(BadInput):
    """The data that a question needs are not in the tables."""


class FeatureUnavailable(BadInput):
    """A feature cannot be computed from the fields at hand; no default is put in its place."""


class DeclarationError(BadInput):
    """A plug-in clashes, does not import, or breaks the contract of its room."""


class LeakFound(Refused):
    """Something looked into the future."""


class PartlyDone(OpenbellError):
    """Some of the work was done; the message says which part."""

    exit_code = 3


class IntegrityBroken(OpenbellError):
    """A record, a model or a backup is not what its hash says."""

    exit_code = 4


class AwaitingApproval(OpenbellError):
    """A human has to say yes first."""

    exit_code = 5


class StorageFailed(OpenbellError):
    """The disk, the bucket or the database refused; nothing was half-written."""

    exit_code = 2


def nearest(name: str, valid: Iterable[str]) -> str:
    """The hint that names the nearest valid words, or the valid words when none is near."""
    words = sorted(set(valid))
    close = difflib.get_close_matches(name, words, n=3, cutoff=0.5)
    if close:
        return "Did you mean " + " or ".join(f"`{word}`" for word in close) + "?"
    shown = ", ".join(f"`{word}`" for word in words[:12]) + (", …" if len(words) > 12 else "")
    return f"Valid are: {shown}." if words else "There is none yet."


def unknown(what: str, name: str, valid: Iterable[str]) -> BadInput:
    """The refusal of an unknown name, with the nearest valid one."""
    return BadInput(f"There is no {what} `{name}`. {nearest(name, valid)}")
