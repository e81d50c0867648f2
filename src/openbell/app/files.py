"""Files that are whole or absent: written beside their place, then renamed into it."""

from __future__ import annotations

import contextlib
import errno
import glob
import os
from pathlib import Path

from openbell.core.errors import StorageFailed


def storage_failure(path: Path, failure: OSError) -> StorageFailed:
    """What the disk refused, as a sentence with the cure."""
    if failure.errno in (errno.ENOSPC, errno.EDQUOT):
        return StorageFailed(
            f"There is no room left to write {path}; nothing was half-written. Free some and run again."
        )
    if failure.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return StorageFailed(
            f"{path} cannot be written ({failure.strerror}). Choose a writable folder with --home or --out."
        )
    return StorageFailed(f"{path} could not be written: {failure.strerror or failure}.")


def write_whole(path: Path, content: str | bytes) -> None:
    """Write `content` so that a reader, or a run that is killed, finds the old file or the new one."""
    data = content.encode() if isinstance(content, str) else content
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _clear(path)
        with beside.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError as failure:
        with contextlib.suppress(OSError):
            beside.unlink()
        raise storage_failure(path, failure) from failure


def _clear(path: Path) -> None:
    """Remove what runs that were killed while they wrote `path` left beside it."""
    for left in path.parent.glob(f".{glob.escape(path.name)}.*.part"):
        writer = left.name.removesuffix(".part").rpartition(".")[2]
        if writer.isdigit() and not alive(int(writer)):
            left.unlink(missing_ok=True)


def alive(process: int) -> bool:
    """Whether another process of this number runs; for this one False: what it left, it no longer writes."""
    if process == os.getpid():
        return False
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
