"""What becomes of a TLS connection, told so that it can be compared between two loops."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

Scenario = Callable[[], Awaitable[Any]]

DETAILS = ("args", "errno", "strerror", "library", "reason", "verify_code", "verify_message")


def described(error: BaseException | None) -> Any:
    """Everything that a program can ask of an exception."""
    if error is None:
        return None
    return type(error), {name: getattr(error, name) for name in DETAILS if hasattr(error, name)}


def reports(contexts: list[dict[str, Any]]) -> list[Any]:
    """What the loop's exception handler got."""
    return [(context["message"], described(context.get("exception"))) for context in contexts]


async def outcome(awaitable: Awaitable[Any]) -> BaseException | None:
    """The exception that an awaitable ends with."""
    async with asyncio.timeout(10):
        try:
            await awaitable
        except OSError as error:
            return error
        return None


def on_asyncio(scenario: Scenario) -> tuple[Any, list[Any]]:
    """What the scenario gives, and what is reported, on asyncio's own loop."""
    contexts: list[dict[str, Any]] = []
    loop = asyncio.SelectorEventLoop()
    loop.set_exception_handler(lambda _loop, context: contexts.append(context))
    try:
        return loop.run_until_complete(scenario()), reports(contexts)
    finally:
        loop.close()


def same_on_asyncio(
    loop: asyncio.AbstractEventLoop, loop_errors: list[dict[str, Any]], scenario: Scenario
) -> Any:
    """Runs the scenario on the loop, compares with asyncio's, and answers what it gives."""
    result = loop.run_until_complete(scenario())
    told = reports(loop_errors)
    loop_errors.clear()
    assert (result, told) == on_asyncio(scenario)
    return result
