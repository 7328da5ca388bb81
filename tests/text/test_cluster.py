"""Ray as an engine: the same results as a plain loop, errors as they were raised, dead workers replaced."""

import hashlib
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import pytest

from upwell.errors import DataError, ServiceError, SettingsError
from upwell.text import cluster
from upwell.text.clean import clean
from upwell.text.runner import Local

KILL = getattr(signal, "SIGKILL", signal.SIGTERM)
pytestmark = pytest.mark.slow
pytest.importorskip("ray", reason="Ray has no wheel for this Python and system")


def cleaned(folder: str, path: str) -> str:
    """A file's cleaned text beside it in a folder, and its hash, as a task does that passes its data through files."""
    text = clean(Path(path).read_text(encoding="utf-8")).encode()
    Path(folder, Path(path).name).write_bytes(text)
    return hashlib.sha256(text).hexdigest()


def added(number: int, to: int) -> int:
    return number + to


def refused(number: int) -> int:
    if number == 3:
        raise DataError("a.jsonl:3: expected text, found 7.")
    return number


def broken(number: int) -> float:
    return 1 / (number - 1)


def killed_once(folder: str, number: int) -> int:
    flag = Path(folder, "killed")
    if number == 2 and not flag.exists():
        flag.touch()
        os.kill(os.getpid(), KILL)
    return number


def killed(number: int) -> int:
    os.kill(os.getpid(), KILL)


def placed(_: int) -> str:
    return os.getcwd()


def slow_first(number: int) -> int:
    time.sleep(0.5 if number == 0 else 0)
    return number


def process(_: int) -> int:
    time.sleep(0.2)
    return os.getpid()


@pytest.fixture(scope="module")
def ray_of_two():
    with cluster.engine(None, 2) as engine:
        yield engine


@pytest.fixture
def local():
    with Local(2) as engine:
        yield engine


def test_two_workers_give_the_bytes_of_a_plain_loop_and_of_the_local_engine(ray_of_two, local, tmp_path):
    for number in range(8):
        lines = [f"Line {line} of file {number}:\u200b caf\u00e9  \u6c34 {line * number}  " for line in range(200)]
        (tmp_path / f"{number}.txt").write_text("\n".join(lines), encoding="utf-8")
    tasks, outputs = sorted(map(str, tmp_path.iterdir())), []
    for name, mapped in (("loop", map), ("ray", ray_of_two.map), ("local", local.map)):
        (out := tmp_path / name).mkdir()
        hashes = list(mapped(partial(cleaned, str(out)), tasks))
        outputs.append((hashes, [one.read_bytes() for one in sorted(out.iterdir())]))
    assert outputs[0] == outputs[1] == outputs[2] and len(set(outputs[0][0])) == 8


def test_results_come_in_the_order_of_the_tasks_though_the_first_is_slow(ray_of_two):
    assert list(ray_of_two.map(slow_first, range(50))) == list(range(50))


def test_both_workers_work(ray_of_two):
    assert len(set(ray_of_two.map(process, range(8))) - {os.getpid()}) == 2


def test_a_partial_and_no_tasks_at_all_are_fine(ray_of_two):
    assert list(ray_of_two.map(partial(added, to=10), [1, 2])) == [11, 12]
    assert list(ray_of_two.map(added, [])) == []


def test_only_a_few_tasks_are_drawn_ahead_of_the_results(ray_of_two):
    drawn = []
    tasks = (drawn.append(number) or number for number in range(1000))
    for result in ray_of_two.map(partial(added, to=0), tasks):
        assert len(drawn) <= result + 1 + cluster.AHEAD * 2 + 1
        if result == 100:
            break


def test_what_a_task_raises_is_raised_here_with_its_sentence(ray_of_two):
    results = ray_of_two.map(refused, range(6))
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(DataError, match="a.jsonl:3: expected text, found 7.") as caught:
        next(results)
    assert type(caught.value) is DataError
    with pytest.raises(ZeroDivisionError):
        list(ray_of_two.map(broken, range(3)))


def test_a_task_whose_worker_is_killed_runs_again(ray_of_two, tmp_path):
    assert list(ray_of_two.map(partial(killed_once, str(tmp_path)), range(6))) == list(range(6))
    assert (tmp_path / "killed").exists()


def test_a_task_that_kills_every_worker_is_given_up_with_a_sentence(ray_of_two):
    with pytest.raises(ServiceError, match="4 workers of the cluster died one after the other"):
        list(ray_of_two.map(killed, [0]))
    assert list(ray_of_two.map(partial(added, to=1), range(3))) == [1, 2, 3]


def test_workers_stand_where_the_caller_stands(ray_of_two, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert list(ray_of_two.map(placed, [0])) == [str(tmp_path)]


def test_a_folder_that_a_machine_does_not_have_is_named(tmp_path):
    with pytest.raises(ServiceError, match="cannot open .*gone.*folder that all its machines share"):
        cluster._run(placed, str(tmp_path / "gone"), cluster.__version__, 0)


def test_another_version_on_a_machine_is_named(tmp_path):
    with pytest.raises(ServiceError, match="the run was started with 0.0.0; install the same everywhere"):
        cluster._run(placed, str(tmp_path), "0.0.0", 0)


def test_a_second_cluster_in_one_process_is_refused(ray_of_two):
    with pytest.raises(SettingsError, match="connected to a Ray already"):
        cluster.engine(None, 1)


def test_without_ray_one_sentence_says_what_brings_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(SettingsError, match=r'`pip install "upwell\[scale\]"`'):
        cluster.engine(None, 2)


SCRIPT = """
import sys
from upwell.errors import UpwellError
from upwell.text import cluster
try:
    with cluster.engine(sys.argv[1] if sys.argv[1] != "own" else None, int(sys.argv[2])) as engine:
        print(engine.workers, list(engine.map(len, ["a", "bb", "ccc"])), engine._folder or "none")
except UpwellError as error:
    print(error)
"""


def run(*words: str, env: dict | None = None) -> str:
    command = [sys.executable, "-c", SCRIPT, *words]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", env=env)
    assert done.returncode == 0 and not done.stderr, done.stderr
    return done.stdout.strip()


def test_a_ray_of_its_own_says_nothing_and_leaves_nothing_behind():
    told = run("own", "2")
    assert told.startswith("2 [1, 2, 3] ")
    assert not Path(told.rpartition(" ")[2]).exists()


def test_a_cluster_that_does_not_answer_is_named():
    assert run("127.0.0.1:9", "0").startswith("No Ray cluster answers at 127.0.0.1:9 (")


@pytest.fixture
def short():
    """Ray's sockets need a short path."""
    folder = Path(tempfile.mkdtemp(prefix="ray-", dir="/tmp" if os.name == "posix" else None))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def test_a_running_cluster_is_joined_with_its_token_and_stays(tmp_path, short):
    head = [sys.executable, "-c", "import sys; from ray.scripts.scripts import main; sys.exit(main())", "start"]
    head += ["--head", "--port=0", "--num-cpus=3", "--include-dashboard=false", "--disable-usage-stats", "--block"]
    head += [f"--temp-dir={short}", "--node-ip-address=127.0.0.1", "--object-store-memory=100000000"]
    env = os.environ | {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    with open(tmp_path / "log", "w", encoding="utf-8") as log:
        started = subprocess.Popen(head, stdout=log, stderr=subprocess.STDOUT, env=env)
    try:
        address = found_address(tmp_path / "log", started)
        assert run(address, "0", env=env) == "3 [1, 2, 3] none"
        assert run(address, "2", env=env) == "2 [1, 2, 3] none"
        assert started.poll() is None
    finally:
        started.terminate()
        started.wait(60)


def found_address(log: Path, started: subprocess.Popen) -> str:
    while started.poll() is None:
        if found := re.search(r"--address='?([\d.]+:\d+)", log.read_text(encoding="utf-8")):
            return found[1]
        time.sleep(0.1)
    raise AssertionError(log.read_text(encoding="utf-8"))


def prepared(texts: list[Path], out: Path, *words: str) -> dict[str, str]:
    """SHA-256 of every file of a prepared folder, but for the manifest, in which the hashes stand."""
    command = [sys.executable, "-m", "upwell", "prepare", *map(str, texts), "--out", str(out), "--vocab-size", "300"]
    command += ["--weights", *["1"] * len(texts), *words]  # paths with weights are blocks of their own
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8")
    assert done.returncode == 0, done.stdout + done.stderr
    files = [path for path in sorted(out.rglob("*")) if path.is_file() and path.name != "manifest.json"]
    return {path.relative_to(out).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_a_whole_preparation_on_ray_gives_the_bytes_of_the_local_one(tmp_path):
    folders = [tmp_path / name for name in ("first", "second", "third")]
    for number in range(6):
        lines = [f"Letter {line} of {number}: tell person{line}@harbour.net before day {line % 28 + 1}; the harbour "
                 f"opens at {line % 12} and {number * line} ships wait." for line in range(120)]  # fmt: skip
        for place, folder in enumerate(folders):
            folder.mkdir(exist_ok=True)
            text = "\n".join(lines[place:]) if place < 2 else "\n".join(lines[::-1])
            (folder / f"{number}.txt").write_text(text, encoding="utf-8")
    local = prepared(folders, tmp_path / "local", "--workers", "1")
    assert local == prepared(folders, tmp_path / "ray", "--engine", "ray", "--workers", "2")
    assert {"train.jsonl", "heldout.jsonl", "dropped.jsonl", "tokenizer.json", "report.html"} <= set(local)
    dropped = (tmp_path / "local" / "dropped.jsonl").read_text(encoding="utf-8")
    assert "@harbour" not in dropped and dropped.count('"near repetition"') >= 6
