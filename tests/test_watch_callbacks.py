"""Callbacks of add_reader and add_writer that remove each other, fail, or are cancelled."""

from __future__ import annotations

import os
import socket

import pytest

from support.sockets import polled, sockets

pytestmark = pytest.mark.timeout(30)


async def test_a_callback_can_remove_itself(loop):
    with sockets() as (near, far):
        calls = []

        def once():
            calls.append(loop.remove_reader(near))

        loop.add_reader(near, once)
        far.send(b"x")
        await polled()
        assert calls == [True]


async def test_a_callback_can_remove_the_other_direction(loop):
    with sockets() as (near, far):
        far.send(b"x")
        calls = []

        def reader():
            calls.append("reader")
            loop.remove_reader(near)
            loop.remove_writer(near)

        def writer():
            calls.append("writer")
            loop.remove_reader(near)
            loop.remove_writer(near)

        loop.add_reader(near, reader)
        loop.add_writer(near, writer)
        await polled()
        assert len(calls) == 1


async def test_of_two_that_remove_each_other_one_is_called(loop):
    with sockets("unix") as (a, a_far), sockets("unix") as (b, b_far):
        calls = []

        def watcher(own, other):
            calls.append(own)
            loop.remove_reader(own)
            loop.remove_reader(other)

        loop.add_reader(a, watcher, a, b)
        loop.add_reader(b, watcher, b, a)
        a_far.send(b"x")
        b_far.send(b"x")
        await polled()
        assert len(calls) == 1


async def test_a_callback_can_close_the_descriptor_of_another(loop):
    a, a_far = socket.socketpair()
    b, b_far = socket.socketpair()
    with a_far, b_far:
        numbers = {a: a.fileno(), b: b.fileno()}
        calls = []

        def watcher(own, other):
            calls.append(own)
            for sock in (own, other):
                loop.remove_reader(numbers[sock])
                sock.close()

        loop.add_reader(a, watcher, a, b)
        loop.add_reader(b, watcher, b, a)
        a_far.send(b"x")
        b_far.send(b"x")
        await polled()
        assert len(calls) == 1


async def test_a_callback_can_replace_itself(loop):
    with sockets() as (near, far):
        calls = []

        def second():
            calls.append("second")
            loop.remove_reader(near)

        def first():
            calls.append("first")
            loop.add_reader(near, second)

        loop.add_reader(near, first)
        far.send(b"x")
        await polled(3)
        assert calls == ["first", "second"]


async def test_a_callback_can_watch_more_descriptors(loop):
    with sockets("unix") as (a, a_far), sockets("unix") as (b, b_far):
        done = loop.create_future()

        def second():
            loop.remove_reader(b)
            done.set_result(b.recv(1))

        def first():
            loop.remove_reader(a)
            loop.add_reader(b, second)

        b_far.send(b"b")
        loop.add_reader(a, first)
        a_far.send(b"a")
        assert await done == b"b"


@pytest.mark.parametrize("side", ["reader", "writer"])
async def test_a_callback_that_fails_is_reported_and_called_again(loop, loop_errors, side):
    with sockets() as (near, far):
        far.send(b"x")
        error = ValueError("from a callback")
        calls = []
        done = loop.create_future()

        def fails():
            calls.append(1)
            if len(calls) == 2:
                done.set_result(None)
            raise error

        getattr(loop, f"add_{side}")(near, fails)
        await done
        assert getattr(loop, f"remove_{side}")(near) is True
        await polled()
        assert len(loop_errors) == len(calls)
        assert {context["exception"] for context in loop_errors} == {error}
        assert {context["message"].partition("(")[0] for context in loop_errors} == {
            f"Exception in callback {fails.__qualname__}"
        }
        assert all("handle" in context for context in loop_errors)
        loop_errors.clear()


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_an_interruption_in_a_callback_leaves_run_forever(loop, error):
    with sockets() as (near, far):

        def interrupt():
            loop.remove_reader(near)
            raise error

        loop.add_reader(near, interrupt)
        far.send(b"x")
        with pytest.raises(error):
            loop.run_forever()
        loop.run_until_complete(polled())


def test_callbacks_run_in_the_context_they_were_added_in(loop):
    import contextvars

    variable = contextvars.ContextVar("variable", default="outside")
    seen = []
    with sockets() as (near, far):
        far.send(b"x")

        def look():
            seen.append(variable.get())
            loop.remove_reader(near)

        def add():
            variable.set("inside")
            loop.add_reader(near, look)

        contextvars.copy_context().run(add)
        loop.run_until_complete(polled())
    assert seen == ["inside"]


def test_a_watch_survives_between_two_runs(loop):
    with sockets() as (near, far):
        calls = []
        loop.add_reader(near, lambda: (calls.append(near.recv(1)), loop.stop()))
        loop.run_until_complete(polled())
        assert calls == []
        far.send(b"x")
        loop.run_forever()
        assert calls == [b"x"]
        assert loop.remove_reader(near) is True


def test_a_watch_that_is_left_behind_does_not_hinder_closing(loop_factory):
    loop = loop_factory()
    with sockets() as (near, far):
        loop.add_reader(near, print)
        loop.add_writer(near, print)
        loop.close()
        far.send(b"x")
        assert near.recv(1) == b"x"
        assert loop.remove_reader(near) is False
        assert loop.remove_writer(near) is False
        with pytest.raises(RuntimeError, match=r"^Event loop is closed$"):
            loop.add_reader(near, print)
        with pytest.raises(RuntimeError, match=r"^Event loop is closed$"):
            loop.add_writer(near, print)


def test_one_descriptor_can_be_watched_by_two_loops(loop_factory):
    first, second = loop_factory(), loop_factory()
    with sockets() as (near, far):
        calls = []
        first.add_reader(near, lambda: (calls.append("first"), first.stop()))
        second.add_reader(near, lambda: (calls.append("second"), second.stop()))
        far.send(b"x")
        first.run_forever()
        second.run_forever()
        assert calls == ["first", "second"]
        assert first.remove_reader(near)
        assert second.remove_reader(near)
    first.close()
    second.close()


async def test_hundreds_of_descriptors_are_watched(loop):
    pairs = [socket.socketpair() for _ in range(200)]
    done = loop.create_future()
    seen = set()

    def read(sock):
        sock.recv(1)
        loop.remove_reader(sock)
        seen.add(sock)
        if len(seen) == len(pairs):
            done.set_result(None)

    for near, _ in pairs:
        loop.add_reader(near, read, near)
    for _, far in pairs:
        far.send(b"x")
    await done
    for near, far in pairs:
        near.close()
        far.close()


@pytest.mark.parametrize("open_both", [os.pipe, os.openpty])
async def test_pipes_and_terminals_can_be_watched(loop, open_both):
    try:
        one, other = open_both()
    except OSError as exc:
        pytest.skip(f"not to be had on this machine: {exc}")
    done = loop.create_future()
    loop.add_reader(one, lambda: done.done() or done.set_result(None))
    os.write(other, b"line\n")
    await done
    assert loop.remove_reader(one) is True
    os.close(one)
    os.close(other)
