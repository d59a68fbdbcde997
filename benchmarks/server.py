"""Does the service serve many pictures at once, refuse politely what is too much, and stay small?

Many clients post different pictures at the same moment, to a real ``vmatte serve``. Those refused
with 429 wait as they are told and come again. Counted: answers at the first try, refusals, losses
(anything else), seconds until all were served, and the most memory that the server held.

    python -m benchmarks.server --clients 200
"""

import random
import re
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import cv2
import httpx

from benchmarks.common import arguments, table, write

SAMPLE = Path(__file__).parents[1] / "samples" / "background.jpg"


def peak_of(pid: int) -> float:
    """Return the most memory that a process has held, in MB."""
    found = re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return int(found[1]) * 1024 / 1e6


def pictures(count: int, side: int) -> list[bytes]:
    """Return ``count`` different JPEGs."""
    base = cv2.resize(cv2.imread(str(SAMPLE)), (side, side))
    found = []
    for index in range(count):
        picture = base.copy()
        cv2.putText(picture, str(index), (20, side // 2), 0, side / 200, (255, 255, 255), 3)
        done, data = cv2.imencode(".jpg", picture)
        assert done
        found.append(data.tobytes())
    return found


def measure(url: str, pid: int, clients: int, side: int) -> dict[str, Any]:
    """Post from ``clients`` threads at once; return the counts."""
    given = pictures(clients, side)
    with httpx.Client(timeout=600, trust_env=False) as client:
        client.post(f"{url}/api/images", files={"file": given[0]}).raise_for_status()
    before = peak_of(pid)
    gate = threading.Barrier(clients)
    first: list[int] = []
    refused: list[int] = []
    lost: list[str] = []
    sizes: list[int] = []

    def post(data: bytes) -> None:
        chance = random.Random(data[:50])
        try:
            with httpx.Client(timeout=600, trust_env=False) as client:
                gate.wait()
                for turn in range(1000):
                    response = client.post(
                        f"{url}/api/images", files={"file": data}, data={"background": "#010203"}
                    )
                    if turn == 0:
                        first.append(response.status_code)
                    if response.status_code == 200:
                        sizes.append(len(response.content))
                        return
                    if response.status_code != 429:
                        lost.append(f"{response.status_code} {response.text[:200]}")
                        return
                    refused.append(1)
                    time.sleep(float(response.headers["retry-after"]) * (0.5 + chance.random()))
        except Exception as e:
            lost.append(repr(e))

    threads = [threading.Thread(target=post, args=(data,)) for data in given]
    begin = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - begin
    return {
        "clients": clients,
        "picture": f"{side}x{side}",
        "served at once": first.count(200),
        "refused at first": first.count(429),
        "refusals": len(refused),
        "served in the end": len(sizes),
        "lost": len(lost),
        "reasons": lost[:5],
        "seconds": round(seconds, 1),
        "peak before, MB": round(before),
        "peak, MB": round(peak_of(pid)),
    }


def run(clients: int, side: int, *words: str) -> dict[str, Any]:
    """Start a service of its own, and measure it."""
    with tempfile.TemporaryDirectory() as folder:
        server = subprocess.Popen(
            [sys.executable, "-m", "vmatte", "serve", "--port", "0", "--folder", folder, *words],
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert server.stdout is not None
            url = server.stdout.readline().split()[-1].rstrip("/")
            found = measure(url, server.pid, clients, side)
            scratch, end = Path(folder) / "tmp", time.monotonic() + 10
            while list(scratch.iterdir()) and time.monotonic() < end:
                time.sleep(0.1)  # the last answer's file goes once it is sent
            found["left behind"] = len(list(scratch.iterdir()))
            return found
        finally:
            server.terminate()
            server.wait(30)


def main() -> None:
    """Measure, print, and keep the result."""
    parser = arguments(__doc__)
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--side", type=int, default=1024)
    given = parser.parse_args()
    found = run(given.clients, given.side)
    table(("what", "value"), [(k, v) for k, v in found.items() if k != "reasons"])
    write("server", found)
    if found["lost"] or found["served in the end"] != given.clients:
        sys.exit(f"lost: {found['reasons']}")


if __name__ == "__main__":
    main()
