"""One function in a process of its own: its memory, threads and libraries are nobody else's.

Arguments and result travel as JSON, on standard input and output.
"""

import contextlib
import importlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

from vmatte import errors
from vmatte.errors import VmatteError


def call(
    function: str,
    arguments: Mapping[str, Any],
    *,
    name: str,
    python: str | None = None,
    environment: Mapping[str, str] | None = None,
) -> Any:
    """Return what ``function`` ('module:function') returns, called with ``arguments``.

    name: begins the text of an error. python: another interpreter; vmatte is then found by
    PYTHONPATH in ``environment``, which is added to ours. Raises VmatteError: as the class that the
    function raised, where it was one of ours.
    """
    done = subprocess.run(
        [python or sys.executable, "-m", "vmatte.isolated"],
        input=json.dumps({"function": function, "arguments": arguments}),
        capture_output=True,
        text=True,
        # As the command line has it.
        env={"OPENBLAS_NUM_THREADS": "1", **os.environ, **(environment or {})},
        check=False,
    )
    if done.returncode or not done.stdout.strip():
        last = done.stderr.strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
        raise VmatteError(f"{name}: its process failed: {last[0]}")
    answer = json.loads(done.stdout)
    if "error" in answer:
        kind = getattr(errors, answer["error"], VmatteError)
        raise kind(f"{name}: {answer['text']}")
    return answer["result"]


def main() -> None:
    """Do the job on standard input."""
    job = json.load(sys.stdin)
    # Libraries may print what they like: only the answer goes to standard output.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    module, _, function = job["function"].partition(":")
    with contextlib.closing(answers):
        try:
            result = getattr(importlib.import_module(module), function)(**job["arguments"])
            print(json.dumps({"result": result}), file=answers)
        except VmatteError as e:
            print(json.dumps({"error": type(e).__name__, "text": str(e)}), file=answers)


if __name__ == "__main__":
    main()
