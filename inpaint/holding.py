"""The one model in memory: another lets it go first, for two may not fit."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from threading import Lock
from typing import Any, TypeVar

from inpaint.devices import free_unused

T = TypeVar("T")
_lock = Lock()
_last: dict[Hashable, Any] = {}


def held(key: Hashable) -> Any:
    """Return what is held under a key; None if that is not what is held."""
    return _last.get(key)


def instead(key: Hashable, make: Callable[[], T]) -> T:
    """Let go of what is held, then make and hold something else.

    Of two threads that ask for the same, the second gets what the first has made.
    """
    with _lock:
        if key not in _last:
            let_go()
            _last[key] = make()
        found: T = _last[key]
        return found


def let_go() -> None:
    """Free the memory of what is held, unless somebody else still uses it."""
    _last.clear()
    free_unused()
