"""Tests of virtual keys."""
