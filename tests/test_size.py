"""What a plain installation weighs: upwell with all that it needs to run, and nothing that only tests need."""

from importlib.metadata import PackageNotFoundError, distribution

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PACKAGES, BYTES = 60, 1.3e9
CUDA = ("nvidia-", "cuda-", "triton")       # what a build of torch with CUDA brings along


def needed(name, found):
    """{name: distribution} of a package and all that it needs here, without extras."""
    name = canonicalize_name(name)
    if name in found:
        return found
    found[name] = distribution(name)
    for text in found[name].requires or ():
        wanted = Requirement(text)
        if wanted.marker is None or wanted.marker.evaluate({"extra": ""}):
            try:
                needed(wanted.name, found)
            except PackageNotFoundError:
                assert wanted.marker is not None, text      # for another system
    return found


def size(package):
    """Bytes on the disk."""
    files = (file.locate() for file in package.files or ())
    return sum(file.stat().st_size for file in files if file.is_file())


def test_a_plain_installation_is_below_sixty_packages_and_1300_megabytes():
    found = needed("upwell", {})
    weights = {name: size(package) for name, package in found.items()}
    own = [name for name in found if not name.startswith(CUDA)]
    assert "torch" in found and len(own) < PACKAGES, sorted(own)
    if len(own) == len(found):
        assert sum(weights.values()) < BYTES, sorted(weights.items(), key=lambda pair: -pair[1])[:10]
