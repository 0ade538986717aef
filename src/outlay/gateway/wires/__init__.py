"""The APIs that callers speak: how much a call may use, and what its answer says that it used."""
