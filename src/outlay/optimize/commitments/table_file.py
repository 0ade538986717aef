"""What is wrong with a CSV file that a person made: the slips of a spreadsheet, told as what to do about them.

A spreadsheet with a European locale parts cells by ``;`` and writes ``1,26``; one that saves "text" parts them by tabs
or writes UTF-16; one that is not exported at all is a zip file. Nothing is guessed: ``1,260`` has two meanings.
"""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["decimal_comma", "foreign_separator", "unreadable"]

_SEPARATORS = {";": "semicolons", "\t": "tabs"}


def foreign_separator(header: Sequence[str | None]) -> str | None:
    """How the cells are parted where a header that was split at commas shows that it is not by them."""
    for sign, name in _SEPARATORS.items():
        if any(sign in (cell or "") for cell in header):
            return name
    return None


def decimal_comma(text: str) -> str | None:
    """``1,26`` with a point; None for what is not such a number."""
    whole, comma, rest = text.strip().partition(",")
    digits = whole.removeprefix("-") + rest
    return f"{whole}.{rest}" if comma and rest and digits.isascii() and digits.isdecimal() else None


def unreadable(error: OSError | UnicodeDecodeError) -> tuple[str, str]:
    """What is wrong with a file that gave no text, and what to do."""
    if isinstance(error, UnicodeDecodeError):
        return "is not text in UTF-8.", "A spreadsheet must be exported: save it as CSV UTF-8, parted by commas."
    return f"can't be read: {error.strerror or error}.", ""
