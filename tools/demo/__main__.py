from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "benchmarks")]

import veloop  # noqa: E402
from tools.demo import benchmark, examples  # noqa: E402
from tools.demo.display import console  # noqa: E402


def main() -> int:
    python = ".".join(str(part) for part in sys.version_info[:3])
    console.print(f"veloop {veloop.__version__} on Python {python}, from {Path(veloop.__file__).parent}")
    results = examples.run()
    rows = benchmark.run()
    console.print()
    console.print(examples.table(results))
    console.print()
    console.print(benchmark.table(rows))
    complaints = [f"{result.program.name}: {result.complaint}" for result in results if result.complaint]
    complaints += benchmark.failures(rows)
    for complaint in complaints:
        console.print(complaint, style="red", markup=False)
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
