"""``./dev differential``: every family of tests/differential, for as long as one likes.

Prints each difference with the shortest program that shows it, then a table. Exits with 1 if there was one.
"""

from __future__ import annotations

import argparse
import logging
import platform
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from differential import families, listed  # noqa: E402
from differential.frame import Count  # noqa: E402
from tools.differential.search import search  # noqa: E402
from tools.figures import ALL, Table, record  # noqa: E402

COLUMNS = ["family", "cases:", "differences:", "explained:"]


def main(arguments: list[str]) -> int:
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)  # while no program runs: their leftovers
    parser = argparse.ArgumentParser(prog="./dev differential", description=__doc__)
    parser.add_argument("--minutes", type=float, default=5.0, help="for all families together (default: 5)")
    parser.add_argument("--family", action="append", help="only this one; may be given several times")
    parser.add_argument("--seed", type=int, default=0, help="where the random programs begin")
    parser.add_argument("--record", action="store_true", help="put the table into docs/CONFORMANCE.md")
    options = parser.parse_args(arguments)
    known = families.every_family()
    unknown = set(options.family or ()) - {family.name for family in known}
    if unknown:
        parser.error(f"no family {', '.join(sorted(unknown))}; there are {', '.join(f.name for f in known)}")
    chosen = [family for family in known if options.family is None or family.name in options.family]

    print(f"Python {platform.python_version()}, {options.minutes:g} minutes, seed {options.seed}", flush=True)
    table, total = Table(COLUMNS), Count()
    random = sum(family.cases is None for family in chosen)
    seconds = options.minutes * 60 / max(random, 1)
    for family in chosen:
        started = time.monotonic()
        for difference in search(family, seconds, options.seed):
            print(f"\n{difference}\n", flush=True)
        count = family.count
        remarks = [f"{count.cases:,} cases in {time.monotonic() - started:.0f} s", family.remark()]
        print(f"{family.name}: {', '.join(filter(None, remarks))}", flush=True)
        table.add(family.name, count.cases, count.differences, count.explained_cases)
        total.add(count)
    if chosen == known:
        table.add(ALL, total.cases, total.differences, total.explained_cases)
    print(f"\n{table}\n")
    for name, times in sorted(total.explained.items()):
        print(f"{times:,} explained by {name!r}: {listed.reason_of(name)}")
    if options.record:
        record("differential", table)
    return 1 if total.differences else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
