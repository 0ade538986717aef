"""Optimize: what is overspent, why, and on which rows that rests.

One detector a file; :mod:`outlay.optimize.overspend` adds them up.
"""
