"""Spot capacity for training: what being interrupted costs, and whether the lower price makes up for it.

Spot capacity is cheap because it can be taken away. A job that saves checkpoints pays for that three times: for the
saves, for the work since the last save that is lost, and for coming back. From a rate of interruptions, or from a
trace of real capacity, to a verdict:

- :mod:`checkpoint` the formulas: how often to save, and the time up that a job then takes;
- :mod:`availability` a trace of capacity, how long it stays, and whether that looks memoryless; :mod:`trace_file`
  reads it;
- :mod:`replay` the same job, run over the trace itself, with a deadline or without;
- :mod:`estimate` spot or on-demand, in money; :mod:`wording` says it.

Prices are given and exact. Everything else is an estimate, and says so.
"""
