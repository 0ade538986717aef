"""Quotas: how much a team, a key or a model may use in a window, held before a call and settled after it."""
