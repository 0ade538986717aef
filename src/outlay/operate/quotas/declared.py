"""The quotas as the settings have them."""

from __future__ import annotations

from collections.abc import Sequence

from outlay.config.gateway import QuotaSettings
from outlay.errors import ConfigError
from outlay.operate.quotas.limit import parse_limit
from outlay.operate.quotas.quota import Quota, Scope, distinct

__all__ = ["quotas_of"]


def quotas_of(settings: Sequence[QuotaSettings]) -> tuple[Quota, ...]:
    """The quotas of ``[[quotas]]``. Raises :class:`ConfigError` that names the entry."""
    found = []
    for number, one in enumerate(settings, 1):
        scope = Scope.of(one.scope)
        try:
            limit = parse_limit(one.limit, one.window)
        except ConfigError as error:
            raise ConfigError(error.what, where=f"[[quotas]] entry {number}", hint=error.hint) from None
        name = one.id or (f"{scope} " if scope.wanted else "") + str(limit)
        slowest = int(one.throttle_seconds * 1000)
        found.append(Quota(name, scope, limit, one.throttle_at, slowest, one.mode))
    return distinct(found)
