"""``./dev differential``: made-up programs on veloop and on asyncio, many more than the test suite runs."""
