"""The code blocks of tutorials run unchanged, and print what their documents say.

The documents are not ours to distribute: ``VELOOP_DOCUMENTS`` names the folder where they lie, as ``*.txt``.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from support import documents, example_world
from support.run_ahead import run_ahead, selected_parameters

pytest_plugins = ["support.services"]

FOLDER = os.environ.get("VELOOP_DOCUMENTS")
BLOCKS = {block.name: block for block in documents.read_blocks(Path(FOLDER))} if FOLDER else {}

# The file example reads these from the working folder.
FILES = {f"file{number}.txt": f"content of file {number}\n" for number in (1, 2, 3)}

needs_documents = pytest.mark.skipif(FOLDER is None, reason="VELOOP_DOCUMENTS names no folder with documents")


@dataclass(frozen=True)
class Run:
    """A block's outcome, and the files that it left behind."""

    outcome: example_world.Outcome
    files: dict[str, str]

    def lines(self) -> list[str]:
        """What it printed, without figures that differ from run to run."""
        text = re.sub(r"\b0x[0-9a-f]+", "0x...", self.outcome.output)
        return re.sub(r"\d+\.\d+ seconds", "... seconds", text).splitlines()


Runs = Callable[[tuple[str, str]], Run]


def _run_block(block: documents.Block, loop: example_world.LoopName, world: example_world.World) -> Run:
    with tempfile.TemporaryDirectory(dir=world.folder) as name:
        folder = Path(name)
        for file, content in FILES.items():
            (folder / file).write_text(content)
        program = folder / "block.py"
        program.write_text(block.program())
        outcome = world.run(program, loop, working_folder=folder)
        left = sorted(path for path in folder.glob("*.txt") if path.name not in FILES)
        return Run(outcome, {path.name: path.read_text() for path in left})


@pytest.fixture(scope="module")
def runs(request: pytest.FixtureRequest, world: example_world.World) -> Iterator[Runs]:
    selected = {(p["name"], p["loop_factory"]) for p in selected_parameters(request)}
    # The standard loop's output is what the other's is compared with.
    selected |= {(name, "asyncio") for name, _ in selected}
    jobs = {
        (name, loop): partial(_run_block, BLOCKS[name], loop, world)
        for name, loop in sorted(selected, key=lambda job: (BLOCKS[job[0]].seconds or 0, job), reverse=True)
    }
    with run_ahead(jobs) as run_of:
        yield run_of


@needs_documents
def test_documents_are_there() -> None:
    texts = [path.read_bytes() for path in sorted(Path(FOLDER or ".").glob("*.txt"))]
    fences = sum(len(re.findall(rb"^```python", text, re.MULTILINE)) for text in texts)
    assert FOLDER, "VELOOP_DOCUMENTS is set, but empty"
    assert fences > 0, "no Python block in any *.txt of the folder that VELOOP_DOCUMENTS names"
    assert len(BLOCKS) == fences, "a block has been overlooked"
    assert any(block.output for block in BLOCKS.values()), "no block's output has been recognised"


@needs_documents
@pytest.mark.usefixtures("loop_factory")
@pytest.mark.parametrize("name", BLOCKS)
def test_block_prints_what_its_document_says(name: str, on_veloop: bool, runs: Runs) -> None:
    block, loop = BLOCKS[name], "veloop" if on_veloop else "asyncio"
    run = runs((name, loop))
    outcome, lines = run.outcome, run.lines()

    if block.error is not None:
        assert outcome.status == 1
        assert outcome.errors.splitlines()[-1] == block.error
        return

    assert outcome.status == 0, outcome.errors
    assert "Traceback" not in outcome.errors
    assert set(block.printed_in_comments) <= set(lines)
    if block.output is not None:
        assert lines == block.output
    if block.seconds is not None:
        assert block.seconds <= outcome.seconds < block.seconds + 2
    if "asyncio.run(" in block.program():
        assert outcome.ran_only_on(loop), outcome.loops

    standard = runs((name, "asyncio"))
    arranged = list if block.has_fixed_order else sorted
    assert arranged(lines) == arranged(standard.lines())
    assert run.files == standard.files
    assert run.files == {f"processed_{name}": FILES[name].upper() for name in FILES if run.files}
