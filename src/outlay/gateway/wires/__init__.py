"""The APIs that callers speak, one file each: how much a call may use, and what its answer says that it used."""
