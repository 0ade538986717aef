"""What all tests share: property tests have no deadline, as a first call may load an engine."""

from __future__ import annotations

import os

from hypothesis import settings

# In CI, Hypothesis' own "ci" profile (no deadline, the same examples in every run) is the right one.
if "CI" not in os.environ:
    settings.register_profile("outlay", deadline=None)
    settings.load_profile("outlay")
