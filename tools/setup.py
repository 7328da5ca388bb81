"""Make the virtual environment of a checkout: `python tools/setup.py [--test] [--uv] [--torch "WORDS"]`.

Installs upwell in place with the exact pins of constraints.txt. Where pip would bring the CUDA build of torch it
first says how much that is. A second call does nothing. Needs the standard library only; the syntax is kept old, so
that a Python that is too old can still say so.
"""

import argparse
import glob
import hashlib
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import urllib.request

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
VENV = os.path.join(ROOT, ".venv")
CUDA = ("torch", "triton", "nvidia-", "cuda-")
EXTRAS = "evaluate,formats,grammar,pictures"  # what an installation without the tests' needs brings
CUDA_GIGABYTES = 2.7  # torch 2.13.0 for Linux on PyPI with the nvidia-* packages it asks for, November 2026


def main():
    options = arguments()
    if sys.version_info < (3, 11):
        sys.exit("upwell needs Python 3.11 or newer, this is %s; name another one: make PYTHON=python3.12" % version())
    stamp = os.path.join(VENV, "upwell-setup.json")
    wanted = fingerprint(options)
    if not is_done(stamp, wanted):
        make_environment(options)
        install(options)
        with open(stamp, "w", encoding="utf-8") as file:
            json.dump(wanted, file)
    if options.browser:
        provide_browser()


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--test", action="store_true", help="install what the tests need too")
    parser.add_argument("--browser", action="store_true", help="see to a Chromium for the test of the page")
    parser.add_argument("--uv", action="store_true", help="use uv instead of pip")
    parser.add_argument("--torch", default="", help="what to give pip for torch, e.g. a wheel's path")
    return parser.parse_args()


def version():
    return ".".join(str(part) for part in sys.version_info[:3])


def fingerprint(options):
    """What the environment depends on."""
    content = b""
    for name in ("pyproject.toml", "constraints.txt"):
        with open(os.path.join(ROOT, name), "rb") as file:
            content += file.read()
    files = hashlib.sha256(content).hexdigest()
    return {"files": files, "torch": options.torch, "test": options.test, "extras": EXTRAS}


def is_done(stamp, wanted):
    """Whether the environment was made from the same files; one with the tests' needs serves without them too."""
    try:
        with open(stamp, encoding="utf-8") as file:
            found = json.load(file)
    except (OSError, ValueError):
        return False
    same = found.get("files") == wanted["files"] and (found.get("torch") == wanted["torch"] or not wanted["torch"])
    enough = found.get("test") or (found.get("extras") == wanted["extras"] and not wanted["test"])
    return same and enough and os.path.exists(python())


def python():
    return os.path.join(VENV, "Scripts", "python.exe") if os.name == "nt" else os.path.join(VENV, "bin", "python")


def make_environment(options):
    if os.path.exists(python()) and (options.uv or is_installed("pip")):
        return
    print("Making .venv with Python %s" % version(), flush=True)
    if options.uv:
        if not shutil.which("uv"):
            sys.exit("UV=1 asks for uv, which is not installed; install it or leave UV=1 out.")
        run(["uv", "venv", "--quiet", "--seed", "--python", sys.executable, VENV])
    else:
        run([sys.executable, "-m", "venv", VENV], "the venv module failed; on Debian: apt install python3-venv")
        run(pip(options) + ["--upgrade"] + [pin for pin in pins() if pin.startswith("pip==")])


def install(options):
    torch = shlex.split(options.torch) or [pin for pin in pins() if pin.startswith("torch==")]
    announce_cuda(torch, options)
    print("Installing upwell and what it needs (a minute or two)", flush=True)
    run(pip(options) + torch)
    extra = "[test]" if options.test else "[%s]" % EXTRAS
    with tempfile.TemporaryDirectory() as folder:
        rest = os.path.join(folder, "constraints.txt")
        with open(rest, "w", encoding="utf-8") as file:
            # torch is there already, perhaps another build than the pinned one
            file.write("\n".join(pin for pin in pins() if not pin.startswith(("torch==", "pip=="))))
        run(pip(options) + ["-c", rest, "-e", ROOT + extra])


def pins():
    with open(os.path.join(ROOT, "constraints.txt"), encoding="utf-8") as file:
        return [line.strip() for line in file if "==" in line and not line.startswith("#")]


def pip(options):
    if options.uv:
        return ["uv", "pip", "install", "--quiet", "--python", python()]
    # Compiling every module ahead takes longer than the few that are used take at their first import.
    return [python(), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile"]


def announce_cuda(torch, options):
    """Say how much would be downloaded, where torch would come with CUDA."""
    if not sys.platform.startswith("linux") or is_installed("torch"):
        return
    size = cuda_size_by_uv(torch, options) if options.uv else cuda_size_by_pip(torch, options)
    if size:
        print(
            "This brings the CUDA build of torch: about %.1f GB to download, two to three times that on disk. For "
            "another build stop with Ctrl-C and give pip's words for it, a wheel or an index, as in\n"
            "    make quickstart TORCH='torch --index-url ADDRESS'\n"
            "or choose one in your pip settings." % size,
            flush=True,
        )


def is_installed(name):
    code = "import importlib.util, sys; sys.exit(importlib.util.find_spec(%r) is None)" % name
    return subprocess.call([python(), "-c", code]) == 0


def cuda_size_by_pip(torch, options):
    """Gigabytes of torch and its nvidia packages; 0 for a build without CUDA. Asks pip, downloads no package."""
    command = pip(options) + ["--dry-run", "--report", "-"] + torch
    found = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        packages = json.loads(found.stdout.decode("utf-8"))["install"]
    except (ValueError, KeyError):
        return 0  # the installation itself will say what is wrong
    wheels = {package["metadata"]["name"].lower(): package["download_info"]["url"] for package in packages}
    if not any(name.startswith("nvidia-") for name in wheels):
        return 0
    sizes = [wheel_size(url) for name, url in wheels.items() if name.startswith(CUDA)]
    return CUDA_GIGABYTES if None in sizes else sum(sizes) / 1e9


def wheel_size(url):
    try:
        with urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=10) as answer:
            return int(answer.headers["Content-Length"])
    except (OSError, TypeError, ValueError):
        return None


def cuda_size_by_uv(torch, options):
    found = subprocess.run(pip(options)[:-3] + ["--python", python(), "--dry-run"] + torch, stderr=subprocess.PIPE)
    return CUDA_GIGABYTES if b"nvidia-" in found.stderr else 0


def provide_browser():
    """A Chromium for the page's test: one that is there, else Debian's where we may install it."""
    if find_browser():
        return
    if not (shutil.which("apt-get") and hasattr(os, "geteuid") and os.geteuid() == 0):
        print("No Chromium here: the test of the page will be skipped.", flush=True)
        return
    print("Installing Chromium for the test of the page", flush=True)
    environment = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
    for command in (["apt-get", "update", "-qq"], ["apt-get", "install", "-y", "-qq", "chromium"]):
        if subprocess.call(command, stdout=subprocess.DEVNULL, env=environment):
            print("apt-get could not install chromium: the test of the page will be skipped.", flush=True)
            return


def find_browser():
    """Where tests/serving/browser.py will find one."""
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
    known = [os.environ.get("UPWELL_CHROMIUM")] + [shutil.which(name) for name in names]
    if any(known):
        return next(filter(None, known))
    caches = ("~/.cache/ms-playwright", "~/Library/Caches/ms-playwright", "~/AppData/Local/ms-playwright")
    return next((hit for cache in caches for hit in glob.glob(os.path.expanduser(cache + "/chromium*"))), None)


def run(command, hint="see the message above"):
    # The build backend warns about editable installations in general; that helps nobody here.
    if subprocess.call(command, env=dict(os.environ, PYTHONWARNINGS="ignore")):
        sys.exit("`%s` failed: %s." % (" ".join(command), hint))


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("Stopped; the same command goes on from here.")
