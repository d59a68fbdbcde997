"""How long it takes until something is to be seen."""

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from vmatte.errors import VmatteError
from vmatte.report import spread
from vmatte.sources import open_source

_IMPORT = "import time; b = time.perf_counter(); import vmatte; print(time.perf_counter() - b)"


def measure_start(clip: Path, model: str, count: int, accept_licence: bool) -> dict[str, Any]:
    """Start ``vmatte run`` so many times, and import vmatte as often. Raises VmatteError.

    first_frame_s: from the start of the process to its first frame on standard output.
    import_ms: of ``import vmatte`` in an interpreter that runs already.
    """
    source = open_source(str(clip))
    # The luma plane at least, of whatever format.
    size = source.info.width * source.info.height
    source.close()
    frames, imports = [], []
    for _ in range(count):
        frames.append(_first_frame(clip, model, size, accept_licence))
        imports.append(_import())
    return {"first_frame_s": spread(frames), "import_ms": spread([1e3 * s for s in imports])}


def _first_frame(clip: Path, model: str, size: int, accept_licence: bool) -> float:
    command = [sys.executable, "-m", "vmatte", "run", str(clip), "-o", "-", "--quiet"]
    command += ["--model", model, *(["--accept-licence"] if accept_licence else [])]
    begin = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stderr is not None
        header = process.stdout.readline()
        frame = process.stdout.read(size)
        seconds = time.perf_counter() - begin
        if len(frame) == size and header.startswith(b"YUV4MPEG2"):
            process.kill()
            return seconds
        said = process.stderr.read().decode(errors="replace").strip().splitlines()
    raise VmatteError(f"vmatte run {clip} -o -: gave no frame: {''.join(said[-1:])}")


def _import() -> float:
    done = subprocess.run(
        [sys.executable, "-c", _IMPORT], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise VmatteError(f"import vmatte: failed: {''.join(done.stderr.splitlines()[-1:])}")
    return float(done.stdout)
