"""tools/setup.py: what it says before it installs, and when it does nothing."""

import importlib.util
import json
import os
import subprocess
import sys
import types
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture
def setup():
    spec = importlib.util.spec_from_file_location("upwell_setup", ROOT / "tools" / "setup.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def pip_reports(setup, monkeypatch, tmp_path):
    """Let `pip install --dry-run --report -` answer with these wheels, of these sizes in bytes."""

    def install(sizes: dict):
        packages = [{"metadata": {"name": n}, "download_info": {"url": f"https://x/{n}.whl"}} for n in sizes]
        answer = tmp_path / "pip.py"
        answer.write_text(f"print({json.dumps(json.dumps({'install': packages}))})", encoding="utf-8")
        monkeypatch.setattr(setup, "pip", lambda options: [sys.executable, str(answer)])
        monkeypatch.setattr(setup, "wheel_size", lambda url: sizes[url[len("https://x/") : -len(".whl")]])
        monkeypatch.setattr(setup, "is_installed", lambda name: False)
        monkeypatch.setattr(setup.sys, "platform", "linux")

    return install


OPTIONS = types.SimpleNamespace(uv=False, torch="", test=False)


def test_the_cuda_build_is_told_with_its_size_before_it_comes(setup, pip_reports, capsys):
    pip_reports({"torch": 526_000_000, "nvidia-cublas": 1_400_000_000, "triton": 200_000_000, "numpy": 9_000_000_000})
    setup.announce_cuda(["torch==2.13.0"], OPTIONS)
    said = capsys.readouterr().out
    assert "about 2.1 GB to download" in said and "TORCH=" in said


def test_a_size_that_cannot_be_asked_for_is_estimated(setup, pip_reports, capsys):
    pip_reports({"torch": None, "nvidia-cublas": None})
    setup.announce_cuda(["torch==2.13.0"], OPTIONS)
    assert "about 2.7 GB to download" in capsys.readouterr().out


def test_the_build_without_cuda_needs_no_word(setup, pip_reports, capsys):
    pip_reports({"torch": 190_000_000, "numpy": 20_000_000})
    setup.announce_cuda(["torch==2.13.0"], OPTIONS)
    assert capsys.readouterr().out == ""


def test_a_second_setup_does_nothing(setup, tmp_path, monkeypatch):
    monkeypatch.setattr(setup, "python", lambda: sys.executable)
    stamp = str(tmp_path / "stamp.json")

    def asked(**changes):
        return setup.fingerprint(types.SimpleNamespace(**{**vars(OPTIONS), **changes}))

    def made(fingerprint):
        Path(stamp).write_text(json.dumps(fingerprint), encoding="utf-8")

    assert not setup.is_done(stamp, asked())
    made(asked())
    assert setup.is_done(stamp, asked())
    assert not setup.is_done(stamp, asked(test=True)) and not setup.is_done(stamp, asked(torch="torch==2.11.0"))
    made(asked(test=True, torch="torch==2.11.0"))
    assert setup.is_done(stamp, asked()) and setup.is_done(stamp, asked(test=True))
    made({**asked(), "files": "other"})
    assert not setup.is_done(stamp, asked())
    made({**asked(), "extras": "grammar,pictures"})
    assert not setup.is_done(stamp, asked())  # made when fewer extras were brought


@pytest.mark.parametrize("test", [False, True])
def test_an_installation_reads_every_format_and_measures_translations(setup, monkeypatch, test):
    import tomllib

    ran = []
    monkeypatch.setattr(setup, "run", lambda command, hint="": ran.append(command))
    monkeypatch.setattr(setup, "announce_cuda", lambda torch, options: None)
    setup.install(types.SimpleNamespace(**{**vars(OPTIONS), "test": test}))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    asked = ran[-1][-1].removeprefix(str(ROOT) + "[").removesuffix("]").split(",")
    assert asked == ["test"] if test else {"evaluate", "formats", "grammar", "pictures"} == set(asked)
    assert set(asked) <= set(project["optional-dependencies"])


def test_a_python_that_is_too_old_is_one_sentence(setup, monkeypatch):
    monkeypatch.setattr(setup.sys, "argv", ["setup.py"])
    monkeypatch.setattr(setup.sys, "version_info", (3, 9, 2))
    with pytest.raises(SystemExit, match=r"needs Python 3\.11 or newer, this is 3\.9\.2; name another one"):
        setup.main()


def test_every_dependency_is_pinned_exactly_and_no_address_is_named():
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    text = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    pinned = {line.partition("==")[0].lower().replace("_", "-") for line in text.splitlines() if "==" in line}
    extras = project["optional-dependencies"]
    wanted = project["dependencies"] + [word for part in extras.values() for word in part if "upwell[" not in word]
    assert {word.partition(">=")[0] for word in wanted} <= pinned
    assert all(">=" in word for word in wanted)
    assert "torch==2.13.0\n" in text and "://" not in text and "@" not in text


@pytest.mark.skipif(os.name == "nt", reason="make is a Unix habit")
def test_make_lists_its_targets():
    done = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True)
    for target in ("quickstart", "setup", "test", "test-all", "bench", "lint", "clean", "UV=1", "TORCH="):
        assert target in done.stdout
