"""A pool of connections to PostgreSQL with asyncpg: concurrent queries, a transaction, an error."""

import asyncio

import asyncpg

DSN = "postgresql://user:password@localhost/dbname"


async def get_user(pool: asyncpg.Pool, user_id: int) -> dict[str, object] | None:
    async with pool.acquire() as connection:
        row = await connection.fetchrow("SELECT id, name, email FROM users WHERE id = $1", user_id)
        return dict(row) if row else None


async def count_users(connection: asyncpg.Connection) -> int:
    return await connection.fetchval("SELECT count(*) FROM users")


async def main() -> None:
    async with asyncpg.create_pool(DSN, min_size=2, max_size=4) as pool:
        for user in await asyncio.gather(*(get_user(pool, user_id) for user_id in range(1, 7))):
            print(user)

        async with pool.acquire() as connection:
            transaction = connection.transaction()
            await transaction.start()
            await connection.execute("INSERT INTO users VALUES ($1, $2, $3)", 6, "Niklaus", "nw@example.com")
            print("in the transaction:", await count_users(connection))
            await transaction.rollback()
            print("rolled back:", await count_users(connection))

            try:
                await connection.fetch("SELECT * FROM no_such_table")
            except asyncpg.UndefinedTableError as error:
                print("refused:", error)


if __name__ == "__main__":
    asyncio.run(main())
