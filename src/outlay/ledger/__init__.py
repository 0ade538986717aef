"""The ledger: canonical tables, the store that holds them, the engines that read them, and reconciliation."""
