"""CPython's own asyncio tests (``test.test_asyncio``) with veloop as the loop: ``./dev conformance``."""
