"""GPU commitments: what to commit, what not, and what it risks.

A commitment is the dearest decision of AI infrastructure and the least reversible: one to three years of an hourly
promise, made on weeks of history. This room goes from hourly demand to a verdict a pool:

- :mod:`demand` what was needed, hour by hour, and which hours nobody knows; from a file (:mod:`demand_file`) or the
  ledger (:mod:`ledger_pools`); :mod:`offers` what is for sale; :mod:`holdings` what is owned; :mod:`inputs` all three;
- :mod:`stability` whether the baseline is steady enough to promise anything;
- :mod:`sizing` how much: the exact optimum of a history, and the cap on it; :mod:`programme` and :mod:`union` for
  commitments that several pools share;
- :mod:`outlook` what may come of demand and prices, and what a quantity gains or loses in it;
- :mod:`option`, :mod:`verdict`, :mod:`ladder` and :mod:`plan` the recommendation: commit, wait or never, in words;
- :mod:`foresight` what following the plan would have cost, beside those who knew all and nothing;
- :mod:`standing` what was recommended before, and since when it holds; :mod:`sealed` the plan as a document that can be
  approved and carried out.

A figure over the given history is exact. A figure over the term of a commitment is an estimate, and says so.
"""
