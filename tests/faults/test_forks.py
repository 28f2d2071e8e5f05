"""Forks with a loop: the child starts afresh, and nothing that it does reaches the parent's loop.

Each test is a whole program, for its processes must not be those of the tests.
"""

import sys

import pytest

from support.programs import run_program

# Python 3.12 and later warn of a fork in a process with threads.
QUIET = ("-W", "ignore::DeprecationWarning")

HELPERS = """
import os, signal, socket, sys, threading, traceback

def in_child(function):
    "Run function in a child of this process; its status, 0 unless it raised."
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            function()
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

class Mailbox:
    "A descriptor that the running loop reads."
    def __init__(self, loop):
        self.loop, self.messages = loop, asyncio.Queue()
        self.near, self.far = socket.socketpair()
        self.near.setblocking(False)
        loop.add_reader(self.near, lambda: self.messages.put_nowait(self.near.recv(100)))

    async def get(self, message):
        self.far.send(message)
        return await asyncio.wait_for(self.messages.get(), 20)

"""


def run(loop_factory, source):
    status, output, errors = run_program(loop_factory, HELPERS + source, *QUIET)
    assert (status, errors) == (0, ""), errors
    return output.splitlines()


def test_a_fresh_loop_works_in_the_child_of_a_running_one(loop_factory):
    source = """
async def echo():
    box = Mailbox(asyncio.get_running_loop())
    process = await asyncio.create_subprocess_exec("echo", "from a process", stdout=asyncio.subprocess.PIPE)
    words = (await process.communicate())[0]
    thread = await asyncio.to_thread(lambda: b"from a thread")
    return await box.get(b"hello"), words, thread

def child():
    try:
        asyncio.get_running_loop()
    except RuntimeError as error:
        print(error)
    print(run(echo()))

async def main():
    print(in_child(child))
    print(await echo())
    asyncio.get_running_loop().call_soon(lambda: print("from a callback", in_child(child)))
    await asyncio.sleep(0)

run(main())
"""
    answer = "(b'hello', b'from a process\\n', b'from a thread')"
    child = ["no running event loop", answer]
    assert run(loop_factory, source) == [*child, "0", answer, *child, "from a callback 0"]


@pytest.mark.native_only  # asyncio's child takes descriptors out of the set that it shares with its parent
def test_what_a_child_does_with_an_inherited_loop_does_not_reach_the_parent(loop_factory):
    source = """
def refused(function):
    try:
        function()
    except RuntimeError as error:
        print(error)

async def main():
    loop = asyncio.get_running_loop()
    idle = new_event_loop()
    idle_box = Mailbox(idle)
    box = Mailbox(loop)
    near, far = socket.socketpair()
    far.setblocking(False)
    transport, _ = await loop.create_connection(asyncio.Protocol, sock=near)
    misuses = [
        lambda: loop.remove_reader(box.near),
        lambda: box.near.close(),
        lambda: loop.add_reader(box.near, print, "never"),
        lambda: transport.abort(),
        lambda: loop.call_soon_threadsafe(print, "never"),
        lambda: threading.Thread(target=loop.call_soon_threadsafe, args=(print, "never")).start(),
        lambda: refused(loop.close),
        lambda: refused(loop.run_forever),
        lambda: idle.close(),
        lambda: idle.run_until_complete(asyncio.sleep(0.01)),
        lambda: os.closerange(3, 1000),
    ]
    for number, misuse in enumerate(misuses):
        assert in_child(misuse) == 0, number
        assert await box.get(b"still there") == b"still there", number
        transport.write(b"so is this")
        assert await loop.sock_recv(far, 100) == b"so is this", number
        assert await loop.run_in_executor(None, str, "and threads") == "and threads", number
    transport.close()
    await asyncio.sleep(0)
    far.close()
    return idle, idle_box

idle, idle_box = run(main())
assert idle.run_until_complete(idle_box.get(b"idle")) == b"idle"
idle.close()
"""
    assert run(loop_factory, source) == [
        "Cannot close a running event loop",
        "This event loop is already running",
    ]


@pytest.mark.native_only  # asyncio's child goes on, with its parent's descriptors, until it asks for the loop
def test_a_run_that_was_forked_ends_in_the_child(loop_factory):
    source = """
loop = new_event_loop()
box = Mailbox(loop)
events = []

def callback():
    global pid
    pid = os.fork()
    events.append("forked")
    if pid != 0:
        loop.call_soon(loop.stop)

loop.call_soon(callback)
loop.call_soon(events.append, "the rest of the batch")
try:
    loop.run_forever()
except RuntimeError as error:
    assert pid == 0
    print(error, flush=True)
    assert events == ["forked"] and not loop.is_running()
    # Out of the run the loop is the child's.
    assert loop.run_until_complete(asyncio.sleep(0, "usable")) == "usable"
    loop.close()
    os._exit(0)
assert pid != 0 and events == ["forked", "the rest of the batch"]
assert os.waitpid(pid, 0)[1] == 0
assert loop.run_until_complete(box.get(b"hello")) == b"hello"
loop.close()
"""
    assert run(loop_factory, source) == [
        "The event loop was running when the process was forked: it cannot go on in the child"
    ]


def test_a_loop_that_did_not_run_can_be_used_in_the_child(loop_factory):
    """As servers do that fork their workers."""
    source = """
loop = new_event_loop()
box = Mailbox(loop)
listener = socket.create_server(("127.0.0.1", 0))
server = loop.run_until_complete(loop.create_server(asyncio.Protocol, sock=listener))
loop.call_soon(print, "in both")

def child():
    async def main():
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.close()
        await writer.wait_closed()
        return await box.get(b"in the child"), await asyncio.to_thread(str, "and threads")
    print(loop.run_until_complete(main()))
    loop.close()

print(in_child(child))
loop.run_until_complete(asyncio.sleep(0))
loop.close()
"""
    assert run(loop_factory, source) == ["in both", "(b'in the child', 'and threads')", "0", "in both"]


def test_what_was_written_before_a_fork_leaves_once(loop_factory):
    source = """
async def main():
    loop = asyncio.get_running_loop()
    near, far = socket.socketpair()
    far.setblocking(False)
    transport, _ = await loop.create_connection(asyncio.Protocol, sock=near)
    transport.write(b"before ")
    assert in_child(lambda: transport.write(b"child ")) == 0
    transport.write(b"parent")
    await asyncio.sleep(0)
    transport.close()
    await asyncio.sleep(0)
    print(far.recv(100))
    far.close()

run(main())
"""
    assert run(loop_factory, source) == ["b'before child parent'"]


def test_a_signal_in_the_child_does_not_reach_the_parents_loop(loop_factory, on_veloop):
    if not on_veloop and sys.version_info < (3, 12):
        pytest.skip("asyncio resets the wake-up descriptor from 3.12 on")
    source = """
async def main():
    loop = asyncio.get_running_loop()
    events = []
    loop.add_signal_handler(signal.SIGUSR1, events.append, "in the parent")
    assert in_child(lambda: signal.raise_signal(signal.SIGUSR1)) == 0
    await asyncio.sleep(0.01)
    print(events)
    signal.raise_signal(signal.SIGUSR1)
    while not events:
        await asyncio.sleep(0.001)
    print(events)

run(main())
"""
    assert run(loop_factory, source) == ["[]", "['in the parent']"]


def test_a_fork_from_another_thread_than_the_loops(loop_factory):
    source = """
loop = new_event_loop()
box = Mailbox(loop)
thread = threading.Thread(target=loop.run_forever)
thread.start()

def child():
    async def echo():
        return await Mailbox(asyncio.get_running_loop()).get(b"in the child")
    print(run(echo()))
    loop.call_soon_threadsafe(print, "never")

for _ in range(5):
    print(in_child(child))
    print(asyncio.run_coroutine_threadsafe(box.get(b"in the thread"), loop).result(20))
loop.call_soon_threadsafe(loop.stop)
thread.join()
loop.close()
"""
    assert run(loop_factory, source) == ["b'in the child'", "0", "b'in the thread'"] * 5


def test_multiprocessing_by_forks(loop_factory):
    source = """
import multiprocessing
from concurrent.futures import ProcessPoolExecutor

def child(connection):
    async def main():
        await asyncio.sleep(0.001)
        return "from a fresh loop"
    connection.send(run(main()))
    connection.close()

def square(number):
    return number * number

async def main():
    loop = asyncio.get_running_loop()
    context = multiprocessing.get_context("fork")
    near, far = context.Pipe()
    process = context.Process(target=child, args=(far,))
    process.start()
    arrived = loop.create_future()
    loop.add_reader(near.fileno(), arrived.set_result, None)
    await arrived
    loop.remove_reader(near.fileno())
    print(near.recv())
    process.join()
    with ProcessPoolExecutor(2, mp_context=context) as pool:
        print(await asyncio.gather(*(loop.run_in_executor(pool, square, n) for n in range(5))))
    process = await asyncio.create_subprocess_exec("true", preexec_fn=lambda: None)
    print(await process.wait())
    box = Mailbox(loop)
    print(await box.get(b"undisturbed"))

run(main())
"""
    assert run(loop_factory, source) == ["from a fresh loop", "[0, 1, 4, 9, 16]", "0", "b'undisturbed'"]


@pytest.mark.native_only  # asyncio's child closes what it shares with its parent, which then waits for ever
def test_an_orderly_exit_of_a_child_inside_a_callback(loop_factory):
    source = """
def fork():
    pid = os.fork()
    if pid == 0:
        sys.exit(7)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    loop.stop()

loop = new_event_loop()
box = Mailbox(loop)
loop.call_soon(fork)
try:
    loop.run_forever()
    print(loop.run_until_complete(box.get(b"parent")))
finally:
    loop.close()
"""
    assert run(loop_factory, source) == ["7", "b'parent'"]
