"""What can go wrong outside of our own code: one exception tree, one sentence each.

A message says what was found, what was expected and what to do next. The command line prints it without
a traceback and exits with code 2. Our own broken invariants are `assert`s, not these.
"""


class UpwellError(Exception):
    """A mistake of the user's or a fault of the world around us, told in one sentence."""


class SettingsError(UpwellError):
    """A flag or a line of a settings file that cannot be used; all of them listed at once."""


class DataError(UpwellError):
    """Text, tokens or examples that cannot be read; names file and line."""


class CheckpointError(UpwellError):
    """A model folder that does not load whole; names the tensor, key or file."""


class ServiceError(UpwellError):
    """A network, port, disk or other service that is not there."""


class Absent(ServiceError):
    """A package, a registry's client or a network that cannot be had from here: another source may do."""


class Busy(ServiceError):
    """A service that is there but has too much to do: come again later."""


class DiskError(ServiceError):
    """A disk that is full or may not be written: what was begun is worth nothing, and goes."""


class TooLong(SettingsError):
    """A prompt has more tokens than the model reads."""
