"""``[[gateway.routes]]``: which calls go to another model than they ask for."""
