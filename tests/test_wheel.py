"""The built wheel is complete: installed outside of a checkout it makes a model."""

import os
import random
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
WORDS = "river stone light morning green house letter water garden winter road small old bright quiet".split()


def run(*command: object, cwd: Path) -> str:
    done = subprocess.run([str(word) for word in command], cwd=cwd, capture_output=True, text=True, encoding="utf-8")
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Built from a copy, so that the checkout gets no build folder."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    source.mkdir()
    shutil.copytree(ROOT / "upwell", source / "upwell", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "LICENSE", "README.md"):
        shutil.copy(ROOT / name, source / name)
    # the environment's own setuptools: nothing has to be fetched
    run(
        sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", folder,
        source, cwd=folder,
    )  # fmt: skip
    return next(folder.glob("upwell-*.whl"))


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """A new environment with the wheel, which sees this one's packages but not the checkout."""
    folder = tmp_path_factory.mktemp("elsewhere")
    run(sys.executable, "-m", "venv", "--without-pip", folder / "venv", cwd=folder)
    scripts = folder / "venv" / ("Scripts" if os.name == "nt" else "bin")
    python = scripts / ("python.exe" if os.name == "nt" else "python")
    code = "import sysconfig; print(sysconfig.get_path('purelib'))"
    packages = Path(run(python, "-c", code, cwd=folder).strip())
    run(sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps", wheel, cwd=folder)
    # Listed after its own packages, so that this environment's editable upwell is never reached: a path in a .pth
    # file is only added, the .pth files inside of it are not read.
    (packages / "shared.pth").write_text(sysconfig.get_path("purelib"), encoding="utf-8")
    return folder, python, scripts / ("upwell.exe" if os.name == "nt" else "upwell")


@pytest.mark.slow
def test_the_wheel_carries_everything_that_is_no_code_too(wheel):
    carried = {name for name in zipfile.ZipFile(wheel).namelist() if name.startswith("upwell/")}
    files = [file for file in (ROOT / "upwell").rglob("*") if file.is_file() and "__pycache__" not in file.parts]
    assert carried == {file.relative_to(ROOT).as_posix() for file in files}


@pytest.mark.slow
def test_the_installed_wheel_is_not_the_checkout(installed):
    folder, python, upwell = installed
    place = run(python, "-c", "import upwell; print(upwell.__file__)", cwd=folder).strip()
    assert Path(place).is_relative_to(folder)
    assert "quickstart" in run(upwell, "--help", cwd=folder)


@pytest.mark.slow
def test_quickstart_makes_a_model_outside_of_a_checkout(installed):
    folder, _, upwell = installed
    corpus = folder / "texts"
    corpus.mkdir()
    for number in range(400):
        chosen = random.Random(number).choices(WORDS, k=60)
        (corpus / f"{number:03d}.txt").write_text(f"Text {number}. " + " ".join(chosen) + ".\n", encoding="utf-8")
    run(upwell, "quickstart", "--steps", "3", "--corpus", corpus, cwd=folder)
    models = list((folder / "runs").rglob("model.safetensors"))
    assert models and (models[0].parent / "tokenizer.json").exists()
    run(upwell, "doctor", models[0].parent, cwd=folder)
