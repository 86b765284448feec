"""The page, in Gradio.

Whenever Gradio is imported it parses the source of each of its components, and renders a `.pyi`
file for editors beside it: half of the time that its import takes. From here on it does not, nor
for components of our own.
"""

from __future__ import annotations

import sys
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import ModuleType
from typing import Any

WRITER = "gradio.component_meta"
"""The module that writes the files."""


def _write_nothing(module: ModuleType) -> None:
    if hasattr(module, "create_or_modify_pyi"):
        module.create_or_modify_pyi = lambda *_: None  # type: ignore[attr-defined]


class _Quiet(SourceFileLoader):
    def exec_module(self, module: ModuleType) -> None:
        super().exec_module(module)
        _write_nothing(module)


class _Finder(MetaPathFinder):
    def find_spec(self, name: str, path: Any, target: Any = None) -> ModuleSpec | None:
        """Find the writer where it is, and nothing else."""
        spec = PathFinder.find_spec(name, path, target) if name == WRITER else None
        if spec and spec.origin and isinstance(spec.loader, SourceFileLoader):
            spec.loader = _Quiet(name, spec.origin)
        return spec


if WRITER in sys.modules:
    _write_nothing(sys.modules[WRITER])
else:
    sys.meta_path.insert(0, _Finder())
