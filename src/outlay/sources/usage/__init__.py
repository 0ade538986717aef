"""Readers of ``requests``: what was asked of models. One file a source system."""
