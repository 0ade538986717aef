"""Where facts come from.

One file a source system, each turning that system's own format into canonical rows and problems.
"""
