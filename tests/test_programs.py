"""Whole programs in a child process: Ctrl-C, exit statuses, output, and the end of the interpreter."""

import signal
import time

import pytest

from support.programs import LONG, run_program, started_program


def send_when_idle(process, signal_number):
    """Send a signal when the program, having printed a line, has had time to block.

    Not earlier: asyncio's loop, too, overlooks a signal that comes between Python's last look for signals
    and the system call that waits.
    """
    time.sleep(0.05)
    process.send_signal(signal_number)


def interrupted(loop_factory, source, signal_number=signal.SIGINT):
    """Start a program, send it a signal after its first line; its status, output and error output."""
    with started_program(loop_factory, source) as process:
        first = process.stdout.readline()
        send_when_idle(process, signal_number)
        output, errors = process.communicate(timeout=LONG)
    return process.returncode, first + output, errors


def test_an_interrupted_run_cancels_the_main_task_and_exits_by_the_signal(loop_factory):
    source = """
    async def main():
        try:
            print("ready", flush=True)
            await asyncio.sleep(60)
        finally:
            print("cleaned up")
    run(main())
    """
    status, output, errors = interrupted(loop_factory, source)
    assert status == -signal.SIGINT
    assert output == "ready\ncleaned up\n"
    assert errors.startswith("Traceback (most recent call last):\n")
    assert errors.endswith("\nKeyboardInterrupt\n")


def test_an_interrupted_run_forever_raises_and_the_program_goes_on(loop_factory):
    source = """
    loop = new_event_loop()
    loop.call_soon(lambda: print("ready", flush=True))
    try:
        loop.run_forever()
    except KeyboardInterrupt:
        print("interrupted", loop.is_running(), loop.is_closed())
    print(loop.run_until_complete(asyncio.sleep(0, "usable")))
    loop.close()
    """
    assert interrupted(loop_factory, source) == (0, "ready\ninterrupted False False\nusable\n", "")


def test_an_interrupt_ends_a_busy_callback(loop_factory):
    source = """
    loop = new_event_loop()
    def busy():
        print("ready", flush=True)
        while True:
            pass
    loop.call_soon(busy)
    try:
        loop.run_forever()
    except KeyboardInterrupt:
        print("interrupted")
    loop.close()
    """
    assert interrupted(loop_factory, source) == (0, "ready\ninterrupted\n", "")


@pytest.mark.native_only  # asyncio's loop may be interrupted while it ends its run, and is left running then
def test_an_interrupt_ends_an_endless_chain_of_callbacks(loop_factory):
    source = """
    loop = new_event_loop()
    def again():
        loop.call_soon(again)
    loop.call_soon(lambda: print("ready", flush=True))
    again()
    try:
        loop.run_forever()
    except KeyboardInterrupt:
        print("interrupted")
    loop.close()
    """
    assert interrupted(loop_factory, source) == (0, "ready\ninterrupted\n", "")


def test_a_second_interrupt_ends_a_task_that_ignores_the_first(loop_factory):
    source = """
    async def main():
        try:
            print("ready", flush=True)
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            print("ignored", flush=True)
        await asyncio.sleep(60)
    run(main())
    """
    with started_program(loop_factory, source) as process:
        assert process.stdout.readline() == "ready\n"
        send_when_idle(process, signal.SIGINT)
        assert process.stdout.readline() == "ignored\n"
        send_when_idle(process, signal.SIGINT)
        output, errors = process.communicate(timeout=LONG)
    assert (process.returncode, output) == (-signal.SIGINT, "")
    assert errors.endswith("\nKeyboardInterrupt\n")


def test_sigterm_ends_a_program_without_a_handler(loop_factory):
    source = """
    async def main():
        print("ready", flush=True)
        await asyncio.sleep(60)
    run(main())
    """
    assert interrupted(loop_factory, source, signal.SIGTERM) == (-signal.SIGTERM, "ready\n", "")


def test_a_handler_for_sigterm_ends_a_program_in_order(loop_factory):
    source = """
    import signal
    async def main():
        stop = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
        print("ready", flush=True)
        await stop.wait()
        print("stopped")
    run(main())
    """
    assert interrupted(loop_factory, source, signal.SIGTERM) == (0, "ready\nstopped\n", "")


@pytest.mark.parametrize("where", ["callback", "task", "signal handler"])
def test_sys_exit_sets_the_exit_status(loop_factory, where):
    source = {
        "callback": "loop.call_soon(sys.exit, 3); await asyncio.sleep(60)",
        "task": "sys.exit(3)",
        "signal handler": (
            "loop.add_signal_handler(signal.SIGUSR1, sys.exit, 3);"
            "os.kill(os.getpid(), signal.SIGUSR1); await asyncio.sleep(60)"
        ),
    }[where]
    program = f"""
    import os, signal, sys
    async def main():
        loop = asyncio.get_running_loop()
        {source}
    run(main())
    """
    assert run_program(loop_factory, program) == (3, "", "")


def test_an_uncaught_exception_ends_with_its_traceback(loop_factory):
    source = """
    async def inner():
        await asyncio.sleep(0)
        raise LookupError("what happened")
    async def main():
        await inner()
    run(main())
    """
    status, output, errors = run_program(loop_factory, source)
    assert (status, output) == (1, "")
    lines = errors.splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert lines[-1] == "LookupError: what happened"
    places = [line.rsplit(" in ", 1)[1] for line in lines if line.startswith('  File "<string>"')]
    assert places == ["<module>", "run", "main", "inner"]


def test_an_exception_in_a_callback_is_printed_and_the_program_goes_on(loop_factory):
    source = """
    def fail():
        raise LookupError("what happened")
    async def main():
        asyncio.get_running_loop().call_soon(fail)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        print("went on")
    run(main())
    """
    status, output, errors = run_program(loop_factory, source)
    assert (status, output) == (0, "went on\n")
    assert errors.startswith("Exception in callback fail() at <string>:")
    assert errors.endswith("\nLookupError: what happened\n")


def test_a_program_may_end_with_an_unclosed_loop(loop_factory):
    source = """
    loop = new_event_loop()
    async def forever():
        await asyncio.Event().wait()
    tasks = [loop.create_task(forever())]
    timer = loop.call_later(60, print)
    soon = loop.call_soon(print)
    loop.call_soon_threadsafe(print, "never")
    print("end")
    """
    status, output, _errors = run_program(loop_factory, source)
    assert (status, output) == (0, "end\n")


def test_a_program_may_end_while_threads_use_its_loop(loop_factory):
    source = """
    import threading
    loop = new_event_loop()
    def flood():
        while True:
            loop.call_soon_threadsafe(int)
    for _ in range(2):
        threading.Thread(target=flood, daemon=True).start()
    loop.run_until_complete(asyncio.sleep(0.01))
    print("end", flush=True)
    """
    status, output, _errors = run_program(loop_factory, source)
    assert (status, output) == (0, "end\n")


def test_a_program_may_end_while_its_loop_runs_in_a_daemon_thread(loop_factory):
    source = """
    import threading
    started = threading.Event()
    def background():
        loop = new_event_loop()
        loop.call_soon(started.set)
        loop.run_forever()
    threading.Thread(target=background, daemon=True).start()
    started.wait(20)
    print("end", flush=True)
    """
    status, output, _errors = run_program(loop_factory, source)
    assert (status, output) == (0, "end\n")


def test_a_forked_child_may_run_a_loop_of_its_own(loop_factory):
    source = """
    import os, sys
    async def main():
        pid = os.fork()
        if pid == 0:
            try:
                sys.stdout.write(run(asyncio.sleep(0.001, "child\\n")))
                sys.stdout.flush()
            finally:
                os._exit(0)
        os.waitpid(pid, 0)
        await asyncio.sleep(0.001)
        print("parent")
    run(main())
    """
    assert run_program(loop_factory, source) == (0, "child\nparent\n", "")


def test_warnings_as_errors_do_not_stop_a_program(loop_factory):
    source = """
    async def main():
        await asyncio.to_thread(int)
        await asyncio.sleep(0.001)
        print("end")
    run(main())
    """
    assert run_program(loop_factory, source, "-W", "error", "-X", "dev")[:2] == (0, "end\n")


@pytest.mark.parametrize(
    ("options", "environment", "expected"),
    [
        ((), {}, "False"),
        (("-X", "dev"), {}, "True"),
        ((), {"PYTHONASYNCIODEBUG": "1"}, "True"),
        ((), {"PYTHONASYNCIODEBUG": ""}, "False"),
    ],
)
def test_debug_mode_follows_options_and_environment(loop_factory, options, environment, expected):
    source = """
    loop = new_event_loop()
    print(loop.get_debug())
    loop.close()
    """
    environment = {"PYTHONASYNCIODEBUG": ""} | environment
    status, output, _errors = run_program(loop_factory, source, *options, **environment)
    assert (status, output) == (0, f"{expected}\n")
