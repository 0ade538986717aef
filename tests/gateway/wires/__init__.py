"""The APIs of the callers."""
