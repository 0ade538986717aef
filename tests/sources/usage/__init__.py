"""Usage reports of providers."""
