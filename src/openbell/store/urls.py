"""URLs say where bytes live; a password in one is never shown."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from types import MappingProxyType
from urllib.parse import unquote

from openbell.core.errors import BadInput, nearest

_SCHEME = re.compile(r"^([A-Za-z][A-Za-z0-9+.\-]*):(?://|$)")
_USER = re.compile(r"(://[^/?#\s:@]*):[^/?#\s]*@")
_QUERY = re.compile(r"([?&][^=&\s]*(?:password|passwd|secret|token|key)[^=&\s]*=)[^&\s]*", re.IGNORECASE)

#: How a URL of each kind of store is written, by scheme.
FOLDERS: Mapping[str, str] = MappingProxyType(
    {"file": "file:///absolute/folder", "s3": "s3://bucket/prefix"},
)
DATABASES: Mapping[str, str] = MappingProxyType(
    {"sqlite": "sqlite:////absolute/file.db", "postgresql": "postgresql://user@host/database"},
)


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder of files: `path` is absolute for ``file``, and ``bucket/prefix`` for ``s3``."""

    scheme: str
    path: str

    @property
    def url(self) -> str:
        """The folder as it was written."""
        return f"{self.scheme}://{self.path}"


def redacted(text: str) -> str:
    """`text` with every password of a URL in it replaced by ``***``."""
    return _QUERY.sub(r"\1***", _USER.sub(r"\1:***@", text))


def scheme(url: str, valid: Mapping[str, str], what: str) -> str:
    """The scheme of `url`, which must be one of `valid`; `what` names the setting in the refusal."""
    written = " or ".join(f"`{example}`" for example in valid.values())
    found = _SCHEME.match(url)
    if found is None:
        cure = f"Write it as `file://{url}`." if url.startswith("/") and "file" in valid else f"Write {written}."
        raise BadInput(f"The {what} are chosen by a URL; `{redacted(url)}` is none. {cure}")
    word = found.group(1).lower()
    if word not in valid:
        raise BadInput(f"The {what} cannot lie at `{redacted(url)}`: `{word}` is not served. {nearest(word, valid)}")
    return word


def folder(url: str, what: str = "tables") -> Folder:
    """The folder that `url` names: ``file:///path`` or ``s3://bucket/prefix``."""
    word = scheme(url, FOLDERS, what)
    rest = url.partition("://")[2]
    if word == "file":
        path = unquote(rest)
        if not path.startswith("/"):
            raise BadInput(f"`{url}` must name an absolute folder, with three slashes: `file:///{path}`.")
        return Folder("file", str(PurePosixPath(path)))
    if "@" in rest or "?" in rest:
        raise BadInput(
            f"`{redacted(url)}` may hold only a bucket and a prefix, `s3://bucket/prefix`. "
            "Credentials and endpoint come from the environment (AWS_ACCESS_KEY_ID, AWS_ENDPOINT_URL, …)."
        )
    path = "/".join(part for part in rest.split("/") if part)
    if not path:
        raise BadInput(f"`{url}` names no bucket. Write `s3://bucket/prefix`.")
    return Folder("s3", path)
