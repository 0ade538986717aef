"""Readers of usage."""
