"""The policy, and ``install()``: making veloop the loop that asyncio creates."""

from __future__ import annotations

import asyncio
import sys
import warnings

from ._loop import EventLoop

with warnings.catch_warnings():
    # Deprecated from 3.14 on, gone in 3.16: offered for as long as Python has it.
    warnings.simplefilter("ignore", DeprecationWarning)
    _DefaultPolicy = getattr(asyncio, "DefaultEventLoopPolicy", object)
    _set_policy = getattr(asyncio.events, "_set_event_loop_policy", None) or getattr(
        asyncio, "set_event_loop_policy", None
    )


class EventLoopPolicy(_DefaultPolicy):  # type: ignore[misc,valid-type]
    """asyncio's default policy, making veloop's loops.

    To be given to ``asyncio.set_event_loop_policy()``, on Pythons that have policies (before 3.16).
    """

    _loop_factory = EventLoop


def install() -> None:
    """Make veloop the loop of ``asyncio.run()``, ``asyncio.Runner`` and ``asyncio.new_event_loop()``.

    Raises RuntimeError on a Python without event loop policies (3.16 and later): use :func:`veloop.run`.
    """
    if _set_policy is None:
        raise RuntimeError(
            f"Python {sys.version_info.major}.{sys.version_info.minor} has no event loop policies: use "
            "veloop.run(main()) or asyncio.Runner(loop_factory=veloop.new_event_loop)"
        )
    _set_policy(EventLoopPolicy())
