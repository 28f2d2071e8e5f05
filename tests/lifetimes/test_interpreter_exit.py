"""The interpreter ends while everything is still there: no crash, the right exit status, asyncio's words."""

from __future__ import annotations

import pytest

from support.programs import run_program

# Each is a program's end with something left alive. What they print and how they end is asyncio's to say.
PROGRAMS = {
    "an open loop": """
        loop = new_event_loop()
        """,
    "a closed loop": """
        loop = new_event_loop()
        loop.close()
        """,
    "pending handles and timers": """
        loop = new_event_loop()
        handles = [loop.call_soon(print, "never"), loop.call_later(1, print, "never"),
                   loop.call_soon_threadsafe(print, "never")]
        """,
    "a cycle of a loop and its handles": """
        loop = new_event_loop()
        loop.handles = [loop.call_soon(loop.stop), loop.call_later(1, loop.close)]
        del loop
        """,
    "watched descriptors": """
        import socket
        loop = new_event_loop()
        near, far = socket.socketpair()
        loop.add_reader(near, print)
        loop.add_writer(far, print)
        """,
    "a server with a connection": """
        import socket
        loop = new_event_loop()
        class Protocol(asyncio.Protocol):
            def connection_made(self, transport):
                self.transport = transport
                loop.call_soon(loop.stop)
        server = loop.run_until_complete(loop.create_server(Protocol, "127.0.0.1", 0))
        client = socket.create_connection(server.sockets[0].getsockname())
        loop.run_forever()
        print("connected")
        """,
    "all kinds of transports": """
        import os, socket
        loop = new_event_loop()
        async def main():
            near, far = socket.socketpair()
            made = [far, await loop.create_connection(asyncio.Protocol, sock=near)]
            made.append(await loop.create_datagram_endpoint(asyncio.DatagramProtocol, ("127.0.0.1", 0)))
            reader, writer = os.pipe()
            made.append(await loop.connect_read_pipe(asyncio.Protocol, open(reader, "rb", 0)))
            made.append(await loop.connect_write_pipe(asyncio.BaseProtocol, open(writer, "wb", 0)))
            made[1][0].write(bytes(5_000_000))
            return made
        made = loop.run_until_complete(main())
        """,
    "a transport of a closed loop": """
        import socket
        loop = new_event_loop()
        near, far = socket.socketpair()
        made = loop.run_until_complete(loop.create_connection(asyncio.Protocol, sock=near))
        loop.close()
        """,
    "a task that waits in a sock_ method": """
        import socket
        loop = new_event_loop()
        near, far = socket.socketpair()
        near.setblocking(False)
        task = loop.create_task(loop.sock_recv(near, 1))
        loop.call_soon(loop.stop)
        loop.run_forever()
        """,
    "an exit in a callback": """
        import sys
        loop = new_event_loop()
        loop.call_soon(sys.exit, 3)
        loop.run_forever()
        """,
    "an exit in a thread, and a loop that runs in another": """
        import sys, threading
        loop = new_event_loop()
        started = threading.Event()
        loop.call_soon(started.set)
        threading.Thread(target=loop.run_forever, daemon=True).start()
        started.wait()
        sys.exit(4)
        """,
    "the end of the main thread beside loops that are busy in others": """
        import sys, threading, time
        def work():
            loop = new_event_loop()
            def tick(left):
                loop.call_later(0.0001, tick, left)
                sum(range(left))
            for left in range(1, 2000, 100):
                tick(left)
            loop.run_forever()
        for _ in range(4):
            threading.Thread(target=work, daemon=True).start()
        time.sleep(0.1)
        sys.exit(7)
        """,
    "an abrupt end in a callback": """
        import os
        loop = new_event_loop()
        loop.call_later(1000, print)
        loop.call_soon(os._exit, 5)
        loop.run_forever()
        """,
    "an exit function that runs the loop": """
        import atexit
        loop = new_event_loop()
        loop.call_soon(print, "first")
        @atexit.register
        def finish():
            print(loop.run_until_complete(asyncio.sleep(0, "second")))
            loop.close()
        """,
    "an exit function that makes a loop": """
        import atexit
        kept = []
        @atexit.register
        def finish():
            loop = new_event_loop()
            kept.append(loop)
            print(loop.run_until_complete(asyncio.sleep(0, "made")))
        """,
    "a finaliser that uses the loop": """
        loop = new_event_loop()
        class Last:
            def __del__(self):
                print(loop.is_closed(), loop.time() > 0)
                loop.call_soon(print, "never")
        last = Last()
        loop.call_later(1000, last.__class__)
        """,
    "an unfinished main task": """
        loop = new_event_loop()
        async def main():
            loop.call_soon(loop.stop)
            try:
                await asyncio.sleep(1000)
            finally:
                print("ended")
        task = loop.create_task(main())
        loop.run_forever()
        """,
    "a thread that goes on calling": """
        import threading
        loop = new_event_loop()
        def call():
            while True:
                loop.call_soon_threadsafe(loop.stop)
        threading.Thread(target=call, daemon=True).start()
        loop.run_forever()
        print("stopped")
        """,
    "a policy and its loop": """
        import warnings
        warnings.simplefilter("ignore")
        asyncio.set_event_loop(new_event_loop())
        asyncio.get_event_loop().call_soon(print)
        """,
}


@pytest.mark.native_only
@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_ends_as_on_asyncio(loop_factory, name):
    import asyncio

    ours = run_program(loop_factory, PROGRAMS[name])
    theirs = run_program(asyncio.SelectorEventLoop, PROGRAMS[name])
    assert ours[:2] == theirs[:2]
    assert "Fatal" not in ours[2]
    # Which of several things is torn down first is the interpreter's choice.
    assert sorted(kinds(ours[2])) == sorted(kinds(theirs[2]))


def kinds(errors: str) -> set[str]:
    """The first words of what was told on the error output, without addresses, classes and files."""
    lines = (line for line in errors.splitlines() if line and not line.startswith((" ", "Traceback")))
    return {
        "ResourceWarning" if "ResourceWarning" in line else line.split("<")[0].split(":")[0] for line in lines
    }


@pytest.mark.native_only
def test_a_subinterpreter_refuses_or_works(loop_factory):
    """Whatever the import comes to there, the interpreter and the one that made it go on."""
    source = """
    try:
        import _interpreters as interpreters
    except ImportError:
        import _xxsubinterpreters as interpreters
    code = '''
    import asyncio
    try:
        import veloop
    except ImportError as exc:
        print("refused", flush=True)
    else:
        loop = veloop.new_event_loop()
        print(loop.run_until_complete(asyncio.sleep(0, "works")), flush=True)
        loop.close()
    '''
    import textwrap, veloop
    for _ in range(2):
        inner = interpreters.create()
        problem = interpreters.run_string(inner, textwrap.dedent(code))
        assert problem is None, problem
        interpreters.destroy(inner)
    print(run(asyncio.sleep(0, "unharmed")))
    """
    status, output, errors = run_program(loop_factory, source)
    assert (status, errors) == (0, "")
    lines = output.splitlines()
    assert lines[0] == lines[1]
    assert lines[0] in {"refused", "works"}
    assert lines[2] == "unharmed"
