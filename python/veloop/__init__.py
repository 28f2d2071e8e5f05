"""veloop: a native asyncio event loop. asyncio programs run on it unchanged.

Three ways to switch it on: ``veloop.run(main())``, ``veloop.install()`` before ``asyncio.run(main())``, or
``python -m veloop app.py``.
"""

from . import _interpreters  # noqa: F401  # First of all: it may refuse.
from ._loop import EventLoop, new_event_loop
from ._native import __version__
from ._policy import EventLoopPolicy, install
from ._run import run

__all__ = ["EventLoop", "EventLoopPolicy", "__version__", "install", "new_event_loop", "run"]
