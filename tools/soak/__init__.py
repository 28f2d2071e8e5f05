"""Long runs of each thing that a loop does, with the process's memory before and after: ``./dev soak``."""
