"""Gives the reference the constructors that attrs and msgspec make, and makes docstrings Markdown throughout.

Griffe reads the source without running it, so it takes a class of attrs or a `msgspec.Struct` for one without
parameters. Here each such class is imported, and what it can be called with is asked of the class itself; annotations
are taken from the source, as they are written there.

Docstrings are Markdown but for two things that read better in the source: blocks after ``::``, and tables with rules.
"""

from __future__ import annotations

import inspect
import re
from importlib import import_module
from typing import TYPE_CHECKING

from griffe import Alias, Class, Extension, Function, Module, Object, Parameter, ParameterKind, Parameters

if TYPE_CHECKING:
    from griffe import Expr

_KINDS = {
    inspect.Parameter.POSITIONAL_ONLY: ParameterKind.positional_only,
    inspect.Parameter.POSITIONAL_OR_KEYWORD: ParameterKind.positional_or_keyword,
    inspect.Parameter.VAR_POSITIONAL: ParameterKind.var_positional,
    inspect.Parameter.KEYWORD_ONLY: ParameterKind.keyword_only,
    inspect.Parameter.VAR_KEYWORD: ParameterKind.var_keyword,
}


_RULED_TABLE = re.compile(r"^=+(?: +=+)+\n.*?^=+(?: +=+)+$", re.MULTILINE | re.DOTALL)
_LITERAL_MARK = re.compile(r"(?:^|(?<=:)):{1,2}$(?=\n\n    )", re.MULTILINE)


class Readable(Extension):
    """Adds ``__init__`` to classes of attrs and msgspec, and makes docstrings Markdown."""

    def on_package(self, *, pkg: Module, **_: object) -> None:
        """Walk over a package that was read."""
        _make_markdown(pkg)
        _walk(pkg)


def _make_markdown(owner: Object) -> None:
    if owner.docstring is not None:
        text = _LITERAL_MARK.sub("", owner.docstring.value)
        owner.docstring.value = _RULED_TABLE.sub(lambda table: f"```text\n{table[0]}\n```", text)


def _walk(parent: Module | Class) -> None:
    for member in list(parent.members.values()):
        if isinstance(member, Alias):
            continue
        _make_markdown(member)
        if isinstance(member, Class):
            if "__init__" not in member.members:
                _add_constructor(member)
            _walk(member)
        elif isinstance(member, Module) and member.name != "__main__":
            _walk(member)


def _add_constructor(class_: Class) -> None:
    owner: object = import_module(class_.module.path)
    for name in class_.path.removeprefix(f"{class_.module.path}.").split("."):
        owner = getattr(owner, name, None)  # a class that is there for type checkers only is not
    if not (hasattr(owner, "__attrs_attrs__") or hasattr(owner, "__struct_fields__")):
        return
    parameters = [Parameter("self", kind=ParameterKind.positional_or_keyword)]
    for parameter in inspect.signature(owner).parameters.values():
        default = None if parameter.default is parameter.empty else _shown(parameter.default)
        parameters.append(
            Parameter(
                parameter.name,
                annotation=_annotation(class_, parameter.name),
                kind=_KINDS[parameter.kind],
                default=default,
            )
        )
    class_.set_member(
        "__init__", Function("__init__", parameters=Parameters(*parameters), returns="None", parent=class_)
    )


def _annotation(class_: Class, name: str) -> Expr | str | None:
    for owner in (class_, *class_.mro()):
        for spelling in (name, f"_{name}"):
            if spelling in owner.members:
                return owner.members[spelling].annotation
    return None


def _shown(default: object) -> str:
    """Return a default as the source would write it; one that is made anew for each instance is three dots."""
    if default is inspect.Parameter.empty or type(default).__name__ in {"Factory", "NothingType", "_Nothing"}:
        return "..."
    if isinstance(default, type) or callable(default):
        return getattr(default, "__name__", "...")
    if hasattr(default, "name") and hasattr(default, "value"):
        return f"{type(default).__name__}.{default.name}"
    text = repr(default)
    return "..." if text.startswith("<") else text
