"""``./dev faults [--record] [--every N] [PROGRAM ...]``"""

from __future__ import annotations

import argparse
import concurrent.futures
import os
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from tools import figures
from tools.faults import injection, programs
from tools.faults.cases import Case
from tools.faults.verdicts import Oracle, Verdict

ROOT = Path(__file__).parents[2]
PATIENCE = 8.0  # seconds for a case that seemed to hang
LONGEST = 1200  # seconds for all cases of a program


@dataclass
class Result:
    """What came of a program's cases on veloop."""

    calls: int = 0
    cases: int = 0
    cancellations: int = 0
    verdicts: Counter[Verdict] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    def __iadd__(self, other: Result) -> Result:
        self.calls += other.calls
        self.cases += other.cases
        self.cancellations += other.cancellations
        self.verdicts += other.verdicts
        self.wrong += other.wrong
        return self


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="./dev faults", description=__doc__)
    parser.add_argument("--record", action="store_true", help="put the figures into docs/CONFORMANCE.md")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="only every Nth case")
    parser.add_argument("programs", nargs="*", metavar="PROGRAM", help=", ".join(programs.PROGRAMS))
    options = parser.parse_args(arguments)
    names = options.programs or list(programs.PROGRAMS)
    try:
        injection.library()
        injection.environment()
    except injection.Missing as missing:
        print(f"faults cannot be injected here: {missing}", file=sys.stderr)
        return 1
    total = Result()
    with concurrent.futures.ThreadPoolExecutor((os.cpu_count() or 1) + 1) as pool:
        for name, result in zip(
            names, pool.map(lambda name: examine(name, options.every), names), strict=True
        ):
            counts = ", ".join(f"{count} {verdict.value}" for verdict, count in result.verdicts.items())
            print(f"{name}: {result.calls} calls, {result.cases} cases: {counts}", flush=True)
            for text in result.wrong:
                print(text, flush=True)
            total += result
    table = table_of(total)
    print(f"\n{table}")
    if options.record:
        figures.record("faults", table)
    return 0 if all(verdict.is_good for verdict in total.verdicts) else 1


def table_of(total: Result) -> figures.Table:
    table = figures.Table(["what", "figure:"])
    table.add("programs' system calls", total.calls)
    table.add("cases: a call fails, or a task is cancelled", total.cases)
    table.add("of them cancellations", total.cancellations)
    for verdict in Verdict:
        table.add(verdict.value, total.verdicts[verdict])
    return table


def examine(program: str, every: int = 1, compare: bool = True) -> Result:
    """Every case of a program on veloop, beside asyncio's; or only whether it is a clean one."""
    result = Result()
    oracle = Oracle(*run_worker("asyncio", program, *([] if compare else ["--only", "none"])))
    plain, cases = run_worker("veloop", program, "--every", str(every))
    result.calls = len(plain.calls)
    for case in [plain, *cases]:
        if not case.happened and case is not plain:
            continue
        verdict = oracle.verdict(case) if case is not plain else verdict_of_plain(oracle, plain)
        if verdict in {Verdict.HANG, Verdict.DIFFERENT} and case is not plain:
            # A busy machine may be what made the difference.
            case, verdict = once_more(program, case)
        if case is not plain:
            result.cases += 1
            result.cancellations += bool(case.task)
            result.verdicts[verdict] += 1
        if not verdict.is_good:
            result.verdicts[verdict] += case is plain
            result.wrong.append(describe(case, verdict, oracle))
    return result


def verdict_of_plain(oracle: Oracle, plain: Case) -> Verdict:
    """Without a fault both loops do the same."""
    good = plain.outcome.seen == oracle.plain.outcome.seen
    return Verdict.AS_ASYNCIO if good and not plain.outcome.leaks else Verdict.DIFFERENT


def once_more(program: str, case: Case) -> tuple[Case, Verdict]:
    """The same again, with patience, beside asyncio's cases of this kind."""
    same = ("--kind", "/".join(case.kind))
    oracle = Oracle(*run_worker("asyncio", program, "--limit", str(PATIENCE), *same))
    _, cases = run_worker("veloop", program, "--limit", str(PATIENCE), "--only", case.name)
    again = cases[0] if cases else case
    return again, oracle.verdict(again)


def run_worker(loop: str, program: str, *options: str) -> tuple[Case, list[Case]]:
    """The run without a fault, and all the cases."""
    command = [sys.executable, "-m", "tools.faults.worker", loop, program, *options]
    ended = subprocess.run(
        command,
        cwd=ROOT,
        env=injection.environment(),
        capture_output=True,
        text=True,
        timeout=LONGEST,
        check=False,
    )
    if ended.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} ended with {ended.returncode}: {ended.stderr}")
    plain, *cases = [Case.from_json(line) for line in ended.stdout.splitlines()]
    return plain, cases


def describe(case: Case, verdict: Verdict, oracle: Oracle) -> str:
    outcome = case.outcome
    lines = [f"  {verdict.value}: {case.name or 'without a fault'}", f"    veloop:  {outcome.seen}"]
    lines += [f"    asyncio: {seen}" for seen in oracle.outcomes(case)[:3]]
    lines += [
        f"    {what}: {found}"
        for what, found in (
            ("crashed", case.crashed),
            ("left open", outcome.leaks),
            ("closed twice", outcome.closed_twice),
            ("used when closed", outcome.stale_uses),
        )
        if found
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
