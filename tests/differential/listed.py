"""The differences that are there on purpose, each with its reason, as far as made-up programs can meet them.

``level`` takes from a story what the difference is about, or returns it as it is. Two stories that are alike
after that are explained by the differences that changed one of them.
"""

from __future__ import annotations

import re
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


def in_words(change: Callable[[str], str]) -> Callable[[Story], Story]:
    """A change of every word of a story."""

    def level(story: Story) -> Story:
        return {
            lane: [tuple(change(word) for word in event) for event in events]
            for lane, events in story.items()
        }

    return level


STACK = re.compile(r"(?:  File .*\n    .*(?:\n|$))+")
SUMMARY = re.compile(r"<FrameSummary [^>]*>(?:, <FrameSummary [^>]*>)+")
FRAMES_KEPT = 5


def with_short_stacks(text: str) -> str:
    text = STACK.sub(lambda found: "\n".join(found[0].splitlines()[-2 * FRAMES_KEPT :]), text)
    return SUMMARY.sub(lambda found: ", ".join(found[0].split(", <")[-FRAMES_KEPT:]), text)


LISTED: list[Listed] = [
    Listed(
        "stack depth",
        "asyncio counts two or three frames of its own among the ten that it keeps of a handle's making",
        in_words(with_short_stacks),
    ),
]


def reason_of(name: str) -> str:
    """Why a listed difference is there."""
    return next(difference.reason for difference in LISTED if difference.name == name)


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
