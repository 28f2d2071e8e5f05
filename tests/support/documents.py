"""The Python blocks of Markdown documents as programs, and what the documents say that they print.

A block runs as it stands. What surrounds it is made here: names that it takes from earlier blocks of its
document come before it, a lone ``await`` gets a coroutine to stand in, and coroutines that a block only
defines are called.
"""

from __future__ import annotations

import ast
import builtins
import re
import symtable
import textwrap
from dataclasses import dataclass, field
from pathlib import Path

FENCE = re.compile(r"^```([^\n`]*)\n(.*?)^```[ \t]*$", re.MULTILINE | re.DOTALL)
PRINTED_IN_COMMENT = re.compile(r"print\(.*\)\s*#\s*([\[<{'\"\d].*)$", re.MULTILINE)
ERROR_IN_COMMENT = re.compile(r"#\s*(\w+Error: .*)$", re.MULTILINE)
TOTAL_TIME = re.compile(r"^[^\n`]*Total time:[^\n\d]*(\d+) seconds", re.MULTILINE)

# Arguments for coroutines that a block defines but does not call; any other parameter gets its own name.
SAMPLES: dict[str, object] = {"url": "https://api.example.com/data1", "user_id": 1}


@dataclass(frozen=True)
class Block:
    """One Python block."""

    name: str
    code: str
    earlier: list[str] = field(repr=False)  # The blocks before it in its document.
    output: list[str] | None  # What the document says it prints, line by line.
    seconds: int | None  # How long the document says it takes.

    @property
    def printed_in_comments(self) -> list[str]:
        return PRINTED_IN_COMMENT.findall(self.code)

    @property
    def error(self) -> str | None:
        """How the block fails, if the document shows it as wrong."""
        match = ERROR_IN_COMMENT.search(self.code)
        return match[1] if match else None

    @property
    def has_fixed_order(self) -> bool:
        """``asyncio.wait`` gives sets of tasks: a program that prints one prints it in any order."""
        return "asyncio.wait(" not in self.code

    def program(self) -> str:
        """The block with whatever it needs around it."""
        if self.error is not None:
            return self.code
        if _needs_running_loop(self.code):
            body = FRAGMENT.format(code=textwrap.indent(self.code, "    "))
        elif coroutines := _coroutines_only_defined(self.code):
            calls = "".join(f"_call({name}, {arguments!r})\n" for name, arguments in coroutines.items())
            body = f"{self.code}\n{CALL}\n{calls}"
        else:
            body = self.code
        return f"{_prelude(body, self.earlier)}\n{body}"


FRAGMENT = """
async def _block():
{code}
    return locals()

async def _run_block():
    names = await _block()
    background = asyncio.all_tasks() - {{asyncio.current_task()}}
    await asyncio.gather(*background)
    for name, value in names.items():
        if not isinstance(value, asyncio.Task):
            print(f"{{name}} = {{value!r}}")

asyncio.run(_run_block())
"""
CALL = """
def _call(function, arguments):
    try:
        result = asyncio.run(function(**arguments))
    except Exception as error:
        print(f"{function.__name__} raised {type(error).__name__}: {error}")
    else:
        print(f"{function.__name__} returned {result!r}")
"""
STAND_IN = '''
class _StandIn(str):
    """What a block calls, awaits or returns, although its document never defines it."""

    async def __call__(self, *arguments):
        return _StandIn(f"{self} result")
'''


def read_blocks(folder: Path) -> list[Block]:
    """Every Python block of every document in the folder, in order."""
    blocks = []
    for document in sorted(folder.glob("*.txt")):
        # Some documents went through a wrong decoding once: what they say in ASCII is intact.
        text = document.read_bytes().decode("utf-8", errors="replace")
        fences = list(FENCE.finditer(text))
        earlier: list[str] = []
        for index, fence in enumerate(fences):
            if fence[1].strip() != "python":
                continue
            following = fences[index + 1] if index + 1 < len(fences) else None
            after = text[fence.end() : following.start() if following else len(text)]
            total_time = TOTAL_TIME.match(after.lstrip())
            blocks.append(
                Block(
                    name=f"{document.stem.split('_')[0]}-{len(earlier) + 1:02}",
                    code=fence[2],
                    earlier=list(earlier),
                    output=_output(after, following),
                    seconds=int(total_time[1]) if total_time else None,
                )
            )
            earlier.append(fence[2])
    return blocks


def _output(before: str, fence: re.Match[str] | None) -> list[str] | None:
    """The lines of a fence that is labelled as output, without remarks such as ``... (1 second pause)``."""
    if fence is None:
        return None
    label = fence[1].strip() or (before.strip().splitlines() or [""])[-1]
    if not re.match(r"\W*Output\b", label, re.ASCII):
        return None
    return [line for line in fence[2].splitlines() if line and not line.startswith("... (")]


def _needs_running_loop(code: str) -> bool:
    """Whether the block awaits, or starts a task, outside any function."""
    reached = list(ast.parse(code).body)
    while reached:
        node = reached.pop()
        if isinstance(node, ast.Await) or (
            isinstance(node, ast.Call) and ast.unparse(node.func) == "asyncio.create_task"
        ):
            return True
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            reached.extend(ast.iter_child_nodes(node))
    return False


def _coroutines_only_defined(code: str) -> dict[str, dict[str, object]]:
    """Coroutine functions, with arguments to call them, of a block that does nothing but define."""
    statements = ast.parse(code).body
    definitions = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Import, ast.ImportFrom)
    if not all(isinstance(statement, definitions) for statement in statements):
        return {}
    coroutines = {}
    for statement in statements:
        if isinstance(statement, ast.AsyncFunctionDef):
            parameters = statement.args.args[: len(statement.args.args) - len(statement.args.defaults)]
            coroutines[statement.name] = {parameter.arg: _sample(parameter.arg) for parameter in parameters}
    return coroutines


def _sample(parameter: str) -> object:
    one = parameter.removesuffix("s")
    return [SAMPLES[one]] * 2 if one != parameter and one in SAMPLES else SAMPLES.get(parameter, parameter)


def _prelude(code: str, earlier: list[str]) -> str:
    """Definitions for the names that the code uses but does not define: from earlier blocks, latest first."""
    known: dict[str, str] = {"asyncio": "import asyncio"}
    for block in earlier:
        if ERROR_IN_COMMENT.search(block) is None:
            known.update(_definitions(block))
    taken: dict[str, str] = {}
    stand_ins = []
    wanted = sorted(_undefined_names(code))
    while wanted:
        name = wanted.pop()
        if name in known:
            taken[name] = known[name]
            wanted += sorted(_undefined_names(known[name]) - taken.keys())
        else:
            stand_ins.append(f"{name} = _StandIn({name!r})")
    return "\n".join([*taken.values(), *([STAND_IN, *stand_ins] if stand_ins else [])])


def _definitions(block: str) -> dict[str, str]:
    """The source of each function, class and import of a block."""
    found = {}
    for statement in ast.parse(block).body:
        source = ast.unparse(statement)
        if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            found[statement.name] = source
        elif isinstance(statement, (ast.Import, ast.ImportFrom)):
            found.update({alias.asname or alias.name: source for alias in statement.names})
    return found


def _undefined_names(code: str) -> set[str]:
    module = symtable.symtable(code, "block", "exec")
    defined = {symbol.get_name() for symbol in module.get_symbols() if _is_bound(symbol)}
    used: set[str] = set()
    tables = [module]
    while tables:
        table = tables.pop()
        tables.extend(table.get_children())
        used |= {
            symbol.get_name()
            for symbol in table.get_symbols()
            if symbol.is_referenced() and (table is module or symbol.is_global())
        }
    return used - defined - set(dir(builtins)) - {"__name__", "__file__"}


def _is_bound(symbol: symtable.Symbol) -> bool:
    return symbol.is_assigned() or symbol.is_imported() or symbol.is_namespace()
