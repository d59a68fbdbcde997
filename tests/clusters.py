"""What a cluster needs, each a program of its own: Ray's head, an S3 store, a web server."""

import importlib.util
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from conftest import missing

PATIENCE = 240


def need(*packages: str) -> None:
    """Skip where one of ``packages`` is not installed."""
    for name in packages:
        if importlib.util.find_spec(name) is None:
            missing(f"needs {name}: pip install -e '.[test]'")


@contextmanager
def program(*words: str, **more: object) -> "Iterator[subprocess.Popen[bytes]]":
    """Run a program, and end it with all that it started."""
    process = subprocess.Popen(words, start_new_session=True, **more)  # type: ignore[call-overload]
    try:
        yield process
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(20)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@contextmanager
def ray_head(environment: Mapping[str, str]) -> Iterator[tuple[str, int, dict[str, str]]]:
    """Give address and process of a cluster of this machine, and what must be set to join it.

    environment: of its workers. Works in a folder of its own, so that relative names go wrong.
    """
    folder = Path(tempfile.mkdtemp(prefix="vmt-", dir="/tmp"))  # sockets need a short name
    token = folder / "token"
    token.write_text(secrets.token_hex(32))
    join = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token)}
    # On a machine with other work its half minute is short.
    own = {"RAY_raylet_start_wait_time_s": str(PATIENCE), "RAY_worker_niceness": "0"}
    log = folder / "log"
    try:
        with (
            log.open("wb") as out,
            program(
                *(sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block"),
                *("--port=0", "--num-cpus=2", "--include-dashboard=false"),
                "--disable-usage-stats",
                *("--object-store-memory=100000000", f"--temp-dir={folder}"),
                env={**environment, **join, **own},
                cwd=folder,
                stdout=out,
                stderr=subprocess.STDOUT,
            ) as process,
        ):
            end = time.monotonic() + PATIENCE
            while not (found := re.search(r"address='([^']+)'", log.read_text())):
                assert process.poll() is None and time.monotonic() < end, log.read_text()
                time.sleep(0.1)
            yield found[1], process.pid, join
            assert process.poll() is None, "the cluster is gone:\n" + log.read_text()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class Bucket:
    """An S3 store's bucket, seen past our own code."""

    def __init__(self, environment: Mapping[str, str], name: str) -> None:
        import boto3

        self._name = name
        self._client = boto3.client(
            "s3",
            endpoint_url=environment["AWS_ENDPOINT_URL"],
            aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
            region_name=environment["AWS_DEFAULT_REGION"],
        )
        self._client.create_bucket(Bucket=name)

    def put(self, key: str, data: bytes) -> None:
        self._client.put_object(Bucket=self._name, Key=key, Body=data)

    def get(self, key: str) -> bytes:
        data: bytes = self._client.get_object(Bucket=self._name, Key=key)["Body"].read()
        return data

    def made(self, prefix: str) -> dict[str, object]:
        """Return when each object was written."""
        found = self._client.list_objects_v2(Bucket=self._name, Prefix=prefix)
        return {item["Key"]: item["LastModified"] for item in found.get("Contents", ())}


@contextmanager
def s3_store() -> Iterator[dict[str, str]]:
    """Give what the clients of an S3 store need in their environment."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with program(
        *(sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ):
        wait_for_port(port)
        yield {
            "AWS_ENDPOINT_URL": url,
            "AWS_ACCESS_KEY_ID": "anybody",
            "AWS_SECRET_ACCESS_KEY": "anything",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }


@contextmanager
def web_server(folder: Path) -> Iterator[str]:
    """Serve a folder, with pages that list it."""
    port = free_port()
    with program(
        *(sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1"),
        *("--directory", str(folder)),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ):
        wait_for_port(port)
        yield f"http://127.0.0.1:{port}"


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


def wait_for_port(port: int) -> None:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        with socket.socket() as s:
            if s.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError("the server did not start")


def workers_below(pid: int) -> list[int]:
    """Return the workers of ours that live below a process."""
    found = []
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        try:
            if b"ray::Worker" in Path(f"/proc/{child}/cmdline").read_bytes():
                found.append(int(child))
            found += workers_below(int(child))
        except OSError:
            pass  # it has just ended
    return found
