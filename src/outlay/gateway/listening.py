"""The addresses that a gateway listens on."""

from __future__ import annotations

import errno
import ipaddress
import socket
from collections.abc import Iterator
from contextlib import contextmanager

from outlay.errors import ConfigError, UsageError

__all__ = ["is_loopback", "listening", "name_of"]


@contextmanager
def listening(address: str, option: str) -> Iterator[socket.socket]:
    """A socket that listens. Raises :class:`ConfigError` and :class:`UsageError`."""
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdecimal() or int(port) > 65535:
        raise ConfigError(f"'{address}' is no address.", where=f"[gateway] {option}", hint="Write HOST:PORT.")
    host = host.strip("[]")
    try:
        found = socket.create_server(
            (host, int(port)), family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=1024
        )
    except OSError as error:
        taken = error.errno == errno.EADDRINUSE
        hint = "Is it another gateway? Stop it, or give this one another address." if taken else "Try another address."
        why = "another process listens there" if taken else f"it can't be listened on: {error.strerror}"
        raise UsageError(f"{why}.", where=f"[gateway] {option} {address}", hint=hint) from None
    with found:
        yield found


def name_of(listener: socket.socket) -> str:
    """Where it listens, as an address has it."""
    host, port = listener.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def is_loopback(address: str) -> bool:
    """Whether only this machine reaches it."""
    host = address.rpartition(":")[0].strip("[]")
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
