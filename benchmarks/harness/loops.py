"""Event loops by name: those we know, and ``[name=]module:factory`` for any other."""

from __future__ import annotations

import asyncio
import importlib
import importlib.metadata
import importlib.util
import platform
from collections.abc import Callable
from dataclasses import dataclass

LoopFactory = Callable[[], asyncio.AbstractEventLoop]

KNOWN = {
    "asyncio": "asyncio:SelectorEventLoop",
    "uvloop": "uvloop:new_event_loop",
    "zuvloop": "zuvloop:new_event_loop",
    "rloop": "rloop:new_event_loop",
    "rsloop": "rsloop:new_event_loop",
    "aiofastnet": "aiofastnet:loop_factory()",  # not a loop, but transports for asyncio's
    "veloop": "veloop:new_event_loop",
}


@dataclass(frozen=True)
class LoopSpec:
    name: str
    module: str
    factory: str  # with "()" at the end: what returns the factory

    @property
    def text(self) -> str:
        """What resolve() turns into this again, in another process."""
        return f"{self.name}={self.module}:{self.factory}"

    @property
    def installed(self) -> bool:
        try:
            return importlib.util.find_spec(self.module) is not None
        except ModuleNotFoundError:  # a dotted name whose parent is missing
            return False

    @property
    def version(self) -> str:
        if self.module == "asyncio":
            return platform.python_version()
        try:
            return importlib.metadata.version(self.module.partition(".")[0])
        except importlib.metadata.PackageNotFoundError:
            return "?"

    def load(self) -> LoopFactory:
        named = getattr(importlib.import_module(self.module), self.factory.removesuffix("()"))
        factory: LoopFactory = named() if self.factory.endswith("()") else named
        return factory


def resolve(text: str) -> LoopSpec:
    """``uvloop``, ``package.module:factory`` or ``short=package.module:factory``."""
    name, _, target = text.rpartition("=")
    target = KNOWN.get(target, target)
    module, colon, factory = target.partition(":")
    if not colon or not module or not factory:
        raise ValueError(f"unknown loop {text!r}: known are {', '.join(KNOWN)}, or give module:factory")
    return LoopSpec(name or (text if text in KNOWN else module), module, factory)
