"""``./dev demo``: the examples on veloop, then a short benchmark against asyncio's own loop."""
