"""``./dev faults``: every system call of a set of programs fails in turn, and every await is cancelled.

Each of ``programs/`` runs in a process of its own, on veloop and on asyncio (``worker.py``, ``run.py``), over
and over: every time another of its system calls fails with another error (``inject.c``, ``injection.py``), or
another of its awaits is cancelled (``cases.py``). What came of it (events, exceptions, log records, leaks) is
judged in ``verdicts.py``.
"""
