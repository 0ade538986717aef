"""The durable way in for live events: append-only segments, acknowledged when on disk, taken up exactly once."""
