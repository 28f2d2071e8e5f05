"""Made-up programs, run on veloop and on asyncio's own loop: see ``differential.frame``."""
