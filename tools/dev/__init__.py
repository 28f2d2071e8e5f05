"""The task runner behind ``./dev``: plain standard library, so that a fresh machine can run it."""
