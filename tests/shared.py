"""Where the shared reference data lies: real exports and samples that are too large for the repository."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

__all__ = ["shared"]

_REPOSITORY = Path(__file__).resolve().parent.parent


def shared(relative: str) -> Path:
    """The path of ``relative`` in the shared folder; skips the test, saying what is missing, if it is absent.

    The folder is ``$OUTLAY_SHARED``, else ``shared`` beside the repository. At module level (in a
    parametrization) a missing file skips the whole module.
    """
    folder = os.environ.get("OUTLAY_SHARED")
    path = (Path(folder) if folder else _REPOSITORY.parent / "shared") / relative
    if not path.exists():
        pytest.skip(
            f"needs shared data: {relative} is not there; set OUTLAY_SHARED to the folder that holds it",
            allow_module_level=True,
        )
    return path
