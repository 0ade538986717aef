"""What the operating system is asked for where something must not be lost: bytes and names on the disk, and locks."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from outlay.errors import SpoolError

__all__ = ["Lock", "free_bytes", "make_folder", "sync_file", "sync_folder", "sync_paths", "write_all", "write_whole"]

_MOST_BUFFERS = 512
_WRITABLE = "Name a folder that may be written, on a disk that has room."


def write_all(descriptor: int, buffers: Sequence[bytes]) -> None:
    """Write all of ``buffers`` at the file's position. Raises OSError, with some of it written perhaps."""
    left = [memoryview(one) for one in buffers if one]
    while left:
        done = os.writev(descriptor, left[:_MOST_BUFFERS])
        while left and done >= len(left[0]):
            done -= len(left.pop(0))
        if done:
            left[0] = left[0][done:]


def sync_file(descriptor: int) -> None:
    """Return when the content of the file is on the disk itself. Raises OSError."""
    try:
        from fcntl import F_FULLFSYNC, fcntl  # type: ignore[attr-defined,unused-ignore]
    except ImportError:
        os.fdatasync(descriptor)
    else:  # macOS: fsync leaves it in the drive's cache
        fcntl(descriptor, F_FULLFSYNC)


def sync_folder(folder: Path) -> None:
    """Return when the names in ``folder`` (files made, renamed, removed) are on the disk. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_paths(paths: Iterable[Path]) -> None:
    """Return when these files and their names are on the disk. Raises OSError."""
    folders = set()
    for path in paths:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            sync_file(descriptor)
        finally:
            os.close(descriptor)
        folders.add(path.parent)
    for folder in folders:
        sync_folder(folder)


def write_whole(path: Path, content: bytes) -> None:
    """Put ``content`` in the place of the file, and return when it is on the disk: all of it, or what was there before.

    Raises OSError.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with partial.open("wb") as handle:
            handle.write(content)
            handle.flush()
            sync_file(handle.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    sync_folder(path.parent)


def make_folder(folder: Path) -> None:
    """Make a folder that only its owner may look into, and those above it; returns when they are on the disk."""
    missing = [one for one in (folder, *folder.parents) if not one.exists()]
    for one in reversed(missing):
        one.mkdir(exist_ok=True, mode=0o700 if one == folder else 0o777)
        sync_folder(one.parent)


def free_bytes(folder: Path) -> int:
    """What the disk of ``folder`` has left for this user."""
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize


_USUAL_HINT = "Stop it first, or use another ledger: one process at a time may do this."


class Lock:
    """A file that one process at a time holds; the system lets go of it when the process ends, however it ends."""

    def __init__(self, path: Path, whose: str, *, of: Path | None = None, hint: str = _USUAL_HINT) -> None:
        """Take it. Raises :class:`SpoolError` when another process has it; ``whose`` says what that one does.

        ``of`` is what the lock is for, where that is not its folder.
        """
        try:
            import fcntl
        except ImportError:
            raise SpoolError("needs a POSIX system (Linux, macOS).", where=str(path.parent)) from None
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise SpoolError(f"can't be written: {error.strerror}.", where=str(path), hint=_WRITABLE) from None
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = os.pread(self._descriptor, 20, 0).decode(errors="replace").strip() or "another"
            os.close(self._descriptor)
            raise SpoolError(
                f"process {holder} {whose} already.",
                where=str(of or path.parent),
                hint=hint,
            ) from None
        with suppress(OSError):  # a full disk: it is held all the same, and only who holds it is not told
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Let go of it."""
        os.close(self._descriptor)
