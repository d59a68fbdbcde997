"""The command line: parse, one library call, exit code.

Each verb lives in a module of its own and is imported when it is used.
"""

import atexit
import contextlib
import importlib
import os
import sys
import threading
from typing import NoReturn

import click

from vmatte import __version__
from vmatte.errors import VmatteError, mask

VERBS = {
    "run": "Replace the background of a video, image or folder of images.",
    "live": "Replace the background of a camera or a stream, for meetings and recordings.",
    "preview": "Show an input in a window, with keys for views, backgrounds and models.",
    "image": "Cut out pictures: files, folders, standard input.",
    "batch": "Matte many files, over many processes and machines.",
    "probe": "Show what vmatte sees in an input.",
    "models": "List, fetch, check and import models.",
    "evaluate": "Score a model, or finished mattes, against true mattes.",
    "devices": "List cameras and virtual cameras.",
    "presets": "List, show and delete saved options.",
    "bench": "Measure how fast this machine is.",
    "compare": "Compare models on your own pictures and videos, as a report.",
    "doctor": "Check this machine and say what to do.",
    "serve": "Serve an HTTP API and a page for pictures, videos and the camera.",
    "completion": "Print the completion script for a shell.",
}


class _Verbs(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        command: click.Command = importlib.import_module(f"vmatte.cli.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Verbs"):
            formatter.write_dl(list(VERBS.items()))


@click.group(
    cls=_Verbs,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Start with: vmatte run clip.mp4 -o out.mp4 --background green",
)
@click.version_option(__version__, prog_name="vmatte")
def cli() -> None:
    """Video matting: another background, in sync, in the right colours, with the sound."""


def main() -> NoReturn:
    """Run the command line and exit: 0 well, 1 an error of ours, 2 usage, 130 interrupted."""
    # Nothing here multiplies large matrices: numpy's threads for it would only wait, spinning.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    # OpenCV warns of every TIFF that it was not told all about; read when it is imported.
    os.environ.setdefault("OPENCV_LOG_LEVEL", "ERROR")
    try:
        code = cli.main(prog_name="vmatte", standalone_mode=False)
    except click.ClickException as e:
        e.show()
        code = e.exit_code
    except click.exceptions.Abort:
        code = 130
    except VmatteError as e:
        print(f"{type(e).__name__}: {mask(str(e))}", file=sys.stderr)
        code = 1
    except BrokenPipeError:
        # The reader of our standard output went away; Python must not complain of it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 1
    code = code if isinstance(code, int) else 0
    atexit.register(_leave_threads, code)
    sys.exit(code)


def _leave_threads(code: int) -> None:
    """End the process where a thread of ours cannot be stopped: a model loads, a read hangs.

    Python would end that thread within a library's C++, which aborts the process.
    """
    if any(t.name.startswith("vmatte-") for t in threading.enumerate()):
        with contextlib.suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)
