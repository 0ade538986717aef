"""Operate: what keeps AI spend inside its limits, and who is told."""
