"""Routing: which calls a cheaper model answers as well, measured on logged prompts before anything is switched.

- :mod:`logged` prompts with a score and a cost of each model; :mod:`log_file` reads them;
- :mod:`dominance` whether one model is as good and no dearer, so that there is nothing to route;
- :mod:`curve` quality by the share of calls that the strong model gets, and what a share costs;
- :mod:`features` and :mod:`classifier` the local guess at which prompts need the strong model; :mod:`guess` is the part
  that a gateway asks, without numpy;
- :mod:`pair` one weak and one strong model: every way of routing between them, with intervals;
- :mod:`evaluation` all of it for a file; :mod:`document` and :mod:`wording` say it; :mod:`evidence` keeps what a rule
  of the gateway rests on.

Costs are given and exact. Quality is an estimate from a sample, and says so.
"""
