"""Requests in each provider's own words: what carrying out a purchase would send.

- :mod:`request` the request, what it still misses, and which provider's words a purchase is put in;
- :mod:`aws`, :mod:`azure`, :mod:`gcp` the words.

Nothing is sent from here.
"""
