"""Programs with watched descriptors and with pipes."""

from __future__ import annotations

import asyncio
import os
import socket

from tools.faults.programs.streams import MUCH
from tools.faults.programs.world import Main, Program, Recorder, World, lost


def readers_and_writers(world: World) -> Main:
    """add_reader and add_writer."""
    first, second = world.pair()

    async def main() -> None:
        loop = asyncio.get_running_loop()
        finished = loop.create_future()

        def readable() -> None:
            try:
                data = second.recv(100)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                data = b""
            world.tell_data("reader", data)
            if not data:
                loop.remove_reader(second)
                finished.set_result(None)

        def writable() -> None:
            world.tell("writer", "writable")
            loop.remove_writer(first)
            first.send(b"hello")
            first.shutdown(socket.SHUT_WR)

        with world.telling("watching"):
            loop.add_reader(second, readable)
            try:
                loop.add_writer(first, writable)
                await finished
            finally:
                loop.remove_reader(second)
                loop.remove_writer(first)

    return main


def pipes(world: World) -> Main:
    """Both ends of a pipe, with more in it than it takes at once."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        reading, writing = os.pipe()
        with world.telling("pipes"), open(reading, "rb", 0) as source, open(writing, "wb", 0) as sink:
            _, reader = await loop.connect_read_pipe(lambda: Recorder(world, "reader"), source)
            try:
                output, writer = await loop.connect_write_pipe(lambda: Recorder(world, "writer"), sink)
            except BaseException:
                reader.transport.close()
                raise
            output.write(b"first")
            output.write(MUCH)
            output.write_eof()
            try:
                await lost(reader, writer)
            except BaseException:
                reader.transport.close()
                writer.abort()
                raise

    return main


def broken_pipe(world: World) -> Main:
    """A pipe whose reading end goes away."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        reading, writing = os.pipe()
        with world.telling("pipe"), open(reading, "rb", 0) as source, open(writing, "wb", 0) as sink:
            output, writer = await loop.connect_write_pipe(lambda: Recorder(world, "writer"), sink)
            try:
                output.write(MUCH)
                source.close()
                await lost(writer)
            except BaseException:
                writer.abort()
                raise

    return main


PROGRAMS: tuple[Program, ...] = (readers_and_writers, pipes, broken_pipe)
