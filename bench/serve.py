"""The server under 1, 4, 16 and 64 streams beside others, in turn in one run: how fast, how soon, how evenly.

    python bench/serve.py                                   all sides, three rounds (about half an hour)
    python bench/serve.py --sides upwell --streams 16 --rounds 1 --markdown FILE

Every stream is a chat of its own (32 tokens or so, nothing known before) that is answered with 64 tokens; all begin at
once. First token: from the request to its first word; between: from one event to the next. "engine" is our engine
without HTTP, the same texts in as many threads: what it is faster by is the cost of the HTTP layer. Ready: from the
command to the first answer of /ready. Weights are smollm2-135m's in bfloat16. llama.cpp's server takes part where
xllamacpp is installed, on the same 4 bits that the weights came with; `transformers serve` with transformers.
The client is a process of its own and shares the cores.
"""

import argparse
import asyncio
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).parent
NEW, STREAMS = 64, (1, 4, 16, 64)
PROMPT = "Tell me in a few plain sentences what one can see on a walk number {number} along the river in spring."


def model_folder() -> Path:
    """smollm2-135m as it was fetched."""
    from upwell.weights import find

    return find(Path("smollm2-135m"))


# ---- sides ----


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def upwell(port: int) -> tuple[list[str], str, str]:
    """Command, path that answers 200 when it is ready, and the model's name."""
    return ([sys.executable, "-m", "upwell", "serve", str(model_folder()), "--served-model-name", "m", "--port",
             str(port), "--weights", "bfloat16", "--max-num-seqs", "64", "--log", "none"], "/ready", "m")  # fmt: skip


def transformers(port: int) -> tuple[list[str], str, str]:
    """Its own server with continuous batching."""
    name = str(model_folder())
    return ([str(Path(sys.executable).parent / "transformers"), "serve", name, "--port", str(port), "--dtype",
             "bfloat16", "--continuous-batching"], "/health", name)  # fmt: skip


def llama(port: int) -> tuple[list[str], str, str]:
    """llama.cpp's own server, by the wheels of xllamacpp."""
    code = (f"import xllamacpp, time; p = xllamacpp.CommonParams(); p.model.path = {os.environ['UPWELL_GGUF']!r}; "
            f"p.n_ctx = 64 * 512; p.n_parallel = 64; p.port = {port}; p.model_alias = {{'m'}}; "
            f"p.cpuparams.n_threads = p.cpuparams_batch.n_threads = {os.cpu_count()}; "
            "s = xllamacpp.Server(p); time.sleep(1e6)")  # fmt: skip
    return [sys.executable, "-c", code], "/health", "m"


SIDES = {"upwell": upwell, "transformers serve": transformers, "llama.cpp": llama}


def serving(side: str):
    """Start it: (process, port, model, seconds until it was ready)."""
    port = free_port()
    command, ready, model = SIDES[side](port)
    begin = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not answers(port, ready):
        if process.poll() is not None or time.monotonic() - begin > 180:
            raise SystemExit(f"{side}: the server did not start ({' '.join(command)})")
        time.sleep(0.02)
    return process, port, model, time.monotonic() - begin


def answers(port: int, path: str) -> bool:
    """Whether it says 200."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
            connection.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode())
            return connection.recv(64).split()[1] == b"200"
    except (OSError, IndexError):
        return False


# ---- the client ----


async def stream(port: int, model: str, number: int, new: int) -> list[float]:
    """Seconds at which the events of one answer came; the first number is that of the request."""
    body = json.dumps({"model": model, "messages": [{"role": "user", "content": PROMPT.format(number=number)}],
                       "max_tokens": new, "temperature": 0, "stream": True,
                       **({"ignore_eos": True} if model == "m" else {})}).encode()  # fmt: skip
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**22)
    begin = time.monotonic()
    writer.write(b"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
                 b"Connection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))  # fmt: skip
    times = [begin]
    while line := await reader.readline():
        if line.startswith(b"data: {") and b'"content":' in line:
            times.append(time.monotonic())
        elif line.startswith(b"HTTP/1.1") and b" 200 " not in line:
            raise SystemExit(f"the server answered {line!r}")
        elif line.startswith(b"data: [DONE]"):
            break
    writer.close()
    return times


async def together(port: int, model: str, streams: int, first: int) -> list[list[float]]:
    """All at once."""
    return await asyncio.gather(*(stream(port, model, first + number, NEW) for number in range(streams)))


def client(port: int, model: str, streams: int, first: int) -> dict:
    """What one round looked like from outside."""
    answers = asyncio.run(together(port, model, streams, first))
    begin, end = min(times[0] for times in answers), max(times[-1] for times in answers)
    firsts = [times[1] - times[0] for times in answers]
    gaps = [later - one for times in answers for one, later in zip(times[1:], times[2:], strict=False)]
    return {"requests/s": streams / (end - begin), "tokens/s": sum(len(times) - 1 for times in answers) / (end - begin),
            **{f"first p{part}": quantile(firsts, part) for part in (50, 99)},
            **{f"between p{part}": quantile(gaps, part) for part in (50, 99)}}  # fmt: skip


def quantile(values: list[float], part: int) -> float:
    """In milliseconds."""
    return 1000 * sorted(values)[min(len(values) - 1, int(len(values) * part / 100))]


def engine(streams: int, first: int) -> dict:
    """The same texts without HTTP."""
    import threading

    sys.path.insert(0, str(HERE.parent))
    from upwell.generation.settings import Settings
    from upwell.verbs._models import Which, open_backend

    backend = open_backend(Which(folder=model_folder(), weights="bfloat16"), rows=64).backend
    settings, counts = Settings(max_new=NEW, min_new=NEW, temperature=0), [0] * streams

    def write(number: int) -> None:
        prompt = [{"role": "user", "content": PROMPT.format(number=first + number)}]
        counts[number] = sum(len(piece.tokens) for piece in backend.generate(prompt, settings))

    write(0)
    threads = [threading.Thread(target=write, args=[number]) for number in range(streams)]
    begin = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took = time.monotonic() - begin
    backend.close()
    return {"tokens/s": sum(counts) / took, "requests/s": streams / took}


# ---- rounds ----


def called(code: str) -> dict:
    """The result of a call in a process of its own."""
    words = [sys.executable, "-c", f"import sys, json; sys.path[:0] = [{str(HERE)!r}]; import serve; "
             f"print('RESULT', json.dumps(serve.{code}))"]  # fmt: skip
    done = subprocess.run(
        words, capture_output=True, text=True, check=True, env=os.environ | {"PYTHONPATH": str(HERE.parent)}
    )
    return json.loads(done.stdout.rpartition("RESULT ")[2])


def measured(sides: list[str], streams: list[int], rounds: int) -> dict:
    """{(side, streams): [row, ...]}, sides in turn, each round with servers of its own; and the seconds to be ready."""
    found: dict = {}
    for turn in range(rounds):
        for side in sides:
            process, port, model, ready = serving(side)
            try:
                found.setdefault((side, "ready"), []).append(ready)
                called(f"client({port}, {model!r}, 1, 990000)")  # the first request of all is not counted
                for count in streams:
                    row = called(f"client({port}, {model!r}, {count}, {1000 * turn + 100000 * count})")
                    found.setdefault((side, count), []).append(row)
            finally:
                process.terminate()
                process.wait(60)
        for count in streams:
            found.setdefault(("engine", count), []).append(called(f"engine({count}, {1000 * turn + 100000 * count})"))
    return found


def table(found: dict, sides: list[str], streams: list[int]) -> list[str]:
    """Markdown."""
    sys.path.insert(0, str(HERE))
    from generate import spread

    lines = ["| streams | side | requests/s | tokens/s | first token, ms: p50 / p99 | between two, ms: p50 / p99 |",
             "|---|---|---|---|---|---|"]  # fmt: skip
    for count in streams:
        for side in [*sides, "engine"]:
            rows = found[side, count]
            of = {key: [row[key] for row in rows] for key in rows[0]}
            more = [f"{statistics.median(of[f'{what} p50']):.0f} / {statistics.median(of[f'{what} p99']):.0f}"
                    if side != "engine" else "" for what in ("first", "between")]  # fmt: skip
            lines.append(f"| {count} | {side} | {spread(of['requests/s'], 2)} | {spread(of['tokens/s'])} | {more[0]} | "
                         f"{more[1]} |")  # fmt: skip
    lines.append("")
    lines += [f"{side}: ready after {spread(found[side, 'ready'], 2)} s" for side in sides]
    for count in streams if "upwell" in sides else ():
        pairs = zip(found["upwell", count], found["engine", count], strict=True)
        cost = [1 - one["tokens/s"] / other["tokens/s"] for one, other in pairs]
        lines.append(f"cost of the HTTP layer at {count}: {spread([100 * value for value in cost])} %")
    return lines


def main() -> None:
    """Print the table."""
    sys.path.insert(0, str(HERE))
    from generate import gguf, has_llama
    from pretrain import machine

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--sides", nargs="+", choices=list(SIDES), default=[s for s in SIDES if s != "llama.cpp" or has_llama()]
    )
    parser.add_argument("--streams", nargs="+", type=int, default=list(STREAMS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--markdown", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if "llama.cpp" in given.sides:
            gguf(Path(folder))
        found = measured(given.sides, given.streams, given.rounds)
    lines = [f"{machine()}, {given.rounds} rounds in turn, median (lowest-highest)", ""]
    lines += table(found, given.sides, given.streams)
    print("\n".join(lines))
    if given.markdown:
        given.markdown.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
