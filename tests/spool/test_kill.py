"""A writer killed with SIGKILL at any moment has lost nothing that it acknowledged, and stored nothing twice."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from outlay.spool.segments import SEALED, Record, read_records, segments
from outlay.spool.writer import SpoolWriter

WRITER = """
import os, sys, threading
from pathlib import Path
from outlay.spool.writer import Limits, SpoolWriter
spool = SpoolWriter(Path(sys.argv[1]), Limits(segment_bytes=40_000, segment_seconds=0.02))
def work(worker):
    number = 0
    while True:
        name = f"{sys.argv[2]}-{worker}-{number}"
        spool.append(1, name.encode() + b" " * (number % 700))
        os.write(1, name.encode() + b"\\n")
        number += 1
for worker in range(4):
    threading.Thread(target=work, args=(worker,), daemon=True).start()
threading.Event().wait()
"""
_ROUNDS = 8


def test_what_was_acknowledged_survives_kills(tmp_path: Path) -> None:
    dice = random.Random(5)
    acknowledged: list[str] = []
    for number in range(_ROUNDS):
        with (tmp_path / "out").open("wb") as out:
            process = subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path / "spool"), str(number)], stdout=out)
            deadline = time.monotonic() + 20
            while (tmp_path / "out").stat().st_size < 2000 and time.monotonic() < deadline:
                time.sleep(0.005)
            time.sleep(dice.random() * 0.1)
            process.kill()
            assert process.wait() == -signal.SIGKILL
        *whole, _ = (tmp_path / "out").read_text().split("\n")
        acknowledged += whole

    SpoolWriter(tmp_path / "spool").close()

    found = []
    for path in segments(tmp_path / "spool", SEALED):
        for one in read_records(path):
            assert isinstance(one, Record)
            found.append(one.body.decode().rstrip())
    assert len(acknowledged) > _ROUNDS * 50
    assert len(found) == len(set(found))
    assert set(acknowledged) <= set(found)
    assert len(found) - len(acknowledged) <= _ROUNDS * 8, "only what was under way may be there unacknowledged"
