"""Debug mode: how it is switched, and that what it logs is what asyncio's own loop logs."""

import asyncio
import logging
import re
import sys

import pytest

from support.turns import run_once, run_turns


def nothing(*_args):
    pass


@pytest.fixture
def clock(loop):
    """A clock that moves only when a callback moves it, so that durations in log records are exact."""

    class Clock:
        now = loop.time()

        def advance(self, seconds):
            self.now += seconds

    clock = Clock()
    loop.time = lambda: clock.now
    return clock


@pytest.fixture
def warnings_logged(caplog):
    """Messages of warnings that asyncio's logger got."""
    caplog.set_level(logging.WARNING, logger="asyncio")
    return lambda: [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]


# switching


def test_debug_mode_is_as_the_interpreter_was_started_and_can_be_switched(loop):
    assert loop.get_debug() == asyncio.coroutines._is_debug_mode()
    loop.set_debug(True)
    assert loop.get_debug() is True
    loop.set_debug(False)
    assert loop.get_debug() is False


def test_the_environment_is_read_when_a_loop_is_made(loop_factory, monkeypatch):
    monkeypatch.setenv("PYTHONASYNCIODEBUG", "1")
    loop = loop_factory()
    monkeypatch.delenv("PYTHONASYNCIODEBUG")
    assert loop.get_debug() is True
    loop.close()


def test_coroutine_origins_are_tracked_during_a_run_in_debug_mode(loop):
    before = sys.get_coroutine_origin_tracking_depth()
    depths = []
    for debug in (False, True):
        loop.set_debug(debug)
        loop.call_soon(lambda: depths.append(sys.get_coroutine_origin_tracking_depth()))
        run_once(loop)
        assert sys.get_coroutine_origin_tracking_depth() == before
    assert depths == [before, 10]


def test_switching_during_a_run_switches_the_tracking_of_origins(loop):
    before = sys.get_coroutine_origin_tracking_depth()

    async def main():
        depths = []
        for debug in (True, False, True):
            loop.set_debug(debug)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            depths.append(sys.get_coroutine_origin_tracking_depth())
        return depths

    assert loop.run_until_complete(main()) == [10, before, 10]
    assert sys.get_coroutine_origin_tracking_depth() == before


def test_a_depth_set_by_the_program_is_restored(loop):
    loop.set_debug(True)
    before = sys.get_coroutine_origin_tracking_depth()
    sys.set_coroutine_origin_tracking_depth(3)
    try:
        run_once(loop)
        assert sys.get_coroutine_origin_tracking_depth() == 3
    finally:
        sys.set_coroutine_origin_tracking_depth(before)


def test_source_tracebacks_are_kept_only_in_debug_mode(loop):
    loop.set_debug(False)
    assert loop.call_soon(nothing)._source_traceback is None
    assert loop.create_future()._source_traceback is None
    loop.set_debug(True)
    assert loop.call_soon(nothing)._source_traceback[-1].filename == __file__
    assert __file__ in {frame.filename for frame in loop.create_future()._source_traceback}
    loop.set_debug(False)
    assert loop.call_soon(nothing)._source_traceback is None


def test_the_source_traceback_of_a_task_ends_where_it_was_created(loop):
    loop.set_debug(True)

    async def main():
        task = loop.create_task(asyncio.sleep(0))
        await task
        return task._source_traceback[-1]

    frame = loop.run_until_complete(main())
    assert (frame.filename, frame.name) == (__file__, "main")


# slow callbacks


def test_the_threshold_is_a_tenth_of_a_second(loop):
    assert loop.slow_callback_duration == 0.1


def test_a_slow_callback_is_logged(loop, clock, warnings_logged):
    loop.set_debug(True)
    handle = loop.call_soon(clock.advance, 1.25)
    run_once(loop)
    assert warnings_logged() == [f"Executing {handle!r} took 1.250 seconds"]


@pytest.mark.parametrize("schedule", ["call_soon_threadsafe", "call_later", "call_at"])
def test_any_slow_callback_is_logged(loop, clock, warnings_logged, schedule):
    loop.set_debug(True)
    when = () if schedule == "call_soon_threadsafe" else (0,)
    handle = getattr(loop, schedule)(*when, clock.advance, 0.5)
    run_once(loop)
    assert warnings_logged() == [f"Executing {handle!r} took 0.500 seconds"]


def test_a_slow_step_of_a_task_is_logged_with_the_task(loop, clock, warnings_logged):
    async def main():
        await asyncio.sleep(0)
        clock.advance(0.25)
        await asyncio.sleep(0)

    loop.set_debug(True)
    task = loop.create_task(main(), name="slow one")
    loop.run_until_complete(task)
    (message,) = warnings_logged()
    assert re.fullmatch(r"Executing <Task pending name='slow one' coro=.*> took 0\.250 seconds", message)


def test_the_threshold_can_be_set_and_includes_its_value(loop, clock, warnings_logged):
    loop.set_debug(True)
    clock.now = 0.0  # so that durations are exact floats
    loop.slow_callback_duration = 0.5
    loop.call_soon(clock.advance, 0.25)
    loop.call_soon(clock.advance, 0.5)
    run_once(loop)
    assert len(warnings_logged()) == 1
    loop.slow_callback_duration = 0.25
    loop.call_soon(clock.advance, 0.25)
    run_once(loop)
    assert len(warnings_logged()) == 2


def test_a_cancelled_callback_is_not_slow(loop, warnings_logged):
    loop.set_debug(True)
    loop.slow_callback_duration = 0
    loop.call_soon(print).cancel()
    loop.call_soon(len, "")
    run_once(loop)
    loop.set_debug(False)
    assert "len('')" in warnings_logged()[0]
    assert not [message for message in warnings_logged() if "cancelled" in message]


def test_slow_callbacks_are_not_logged_without_debug_mode(loop, clock, warnings_logged):
    loop.set_debug(False)
    loop.call_soon(clock.advance, 100)
    run_once(loop)
    assert warnings_logged() == []


def test_a_slow_callback_that_fails_is_reported_and_logged(loop, clock, warnings_logged, loop_errors):
    def slow_and_failing():
        clock.advance(1)
        raise LookupError

    loop.set_debug(True)
    loop.call_soon(slow_and_failing)
    run_once(loop)
    assert isinstance(loop_errors.pop()["exception"], LookupError)
    assert len(warnings_logged()) == 1


def test_a_slow_callback_that_cancels_itself_is_logged_with_its_name(loop, clock, warnings_logged):
    def slow():
        clock.advance(1)
        handle.cancel()

    loop.set_debug(True)
    handle = loop.call_soon(slow)
    run_once(loop)
    (message,) = warnings_logged()
    assert message == f"Executing {handle!r} took 1.000 seconds"
    assert "slow()" in message


def test_really_slow_callbacks_are_measured_by_the_clock(loop, warnings_logged):
    def spin():
        until = loop.time() + 0.011
        while loop.time() < until:
            pass

    loop.set_debug(True)
    loop.slow_callback_duration = 0.01
    loop.call_soon(spin)
    run_once(loop)
    (message,) = warnings_logged()
    assert float(re.search(r"took (\d+\.\d{3}) seconds$", message)[1]) >= 0.011


# everything that is logged, compared


def fail():
    raise LookupError("in a callback")


async def failing_task():
    await asyncio.sleep(0)
    raise LookupError("in a task")


def scenario_callbacks(loop):
    loop.call_soon(nothing, 1, "two")
    loop.call_soon(fail)
    loop.call_later(0, fail)
    loop.call_soon_threadsafe(nothing)
    run_turns(loop, 2)


def scenario_tasks(loop):
    async def main():
        asyncio.create_task(failing_task(), name="failing")
        for _ in range(4):
            await asyncio.sleep(0)

    loop.run_until_complete(main())


def scenario_reports(loop):
    loop.call_exception_handler({"message": "outside", "key": 1})
    loop.call_soon(loop.call_exception_handler, {"message": "inside"})
    run_once(loop)


def scenario_executor(loop):
    loop.run_until_complete(loop.run_in_executor(None, nothing))
    loop.run_until_complete(loop.shutdown_default_executor())


def scenario_getaddrinfo(loop):
    loop.run_until_complete(loop.getaddrinfo("127.0.0.1", 80, proto=6))


def scenario_handler_error(loop):
    def broken(_loop, _context):
        raise KeyError("in the handler")

    loop.set_exception_handler(broken)
    loop.call_soon(fail)
    run_once(loop)


SCENARIOS = [value for name, value in sorted(globals().items()) if name.startswith("scenario_")]


@pytest.fixture
def logged(caplog):
    """Runs a scenario on a new loop; what asyncio's logger gets, without what differs from run to run."""
    caplog.set_level(logging.DEBUG, logger="asyncio")

    def run(make_loop, debug, scenario):
        loop = make_loop()
        loop.set_debug(debug)
        caplog.clear()
        try:
            scenario(loop)
        finally:
            loop.close()
        return [
            (record.levelname, normalised(record.message, type(loop).__name__), type_of_error(record))
            for record in caplog.records
        ]

    return run


def type_of_error(record):
    return record.exc_info[0] if record.exc_info else None


FRAME = re.compile(r'  File "(?P<file>.*)", line \d+, in (?P<function>.*)\n(?:    .*(?:\n|$))*')


def normalised(text, loop_name):
    def frame_of_the_scenario(match):  # the loops' own frames may differ
        keep = match["file"] == __file__ and match["function"].startswith(("scenario_", "main"))
        return match[0] if keep else ""

    text = FRAME.sub(frame_of_the_scenario, text)
    text = text.replace(loop_name, "LOOP")
    text = re.sub(r"0x[0-9a-f]+", "ADDRESS", text)
    text = re.sub(r"<FrameSummary [^>]*>(, )?", "", text)
    text = re.sub(r"when=[\d.]+", "when=WHEN", text)
    text = re.sub(r"name='Task-\d+'", "name=NAME", text)
    text = re.sub(r"took [\d.]+ms", "took SOME ms", text)
    return text.rstrip()


@pytest.mark.parametrize("debug", [False, True], ids=["", "debug"])
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
def test_log_records_are_those_of_asyncios_loop(loop_factory, logged, scenario, debug):
    expected = logged(asyncio.SelectorEventLoop, debug, scenario)
    assert logged(loop_factory, debug, scenario) == expected
    if debug:
        assert ("DEBUG", "Close <LOOP running=False closed=False debug=True>", None) in expected
