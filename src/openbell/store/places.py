"""Two places for files, one contract: a file is there whole or not at all."""

from __future__ import annotations

import contextlib
import datetime as dt
import errno
import importlib
import os
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from openbell.core.errors import BadInput, StorageFailed, nearest
from openbell.store.urls import folder

#: Options of an S3-compatible service. Without any of them the libraries read all from the environment.
S3_OPTIONS = (
    "aws_access_key_id",
    "aws_secret_access_key",
    "aws_session_token",
    "aws_region",
    "aws_endpoint_url",
)

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_FORBIDDEN = (errno.EROFS, errno.EACCES, errno.EPERM)


@dataclass(frozen=True, slots=True)
class Stored:
    """A file of a place: its name (below the place), its size and when it was last written."""

    name: str
    size_bytes: int
    modified_at: dt.datetime


class Place(Protocol):
    """A folder of files, each written once and whole."""

    @property
    def url(self) -> str:
        """Where it is."""

    def put(self, name: str, content: bytes) -> None:
        """Write `content` as the file `name`: whole and durable on return, or not at all."""

    def get(self, name: str) -> bytes:
        """The content of the file `name`."""

    def files(self, under: str) -> list[Stored]:
        """Every file below the folder `under`, sorted by name; none where the folder is absent."""

    def remove(self, name: str) -> None:
        """Remove the file `name`."""

    def uri(self, name: str) -> str:
        """What Polars reads the file `name` by."""

    @property
    def scan_options(self) -> dict[str, str]:
        """What Polars needs to read from here."""


@contextlib.contextmanager
def _told(place: Place, doing: str, secrets: tuple[str, ...] = ()) -> Iterator[None]:
    """Turn what the operating system or the service says into the house's sentence."""
    try:
        yield
    except OSError as failure:
        said = failure.strerror or str(failure)
        for secret in secrets:
            said = said.replace(secret, "***")
        if failure.errno in _FULL:
            sentence = f"The disk of {place.url} is full ({said}) while {doing}. Free some space and run it again"
        elif failure.errno in _FORBIDDEN:
            sentence = f"{place.url} may not be used ({said}) while {doing}. Mend its permissions or choose another"
        else:
            sentence = f"{place.url} failed ({said}) while {doing}. Mend it and run it again"
        # A service's own exception may carry what was sent to it, so that it is not chained where secrets are known.
        raise StorageFailed(f"{sentence}; nothing half-written can be seen.") from (None if secrets else failure)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _make(path: Path) -> None:
    """Make the folder `path` durably: a new name counts only once the folder above it is on the disk."""
    if not path.is_dir():
        _make(path.parent)
        path.mkdir(exist_ok=True)
        _sync(path.parent)


@dataclass(frozen=True)
class Disk:
    """A folder of this machine."""

    root: Path

    @property
    def url(self) -> str:
        """Where it is."""
        return f"file://{self.root}"

    @property
    def scan_options(self) -> dict[str, str]:
        """Nothing is needed to read a disk."""
        return {}

    def put(self, name: str, content: bytes) -> None:
        """Write beside, sync, rename, sync the folder: a kill leaves the old state or the new one."""
        path = self.root / name
        beside = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}.part")
        with _told(self, f"writing {name} ({len(content):,} bytes)"):
            _make(path.parent)
            try:
                with beside.open("wb") as file:
                    file.write(content)
                    file.flush()
                    os.fsync(file.fileno())
                os.replace(beside, path)
            except BaseException:
                with contextlib.suppress(OSError):
                    beside.unlink()
                raise
            _sync(path.parent)

    def get(self, name: str) -> bytes:
        """The content of the file `name`."""
        with _told(self, f"reading {name}"):
            return (self.root / name).read_bytes()

    def files(self, under: str) -> list[Stored]:
        """Every file below `under`, temporary ones included."""
        found = []
        with _told(self, f"listing {under}"):
            for path in (self.root / under).rglob("*"):
                with contextlib.suppress(FileNotFoundError):  # another writer's temporary file, gone meanwhile
                    about = path.stat()
                    if path.is_file():
                        moment = dt.datetime.fromtimestamp(about.st_mtime, dt.UTC)
                        found.append(Stored(path.relative_to(self.root).as_posix(), about.st_size, moment))
        return sorted(found, key=lambda stored: stored.name)

    def remove(self, name: str) -> None:
        """Remove the file `name`; one that is gone already is no error."""
        with _told(self, f"removing {name}"):
            (self.root / name).unlink(missing_ok=True)

    def uri(self, name: str) -> str:
        """The path of the file `name`."""
        return str(self.root / name)


@dataclass(frozen=True)
class Bucket:
    """A prefix of a bucket on an S3-compatible service. `options` never show."""

    path: str
    options: Mapping[str, str] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        for name in self.options:
            if name not in S3_OPTIONS:
                raise BadInput(f"`{name}` is not an option of s3://. {nearest(name, S3_OPTIONS)}")

    @property
    def url(self) -> str:
        """Where it is."""
        return f"s3://{self.path}"

    @property
    def scan_options(self) -> dict[str, str]:
        """The options, in the words of Polars."""
        plain = self.options.get("aws_endpoint_url", "").startswith("http://")
        return {**self.options, **({"aws_allow_http": "true"} if plain else {})}

    @cached_property
    def _service(self) -> Any:
        # Imported here because it costs 0.3 s, which a store on the disk need not pay.
        fs = importlib.import_module("pyarrow.fs")
        if not self.options:
            # Only this way in reads AWS_ENDPOINT_URL, as Polars does; the plain constructor ignores it.
            return fs.FileSystem.from_uri(f"s3://{self.path}?allow_delayed_open=true")[0]
        endpoint = urlsplit(self.options.get("aws_endpoint_url", ""))
        given = {
            "access_key": self.options.get("aws_access_key_id"),
            "secret_key": self.options.get("aws_secret_access_key"),
            "session_token": self.options.get("aws_session_token"),
            "region": self.options.get("aws_region"),
            "endpoint_override": endpoint.netloc or None,
            "scheme": endpoint.scheme or None,
        }
        return fs.S3FileSystem(
            **{name: value for name, value in given.items() if value is not None},
            background_writes=False,
            allow_delayed_open=True,
            connect_timeout=10,
        )

    @property
    def _secrets(self) -> tuple[str, ...]:
        return tuple(value for name, value in self.options.items() if "endpoint" not in name and "region" not in name)

    def put(self, name: str, content: bytes) -> None:
        """One upload, which the service shows when it is complete."""
        with (
            _told(self, f"writing {name} ({len(content):,} bytes)", self._secrets),
            self._service.open_output_stream(f"{self.path}/{name}") as stream,
        ):
            stream.write(content)

    def get(self, name: str) -> bytes:
        """The content of the object `name`."""
        with (
            _told(self, f"reading {name}", self._secrets),
            self._service.open_input_file(f"{self.path}/{name}") as stream,
        ):
            return bytes(stream.read())

    def files(self, under: str) -> list[Stored]:
        """Every object below `under`."""
        fs = importlib.import_module("pyarrow.fs")
        selector = fs.FileSelector(f"{self.path}/{under}", allow_not_found=True, recursive=True)
        with _told(self, f"listing {under}", self._secrets):
            found = self._service.get_file_info(selector)
        return sorted(
            (
                Stored(info.path.removeprefix(f"{self.path}/"), int(info.size), info.mtime.astimezone(dt.UTC))
                for info in found
                if info.type == fs.FileType.File
            ),
            key=lambda stored: stored.name,
        )

    def remove(self, name: str) -> None:
        """Remove the object `name`."""
        with _told(self, f"removing {name}", self._secrets), contextlib.suppress(FileNotFoundError):
            self._service.delete_file(f"{self.path}/{name}")

    def uri(self, name: str) -> str:
        """The URL of the object `name`."""
        return f"s3://{self.path}/{name}"


def place(url: str, options: Mapping[str, str] | None = None, what: str = "tables") -> Place:
    """The place that `url` names. `options` are for ``s3://`` alone (see `S3_OPTIONS`)."""
    found = folder(url, what)
    if found.scheme == "s3":
        return Bucket(found.path, dict(options or {}))
    return Disk(Path(found.path))
