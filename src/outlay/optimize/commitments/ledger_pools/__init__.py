"""Demand from the ledger: pools of GPUs, hour by hour, from bills and telemetry."""
