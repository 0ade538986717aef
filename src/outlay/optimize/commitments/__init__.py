"""GPU commitments: what to commit, what not, and what it risks.

A commitment is the dearest decision of AI infrastructure and the least reversible: one to three years of an hourly
promise, made on weeks of history. This room goes from hourly demand to a verdict a pool:

- :mod:`demand` what was needed, hour by hour, and which hours nobody knows; :mod:`demand_file` reads it;
- :mod:`offer` what is for sale and on which terms; :mod:`offer_file` reads it, :mod:`table_offers` finds it in tables;
- :mod:`stability` whether the baseline is steady enough to promise anything;
- :mod:`sizing` how much: the exact optimum of a history, and the cap on it; :mod:`programme` for commitments that
  several pools share;
- :mod:`price_history` and :mod:`price_decline` how fast the GPU gets cheaper, :mod:`market` what a plan takes of that;
- :mod:`futures` and :mod:`risk` what may come, and what a quantity gains or loses in it;
- :mod:`verdict` commit, wait or never, in words; :mod:`plan` the whole of it;
- :mod:`document` the plan as it is approved and carried out: its purchases (:mod:`purchase`), the guardrails, the
  conditions at the purchase, the requests of each provider (:mod:`native`), under one :mod:`seal`.

A figure over the given history is exact. A figure over the term of a commitment is an estimate, and says so.
"""
