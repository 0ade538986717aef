"""Outlay's quotas for a LiteLLM proxy: held before each attempt at a provider, settled after it.

It runs in LiteLLM's process, so it imports nothing of Outlay but itself: ``pip install --no-deps outlay`` beside
LiteLLM is enough.
"""
