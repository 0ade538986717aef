"""Readers of ``costs``: what was billed, one file a bill's format."""
