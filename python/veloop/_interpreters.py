"""Where veloop can be imported: before Python 3.12, in the main interpreter only."""

from __future__ import annotations

import importlib
import sys


def check() -> None:
    """Raises ImportError where the import of the native module would wait for itself for ever.

    Until Python 3.11 a subinterpreter shares the GIL with the main one, and taking it by PyGILState_Ensure(),
    as pybind11 does when a module is made, waits for the thread that asks.
    """
    if sys.version_info >= (3, 12):
        return
    interpreters = importlib.import_module("_xxsubinterpreters")
    if interpreters.get_current() != interpreters.get_main():
        raise ImportError("before Python 3.12 veloop can be imported in the main interpreter only")


check()
