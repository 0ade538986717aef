"""``python -m outlay`` is the same command as ``outlay``."""

from __future__ import annotations

from outlay.cli import main

if __name__ == "__main__":
    main()
