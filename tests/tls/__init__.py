"""TLS: on asyncio's loop as the specification, and on each engine that veloop has (`VELOOP_TLS`)."""
