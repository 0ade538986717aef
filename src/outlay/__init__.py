"""Outlay: open-source, self-hosted FinOps for AI.

Every AI dollar visible, priced as of its date and attributed; every figure with a receipt. The package is laid out as
the FinOps Framework is: facts come in through :mod:`outlay.sources`, stand in :mod:`outlay.ledger`, are read through
:mod:`outlay.metrics`, and what can be saved is found by :mod:`outlay.optimize`. Importing :mod:`outlay` itself costs
nothing: the engines are loaded where they are used.
"""

__version__ = "0.1.0"

__all__ = ["__version__"]
