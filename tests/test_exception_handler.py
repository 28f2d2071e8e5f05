"""The loop's exception handler: the default one, a custom one, and errors in either."""

import asyncio
import contextvars
import gc
import logging
import socket
import sys

import pytest

from support.turns import run_once

variable = contextvars.ContextVar("variable", default="unset")


def boom(*_args):
    raise ValueError("boom")


def test_the_handler_can_be_set_read_and_reset(loop):
    def handler(_loop, _context):
        pass

    loop.set_exception_handler(handler)
    assert loop.get_exception_handler() is handler
    loop.set_exception_handler(None)
    assert loop.get_exception_handler() is None


@pytest.mark.parametrize("handler", [42, "text", ()], ids=repr)
def test_a_handler_that_is_not_callable_is_refused(loop, handler):
    with pytest.raises(TypeError) as info:
        loop.set_exception_handler(handler)
    assert str(info.value) == f"A callable object or None is expected, got {handler!r}"


def test_the_handler_gets_the_loop_and_the_context(loop):
    calls = []
    loop.set_exception_handler(lambda *args: calls.append(args))
    context = {"message": "something", "extra": 1}
    loop.call_exception_handler(context)
    assert calls == [(loop, context)]
    assert calls[0][1] is context


@pytest.mark.skipif(sys.version_info < (3, 12), reason="new in Python 3.12")
def test_the_handler_runs_in_the_context_of_the_callback(loop):
    seen = []
    loop.set_exception_handler(lambda _loop, _context: seen.append(variable.get()))
    context = contextvars.copy_context()
    context.run(variable.set, "of the callback")
    loop.call_soon(boom, context=context)
    run_once(loop)
    assert seen == ["of the callback"]


def test_an_error_in_the_handler_is_logged_and_the_loop_goes_on(loop, caplog):
    def handler(_loop, _context):
        raise LookupError("in the handler")

    loop.set_exception_handler(handler)
    events = []
    loop.call_soon(boom)
    loop.call_soon(events.append, "next")
    run_once(loop)
    assert events == ["next"]
    (record,) = caplog.records
    assert (record.name, record.levelno) == ("asyncio", logging.ERROR)
    lines = record.getMessage().split("\n")
    assert lines[0] == "Unhandled error in exception handler"
    assert lines[1].startswith("context: {'message': 'Exception in callback boom(")
    assert str(record.exc_info[1]) == "in the handler"


def test_an_error_in_the_default_handler_is_logged_and_the_loop_goes_on(loop, caplog):
    class Loop(type(loop)):
        def default_exception_handler(self, context):
            raise LookupError("in the default handler")

    broken = Loop()
    events = []
    broken.call_soon(boom)
    broken.call_soon(events.append, "next")
    run_once(broken)
    broken.close()
    assert events == ["next"]
    (record,) = caplog.records
    assert record.getMessage() == "Exception in default exception handler"
    assert str(record.exc_info[1]) == "in the default handler"


def test_errors_in_both_handlers_are_logged_and_the_loop_goes_on(loop, caplog):
    class Loop(type(loop)):
        def default_exception_handler(self, context):
            raise LookupError("in the default handler")

    def handler(_loop, _context):
        raise KeyError("in the handler")

    broken = Loop()
    broken.set_exception_handler(handler)
    broken.call_soon(boom)
    run_once(broken)
    broken.close()
    (record,) = caplog.records
    assert record.getMessage() == (
        "Exception in default exception handler while handling an unexpected error "
        "in custom exception handler"
    )


def test_an_overridden_call_exception_handler_sees_errors_in_callbacks(loop):
    """uvicorn, aiohttp's test tools and others look at errors this way."""
    contexts = []

    class Loop(type(loop)):
        def call_exception_handler(self, context):
            contexts.append(context)

    overridden = Loop()
    overridden.call_soon(boom)
    run_once(overridden)
    overridden.close()
    assert [str(context["exception"]) for context in contexts] == ["boom"]


def test_the_default_handler_can_be_called_by_a_custom_one(loop, caplog):
    loop.set_exception_handler(lambda loop, context: loop.default_exception_handler(context))
    loop.call_soon(boom)
    run_once(loop)
    assert caplog.records[0].getMessage().startswith("Exception in callback boom(")


def test_the_default_handler_logs_message_and_sorted_keys(loop, caplog):
    loop.set_exception_handler(None)
    loop.call_exception_handler({"zebra": 1, "message": "what happened", "alpha": "two"})
    loop.call_exception_handler({})
    first, second = caplog.records
    assert first.getMessage() == "what happened\nalpha: 'two'\nzebra: 1"
    assert first.exc_info is None or first.exc_info is False
    assert second.getMessage() == "Unhandled exception in event loop"


def test_in_debug_mode_the_log_tells_where_the_callback_was_scheduled(loop, caplog):
    caplog.set_level(logging.ERROR, logger="asyncio")
    loop.set_exception_handler(None)
    loop.set_debug(True)
    handle = loop.call_soon(boom)
    run_once(loop)
    text = caplog.records[0].getMessage()
    assert "source_traceback: Object created at (most recent call last):" in text
    line = handle._source_traceback[-1].lineno
    assert f'File "{__file__}", line {line}, in test_in_debug_mode' in text


def test_in_debug_mode_the_log_tells_which_callback_was_running(loop, caplog):
    caplog.set_level(logging.ERROR, logger="asyncio")
    loop.set_exception_handler(None)
    loop.set_debug(True)

    def report():
        loop.call_exception_handler({"message": "reported"})

    handle = loop.call_soon(report)
    run_once(loop)
    loop.call_exception_handler({"message": "outside"})
    inside, outside = (record.getMessage() for record in caplog.records)
    assert inside.startswith("reported\nhandle_traceback: Handle created at (most recent call last):\n")
    line = handle._source_traceback[-1].lineno
    assert f'File "{__file__}", line {line}, in test_in_debug_mode' in inside
    assert outside == "outside"


def test_a_task_exception_that_nobody_retrieved_goes_to_the_handler(loop, loop_errors):
    async def fail():
        raise ValueError("unseen")

    task = loop.create_task(fail())
    run_once(loop)
    assert loop_errors == []
    representation = repr(task)
    del task
    context = loop_errors.pop()
    assert context["message"] == "Task exception was never retrieved"
    assert repr(context["future"]) == representation
    assert str(context["exception"]) == "unseen"


def test_a_future_exception_that_nobody_retrieved_goes_to_the_handler(loop, loop_errors):
    future = loop.create_future()
    future.set_exception(ValueError("unseen"))
    del future
    assert loop_errors.pop()["message"] == "Future exception was never retrieved"


def test_a_pending_task_that_is_destroyed_is_reported(loop_factory):
    async def forever():
        await asyncio.Event().wait()

    loop = loop_factory()
    contexts = []
    loop.set_exception_handler(lambda _loop, context: contexts.append(context))
    task = loop.create_task(forever())
    run_once(loop)
    name = task.get_name()
    del task
    loop.close()
    gc.collect()
    reported = [(context["message"], context["task"].get_name()) for context in contexts]
    contexts.clear()
    assert reported == [("Task was destroyed but it is pending!", name)]


@pytest.mark.parametrize("where", ["callback", "data_received", "eof_received", "pause_writing"])
def test_the_handler_runs_while_the_exception_is_handled(loop, loop_errors, where):
    """As within ``except``: ``sys.exc_info()``, ``logger.exception()`` and tracebacks know the exception."""
    seen = []
    loop.set_exception_handler(
        lambda _loop, context: seen.append((sys.exc_info()[1] is context["exception"], sys.exc_info()[1]))
    )
    if where == "callback":
        loop.call_soon(boom)
        run_once(loop)
    else:
        protocol = type("Protocol", (asyncio.Protocol,), {where: boom})
        near, far = socket.socketpair()
        transport, _ = loop.run_until_complete(loop.create_unix_connection(protocol, sock=near))
        if where == "data_received":
            far.send(b"data")
        elif where == "eof_received":
            far.shutdown(socket.SHUT_WR)
        else:
            transport.write(bytes(5_000_000))
        for _ in range(3):
            run_once(loop)
        transport.abort()
        run_once(loop)
        far.close()
    assert [(handled, repr(error)) for handled, error in seen] == [(True, "ValueError('boom')")]
    assert sys.exc_info() == (None, None, None)


def test_an_exception_of_the_handler_names_the_one_it_handled(loop, caplog):
    def handler(_loop, _context):
        raise LookupError("in the handler")

    loop.set_exception_handler(handler)
    loop.call_soon(boom)
    with caplog.at_level(logging.ERROR, "asyncio"):
        run_once(loop)
    raised = caplog.records[0].exc_info[1]
    assert repr(raised) == "LookupError('in the handler')"
    assert repr(raised.__context__) == "ValueError('boom')"
