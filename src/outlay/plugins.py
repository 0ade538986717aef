"""The plugin registry: built-ins first, then installed packages' entry points."""

from __future__ import annotations

from functools import cache
from importlib import import_module

import pluggy

from outlay import hookspecs

__all__ = ["ENTRY_POINT_GROUP", "plugin_manager"]

ENTRY_POINT_GROUP = "outlay"
_BUILT_INS = ("outlay.sources.builtin", "outlay.optimize.builtin")


@cache
def plugin_manager() -> pluggy.PluginManager:
    """The one manager of this process."""
    manager = pluggy.PluginManager("outlay")
    manager.add_hookspecs(hookspecs)
    for name in _BUILT_INS:
        manager.register(import_module(name), name)
    manager.load_setuptools_entrypoints(ENTRY_POINT_GROUP)
    return manager
