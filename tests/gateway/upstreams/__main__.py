"""``python -m tests.gateway.upstreams PROVIDER [PORT]``: runs until its standard input ends."""

from __future__ import annotations

import json
import sys

from tests.gateway.upstreams import upstream

if __name__ == "__main__":
    port = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    with upstream(sys.argv[1]).in_thread(port) as running:
        print(json.dumps({"url": running.url, "secret": running.secret}), flush=True)
        sys.stdin.read()
