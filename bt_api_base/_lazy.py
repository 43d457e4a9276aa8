"""Public names of a package that are loaded when they are first used (PEP 562)."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def lazy_names(package: str, modules: Mapping[str, str]) -> tuple[Callable[[str], object], Callable[[], list[str]]]:
    """Return ``__getattr__`` and ``__dir__`` for a package.

    Assign them where type checkers do not look, so that a misspelt name stays an error for them; what they see instead
    are imports of the form ``X as X`` under `TYPE_CHECKING`.

    Args:
        package: The package's ``__name__``.
        modules: The submodule, by its name inside the package, that each public name comes from.
    """

    def get_attribute(name: str) -> object:
        module = modules.get(name)
        if module is None:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value: object = getattr(import_module(f"{package}.{module}"), name)
        setattr(sys.modules[package], name, value)
        return value

    def list_attributes() -> list[str]:
        return sorted({*vars(sys.modules[package]), *modules})

    return get_attribute, list_attributes


__all__ = ("lazy_names",)
