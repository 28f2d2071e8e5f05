"""The differences that are there on purpose, each with its reason, as far as made-up programs can meet them.

``level`` takes from a story what the difference is about, or returns it as it is. Two stories that are alike
after that are explained by the differences that changed one of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

Event = tuple[str, ...]
Story = dict[str, list[Event]]


@dataclass(frozen=True)
class Listed:
    """One difference: its name in the table of figures, why it is there, and what it changes in a story."""

    name: str
    reason: str
    level: Callable[[Story], Story]


LISTED: list[Listed] = []


def explanation(expected: Story, told: Story) -> list[str] | None:
    """The names of the listed differences that make two stories one; none if they do not."""
    names = []
    for difference in LISTED:
        levelled = difference.level(expected), difference.level(told)
        if levelled != (expected, told):
            names.append(difference.name)
        expected, told = levelled
        if expected == told:
            return names
    return None
