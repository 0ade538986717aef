"""How a row of a bill is recognised as AI: one file a kind of evidence, joined by :mod:`outlay.sources.recognise`."""
