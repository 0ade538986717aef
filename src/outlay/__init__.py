"""Outlay: open-source, self-hosted FinOps for AI.

Every AI dollar visible, priced as of its date and attributed; every figure with a receipt. The package is laid out as
the FinOps Framework is: facts come in through :mod:`outlay.sources`, stand in :mod:`outlay.ledger`, are read through
:mod:`outlay.metrics`, and what can be saved is found by :mod:`outlay.optimize`. Importing :mod:`outlay` itself costs
nothing: the engines are loaded where they are used, and ``outlay.training_run`` where it is called.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from outlay.sdk.training_run import training_run as training_run

__version__ = "0.1.0"

__all__ = ["__version__", "training_run"]

if not TYPE_CHECKING:  # a type checker that saw this would believe in any name

    def __getattr__(name: str) -> object:
        if name == "training_run":
            from outlay.sdk.training_run import training_run

            return training_run
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
