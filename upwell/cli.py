"""The command line: the verb's file in verbs/ is imported only when that verb is called.

Everything that a user or the world causes ends in one sentence on stderr and exit code 2 (UPWELL_DEBUG=1 shows
the traceback); Ctrl-C ends in a sentence and 130. `upwell --help` imports no torch, pydantic or tyro.
"""

import ast
import difflib
import errno
import os
import sys
from pathlib import Path
from types import ModuleType

from upwell import __version__, terminal
from upwell.errors import UpwellError

LIFE_CYCLE = {
    "All in one": ("quickstart", "recipe"),
    "Data": ("fetch", "prepare", "tokenizer"),
    "Model": ("pretrain", "finetune", "watch", "evaluate"),
    "Use": ("generate", "chat", "translate", "index", "ask", "faq", "predict", "serve"),
    "Look and hand on": ("show", "export"),
    "This machine": ("doctor",),
}
LATER = (
    "sweep", "write", "inspect", "audit", "card", "board",
)  # fmt: skip


def main(argv: list[str] | None = None) -> int:
    """Run one verb and return the exit code: 0 done, 2 a mistake told in one sentence, 130 stopped."""
    terminal.tolerate_any_character()
    argv = sys.argv[1:] if argv is None else list(argv)
    try:
        code = _run(argv)
        sys.stdout.flush()
        return code
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 0
    except KeyboardInterrupt as stopped:
        terminal.fail(str(stopped) or "Stopped.")
        return 130
    except BrokenPipeError:
        # The reader (head, less) has gone: Python's own flush at exit must not complain either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        told = sentence(error)
        if not told or os.environ.get("UPWELL_DEBUG"):
            raise
        terminal.fail(told)
        return 2


def _run(argv: list[str]) -> int:
    if not argv or argv[0] in ("-h", "--help", "help"):
        print(overview())
        return 0
    if argv[0] in ("-V", "--version"):
        print(f"upwell {__version__}")
        return 0
    verb, rest = argv[0], argv[1:]
    known = verbs()
    if verb not in known:
        raise UpwellError(_unknown(verb, list(known)))
    from upwell import plugs, settings

    module = plugs.find("verbs", verb)
    return module.main(settings.parse(settings_type(module, rest), rest, verb, module.__doc__)) or 0


def settings_type(module: ModuleType, words: list[str]) -> type:
    """The settings of a verb; where some of them depend on others, those that these words ask for."""
    return module.kind(words) if hasattr(module, "kind") else module.Settings


def _unknown(verb: str, known: list[str]) -> str:
    if verb in LATER:
        return f"`upwell {verb}` is not there yet in upwell {__version__}; `upwell --help` lists the verbs that are."
    near = difflib.get_close_matches(verb, known, n=1)
    hint = f", did you mean `upwell {near[0]}`?" if near else "."
    return f"There is no verb {verb!r}{hint} `upwell --help` lists them all."


def verbs() -> dict[str, str]:
    """Each verb and the first line of its file's docstring, in the order of the life cycle; imports nothing."""
    found = {file.stem: file for file in sorted((Path(__file__).parent / "verbs").glob("[a-z]*.py"))}
    order = [verb for group in LIFE_CYCLE.values() for verb in group if verb in found]
    order += [verb for verb in found if verb not in order]
    return {verb: _first_line(found[verb]) for verb in order}


def _first_line(file: Path) -> str:
    docstring = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
    return docstring.partition("\n")[0].rstrip(".")


def overview() -> str:
    """What `upwell --help` prints."""
    known = verbs()
    lines = ["upwell: from a folder of text to a language model that is served, explained and audited.", ""]
    lines += ["usage: upwell VERB [OPTIONS]", "       upwell VERB --help", ""]
    groups = dict(LIFE_CYCLE)
    groups["More"] = tuple(verb for verb in known if not any(verb in group for group in LIFE_CYCLE.values()))
    for title, group in groups.items():
        present = [verb for verb in group if verb in known]
        if present:
            lines += [title] + [f"  {verb:<12}{known[verb]}" for verb in present] + [""]
    return "\n".join(lines + ["Start with: upwell quickstart"])


def sentence(error: Exception) -> str:
    """An error of the user's or the world's in one sentence (a line each where several are listed).

    "" for a fault of our own, which keeps its traceback.
    """
    if isinstance(error, UpwellError):
        return str(error)
    if isinstance(error, OSError) and error.errno is not None:
        return _refused(error)
    text = str(error)
    if "No space left on device" in text:  # safetensors and torch raise errors of their own for it
        return f"No space is left on the disk ({text}); free some, or choose a folder on another disk."
    if isinstance(error, MemoryError) or "out of memory" in text or "can't allocate memory" in text:
        return f"The memory is not enough; try a smaller batch or model. ({text.partition(chr(10))[0] or 'no details'})"
    return text if isinstance(error, OSError) else ""


def _refused(error: OSError) -> str:
    """What the system refused, with the path."""
    path = error.filename if error.filename is not None else "the disk"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"{path}: no space is left on the disk; free some, or choose a folder on another disk."
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"{path}: permission denied; choose a folder that you may write to and files that you may read."
    return f"{path}: {error.strerror or error}."
