"""The tests that veloop is expected to fail, with the reason. Each one runs all the same; one that passes is
an error.
"""

from __future__ import annotations

from tools.conformance.lists import Entry

DIFFERENCES: tuple[Entry, ...] = ()
