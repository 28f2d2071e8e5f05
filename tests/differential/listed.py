"""The differences that are there on purpose, each with its reason, as far as made-up programs can meet them.

``level`` takes from a story what the difference is about, or returns it as it is. Two stories that are alike
after that are explained by the differences that changed one of them.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator
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


FRAME = re.compile(r"  File \"(.*)\", line .*\n    .*(?:\n|$)")
FRAMES = re.compile(f"(?:{FRAME.pattern})+")
SUMMARY = re.compile(r"<FrameSummary file (.*?), line [^>]*>")
SUMMARIES = re.compile(f"{SUMMARY.pattern}(?:, {SUMMARY.pattern})*")
OWN = re.compile(r"/(asyncio|veloop)/\w+\.py")
FRAMES_KEPT = 3
WATCHING = {f"{does}_{what}" for does in ("add", "remove") for what in ("reader", "writer")}
COUNTS = r"(\d+|no|at most \d+|exactly one|from \d+ to \d+)"
SIGNATURE = re.compile(
    rf"TypeError\((['\"])[\w.]+\(\) (takes {COUNTS} (positional |keyword )?argument"
    r"|missing \d+ required|got (an unexpected keyword|multiple values for) argument|expected).*?\1\)"
)
HALF_MADE = re.compile(r"PipeTransport' object has no attribute '_\w+'|Invalid file descriptor: -1")
NO_SOCKET = re.compile(r"(object has no attribute|name=|Error\() ?\\?'(fileno|accept)\\?'")
UNCOMPARABLE = re.compile(r"'[<>]=?' not supported between instances")
CALL_ON_NONE = re.compile(r"(AttributeError|TypeError)\(\"'NoneType' object (has no|is not iterable)")
WANTED = re.compile(r" during (?:hidden )?ssl\.SSLWant\w+\(.*?\) errno=2 strerror='[^']*'")
THREAD_SAFE = re.compile(r"<_ThreadSafeHandle\b")
ENDS = {"done", "failed"}
ODD_DEADLINE = re.compile(r"TimerHandle when=(?!N\b|-?nan\b|-?inf\b|-?\d)|must be real number, not")
SELECTOR_ERROR = re.compile(r"Exception in callback BaseSelectorEventLoop\._sock_(read|write)_done\(")
CREATED = re.compile(r" created at [^\s>]+:\d+")


def with_short_stacks(text: str) -> str:
    """Only the innermost frames of stacks, without those of asyncio and veloop themselves."""

    def shorten(frames: str, frame: re.Pattern[str]) -> str:
        kept = [found[0] for found in frame.finditer(frames) if not OWN.search(found[1])]
        return "\n".join(each.rstrip("\n") for each in kept[-FRAMES_KEPT:])

    text = FRAMES.sub(lambda found: shorten(found[0], FRAME), text)
    return SUMMARIES.sub(lambda found: shorten(found[0], SUMMARY), text)


def with_equal_deadlines_sorted(story: Story) -> Story:
    """Timers that are due one after the other, at the same time, in the order of their making."""
    if not any(event[0] == "due" for event in story.get("", ())):
        return story
    events = []
    for (what, when), group in itertools.groupby(story[""], lambda event: (event[0], event[1:2])):
        events += sorted(group, key=lambda event: int(event[2])) if what == "due" and when else group
    return story | {"": events}


def with_ends_sorted(story: Story) -> Story:
    """Calls that end one right after the other, in whatever order."""
    levelled: Story = {}
    for lane, events in story.items():
        groups = [
            (ends, [*group]) for ends, group in itertools.groupby(events, lambda event: event[0] in ENDS)
        ]
        levelled[lane] = [event for ends, group in groups for event in (sorted(group) if ends else group)]
    return levelled


def without_calls_for_closed_ends(story: Story) -> Story:
    """No more of those who were closed while they were watched."""
    events, closed = [], set()
    for event in story.get("", ()):
        if event[0] == "closed while watched":
            closed.add(event[1])
        words = event[0].split(" ")
        if not (words[0] in WATCHING and words[-1] in closed):
            events.append(event)
    return story | {"": events} if closed else story


def without_odd_deadlines(story: Story) -> Story:
    """A story that ends where something was given as a deadline that is no number."""
    events = story.get("", [])
    compared = any(UNCOMPARABLE.search(event[-1]) for event in events)
    for place, event in enumerate(events):
        if event[0] in {"call_at", "call_later"} and (compared or ODD_DEADLINE.search(event[-1])):
            return {"": [*events[:place], (event[0], "no number")]}
    return story


def without_half_made_transports(story: Story) -> Story:
    """No complaints of asyncio's pipe transports that have failed in their own constructor."""
    events = [
        event for event in story.get("", ()) if not (event[0] == "unraisable" and HALF_MADE.search(event[1]))
    ]
    return story | {"": events} if len(events) != len(story.get("", ())) else story


def without_selector_errors(story: Story) -> Story:
    """No records of asyncio's own callbacks that could not give a closed descriptor back to the selector."""
    events = [
        event for event in story.get("", ()) if not (event[0] == "log" and SELECTOR_ERROR.search(event[2]))
    ]
    return story | {"": events} if len(events) != len(story.get("", ())) else story


def without_calls_on_none(story: Story) -> Story:
    """No callbacks that failed on an attribute that is None."""
    return {lane: [event for event in events if not is_call_on_none(event)] for lane, events in story.items()}


def is_call_on_none(event: Event) -> bool:
    return event[0] in {"callback failed", "unraisable"} and bool(CALL_ON_NONE.match(event[1]))


def without_fates_of_second_writes(story: Story) -> Story:
    """Not how a connection ended right after two writes in a row."""
    return {lane: [*without_fate(events)] for lane, events in story.items()}


def without_fate(events: list[Event]) -> Iterator[Event]:
    for place, event in enumerate(events):
        after_two = [before[0] for before in events[max(place - 2, 0) : place]] == ["write", "write"]
        yield event[:1] if after_two and event[0] == "connection_lost" else event


LOOK_UP = re.compile(r" during KeyError\('\d+ is not registered'\)(?: during hidden KeyError\([^)]*\))*")

LISTED: list[Listed] = [
    Listed(
        "stacks of handles",
        "asyncio counts frames of its own among the ten that it keeps of a handle's making",
        in_words(with_short_stacks),
    ),
    Listed(
        "makers of watching handles",
        "asyncio's reader and writer handles say that asyncio has created them; veloop's name the caller",
        in_words(lambda text: CREATED.sub("", text)),
    ),
    Listed(
        "equal deadlines",
        "asyncio runs timers with equal deadlines in the order of its heap, veloop in that of their making",
        with_equal_deadlines_sorted,
    ),
    Listed(
        "look-ups",
        "until Python 3.12 asyncio registers a descriptor while it handles the KeyError of not finding it",
        in_words(lambda text: LOOK_UP.sub("", text)),
    ),
    Listed(
        "callbacks after the end",
        "asyncio's transports and servers may be called once more after their end, and fail on what is None",
        without_calls_on_none,
    ),
    Listed(
        "names of handles",
        "from Python 3.14 on every handle of veloop is thread-safe, not only those of call_soon_threadsafe()",
        in_words(lambda text: THREAD_SAFE.sub("<Handle", text)),
    ),
    Listed(
        "polling",
        "a turn that has callbacks to run need not poll: what has become ready may be told after them",
        with_ends_sorted,
    ),
    Listed(
        "writes leave later",
        "what a callback writes leaves when it returns: its failure has no exception that was being handled",
        in_words(lambda text: WANTED.sub("", text)),
    ),
    Listed(
        "writes leave together",
        "what a callback writes leaves as one piece: asyncio's second write may meet the answer to its first",
        without_fates_of_second_writes,
    ),
    Listed(
        "odd deadlines",
        "asyncio takes anything as a deadline and raises TypeError when it runs, veloop refuses it at once",
        without_odd_deadlines,
    ),
    Listed(
        "half-made transports",
        "asyncio's pipe transports that could not be made fail once more when they are collected",
        without_half_made_transports,
    ),
    Listed(
        "accepting on no socket",
        "sock_accept() asks what is no socket for accept() at once, asyncio's for fileno() before",
        in_words(lambda text: NO_SOCKET.sub(r"\1 fileno", text)),
    ),
    Listed(
        "signatures",
        "Python words a TypeError about the number or the names of arguments differently for native methods",
        in_words(lambda text: SIGNATURE.sub("TypeError(signature)", text)),
    ),
    Listed(
        "closed while watched",
        "asyncio's selector remembers a descriptor that was closed: who watches it may be replaced",
        without_calls_for_closed_ends,
    ),
    Listed(
        "closed while awaited",
        "asyncio logs an error of its own when two waits for one socket are cancelled after it was closed",
        without_selector_errors,
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
