"""Where facts come from.

One file a source system, each turning that system's own format into canonical rows and problems. They stand in the
rooms ``bills``, ``usage``, ``telemetry``, ``runs`` and ``records``, by what they tell; the modules around them find a
path's readers, check what they say, and load it.
"""
