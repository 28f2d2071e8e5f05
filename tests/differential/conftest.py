"""Differential tests need an asyncio without the defects that its patch releases have mended."""

from __future__ import annotations

import sys

collect_ignore_glob = ["test_*.py"] if sys.version_info < (3, 11, 7) else []
