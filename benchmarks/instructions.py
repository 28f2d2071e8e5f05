"""Counts user-space instructions per operation: ``./dev bench --instructions [--check | --record]``.

A count hardly differs from run to run, on a busy machine neither, so that a change of one percent shows. It
is no measure of time: what the kernel does, and what memory costs, is not in it.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import sysconfig
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from harness import catalogue, counting, loops, report

RECORDED = Path(__file__).parent / "instructions.json"
HELD = "veloop"  # the loop whose counts are recorded
TOLERANCE = 0.03
Counts = Mapping[str, float | str]


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--instructions", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--loops", default="asyncio,uvloop,veloop", help="as for the benchmarks")
    parser.add_argument("--only", default="*", metavar="NAMES", help="rows, with wildcards, by commas")
    parser.add_argument("--profiles", type=Path, metavar="FOLDER", help="keep callgrind's files, LOOP-ROW")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--record", action="store_true", help=f"write {HELD}'s counts to {RECORDED.name}")
    what.add_argument(
        "--check",
        action="store_true",
        help=f"fail if {HELD} got more than {TOLERANCE:.0%} worse than this interpreter's record",
    )
    return parser.parse_args(arguments)


def interpreter() -> str:
    """What the counts depend on besides veloop: another build of the same Python needs other ones."""
    optimised = "--enable-optimizations" in (sysconfig.get_config_var("CONFIG_ARGS") or "")
    kind = "optimised" if optimised else "plain"
    return f"{platform.python_version()}, {platform.python_compiler()}, {kind}, {platform.machine()}"


def version() -> str:
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def read_recorded(path: Path) -> dict[str, dict[str, object]]:
    return json.loads(path.read_text()) if path.exists() else {}


def record(counts: Counts, path: Path = RECORDED) -> None:
    """Rows that were not counted now stay as they are, if the same interpreter counted them."""
    recorded = read_recorded(path)
    before = recorded.get(version(), {})
    kept = before.get("rows", {}) if before.get("python") == interpreter() else {}
    assert isinstance(kept, dict)
    rows = {**kept, **{name: round(value, 1) for name, value in counts.items() if isinstance(value, float)}}
    recorded[version()] = {"python": interpreter(), "rows": rows}
    path.write_text(json.dumps(dict(sorted(recorded.items())), indent=1) + "\n")


def why_not_comparable(path: Path = RECORDED) -> str:
    """Empty if what is recorded was counted with this interpreter."""
    recorded = read_recorded(path).get(version())
    if recorded is None:
        return f"not compared: nothing is recorded for Python {version()}; --record does it"
    if recorded["python"] != interpreter():
        return f"not compared: recorded for {recorded['python']}, this is {interpreter()}"
    return ""


def complaints(counts: Counts, path: Path = RECORDED) -> list[str]:
    """What keeps the check from passing; empty when it does."""
    rows = {} if why_not_comparable(path) else read_recorded(path)[version()]["rows"]
    assert isinstance(rows, dict)
    found = []
    for name, value in counts.items():
        if isinstance(value, str):
            found.append(f"{name}: {value}")
        elif not rows:
            continue
        elif name not in rows:
            found.append(f"{name}: nothing is recorded, --record does it")
        elif value > rows[name] * (1 + TOLERANCE):
            change = _change(value, rows[name])
            found.append(f"{name}: {value:,.0f} instructions, recorded {rows[name]:,.0f} ({change})")
    return found


def _change(value: float, before: float) -> str:
    return f"{value / before - 1:+.1%}"


def table(counted: Mapping[str, Counts], recorded: Mapping[str, float]) -> list[list[str]]:
    """The baseline's counts, how many times fewer the others need, and the change since the record."""
    names = list(counted)
    baseline = counted[names[0]]
    header = ["instructions per operation", *names]
    lines = [[*header, "recorded"] if recorded else header]
    for row in baseline:
        line = [catalogue.load(row).title({**next(catalogue.load(row).points()), **counting.ROWS[row]})]
        for name in names:
            value, base = counted[name][row], baseline[row]
            if isinstance(value, str):
                line.append("fails")
            elif isinstance(base, str) or name == names[0]:
                line.append(f"{value:,.0f}")
            else:
                line.append(f"{value:,.0f} ({base / value:.2f}x)")
        if recorded:
            now = counted.get(HELD, {}).get(row)
            before = recorded.get(row)
            known = isinstance(now, float) and before is not None
            line.append(f"{before:,.0f} ({_change(now, before)})" if known else "")  # type: ignore[arg-type]
        lines.append(line)
    return lines


def main(arguments: Sequence[str] | None = None) -> int:
    options = parse(arguments)
    rows = {
        name: parameters
        for name, parameters in counting.ROWS.items()
        if any(fnmatchcase(name, pattern) for pattern in options.only.split(","))
    }
    names = HELD if options.check or options.record else options.loops
    specs = [spec for spec in map(loops.resolve, names.split(",")) if spec.installed]
    if not rows or not specs:
        raise SystemExit("there is nothing to count: no such row, or no such loop installed")
    counted: dict[str, Counts] = {}
    for spec in specs:
        print(f"counting {spec.name}: {len(rows)} rows, about a minute", file=sys.stderr, flush=True)
        try:
            counted[spec.name] = counting.count(spec.text, rows, options.profiles)
        except counting.CannotCount as error:
            raise SystemExit(str(error)) from None
    recorded = read_recorded(RECORDED).get(version(), {})
    comparable = recorded.get("rows", {}) if recorded.get("python") == interpreter() else {}
    assert isinstance(comparable, dict)
    report.print_table(table(counted, comparable))
    failures = {
        f"{loop}, {row}: {text}"
        for loop, all_of in counted.items()
        for row, text in all_of.items()
        if isinstance(text, str)
    }
    for failure in sorted(failures):
        print(failure)
    if options.record:
        record(counted[HELD])
    found = complaints(counted[HELD]) if options.check else []
    if options.check and (reason := why_not_comparable()):
        print(reason)
    for complaint in found:
        print(complaint, file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
