"""What the runner is made of; a workload needs only ``harness.model``."""
