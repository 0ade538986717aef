"""Readers of ``runs``: training runs and other jobs, and how they ended. One file a source system."""
