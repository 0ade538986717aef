"""The live data plane: calls of models metered and tagged, held before and settled after, in the providers' own APIs.

What stands on the request path imports no Ibis, DuckDB, Delta or Arrow.
"""
