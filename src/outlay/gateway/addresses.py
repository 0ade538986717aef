"""Where the gateway listens, and who may come there."""

from __future__ import annotations

import errno
import ipaddress
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from outlay.config.gateway import GatewaySettings
from outlay.errors import ConfigError, UsageError

__all__ = ["admin_token", "listening", "name_of", "peers_secret"]

_LEAST_SECRET = 16


def admin_token(settings: GatewaySettings, environment: Mapping[str, str]) -> str:
    """The admin's secret; none is needed where only this machine reaches the port. Raises :class:`UsageError`."""
    token = environment.get(settings.admin_token_env, "")
    if settings.admin_listen is not None and not token and not _is_loopback(settings.admin_listen):
        raise UsageError(
            "is open to other machines, and nobody has to say who they are.",
            where=f"admin_listen {settings.admin_listen}",
            hint=f"Put a secret into the environment variable {settings.admin_token_env}.",
        )
    return token


def peers_secret(settings: GatewaySettings, environment: Mapping[str, str]) -> str:
    """The secret of other gateways, which their port is not opened without. Raises :class:`UsageError`."""
    secret = environment.get(settings.peers_secret_env, "").strip()
    if settings.peers_listen is not None and len(secret) < _LEAST_SECRET:
        raise UsageError(
            f"needs a secret of {_LEAST_SECRET} characters or more: who reaches it can use up budgets.",
            where=f"peers_listen {settings.peers_listen}",
            hint=f"Put one into the environment variable {settings.peers_secret_env}, there and here.",
        )
    return secret


@contextmanager
def listening(address: str, option: str) -> Iterator[socket.socket]:
    """A socket that listens there. Raises :class:`ConfigError` and :class:`UsageError`."""
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
    """The address that a socket listens on."""
    host, port = listener.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _is_loopback(address: str) -> bool:
    host = address.rpartition(":")[0].strip("[]")
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
