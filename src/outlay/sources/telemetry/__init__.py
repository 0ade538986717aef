"""Readers of ``gpu_usage``: what GPUs did, hour by hour. One file a source system."""
