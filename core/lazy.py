"""Names of a package that are imported when they are first asked for (PEP 562)."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping


def exports(
    package: str,
    modules: Mapping[str, tuple[str, ...]],
    aliases: Mapping[str, str] | None = None,
) -> tuple[Callable[[str], object], Callable[[], list[str]]]:
    """What a package has to define so that `package.name` works and importing it costs nothing.

      __getattr__, __dir__ = exports(__name__, {"decode": ("read_image",), "jpeg": ("degrade",)})

    Args:
      package: its `__name__`.
      modules: names by the module, relative to the package, that defines them. The modules
        themselves are attributes, too.
      aliases: modules, relative to the package, by another name that they shall have.

    Returns:
      The package's `__getattr__` and `__dir__`.

    Raises:
      ValueError: if a name would hide a module or stands twice.
    """
    homes: dict[str, str] = {}
    others = dict(aliases or {})
    for module, names in modules.items():
        for name in names:
            if name in homes or name in modules or name in others:
                raise ValueError(f"{package} exports '{name}' twice")
            homes[name] = module

    def get(name: str) -> object:
        module = others.get(name) or homes.get(name, name)
        if name not in others and module not in modules:
            raise AttributeError(f"module '{package}' has no attribute '{name}'")
        found = importlib.import_module(f"{package}.{module}")
        value = getattr(found, name) if name in homes else found
        setattr(sys.modules[package], name, value)
        return value

    def public() -> list[str]:
        names = {*vars(sys.modules[package]), *modules, *homes, *others}
        return sorted(name for name in names if "." not in name and not name.startswith("_"))

    return get, public
