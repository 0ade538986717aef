"""The plan as a document that can be carried out: purchases, guardrails, conditions, hash, native requests."""
