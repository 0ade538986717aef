"""What a prompt shows at a glance: length, code, digits, questions, language, words.

Read within microseconds and without a model, so that a gateway can do it on each call. Shares and logarithms keep long
prompts from drowning the rest. Words go into a fixed number of buckets by CRC-32, which is the same on every
machine and in every process, as Python's own ``hash`` is not; their weights have a length of
1, so that they say which words there are and not how many.

The trap: these are surface marks of the prompts that were logged. What they tell of other prompts is not known.
"""

from __future__ import annotations

import math
import re
import zlib
from collections import Counter

__all__ = ["BUCKETS", "FEATURES", "VERSION", "dense", "words"]

VERSION = 1
"""Changes whenever a feature does: weights of another version can't be used."""
BUCKETS = 256
FEATURES = (
    "log_chars",
    "log_words",
    "log_lines",
    "mean_word",
    "digits",
    "capitals",
    "code_marks",
    "maths_marks",
    "beyond_ascii",
    "log_questions",
    "question_words",
    "code_fence",
    "choices",
)
_READ = 8000
"""Characters that are looked at beyond counting them: what a prompt is shows early."""
_WORD = re.compile(r"\w+")
_QUESTION_WORDS = frozenset(
    {
        "analyse", "analyze", "compare", "derive", "design", "explain", "how", "prove", "solve", "what", "when",
        "where", "which", "who", "why",
    }
)  # fmt: skip
_CODE = frozenset("{}[]();<>=_`#\\")
_MATHS = frozenset("+-*/^%=$<>")
_CHOICE = re.compile(r"(?m)^\s*\(?[A-E][.):]\s")


def dense(prompt: str) -> tuple[float, ...]:
    """The values of :data:`FEATURES`."""
    head = prompt[:_READ]
    found = [one.lower() for one in _WORD.findall(head)]
    size = max(1, len(head))
    return (
        math.log1p(len(prompt)),
        math.log1p(len(found)),
        math.log1p(head.count("\n")),
        sum(map(len, found)) / max(1, len(found)),
        sum(map(str.isdigit, head)) / size,
        sum(map(str.isupper, head)) / size,
        sum(one in _CODE for one in head) / size,
        sum(one in _MATHS for one in head) / size,
        0.0 if head.isascii() else sum(one > "\x7f" for one in head) / size,
        math.log1p(head.count("?")),
        sum(one in _QUESTION_WORDS for one in found) / max(1, len(found)),
        float("```" in head),
        float(len(_CHOICE.findall(head)) >= 2),
    )


def words(prompt: str) -> dict[int, float]:
    """The weights of the buckets that the prompt's words fall into; squared they add up to 1."""
    counts = Counter(one.lower() for one in _WORD.findall(prompt[:_READ]))
    found: dict[int, float] = {}
    for word, number in sorted(counts.items()):
        bucket = zlib.crc32(word.encode()) % BUCKETS
        found[bucket] = found.get(bucket, 0.0) + 1.0 + math.log(number)
    length = math.sqrt(sum(one * one for one in found.values()))
    return {bucket: one / length for bucket, one in found.items()}
