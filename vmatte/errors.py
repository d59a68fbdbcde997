"""Every error vmatte raises.

The tree::

    VmatteError
    ├─ OptionError (ValueError)                an option's value is unusable
    ├─ InputError (ValueError)                 a source cannot be used
    │  ├─ InputNotFoundError (FileNotFoundError)
    │  ├─ UnsupportedMediaError                readable, but not a thing that can be matted
    │  ├─ DamagedMediaError                    broken or incomplete
    │  └─ SourceLostError (ConnectionError)    a live source was there and is gone; may come back
    ├─ OutputError (OSError)                   a sink cannot be used
    │  ├─ OutputExistsError (FileExistsError)
    │  ├─ UnsupportedOutputError (ValueError)  no such codec, or it lacks what was asked for
    │  └─ WriteError                           the file system refused (full disk, no permission)
    ├─ ModelError                              a model cannot be used
    │  ├─ UnknownModelError (LookupError)
    │  ├─ ModelUnavailableError (FileNotFoundError)
    │  ├─ DownloadError (OSError)
    │  ├─ HashMismatchError (ValueError)
    │  └─ InferenceError (RuntimeError)        the network ran and failed
    └─ EngineError (RuntimeError)              a runtime or provider cannot be used

Each message says what was got, what was expected and what to do next. Every class also inherits
the builtin that a caller would expect, so ``except FileNotFoundError`` works.
"""

import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager


class VmatteError(Exception):
    """Base of all errors raised on purpose by vmatte."""


class OptionError(VmatteError, ValueError):
    """An option has a value that cannot be used."""


class InputError(VmatteError, ValueError):
    """A source cannot be used."""


class InputNotFoundError(InputError, FileNotFoundError):
    """There is nothing at the given path."""


class UnsupportedMediaError(InputError):
    """The input was read, but holds nothing that can be matted (audio only, absurd size, ...)."""


class DamagedMediaError(InputError):
    """The input is broken or ends early."""


class SourceLostError(InputError, ConnectionError):
    """A live source ended, was unplugged, or gave no frame for too long; open it again."""


class OutputError(VmatteError, OSError):
    """A sink cannot be used."""


class OutputExistsError(OutputError, FileExistsError):
    """The output is there already and may not be overwritten."""


class UnsupportedOutputError(OutputError, ValueError):
    """The container or codec does not exist here or lacks what was asked for."""


class WriteError(OutputError):
    """The operating system refused to write."""


class ModelError(VmatteError):
    """A model cannot be used."""


class UnknownModelError(ModelError, LookupError):
    """No model of that name is registered."""


class ModelUnavailableError(ModelError, FileNotFoundError):
    """The model's file is not on this machine and may not, or cannot, be fetched."""


class DownloadError(ModelError, OSError):
    """Fetching a model failed."""


class HashMismatchError(ModelError, ValueError):
    """A model file is not the file that the registry describes."""


class InferenceError(ModelError, RuntimeError):
    """The network was loaded but did not run."""


class EngineError(VmatteError, RuntimeError):
    """A runtime, provider or precision that was asked for cannot be had."""


_USERINFO = re.compile(r"(?<=://)[^/\s]+@")
_SECRET = re.compile(
    r"([?&](?:user|usr|username|login|pass|passwd|password|pwd|token|key|secret|auth)=)[^&\s]+",
    re.I,
)


def mask(text: str) -> str:
    """Return ``text`` with the user name, password and token of every URL in it as ``***``."""
    return _SECRET.sub(r"\1***", _USERINFO.sub("***@", text))


@contextmanager
def reading(name: str) -> Iterator[None]:
    """Turn what PyAV and the operating system raise while reading ``name`` into an InputError."""
    import av.error

    name = mask(name)
    try:
        yield
    except VmatteError:
        raise
    except FileNotFoundError as e:
        raise InputNotFoundError(f"{name}: no such file; check the path") from e
    except IsADirectoryError as e:
        raise InputError(f"{name}: is a directory, expected a media file or image folder") from e
    except PermissionError as e:
        raise InputError(f"{name}: may not be read; check the file's permissions") from e
    except av.error.InvalidDataError as e:
        raise DamagedMediaError(
            f"{name}: not a media file that FFmpeg can read, or damaged ({e.strerror}); "
            "try to play it, or give another file"
        ) from e
    except (av.error.FFmpegError, OSError) as e:
        raise InputError(f"{name}: cannot be read: {mask(str(e))}") from e


@contextmanager
def writing(name: str) -> Iterator[None]:
    """Turn what PyAV and the operating system raise while writing ``name`` into an OutputError."""
    import av.error

    try:
        yield
    except VmatteError:
        raise
    except (av.error.FFmpegError, OSError) as e:
        code = getattr(e, "errno", None)
        if code == errno.ENOSPC:
            raise WriteError(f"{name}: the disk is full; free some space and run again") from e
        if isinstance(e, BrokenPipeError):
            raise WriteError(f"{name}: whoever read it has gone") from e
        if isinstance(e, PermissionError):
            raise WriteError(f"{name}: may not be written; check the folder's permissions") from e
        if isinstance(e, FileNotFoundError | NotADirectoryError):
            raise WriteError(f"{name}: its folder does not exist; create it first") from e
        raise WriteError(f"{name}: cannot be written: {e}") from e
