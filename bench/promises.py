"""The figures behind docs/promises.md: the server under load, faults and bad input, on the real program.

    python bench/promises.py                     all (about fifteen minutes on two cores)
    python bench/promises.py --only L3 L9 --markdown FILE

A tiny model of random weights wherever the model does not matter, smollm2-135m in bfloat16 where it does (L4, L8). The
test of the same id (tests/serving/test_promises.py) asserts the event; here are its times.
"""

import argparse
import json
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent), str(HERE)]
HEAD = b"POST /v1/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"


def p(values: list[float], part: int) -> float:
    """A quantile."""
    return sorted(values)[min(len(values) - 1, int(len(values) * part / 100))]


def asked(body: dict) -> bytes:
    """A request as bytes."""
    data = json.dumps(body).encode()
    return HEAD + b"Content-Length: %d\r\n\r\n%s" % (len(data), data)


def port_of(process) -> int:
    return int(process.address.rpartition(":")[2])


# ---- load ----


def L1(folder: Path) -> str:
    from tests.serving.process import serving
    from tests.serving.test_promises import many_streams

    with serving(folder, "--log", "none", "--waiting", 256) as process:
        begin = time.monotonic()
        many_streams(process.client(), 20)
        return f"1,280 streams, none broken, each equal to its unstreamed text; {time.monotonic() - begin:.0f} s"


def L2(folder: Path) -> str:
    from tests.serving.test_promises import grown

    before, after = grown(folder, 1000, 10_000)
    more = f"descriptors {before[1]} and {after[1]}, threads {before[2]} and {after[2]}"
    return (f"resident memory {before[0] / 1024:.0f} MB after 1,000, {after[0] / 1024:.0f} MB after 10,000 "
            f"({after[0] / before[0] - 1:+.1%}); {more}")  # fmt: skip


def L3(folder: Path) -> str:
    from tests.serving.process import serving

    with serving(folder, "--log", "none") as process:
        port = port_of(process)
        idle = [socket.create_connection(("127.0.0.1", port)) for _ in range(1000)]
        slow = [socket.create_connection(("127.0.0.1", port)) for _ in range(50)]
        begin, times, cut = time.monotonic(), [], {}
        while time.monotonic() - begin < 40:
            for number, connection in enumerate(slow):
                try:
                    connection.sendall(b"G")
                except OSError:
                    cut.setdefault(number, time.monotonic() - begin)
            one = time.monotonic()
            with socket.create_connection(("127.0.0.1", port)) as asking:
                asking.sendall(b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
                asking.recv(100)
            times.append(time.monotonic() - one)
            time.sleep(0.9)
        for connection in idle + slow:
            connection.close()
        return (f"/health p99 {1000 * p(times, 99):.1f} ms; {len(cut)} of 50 slow senders cut, after "
                f"{min(cut.values()):.0f} to {max(cut.values()):.0f} s")  # fmt: skip


def firsts(port: int, streams: int, seconds: float, new: int) -> tuple[list[float], list[float], list[str]]:
    """`streams` clients that ask again and again: first-token times, times of refusals, and other answers."""
    first, refused, other = [], [], []

    def client(number: int) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            begin = time.monotonic()
            with socket.create_connection(("127.0.0.1", port), timeout=300) as connection:
                connection.sendall(asked({"prompt": f"the river {number} {begin}", "max_tokens": new, "stream": True,
                                          "ignore_eos": True}))  # fmt: skip
                data = connection.recv(65536)
                took = time.monotonic() - begin
                if b" 200 " in data[:20]:
                    while b"data: " not in data:
                        data += connection.recv(65536)
                    first.append(time.monotonic() - begin)
                    while b"[DONE]" not in data:
                        data = data[-20:] + connection.recv(65536)
                elif b" 429 " in data[:20] and b"etry-" in data:
                    refused.append(took)
                    time.sleep(1)
                else:
                    other.append(data[:80].decode())

    with ThreadPoolExecutor(streams) as pool:
        list(pool.map(client, range(streams)))
    return first, refused, other


def probe(port: int, seconds: float) -> list[float]:
    """One client in a process of its own that is refused again and again: how long each refusal took."""
    times, end = [], time.monotonic() + seconds
    while time.monotonic() < end:
        begin = time.monotonic()
        with socket.create_connection(("127.0.0.1", port), timeout=300) as connection:
            connection.sendall(asked({"prompt": "x", "max_tokens": 1}))
            if b" 429 " in connection.recv(65536)[:20]:
                times.append(time.monotonic() - begin)
        time.sleep(0.1)
    return times


def L4(folder: Path) -> str:
    from serve import model_folder

    from tests.serving.process import serving

    flags = (model_folder(), "--weights", "bfloat16", "--max-num-seqs", 8, "--waiting", 0, "--log", "none")
    with serving(*flags, OMP_NUM_THREADS="2") as process:
        port = port_of(process)
        calm, _, _ = firsts(port, 6, 30, 32)  # 0.8 of eight places
        code = (f"import sys, json; sys.path[:0] = [{str(HERE)!r}]; import promises; "
                f"print(json.dumps(promises.probe({port}, 55)))")  # fmt: skip
        probing = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        loud, refused, other = firsts(port, 32, 60, 32)
        alone = json.loads(probing.communicate()[0])
        return (f"first token p99 {p(calm, 99):.2f} s at 0.8 of the capacity, {p(loud, 99):.2f} s at four times "
                f"({p(loud, 99) / p(calm, 99):.1f} times); {len(refused) + len(alone)} refused with 429, "
                f"p50 {1000 * p(alone, 50):.0f} ms, p99 {1000 * p(alone, 99):.0f} ms for a client in a process of "
                f"its own; {len(other)} other answers")  # fmt: skip


def L8(folder: Path) -> str:
    from serve import serving

    helps = []
    for _ in range(5):
        begin = time.monotonic()
        subprocess.run([sys.executable, "-m", "upwell", "--help"], stdout=subprocess.DEVNULL, check=True)
        helps.append(time.monotonic() - begin)
    ready = []
    for _ in range(3):
        process, _, _, took = serving("upwell")
        process.terminate()
        process.wait(60)
        ready.append(took)
    return (f"`upwell --help` {statistics.median(helps):.2f} s; smollm2-135m answers "
            f"{statistics.median(ready):.2f} s after the command")  # fmt: skip


def in_process(folder: Path):
    """A server in this process: (running, backend)."""
    from tests.serving.fakes import Running
    from upwell.generation.backend import Local
    from upwell.model import hub
    from upwell.serving.api import app

    backend = Local(hub.load(folder))
    return Running(app({"tiny": backend})), backend


def L9(folder: Path) -> str:
    running, backend = in_process(folder)
    times, threads = [], threading.active_count()
    for _ in range(200):
        with socket.create_connection(("127.0.0.1", running.port)) as rude:
            rude.sendall(asked({"prompt": "the", "max_tokens": 400, "stream": True, "ignore_eos": True}))
            rude.recv(100)
        begin = time.monotonic()
        while running.slots.running or backend.engine.running:
            time.sleep(0.0005)
        times.append(time.monotonic() - begin)
    left = threading.active_count() - threads
    running.stop()
    backend.close()
    return f"slot free after {1000 * p(times, 50):.1f} ms (p99 {1000 * p(times, 99):.1f}); {left} threads left over"


# ---- faults and bad input ----


def F1(folder: Path) -> str:
    running, backend = in_process(folder)
    times = []
    for _ in range(20):
        with socket.create_connection(("127.0.0.1", running.port)) as connection:
            connection.sendall(asked({"prompt": "the", "max_tokens": 400, "stream": True, "ignore_eos": True}))
            connection.recv(100)
            backend.engine._session.step = lambda *_: 1 / 0
            data = b""
            while b'"error"' not in data:
                data += connection.recv(65536)
        begin = time.monotonic()
        with socket.create_connection(("127.0.0.1", running.port)) as connection:
            connection.sendall(asked({"prompt": "the", "max_tokens": 1}))
            assert b" 200 " in connection.recv(65536)[:20]
        times.append(time.monotonic() - begin)
    running.stop()
    backend.close()
    return f"20 of 20 told by an error event; the next request served within {1000 * max(times):.0f} ms"


def B(folder: Path) -> str:
    from tests.serving.test_fuzz import SOUND

    running, backend = in_process(folder)
    bodies = [b"", b"{", b"[" * 10_000, b'{"prompt": NaN}', b'{"prompt": "a", "prompt": "b"}', b'{"n": true}',
              b'{"prompt": "' + b"x" * 9_000_000 + b'"}', json.dumps({"prompt": [5] * 1_000_000}).encode(),
              json.dumps({"prompt": "e" + "\u0301" * 1_000_000}).encode(), b'{"prompt": "\\ud800"}',
              json.dumps({"prompt": "x", "structured_outputs": {"regex": "(a+)+$"}, "n": 0}).encode()]  # fmt: skip
    times, codes = [], set()
    for body in bodies:
        for path in list(SOUND)[:2]:
            begin = time.monotonic()
            with socket.create_connection(("127.0.0.1", running.port)) as connection:
                head = HEAD.replace(b"/v1/completions", path.encode())
                connection.sendall(head + b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
                codes.add(connection.recv(65536)[9:12].decode())
            times.append(time.monotonic() - begin)
    running.stop()
    backend.close()
    return (
        f"{len(times)} bad bodies, of them some of 9 MB: {', '.join(sorted(codes))}; slowest {1000 * max(times):.0f} ms"
    )


def B10(folder: Path) -> str:
    from tests.text.patterns import seconds, slow_texts
    from tests.text.test_privacy import PATTERNS

    times = {}
    for name, pattern in PATTERNS.items():
        for unit, short, whole in slow_texts(pattern):
            if seconds(pattern, short, 0.0005) > 0.0005:
                times[seconds(pattern, whole)] = f"{name.removeprefix('upwell.text.')}, {unit[:20]!r}"
    worst = max(times)
    return f"{len(PATTERNS)} patterns, 100 KB made to be slow: at most {1000 * worst:.0f} ms ({times[worst]})"


ALL = {one.__name__: one for one in (L1, L2, L3, L4, L8, L9, F1, B, B10)}


def main() -> None:
    """Print the table."""
    from pretrain import machine

    from tests.serving.fakes import tiny_checkpoint

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=list(ALL), default=list(ALL))
    parser.add_argument("--markdown", type=Path)
    given = parser.parse_args()
    lines = [machine(), "", "| id | found |", "|---|---|"]
    with tempfile.TemporaryDirectory() as work:
        folder = tiny_checkpoint(Path(work) / "tiny", context=512)
        for name in given.only:
            lines.append(f"| {name} | {ALL[name](folder)} |")
            print(lines[-1], flush=True)
    if given.markdown:
        given.markdown.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
