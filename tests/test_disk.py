"""A file is put in the place of another whole, or the other one stays."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from outlay.disk import write_whole

_BOUNDED = """
import resource, signal, sys
from pathlib import Path
from outlay.disk import write_whole
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    write_whole(Path(sys.argv[1]), b"n" * 5000)
except OSError:
    sys.exit(7)
"""


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    write_whole(path, b"old")
    write_whole(path, b"new" * 1000)
    assert path.read_bytes() == b"new" * 1000
    assert list(tmp_path.iterdir()) == [path]


def test_a_disk_that_is_full_leaves_the_old_one(tmp_path: Path) -> None:
    """A limit on the size of files stops the write half way, as a full disk does."""
    path = tmp_path / "plan.json"
    path.write_bytes(b"old")
    done = subprocess.run([sys.executable, "-c", _BOUNDED, str(path)], check=False)
    assert done.returncode == 7
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_is_not_replaced(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    with pytest.raises(OSError, match="folder"):
        write_whole(folder, b"new")
    assert list(tmp_path.iterdir()) == [folder]
