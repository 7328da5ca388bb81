"""The speed of an index for bench/answers.py: pieces into it, and vectors out of it, beside vector stores.

Beside the time that passes stands that of the processor, which does not depend on what else the machine does.
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent), str(HERE)]
PATIENCE = 900  # seconds that a peer may take


def peer(python: str, *words: str) -> dict:
    """What bench/peers_answers.py says; {"lacks": why} where it cannot take part."""
    try:
        out = subprocess.run([python, str(HERE / "peers_answers.py"), *words], capture_output=True, text=True,
                             check=False, timeout=PATIENCE)  # fmt: skip
    except subprocess.TimeoutExpired:
        return {"lacks": f"not done after {PATIENCE} s"}
    if out.returncode:
        return {"lacks": (out.stderr.strip().splitlines() or ["it ended"])[-1]}
    return json.loads(out.stdout.strip().splitlines()[-1])


def into_index(vectors: bool, count: int) -> dict:
    """Texts of BoolQ into a new index."""
    import asked as sets
    from answers import ENCODER, opened

    from upwell.answering.index import Index
    from upwell.text import Document

    texts, encoder = sets.load("boolq").texts[:count], opened(ENCODER) if vectors else None
    with tempfile.TemporaryDirectory() as folder:
        begin = time.process_time()
        with Index.open(Path(folder) / "index", encoder=encoder, create=True) as index:
            index.add(Document(text, str(number)) for number, text in enumerate(texts))
            seconds, pieces = time.process_time() - begin, index.count
        size = sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file())
    if encoder is not None:
        encoder.close()
    return {"speed": pieces / seconds, "bytes": size / pieces, "text": sum(len(one.encode()) for one in texts) / pieces}


def indexing(work: str, count: int, rounds: int) -> list[str]:
    """A Markdown table."""
    from generate import spread
    from turns import in_turn

    calls = {"with vectors": ("answers_speed", f"into_index(True, {count})"), "words alone":
             ("answers_speed", f"into_index(False, {count})")}  # fmt: skip
    lines = [
        "| index | pieces a second of processor | bytes a piece on disk | of them text | peak memory, MB |",
        "|---|---|---|---|---|",
    ]
    for side, rows in in_turn(calls, rounds, work).items():
        parts = [spread([row[key] for row in rows], 0) for key in ("speed", "bytes", "text", "memory")]
        lines.append(f"| {side} | {' | '.join(parts)} |")
    return [*lines, ""]


def ours_vectors(rows: int) -> dict:
    """Exact search in our vector file."""
    import peers_answers as peers

    from upwell.answering import vectors

    stored, asked = peers.random_vectors(rows)
    with tempfile.TemporaryDirectory() as folder:
        begin = time.process_time()
        path = Path(folder) / "vectors.f32"
        vectors.write(path, 0, stored)
        built = time.process_time() - begin
        exact = vectors.Exact(vectors.opened(path, rows, stored.shape[1]))
        return {"built": built, **peers.timed(lambda one, count: exact.nearest(one, count)[0], stored, asked)}


def peer_vectors(name: str, rows: int, python: str) -> dict:
    """A vector store."""
    return peer(python, "store", name, str(rows))


def vector_stores(work: str, sizes: list[int], graphs: int, python: str, rounds: int) -> list[str]:
    """A Markdown table."""
    import peers_answers as peers
    from generate import spread
    from turns import in_turn

    lines = [
        "| vectors | store | p50, ms | processor, ms | recall@10 | put in, processor s |",
        "|---|---|---|---|---|---|",
    ]
    for rows in sizes:
        calls = {"upwell": ("answers_speed", f"ours_vectors({rows})")}
        for name in [one for one in peers.STORES if one not in peers.GRAPHS or rows <= graphs]:
            calls[name] = ("answers_speed", f"peer_vectors({name!r}, {rows}, {python!r})")
        for side, found in in_turn(calls, rounds, work).items():
            if "lacks" in found[0]:
                lines.append(f"| {rows:,} | {side}: {found[0]['lacks']} | | | | |")
                continue
            parts = [spread([one[key] for one in found], digits)
                     for key, digits in (("p50", 2), ("processor", 2), ("recall", 3), ("built", 1))]  # fmt: skip
            lines.append(f"| {rows:,} | {side} | {' | '.join(parts)} |")
    return [*lines, ""]
