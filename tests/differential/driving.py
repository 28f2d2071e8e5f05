"""What families with transports share: a loop that is driven turn by turn, protocols that follow a script.

Every turn polls on both loops, so that a program can do something between two turns, or wait until nothing
happens any more, without a clock.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable
from typing import Any

from differential.frame import CAUGHT, Family, Interrupt, MakeLoop, Odd, Quit, Story, World
from differential.words import Text

Action = tuple[Any, ...]
Actions = tuple[Action, ...]

QUIET_TURNS = 4  # turns without an event after which nothing more is expected
MOST_TURNS = 400

ERRORS: dict[str, Callable[[], BaseException]] = {
    "value": lambda: ValueError("raised"),
    "network": lambda: ConnectionResetError(104, "raised"),
    "system": lambda: OSError(5, "raised"),
    "cancelled": lambda: asyncio.CancelledError("raised"),
    "odd": lambda: Odd("raised"),
    "quit": lambda: Quit("raised"),
    "interrupt": lambda: Interrupt("raised"),
}


class Driver:
    """Runs a world's loop in turns, and notes what is reported to its exception handler."""

    def __init__(self, world: World) -> None:
        self.world, self.loop = world, world.loop
        # Between turns without an event: even on one machine TCP may take a moment when that is busy.
        self.pause = 0.0
        world.loop.set_exception_handler(self.handle)

    def handle(self, _loop: Any, context: dict[str, Any]) -> None:
        message, error = context["message"], context.get("exception")
        if message.startswith("Exception in callback "):
            self.world.note("callback failed", error, sys.exc_info()[1] is error)
            return
        others = sorted(context.keys() - {"message", "exception"})
        self.world.note("error", Text(message), error, sys.exc_info()[1] is error, others)

    def turn(self) -> None:
        self.loop.call_soon(self.loop.stop)
        try:
            self.loop.run_forever()
        except CAUGHT as error:
            self.world.note("left the loop", error)

    def told(self) -> int:
        return sum(map(len, self.world.story.values()))

    def quiet(self, busy: Callable[[], bool] = lambda: False) -> None:
        """Runs turns until nothing has happened for a few of them; ``busy`` tells of something unseen."""
        calm, before = 0, self.told()
        for _ in range(MOST_TURNS):
            if calm:
                time.sleep(self.pause)
            self.turn()
            calm = calm + 1 if self.told() == before and not busy() else 0
            before = self.told()
            if calm == QUIET_TURNS:
                return

    def in_loop(self, call: Callable[..., object], *arguments: Any) -> None:
        """Calls in a callback of the loop, in a turn of its own."""
        self.loop.call_soon(call, *arguments)
        self.turn()


class Acting:
    """A player whose ``do_NAME()`` methods are the actions of its programs."""

    def act(self, action: Action) -> None:
        name, *arguments = action
        getattr(self, "do_" + name)(*arguments)

    def do(self, *actions: Action) -> None:
        for action in actions:
            self.act(action)


class Stepping(Acting):
    """A player of one transport and its peer, whose ``peer_NAME()`` methods are what the peer does."""

    world: World
    driver: Driver
    transport: Any
    peer: Any

    def peer_is_there(self) -> bool:
        return bool(self.peer.fileno() >= 0)

    def play(self, step: tuple[str, Any], way_on: str) -> None:
        what, argument = step
        if what == "peer":
            if self.peer_is_there():
                getattr(self, "peer_" + argument.replace(" ", "_"))()
        elif self.transport is None:
            return
        elif what == "do":
            self.world.loop.call_soon(self.do, *argument)
        else:
            self.do(*argument)
        if way_on == "turn":
            self.driver.turn()
        elif way_on == "quiet":
            self.driver.quiet()


class Script:
    """What protocols do when they are called: a callback's first scene at its first call, and so on."""

    def __init__(
        self, world: World, scenes: tuple[tuple[str, Actions], ...], act: Callable[[Action], object]
    ) -> None:
        self.world, self.act = world, act
        self.scenes: dict[str, list[Actions]] = {}
        for callback, actions in scenes:
            self.scenes.setdefault(callback, []).append(actions)

    def called(self, who: str, callback: str, *values: Any) -> Any:
        """Notes a call, does its actions, and returns what the last ``return`` among them says."""
        self.world.note(f"{who}.{callback}", *map(without_chance, values))
        scenes = self.scenes.get(callback)
        answer = None
        for action in scenes.pop(0) if scenes else ():
            if action[0] == "raise":
                raise ERRORS[action[1]]()
            if action[0] == "return":
                answer = action[1]
            else:
                self.act(action)
        return answer


def without_chance(value: Any) -> Any:
    """A TLS handshake that reaches a protocol as it is has random numbers in it."""
    return "a handshake" if isinstance(value, bytes) and value.startswith(b"\x16\x03") else value


class Following:
    """Callbacks that all protocols have."""

    def __init__(
        self, script: Script, name: str, made: Callable[[Any], None] = lambda _transport: None
    ) -> None:
        self.script, self.name, self.made = script, name, made

    def connection_made(self, transport: Any) -> None:
        self.made(transport)
        self.script.called(self.name, "connection_made")

    def connection_lost(self, error: BaseException | None) -> None:
        self.script.called(self.name, "connection_lost", error)

    def pause_writing(self) -> None:
        self.script.called(self.name, "pause_writing")

    def resume_writing(self) -> None:
        self.script.called(self.name, "resume_writing")


class Plain(Following, asyncio.Protocol):
    """Gets data as bytes."""

    def data_received(self, data: bytes) -> None:
        self.script.called(self.name, "data_received", data)

    def eof_received(self) -> Any:
        return self.script.called(self.name, "eof_received")


BUFFERS: dict[str, Callable[[], Any]] = {
    "large": lambda: bytearray(100_000),
    "view": lambda: memoryview(bytearray(3000)),
    "one": lambda: bytearray(1),
    "empty": lambda: bytearray(),
    "bytes": lambda: b"cannot be changed",
    "text": lambda: "text",
    "number": lambda: 5,
    "gaps": lambda: memoryview(bytearray(20))[::2],
}


class Buffered(Following, asyncio.BufferedProtocol):
    """Gets data into a buffer, whose kind an action ``("return", kind)`` of ``get_buffer`` chooses."""

    buffer: Any = None

    def get_buffer(self, hint: int) -> Any:
        kind = self.script.called(self.name, "get_buffer", hint)
        self.buffer = BUFFERS[kind if kind in BUFFERS else "large"]()
        return self.buffer

    def buffer_updated(self, count: int) -> None:
        self.script.called(self.name, "buffer_updated", bytes(self.buffer[:count]))

    def eof_received(self) -> Any:
        return self.script.called(self.name, "eof_received")


PROTOCOLS = {"plain": Plain, "buffered": Buffered}


class TidyFamily(Family):
    """What is left open by a program that leaves the loop in the middle is the collector's, at once."""

    def told_on(self, make_loop: MakeLoop, program: object) -> Story:
        story = super().told_on(make_loop, program)
        story.pop("warnings", None)
        return story
