"""Exercise 1, delay simulation: three calls with different delays, run at the same time by gather."""

import asyncio


async def fetch_users() -> list[str]:
    await asyncio.sleep(0.3)
    print("users arrived")
    return ["Ada", "Grace"]


async def fetch_orders() -> dict[str, int]:
    await asyncio.sleep(0.1)
    print("orders arrived")
    return {"Ada": 3}


async def fetch_prices() -> float:
    await asyncio.sleep(0.2)
    print("prices arrived")
    return 9.5


async def main() -> None:
    users, orders, price = await asyncio.gather(fetch_users(), fetch_orders(), fetch_prices())
    for user in users:
        print(f"{user} owes {orders.get(user, 0) * price:.2f}")


if __name__ == "__main__":
    asyncio.run(main())
