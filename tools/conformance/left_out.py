"""The tests that are left out: by name, each with its reason.

What is left out tests how asyncio's selector loop does something, by replacing a part of it that veloop does
not have, or it tests a loop that veloop does not stand for.
"""

from __future__ import annotations

from tools.conformance.lists import Entry, entries

LEFT_OUT: tuple[Entry, ...] = (
    *entries(
        "Windows's proactor loop, which veloop does not replace",
        "test_proactor_events",
        "test_windows_events",
        "test_windows_utils",
    ),
    *entries(
        "asyncio's selector loop and transports, with mocks for selector and socket; veloop has its own",
        "test_selector_events",
    ),
    *entries(
        "asyncio's pipe transports, with mocks for loop, pipe and os.read/os.write; veloop has its own",
        "test_unix_events.UnixReadPipeTransportTests",
        "test_unix_events.UnixWritePipeTransportTests",
    ),
    *entries(
        "BaseEventLoop alone, which can do nothing yet: that its methods raise NotImplementedError",
        "test_base_events.BaseEventLoopTests.test_not_implemented",
    ),
    *entries(
        "looks into asyncio's queue and heap of handles, or puts something there; veloop's are native",
        "test_base_events.BaseEventLoopTests.test__add_callback_handle",
        "test_base_events.BaseEventLoopTests.test__run_once_cancelled_event_cleanup",
        "test_base_events.BaseEventLoopTests.test__run_once_schedule_handle",
        "test_base_events.BaseEventLoopTests.test_call_later",
        "test_base_events.BaseEventLoopTests.test_call_soon",
    ),
    *entries(
        "counts the calls that asyncio makes to a mock of its selector; veloop polls natively",
        "test_base_events.BaseEventLoopTests.test__run_once",
        "test_base_events.BaseEventLoopTests.test_run_forever_pre_stopped",
        "test_base_events.BaseEventLoopTests.test_single_selecter_event_callback_after_stopping",
    ),
    *entries(
        "counts the calls that asyncio makes to a mock of its selector; veloop polls natively",
        "test_base_events.BaseEventLoopTests.test_custom_run_forever_integration",
        since=(3, 13),
    ),
    *entries(
        "sendfile on a loop that has none of its own: asyncio's BaseSelectorEventLoop, made by its own name",
        "test_base_events.BaseLoopSockSendfileTests",
    ),
    *entries(
        "puts a mock around the socket of asyncio's transport, and looks into that transport",
        "test_ssl.TestSSL.test_remote_shutdown_receives_trailing_data_on_slow_socket",
        since=(3, 14),
    ),
    *entries(
        "gives the transport a mock for a socket; veloop's use the descriptor, which a mock has not",
        "test_base_events.BaseEventLoopTests.test_create_connection_happy_eyeballs",
        "test_base_events.BaseEventLoopTests.test_create_connection_happy_eyeballs_ipv4_only",
        since=(3, 15),
    ),
)
