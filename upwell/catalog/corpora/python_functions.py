"""Functions of the standard library of the Python that runs, each with what its docstring says of it."""

import ast
import inspect
import textwrap
from collections.abc import Iterator

from upwell.catalog import Entry, Files, Part, Record
from upwell.catalog.corpora._library import FILES, split

LONGEST = 1200  # characters of a function without its docstring
SHORTEST = 24  # of a docstring


def _functions(files: Files) -> Iterator[Record]:
    """{"prompt": the docstring's first paragraph, "completion": the function without it}, each function once."""
    seen = set()
    for name in sorted(files):
        try:
            tree = ast.parse(source := files[name].decode("utf-8"))
        except (SyntaxError, UnicodeDecodeError):  # a file that is broken on purpose
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and (pair := _pair(node, source)):
                if pair not in seen:
                    seen.add(pair)
                    yield {"prompt": pair[0], "completion": pair[1], "split": split(name)}


def _pair(node: ast.FunctionDef | ast.AsyncFunctionDef, source: str) -> tuple[str, str] | None:
    """(docstring, function) of a function that has both and is not too long."""
    said = (inspect.cleandoc(ast.get_docstring(node) or "").split("\n\n")[0]).strip()
    if len(said) < SHORTEST or len(node.body) < 2 or node.body[1].lineno == node.body[0].end_lineno:
        return None
    lines = source.splitlines()
    quoted = node.body[0]
    kept = lines[node.lineno - 1 : quoted.lineno - 1] + lines[quoted.end_lineno : node.end_lineno]
    written = textwrap.dedent("\n".join(kept)).strip("\n")
    return (said, written) if len(written) <= LONGEST and _parses(written) else None


def _parses(code: str) -> bool:
    try:
        ast.parse(code)
    except SyntaxError:
        return False
    return True


ENTRY = Entry(
    "python-functions",
    "what a function of the standard library does, and the function (prompt, completion); python's split by file",
    "Python Software Foundation License.",
    {
        "en": Part(
            (),
            FILES,
            "",
            _functions,
            "about 5,600 functions, 2.0 million characters",
        )
    },
)
