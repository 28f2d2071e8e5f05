"""getaddrinfo and getnameinfo: the answers of the socket module, however they are found.

Nothing here asks a name server: hosts are literals, names from the hosts file, or refused before any look-up.
"""

import asyncio
import itertools
import socket
import threading

import pytest

LOOPBACK_INTERFACE = "lo" if any(name == "lo" for _, name in socket.if_nameindex()) else "lo0"
LITERALS = [
    "127.0.0.1",
    "0.0.0.0",
    "255.255.255.255",
    "192.0.2.1",
    "::1",
    "::",
    "2001:db8::1",
    "2001:DB8:0:0:0:0:0:1",
    "::ffff:127.0.0.1",
    "::127.0.0.1",
    "fe80::1",
    f"fe80::1%{LOOPBACK_INTERFACE}",
    "fe80::1%1",
    "ff02::1%1",
    "::1%1",
    b"127.0.0.1",
    b"::1",
    "",
    b"",
    None,
]
PORTS = [80, 0, 65535, "80", b"80", "http", "", None]
FAMILIES = [socket.AF_UNSPEC, socket.AF_INET, socket.AF_INET6]
KINDS = [0, socket.SOCK_STREAM, socket.SOCK_DGRAM]
PROTOCOLS = [0, socket.IPPROTO_TCP, socket.IPPROTO_UDP]
FLAGS = [0, socket.AI_PASSIVE, socket.AI_NUMERICHOST, socket.AI_CANONNAME]

# Forms that the C library accepts, or refuses, in its own way; numeric only, so that no name is looked up.
ODD_HOSTS = [
    "127.1",
    "1.2.3",
    "2130706433",
    "0x7f.0.0.1",
    "0x7f000001",
    "0177.0.0.1",
    "127.0.0.1.",
    "127.0.0.01",
    "127.0.0.256",
    "127.0.0.1.1",
    " 127.0.0.1",
    "127.0.0.1 ",
    "127.0.0.1%lo",
    "127.0.0.1/8",
    "[::1]",
    ":::",
    "::1::",
    "1:2:3:4:5:6:7",
    "1:2:3:4:5:6:7:8:9",
    "::12345",
    "::1%",
    "fe80::1%nosuchif",
    "fe80::1%99999999999",
    "::ffff:1.2.3",
    "localhost",
    "name.invalid",
    "٣.1.1.1",
    "１２７.0.0.1",  # noqa: RUF001
    b"\xff",
]
BAD_HOSTS = [
    "a" * 64,
    "a" * 300 + ".invalid",
    "127.0.0.1\0",
    "::1\0",
    b"127.0.0.1\0",
    "\ud800",
    "..",
    ".127.0.0.1",
    42,
    3.5,
    ["127.0.0.1"],
    bytearray(b"127.0.0.1"),
]
BAD_PORTS = [-1, 65536, 2**31, 2**64, -(2**64), "65536", "-1", " 80", "80 ", "0x50", "8_0", "８０", "nosuch"]  # noqa: RUF001
BAD_PORTS += ["80\0", "\ud800", b"\xff", 80.0, [], True, "+80", "080"]
ODD_KINDS = [socket.SOCK_RAW, socket.SOCK_STREAM | socket.SOCK_NONBLOCK, 99, -1]
ODD_PROTOCOLS = [socket.IPPROTO_ICMP, 132, 255, -1, 99999]
ODD_FAMILIES = [socket.AF_UNIX, 99, -1]
ODD_FLAGS = [
    socket.AI_NUMERICSERV,
    socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
    socket.AI_V4MAPPED,
    socket.AI_V4MAPPED | socket.AI_ALL,
    socket.AI_ADDRCONFIG,
    -1,
    0x8000,
]


def outcome_of(call, *args, **kwargs):
    """The result with its types, or the error with its arguments, as something that compares."""
    try:
        return repr(call(*args, **kwargs))
    except Exception as error:
        return type(error), error.args


async def outcome_on(loop, *args, **kwargs):
    try:
        return repr(await loop.getaddrinfo(*args, **kwargs))
    except Exception as error:
        return type(error), error.args


async def differences(loop, cases):
    """The cases in which the loop's answer is not the socket module's."""
    found = []
    for host, port, family, kind, protocol, flags in cases:
        ours = await outcome_on(loop, host, port, family=family, type=kind, proto=protocol, flags=flags)
        expected = outcome_of(socket.getaddrinfo, host, port, family, kind, protocol, flags)
        if ours != expected:
            found.append(f"{(host, port, family, kind, protocol, flags)}: {ours} instead of {expected}")
    return found


@pytest.mark.parametrize("host", LITERALS, ids=repr)
async def test_every_combination_is_answered_as_by_the_socket_module(loop, host):
    cases = itertools.product([host], PORTS, FAMILIES, KINDS, PROTOCOLS, FLAGS)
    assert await differences(loop, cases) == []


async def test_names_of_the_hosts_file_are_answered_as_by_the_socket_module(loop):
    families = [socket.AF_UNSPEC, socket.AF_INET]  # AF_INET6 might ask a name server
    cases = itertools.product(["localhost", b"localhost"], PORTS, families, KINDS, PROTOCOLS, FLAGS)
    assert await differences(loop, cases) == []


async def test_odd_hosts_are_read_as_by_the_socket_module(loop):
    cases = itertools.product(
        ODD_HOSTS, [80, None], FAMILIES, [0, socket.SOCK_STREAM], [0], [socket.AI_NUMERICHOST]
    )
    assert await differences(loop, cases) == []


async def test_bad_hosts_are_refused_as_by_the_socket_module(loop):
    cases = itertools.product(
        BAD_HOSTS, [80], FAMILIES, [0, socket.SOCK_STREAM], [0], [socket.AI_NUMERICHOST]
    )
    assert await differences(loop, cases) == []


async def test_odd_ports_are_read_as_by_the_socket_module(loop):
    hosts = ["127.0.0.1", "::1", None]
    cases = itertools.product(hosts, BAD_PORTS, FAMILIES, KINDS, [0], [0, socket.AI_PASSIVE])
    assert await differences(loop, cases) == []


async def test_odd_families_types_and_protocols_are_read_as_by_the_socket_module(loop):
    hosts = ["127.0.0.1", "::1", None]
    cases = itertools.chain(
        itertools.product(hosts, [80, "http"], ODD_FAMILIES, KINDS, PROTOCOLS, [0]),
        itertools.product(hosts, [80, "http"], FAMILIES, ODD_KINDS, PROTOCOLS, [0]),
        itertools.product(hosts, [80, "http"], FAMILIES, KINDS, ODD_PROTOCOLS, [0]),
    )
    assert await differences(loop, cases) == []


async def test_odd_flags_are_read_as_by_the_socket_module(loop):
    hosts = ["127.0.0.1", "::1", "::ffff:127.0.0.1", None]
    cases = itertools.product(hosts, [80, "80", "http"], FAMILIES, [0, socket.SOCK_STREAM], [0], ODD_FLAGS)
    assert await differences(loop, cases) == []


async def test_arguments_of_other_types_are_refused_as_by_the_socket_module(loop):
    values = ["1", None, 1.0, 2**40]
    cases = itertools.chain(
        (("127.0.0.1", 80, value, 0, 0, 0) for value in values),
        (("127.0.0.1", 80, 0, value, 0, 0) for value in values),
        (("127.0.0.1", 80, 0, 0, value, 0) for value in values),
        (("127.0.0.1", 80, 0, 0, 0, value) for value in values),
    )
    assert await differences(loop, cases) == []


async def test_the_answer_has_the_types_of_the_socket_module(loop):
    ((family, kind, protocol, name, address),) = await loop.getaddrinfo(
        "127.0.0.1", 80, type=socket.SOCK_STREAM
    )
    assert type(family) is socket.AddressFamily
    assert type(kind) is socket.SocketKind
    assert (type(protocol), type(name), type(address)) == (int, str, tuple)
    assert await loop.getaddrinfo("127.0.0.1", 80, type=socket.SOCK_STREAM) == [
        (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", ("127.0.0.1", 80))
    ]


async def test_the_defaults_are_those_of_the_socket_module(loop):
    assert await loop.getaddrinfo("127.0.0.1", 80) == socket.getaddrinfo("127.0.0.1", 80)
    assert await loop.getaddrinfo(host="::1", port="http") == socket.getaddrinfo("::1", "http")
    with pytest.raises(TypeError):
        await loop.getaddrinfo("127.0.0.1", 80, socket.AF_INET)
    with pytest.raises(TypeError):
        await loop.getaddrinfo("127.0.0.1")


async def test_it_is_a_coroutine_function(loop):
    task = loop.create_task(loop.getaddrinfo("127.0.0.1", 80))
    assert await task == socket.getaddrinfo("127.0.0.1", 80)


async def test_a_lookup_of_a_name_runs_in_the_executor(loop, monkeypatch):
    """Tests and resolvers replace socket.getaddrinfo; names must reach the replacement, in another thread."""
    threads = []
    original = socket.getaddrinfo

    def recording(*args, **kwargs):
        threads.append(threading.current_thread())
        return original(*args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", recording)
    assert await loop.getaddrinfo("localhost", 80) == original("localhost", 80)
    assert len(threads) == 1
    assert threads[0] is not threading.current_thread()


async def test_many_lookups_at_once(loop):
    hosts = ["127.0.0.1", "::1", "localhost", "192.0.2.1"] * 25
    answers = await asyncio.gather(*(loop.getaddrinfo(host, 80) for host in hosts))
    assert answers == [socket.getaddrinfo(host, 80) for host in hosts]


async def test_a_cancelled_lookup_is_forgotten(loop, monkeypatch):
    answer = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_args: answer.wait(20))
    task = loop.create_task(loop.getaddrinfo("localhost", 80))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    answer.set()


# getnameinfo

NUMERIC = socket.NI_NUMERICHOST | socket.NI_NUMERICSERV
ADDRESSES = [
    ("127.0.0.1", 80),
    ("127.0.0.1", 0),
    ("::1", 80),
    ("::1", 80, 0, 0),
    ("fe80::1", 80, 0, 1),
    ("fe80::1", 80, 5, 1),
    ("192.0.2.1", 65535),
    ("127.0.0.1", 65536),
    ("127.0.0.1", -1),
    ("127.0.0.1", "80"),
    ("127.0.0.1",),
    ("127.0.0.1", 80, 0, 0),
    ("::1", 80, 2**20, 0),
    (None, 80),
    (),
    "127.0.0.1",
    None,
    ["127.0.0.1", 80],
    ("not an address", 80),
]


@pytest.mark.parametrize("flags", [NUMERIC, NUMERIC | socket.NI_DGRAM, NUMERIC | socket.NI_NAMEREQD])
async def test_getnameinfo_answers_as_the_socket_module(loop, flags):
    for address in ADDRESSES:
        try:
            ours = await loop.getnameinfo(address, flags)
        except Exception as error:
            ours = type(error), error.args
        try:
            expected = socket.getnameinfo(address, flags)
        except Exception as error:
            expected = type(error), error.args
        assert (address, ours) == (address, expected)


async def test_getnameinfo_names_services_and_hosts(loop):
    flags = socket.NI_NUMERICHOST
    assert await loop.getnameinfo(("127.0.0.1", 80), flags) == socket.getnameinfo(("127.0.0.1", 80), flags)
    assert await loop.getnameinfo(("127.0.0.1", 80)) == socket.getnameinfo(("127.0.0.1", 80), 0)
