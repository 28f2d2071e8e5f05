"""The families of made-up programs: each file describes one or a few as ``FAMILIES``."""

from __future__ import annotations

import importlib
import pkgutil

from differential.frame import Family


def every_family() -> list[Family]:
    """The families of all files here, by name."""
    names = [f"{__name__}.{each.name}" for each in pkgutil.iter_modules(__path__)]
    found = [family for name in names for family in importlib.import_module(name).FAMILIES]
    return sorted(found, key=lambda family: family.name)
