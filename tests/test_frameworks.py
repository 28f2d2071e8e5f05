"""Real frameworks on the loop under test: aiohttp, uvicorn, FastAPI, websockets, aiofiles, redis."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import io

import aiofiles
import aiohttp
import pytest
import redis.asyncio
import websockets
from aiohttp import web
from fastapi import FastAPI

from support import certificates
from support.web import aiohttp_server, running_loop_family, uvicorn_server

pytest_plugins = ["support.services"]

SECONDS = 30  # A bound for a test that hangs, not an expectation.
LARGE = bytes(range(256)) * 16_384  # 4 MiB: more than any buffer on the way.


@pytest.fixture
def family(on_veloop: bool) -> str:
    """What ``running_loop_family()`` must say inside the frameworks."""
    return "veloop" if on_veloop else "asyncio"


async def _tell_loop(request: web.Request) -> web.Response:
    return web.json_response({"loop": running_loop_family(), "name": request.query.get("name")})


async def _tell_digest(request: web.Request) -> web.Response:
    return web.Response(text=hashlib.sha256(await request.read()).hexdigest())


async def _send_large(_request: web.Request) -> web.Response:
    return web.Response(body=LARGE)


async def _echo_messages(request: web.Request) -> web.WebSocketResponse:
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    await socket.send_str(running_loop_family())
    async for message in socket:
        await socket.send_bytes(message.data)
    return socket


def _aiohttp_application() -> web.Application:
    application = web.Application(client_max_size=2 * len(LARGE))
    application.router.add_get("/", _tell_loop)
    application.router.add_post("/digest", _tell_digest)
    application.router.add_get("/large", _send_large)
    application.router.add_get("/messages", _echo_messages)
    return application


@pytest.mark.parametrize("encrypted", [False, True], ids=["http", "https"])
async def test_aiohttp_serves_concurrent_requests(encrypted: bool, family: str) -> None:
    tls = certificates.server_context() if encrypted else None
    connector = aiohttp.TCPConnector(ssl=certificates.client_context() if encrypted else True)
    async with (
        asyncio.timeout(SECONDS),
        aiohttp_server(_aiohttp_application(), tls) as root,
        aiohttp.ClientSession(root, connector=connector) as session,
    ):

        async def ask(number: int) -> object:
            async with session.get("/", params={"name": f"n{number}"}) as response:
                return await response.json()

        answers = await asyncio.gather(*map(ask, range(40)))
    assert answers == [{"loop": family, "name": f"n{number}"} for number in range(40)]


@pytest.mark.parametrize("encrypted", [False, True], ids=["http", "https"])
async def test_aiohttp_moves_large_bodies_both_ways(encrypted: bool, family: str) -> None:
    assert running_loop_family() == family
    tls = certificates.server_context() if encrypted else None
    connector = aiohttp.TCPConnector(ssl=certificates.client_context() if encrypted else True)
    async with (
        asyncio.timeout(SECONDS),
        aiohttp_server(_aiohttp_application(), tls) as root,
        aiohttp.ClientSession(root, connector=connector) as session,
    ):
        async with session.post("/digest", data=io.BytesIO(LARGE)) as response:
            assert await response.text() == hashlib.sha256(LARGE).hexdigest()
        async with session.get("/large") as response:
            assert await response.read() == LARGE


async def test_aiohttp_web_socket_carries_messages_and_closes_cleanly(family: str) -> None:
    async with (
        asyncio.timeout(SECONDS),
        aiohttp_server(_aiohttp_application()) as root,
        aiohttp.ClientSession(root) as session,
        session.ws_connect("/messages", max_msg_size=0) as socket,
    ):
        assert await socket.receive_str() == family
        for message in (b"", b"short", LARGE[: 1024 * 1024]):
            await socket.send_bytes(message)
            assert await socket.receive_bytes() == message
        await socket.close()
        assert socket.close_code == aiohttp.WSCloseCode.OK


async def test_aiohttp_client_gives_up_after_its_timeout(family: str) -> None:
    released = asyncio.Event()

    async def hold(_request: web.Request) -> web.Response:
        await released.wait()
        return web.Response(text=running_loop_family())

    application = web.Application()
    application.router.add_get("/", hold)
    async with (
        asyncio.timeout(SECONDS),
        aiohttp_server(application) as root,
        aiohttp.ClientSession(root) as session,
    ):
        with pytest.raises(TimeoutError):
            await session.get("/", timeout=aiohttp.ClientTimeout(total=0.05))
        released.set()
        async with session.get("/") as response:
            assert await response.text() == family


async def _asgi_application(scope, receive, send) -> None:
    """Plain ASGI: start-up and shut-down; an answer in pieces that tells the loop and the body's digest."""
    if scope["type"] == "lifespan":
        for step in ("startup", "shutdown"):
            assert (await receive())["type"] == f"lifespan.{step}"
            await send({"type": f"lifespan.{step}.complete"})
        return
    digest = hashlib.sha256()
    more = True
    while more:
        message = await receive()
        digest.update(message.get("body", b""))
        more = message.get("more_body", False)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"x-path", scope["raw_path"])]})
    await send({"type": "http.response.body", "body": running_loop_family().encode(), "more_body": True})
    await send({"type": "http.response.body", "body": b" " + digest.hexdigest().encode()})


async def test_uvicorn_serves_an_asgi_application(family: str) -> None:
    async with (
        asyncio.timeout(SECONDS),
        uvicorn_server(_asgi_application, lifespan="on", ws="none") as root,
        aiohttp.ClientSession(root) as session,
    ):

        async def post(number: int, body: bytes) -> None:
            async with session.post(f"/path/{number}", data=io.BytesIO(body)) as response:
                assert response.headers["x-path"] == f"/path/{number}"
                assert await response.text() == f"{family} {hashlib.sha256(body).hexdigest()}"

        await asyncio.gather(*(post(number, bytes([number]) * number * 100) for number in range(1, 21)))
        await post(99, LARGE)


async def test_uvicorn_answers_pipelined_requests_in_order(family: str) -> None:
    async with asyncio.timeout(SECONDS), uvicorn_server(_asgi_application, ws="none") as root:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(root.rpartition(":")[2]))
        paths = [f"/{number}" for number in range(10)]
        for path in paths:
            close = "close" if path == paths[-1] else "keep-alive"
            writer.write(f"GET {path} HTTP/1.1\r\nHost: test\r\nConnection: {close}\r\n\r\n".encode())
        answer = (await reader.read()).decode()
        assert [line[8:] for line in answer.splitlines() if line.startswith("x-path: ")] == paths
        assert answer.count(family) == len(paths)
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def test_uvicorn_serves_fastapi_with_blocking_and_asynchronous_endpoints(family: str) -> None:
    application = FastAPI()

    @application.get("/asynchronous")
    async def asynchronous(number: int) -> dict[str, object]:
        return {"loop": running_loop_family(), "number": number}

    @application.get("/blocking")
    def blocking(number: int) -> dict[str, object]:  # FastAPI runs it in a thread.
        with pytest.raises(RuntimeError):
            asyncio.get_running_loop()
        return {"number": number}

    async with (
        asyncio.timeout(SECONDS),
        uvicorn_server(application, ws="none") as root,
        aiohttp.ClientSession(root) as session,
    ):
        async with session.get("/asynchronous", params={"number": 1}) as response:
            assert await response.json() == {"loop": family, "number": 1}
        async with session.get("/blocking", params={"number": 2}) as response:
            assert await response.json() == {"number": 2}
        async with session.get("/blocking", params={"number": "none"}) as response:
            assert response.status == 422


async def test_websockets_server_and_client_talk(family: str) -> None:
    async def echo(connection: websockets.ServerConnection) -> None:
        await connection.send(running_loop_family())
        async for message in connection:
            await connection.send(message)

    async with asyncio.timeout(SECONDS), websockets.serve(echo, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with websockets.connect(f"ws://127.0.0.1:{port}", proxy=None) as connection:
            assert await connection.recv() == family
            await connection.send(LARGE[:500_000])
            assert await connection.recv() == LARGE[:500_000]


async def test_aiofiles_reads_and_writes_beside_each_other(tmp_path, family: str) -> None:
    assert running_loop_family() == family
    paths = [tmp_path / str(number) for number in range(20)]

    async def write_and_read(path) -> list[str]:
        async with aiofiles.open(path, "w") as file:
            await file.write(f"line one of {path.name}\nline two\n")
        async with aiofiles.open(path) as file:
            return [line async for line in file]

    async with asyncio.timeout(SECONDS):
        contents = await asyncio.gather(*map(write_and_read, paths))
    assert contents == [[f"line one of {number}\n", "line two\n"] for number in range(20)]


@pytest.fixture(params=["tcp", "unix"])
def redis_address(request: pytest.FixtureRequest, redis) -> dict[str, object]:
    server = redis
    if request.param == "unix":
        return {"unix_socket_path": str(server.unix_socket)}
    return {"host": server.host, "port": server.port}


async def test_redis_commands_pipelines_and_messages(redis_address, family: str) -> None:
    assert running_loop_family() == family
    async with asyncio.timeout(SECONDS), redis.asyncio.Redis(**redis_address) as client:
        await client.flushall()
        await asyncio.gather(*(client.set(f"key{number}", number) for number in range(50)))
        assert await client.mget([f"key{number}" for number in range(50)]) == [b"%d" % n for n in range(50)]

        async with client.pipeline(transaction=True) as pipeline:
            assert await pipeline.incr("count").incrby("count", 41).get("count").execute() == [1, 42, b"42"]

        await client.set("large", LARGE)
        assert await client.get("large") == LARGE

        async with client.pubsub() as subscription:
            await subscription.subscribe("news")
            assert (await subscription.get_message(timeout=SECONDS))["type"] == "subscribe"
            assert await client.publish("news", b"it works") == 1
            assert (await subscription.get_message(timeout=SECONDS))["data"] == b"it works"


async def test_redis_blocking_call_is_woken_by_another_client(redis_address, family: str) -> None:
    assert running_loop_family() == family
    async with (
        asyncio.timeout(SECONDS),
        redis.asyncio.Redis(**redis_address) as client,
        redis.asyncio.Redis(**redis_address) as other,
    ):
        await other.flushall()
        waiting = asyncio.create_task(client.blpop(["queue"], timeout=SECONDS))
        await other.rpush("queue", b"item")
        assert await waiting == (b"queue", b"item")
