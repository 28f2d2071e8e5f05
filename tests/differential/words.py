"""Values, errors and messages in words that are the same in every run: no addresses, descriptors, times."""

from __future__ import annotations

import asyncio
import re
import traceback
import types
from typing import Any


class Text(str):
    """A message: it is compared without what differs from run to run."""


REPLACED = [
    (re.compile(r"\bveloop\._native\."), ""),
    (re.compile(r" at 0x[0-9a-f]+"), " at 0x"),
    (re.compile(r"\.\.\.x[0-9a-f]+>"), "...x>"),  # shortened by reprlib
    (re.compile(r"\b_UnixSelectorEventLoop\b|\bveloop\._loop\.EventLoop\b|\bEventLoop\b"), "Loop"),
    (re.compile(r"\b_SelectorSocketTransport\b"), "StreamTransport"),
    (re.compile(r"\b_SelectorDatagramTransport\b"), "DatagramTransport"),
    (re.compile(r"\b_UnixReadPipeTransport\b"), "ReadPipeTransport"),
    (re.compile(r"\b_UnixWritePipeTransport\b"), "WritePipeTransport"),
    (re.compile(r"\bTask-\d+"), "Task-N"),
    (re.compile(r"\b(fd|pid|when|port|thread)=-?\d+(\.\d+)?"), r"\1=N"),
    (re.compile(r"\('([\w.:]+)', \d+"), r"('\1', N"),
    (re.compile(r"\btook \d+\.\d+ (seconds|ms)"), r"took N \1"),
    (re.compile(r"File descriptor \d+"), "File descriptor N"),
    (re.compile(r"\bfd \d+"), "fd N"),
    (re.compile(r"/[\w/.-]*/tmp\w+"), "<folder>"),
    (re.compile(r"b\\?'\\+x00[0-9a-f]{5}\\?'"), "<abstract name>"),
    (re.compile(r"\('127\.0\.0\.1', \d+"), "('127.0.0.1', N"),
]

ATTRIBUTES = ("errno", "strerror", "filename", "filename2", "name", "obj", "partial", "expected", "consumed")
PLAIN = (int, float, complex, bool, type(None))


def steady(text: str) -> str:
    """A text without what differs from run to run."""
    for pattern, instead in REPLACED:
        text = pattern.sub(instead, text)
    return text


def words_of(value: object) -> str:
    """A value in words."""
    if isinstance(value, Text):
        return steady(value)
    if isinstance(value, BaseException):
        return words_of_error(value)
    if isinstance(value, str) or type(value) in PLAIN:
        return repr(value)
    if isinstance(value, bytes | bytearray):
        return repr(value) if len(value) < 50 else f"{value[:20]!r}... {len(value)} bytes"
    if isinstance(value, type):
        return f"type {steady(value.__name__)}"
    if isinstance(value, asyncio.AbstractEventLoop):
        return "the loop"
    if isinstance(value, types.TracebackType):
        return "a traceback"
    if isinstance(value, traceback.StackSummary):
        return "a stack"
    if isinstance(value, tuple | list):
        inner = ", ".join(map(words_of, value))
        return f"({inner},)" if isinstance(value, tuple) else f"[{inner}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{words_of(key)}: {words_of(value[key])}" for key in value) + "}"
    try:
        return steady(repr(value))
    except Exception as error:
        return f"<{type(value).__name__} whose repr raised {type(error).__name__}>"


def words_of_error(error: BaseException | None, seen: frozenset[int] = frozenset()) -> str:
    """An error with everything that a caller can see of it, except the traceback."""
    if error is None:
        return "None"
    if id(error) in seen:
        return f"{type(error).__name__} (again)"
    seen |= {id(error)}
    name = f"{type(error).__module__}.{type(error).__qualname__}".removeprefix("builtins.")
    arguments = ", ".join(words_of_argument(each, seen) for each in error.args)
    parts = [f"{name}({arguments})"]
    attributes = {each: getattr(error, each, None) for each in ATTRIBUTES}
    parts += [
        f"{each}={words_of_argument(value, seen)}" for each, value in attributes.items() if value is not None
    ]
    if getattr(error, "__notes__", None):
        parts.append(f"notes={error.__notes__}")
    if error.__cause__ is not None:
        parts.append(f"from {words_of_error(error.__cause__, seen)}")
    if error.__context__ is not None and error.__context__ is not error.__cause__:
        hidden = "hidden " if error.__suppress_context__ else ""
        parts.append(f"during {hidden}{words_of_error(error.__context__, seen)}")
    if isinstance(error, BaseExceptionGroup):
        parts.append(f"of {[words_of_error(each, seen) for each in error.exceptions]}")
    return " ".join(parts)


def words_of_argument(value: Any, seen: frozenset[int]) -> str:
    if isinstance(value, BaseException):
        return words_of_error(value, seen)
    return words_of(Text(repr(value))) if isinstance(value, str) else words_of(value)
