"""The families of made-up programs: each file describes one or a few as ``FAMILIES``."""
