"""Archives of public registries, by the registries' own clients, and files read out of them in place.

    download("wagtail==8.0.1", folder) -> archive       PyPI by pip, a wheel
    download("sdist:NAME==VERSION#sha256=HEX", ...)     PyPI by pip, a source archive, for what has no wheel
    download("npm:NAME@VERSION", ...)                   npm
    download("deb:NAME" or "deb:NAME=VERSION", ...)     Debian and its kin, by apt-get download
    read_archive(archive, pattern) -> {name: content}   .whl, .zip, .tgz, .tar.*, .deb

Nothing is imported or installed. Only for a source archive pip asks the package's own build script for its name, and
it does so after it has checked the hash. Knows no corpus.
"""

import importlib.machinery
import io
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

from upwell.errors import Absent, ServiceError

OWN_FOLDER = "or use a folder of your own text (upwell quickstart --corpus PATH)"
Files = dict[str, bytes]
"""Name inside its archive -> content."""
AR = b"!<arch>\n"
NO_NETWORK = ("Retrying (", "ENOTFOUND", "ECONNREFUSED", "EAI_AGAIN", "ETIMEDOUT", "Temporary failure resolving",
              "Could not connect to")  # fmt: skip


def download(package: str, folder: Path, otherwise: str = OWN_FOLDER) -> Path:
    """The archive of one package, in a new folder, by its registry's own client. Absent where it fails."""
    folder.mkdir(parents=True)
    registry, pinned = parted(package)
    command = CLIENTS[registry](pinned, folder, otherwise)
    done = subprocess.run(command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          encoding="utf-8", errors="replace")  # fmt: skip
    archives = sorted(path for path in folder.iterdir() if path.suffix != ".txt")
    if done.returncode or not archives:
        raise Absent(
            f"{pinned.partition('#')[0]} could not be downloaded ({_reason(done.stderr)}): look at the network or the "
            f"registry's settings and run the same command again, {otherwise}."
        )
    return archives[0]


def parted(package: str) -> tuple[str, str]:
    """(registry, what its client is asked for); the version of a Debian package may hold a colon of its own."""
    registry, colon, pinned = package.partition(":")
    return (registry, pinned) if colon and registry in CLIENTS else ("", package)


# ---- clients ----


def _npm(pinned: str, folder: Path, otherwise: str) -> list[str]:
    client = shutil.which("npm")
    if not client:
        raise Absent(f"{pinned} lives on npm, and there is no npm client here: install Node.js, "
                     f"choose another corpus (`upwell fetch` lists them), {otherwise}.")  # fmt: skip
    return [client, "pack", pinned, "--pack-destination", str(folder.resolve()), "--loglevel", "error",
            "--ignore-scripts"]  # fmt: skip


def _apt(pinned: str, folder: Path, otherwise: str) -> list[str]:
    client = shutil.which("apt-get")
    if not client:
        raise Absent(f"{pinned} lives in Debian's archive, and there is no apt-get here: use Debian or Ubuntu, "
                     f"choose another corpus (`upwell fetch` lists them), {otherwise}.")  # fmt: skip
    return [client, "download", "-q", "-o", "APT::Sandbox::User=", pinned]  # into the folder where it runs


def _wheel(pinned: str, folder: Path, otherwise: str) -> list[str]:
    return [*_pip(otherwise), "download", "--only-binary", ":all:", *QUIETLY, "-d", str(folder.resolve()), pinned]


def _source(pinned: str, folder: Path, otherwise: str) -> list[str]:
    wanted = folder / "wanted.txt"
    name, _, known = pinned.partition("#sha256=")
    wanted.write_text(f"{name} --hash=sha256:{known}\n", encoding="utf-8")
    return [*_pip(otherwise), "download", "--no-binary", name.partition("==")[0], *QUIETLY, "--require-hashes",
            "-d", str(folder.resolve()), "-r", str(wanted.resolve())]  # fmt: skip


CLIENTS = {"": _wheel, "sdist": _source, "npm": _npm, "deb": _apt}
QUIETLY = ("-q", "--no-deps", "--disable-pip-version-check", "--no-input", "--retries", "2")


def _pip(otherwise: str = OWN_FOLDER) -> list[str]:
    """A command that is pip: this Python's own, the one that comes inside of ensurepip, or uv's."""
    if _found("pip"):
        return [sys.executable, "-m", "pip"]
    if _found("ensurepip"):
        bundled = Path(_found("ensurepip").origin).parent / "_bundled"
        debian = Path(sysconfig.get_config_var("WHEEL_PKG_DIR") or bundled)
        for wheel in sorted([*bundled.glob("pip-*.whl"), *debian.glob("pip-*.whl")]):
            return [sys.executable, str(wheel / "pip")]  # runs from inside of the wheel, installs nothing
    if uv := shutil.which("uv"):
        return [uv, "tool", "run", "pip"]
    raise Absent(
        f"This Python has no pip to download with: `{sys.executable} -m ensurepip` adds it, {otherwise}."
    )


def _found(package: str):
    """Where a package lies, or None.

    Not importlib.util.find_spec: setuptools takes a search for pip as a sign that pip runs in this process, lets go of
    distutils for good, and torch's compiler, which imports setuptools, then fails.
    """
    return importlib.machinery.PathFinder.find_spec(package)


def _reason(complaint: str) -> str:
    """Why a client failed, in a few words out of all that it printed."""
    if any(sign in complaint for sign in NO_NETWORK):
        return "no connection to the registry"
    lines = [line.strip() for line in complaint.splitlines() if line.strip() and "complete log" not in line]
    told = [line for line in lines if line.lower().startswith(("error", "npm err", "e: "))] or lines
    return told[-1][:200].rstrip(".") if told else "it gave no reason"


# ---- archives ----


def read_archive(archive: Path, wanted: str) -> Files:
    """The files whose whole name inside of a wheel, a tar or a Debian package matches, read in place.

    ServiceError for an archive that is damaged.
    """
    pattern = re.compile(wanted)
    try:
        if archive.suffix == ".deb":
            return _members(io.BytesIO(_data_of(archive.read_bytes())), pattern)
        if ".tar" in archive.name or archive.suffix == ".tgz":
            with open(archive, "rb") as file:
                return _members(file, pattern)
        with zipfile.ZipFile(archive) as wheel:
            return {name: wheel.read(name) for name in wheel.namelist() if pattern.fullmatch(name)}
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, ValueError) as error:
        raise ServiceError(f"{archive.name} came damaged ({error}); run the same command again.") from error


def _members(file, pattern: re.Pattern) -> Files:
    with tarfile.open(fileobj=file) as tar:
        members = [one for one in tar if one.isfile() and pattern.fullmatch(one.name.removeprefix("./"))]
        return {one.name.removeprefix("./"): tar.extractfile(one).read() for one in members}


def _data_of(package: bytes) -> bytes:
    """The tar with the files of a Debian package, which is an ar archive: headers of 60 bytes, contents at even places.

    The format: deb(5), ar(5).
    """
    if not package.startswith(AR):
        raise ValueError("it is no Debian package")
    place = len(AR)
    while place + 60 <= len(package):
        name, size = package[place : place + 16].decode("ascii").rstrip(" /"), int(package[place + 48 : place + 58])
        if name.startswith("data.tar"):
            return package[place + 60 : place + 60 + size]
        place += 60 + size + size % 2
    raise ValueError("it holds no data.tar")
