"""Engines that read the ledger. DuckDB is embedded; the same compiled definitions run on Spark."""
