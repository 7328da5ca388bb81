"""What a run records, sent on to TensorBoard or trackio as well: extras that take the lines of metrics.jsonl.

    send = opened("tensorboard", folder, settings); send(line); send.close()

A tracker that fails is told once and left out: a run never ends because of one.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from upwell.errors import SettingsError
from upwell.training.curves import AXES, HELD, numbers

NAMES = ("tensorboard", "trackio")


class Tracker:
    """Takes lines of metrics.jsonl. write(curves, samples, step), and end() at the close."""

    def __init__(self, name: str, write: Callable, end: Callable, warn: Callable[[str], None]):
        self.name, self.write, self.end, self.warn, self.works = name, write, end, warn, True

    def __call__(self, line: Mapping[str, Any]) -> None:
        """Send one line on."""
        curves = {place(name): value for name, value, _ in numbers(dict(line))}
        curves |= {f"progress/{name}": line[name] for name in AXES[1:] if name in line}
        written = line.get("samples", line.get("sample"))
        samples = [{"text": written}] if isinstance(written, str) else written or []
        self.guarded(lambda: self.write(curves, samples, int(line["step"])))

    def close(self) -> None:
        """Write out what is waiting."""
        self.guarded(self.end)

    def guarded(self, act: Callable[[], None]) -> None:
        """Do it, unless the tracker has failed before."""
        if self.works:
            try:
                act()
            except Exception as error:  # whatever it is, the run is worth more
                self.works = False
                self.warn(f"{self.name} failed ({error}); the run goes on without it, metrics.jsonl has everything.")


def place(name: str) -> str:
    """A curve's name as trackers group them: training/loss, held-out/accuracy."""
    return f"held-out/{name.removeprefix(HELD)}" if name.startswith(HELD) else f"training/{name}"


def opened(name: str, folder: Path, settings: Mapping, warn: Callable[[str], None]) -> Tracker:
    """A tracker by name. Raises SettingsError where its package is not installed, or nobody knows the name."""
    if name not in NAMES:
        raise SettingsError(f"track is {name!r}; expected one of {', '.join(NAMES)}")
    try:
        return (tensorboard if name == "tensorboard" else trackio)(folder, settings, warn)
    except ImportError:
        raise SettingsError(f"{name} is not installed here; install it with: pip install 'upwell[track]'") from None


def tensorboard(folder: Path, settings: Mapping, warn: Callable[[str], None]) -> Tracker:
    """Event files in folder/tensorboard; look at them with `tensorboard --logdir`."""
    from torch.utils.tensorboard import SummaryWriter

    writer = SummaryWriter(str(folder / "tensorboard"))

    def write(curves: Mapping[str, float], samples: list[Mapping], step: int) -> None:
        for name, value in curves.items():
            writer.add_scalar(name, value, step)
        for number, sample in enumerate(samples):
            writer.add_text(f"samples/{number}", "\n\n".join(f"{k}: {v}" for k, v in sample.items()), step)

    return Tracker("tensorboard", write, writer.close, warn)


def trackio(folder: Path, settings: Mapping, warn: Callable[[str], None]) -> Tracker:
    """A run of the project "upwell" in trackio's own place on this machine; look at it with `trackio show`."""
    import trackio as package

    package.init(project="upwell", name=folder.name, config=dict(settings), resume="allow", embed=False)

    def write(curves: Mapping[str, float], samples: list[Mapping], step: int) -> None:
        if curves:
            package.log(dict(curves), step=step)

    return Tracker("trackio", write, package.finish, warn)
