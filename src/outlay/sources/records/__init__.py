"""Readers of what people and providers write down: ``commitments``, ``outcomes`` and ``alerts``. One file a format."""
