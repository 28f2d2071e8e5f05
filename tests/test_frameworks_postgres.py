"""asyncpg on the loop under test, against a real PostgreSQL."""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import pytest

from support.postgres import Postgres
from support.web import running_loop_family

pytest_plugins = ["support.services"]

SECONDS = 30  # A bound for a test that hangs, not an expectation.


@pytest.fixture(autouse=True)
def family(on_veloop: bool) -> str:
    return "veloop" if on_veloop else "asyncio"


@asynccontextmanager
async def connected(database: Postgres, family: str, **options) -> AsyncIterator[asyncpg.Connection]:
    """A connection on the loop under test, closed in the end, all within bounds of time."""
    assert running_loop_family() == family
    async with asyncio.timeout(SECONDS):
        connection = await asyncpg.connect(database.dsn, **options)
        try:
            yield connection
        finally:
            await connection.close()


async def test_queries_return_rows(database: Postgres, family: str) -> None:
    async with connected(database, family) as connection:
        row = await connection.fetchrow("SELECT id, name, email FROM users WHERE id = $1", 4)
        assert dict(row) == {"id": 4, "name": "Grace", "email": "grace@example.com"}
        assert await connection.fetchrow("SELECT id FROM users WHERE id = $1", 99) is None
        assert await connection.fetchval("SELECT repeat('x', 3000000)") == "x" * 3_000_000


async def test_connection_through_a_unix_socket(database: Postgres, family: str) -> None:
    async with connected(
        database, family, host=str(database.socket_folder), port=database.port
    ) as connection:
        assert await connection.fetchval("SELECT inet_client_addr()") is None


async def test_wrong_password_is_refused(database: Postgres, family: str) -> None:
    with pytest.raises(asyncpg.InvalidPasswordError):
        async with connected(database, family, password="wrong"):
            pass


async def test_executemany_and_transactions(database: Postgres, family: str) -> None:
    async with connected(database, family) as connection:
        await connection.execute("CREATE TEMPORARY TABLE squares (number int PRIMARY KEY, square int)")
        rows = [(number, number * number) for number in range(5000)]
        await connection.executemany("INSERT INTO squares VALUES ($1, $2)", rows)

        with pytest.raises(asyncpg.UniqueViolationError):
            async with connection.transaction():
                await connection.execute("DELETE FROM squares WHERE number > 10")
                await connection.execute("INSERT INTO squares VALUES (1, 1)")
        assert await connection.fetchval("SELECT count(*) FROM squares") == 5000

        async with connection.transaction():
            await connection.execute("DELETE FROM squares WHERE number > 10")
            cursor = await connection.cursor("SELECT square FROM squares ORDER BY number")
            assert [row["square"] for row in await cursor.fetch(4)] == [0, 1, 4, 9]
        assert await connection.fetchval("SELECT count(*) FROM squares") == 11


async def test_copy_in_and_out(database: Postgres, family: str) -> None:
    async with connected(database, family) as connection:
        await connection.execute("CREATE TEMPORARY TABLE words (id int, word text)")
        records = [(number, f"word {number}" * 10) for number in range(20_000)]
        assert await connection.copy_records_to_table("words", records=records) == "COPY 20000"

        collected = io.BytesIO()
        await connection.copy_from_query("SELECT * FROM words ORDER BY id", output=collected, format="csv")
        copied = csv.reader(io.StringIO(collected.getvalue().decode()))
        assert [(int(number), word) for number, word in copied] == records


async def test_notifications_reach_their_listener(database: Postgres, family: str) -> None:
    async with connected(database, family) as listener, connected(database, family) as sender:
        heard: asyncio.Queue[str] = asyncio.Queue()
        await listener.add_listener("news", lambda _c, _pid, _channel, payload: heard.put_nowait(payload))
        for payload in ("first", "second"):
            await sender.execute("SELECT pg_notify('news', $1)", payload)
        # Nobody asks the server: the loop must notice by itself that there is something to read.
        assert [await heard.get(), await heard.get()] == ["first", "second"]
        await listener.reset(timeout=SECONDS)


async def test_cancelled_and_timed_out_queries_leave_the_connection_usable(
    database: Postgres, family: str
) -> None:
    async with connected(database, family) as connection, connected(database, family) as observer:
        process = connection.get_server_pid()
        sleeping = asyncio.create_task(connection.execute("SELECT pg_sleep(600)"))
        while not await observer.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE pid = $1 AND wait_event = 'PgSleep'", process
        ):
            await asyncio.sleep(0.01)
        sleeping.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sleeping
        assert await connection.fetchval("SELECT 1") == 1

        with pytest.raises(TimeoutError):
            await connection.execute("SELECT pg_sleep(600)", timeout=0.05)
        assert await connection.fetchval("SELECT 2") == 2


async def test_pool_serves_more_tasks_than_it_has_connections(database: Postgres, family: str) -> None:
    assert running_loop_family() == family
    async with asyncio.timeout(SECONDS), asyncpg.create_pool(database.dsn, min_size=2, max_size=5) as pool:

        async def name_of(number: int) -> tuple[str, int]:
            async with pool.acquire() as connection:
                query = "SELECT name, pg_backend_pid() FROM users WHERE id = $1"
                return tuple(await connection.fetchrow(query, number))

        answers = await asyncio.gather(*(name_of(number % 5 + 1) for number in range(200)))
        assert [name for name, _ in answers] == ["Ada", "Barbara", "Edsger", "Grace", "Tony"] * 40
        assert 2 <= len({process for _, process in answers}) <= 5


async def test_server_that_goes_away_is_reported(database: Postgres, family: str) -> None:
    async with connected(database, family) as connection, connected(database, family) as killer:
        gone = asyncio.Event()
        connection.add_termination_listener(lambda _connection: gone.set())
        assert await killer.fetchval("SELECT pg_terminate_backend($1)", connection.get_server_pid())
        await gone.wait()
        assert connection.is_closed()
