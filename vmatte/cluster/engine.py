"""Ray behind a few words: workers that hold a model, each at one thing at a time."""

import math
import os
import secrets
import shutil
import signal
import socket
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vmatte.cluster.tasks import Setup
from vmatte.cluster.worker import Worker, clear_dead
from vmatte.errors import EngineError, InferenceError, OptionError, VmatteError, mask

RETRIES = 2
"""How often a piece of work is done anew whose worker died of it."""

_STORE = 100 << 20
"""Bytes of Ray's shared memory; videos do not go through it, only what is said of them."""

_CLUSTER_CPUS = 2.0

_FOLDER = "vmatte-ray-"

_PATIENCE = 10.0
"""Seconds for a cluster to answer at all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineOptions:
    """Who works. workers: None for one here, or as many as a cluster has room for.

    cpus, gpus: that each worker takes, parts of a GPU too; cpus: None for an equal share of this
    machine's, or 2 on a cluster. address: of a Ray cluster; None starts one here.
    """

    workers: int | None = None
    cpus: float | None = None
    gpus: float = 0.0
    address: str | None = None

    def __post_init__(self) -> None:
        """Raise OptionError on values out of range."""
        if self.workers is not None and self.workers < 1:
            raise OptionError(f"workers is {self.workers}; expected 1 or more")
        if self.cpus is not None and not 0 < self.cpus < math.inf:
            raise OptionError(f"cpus is {self.cpus}; expected above 0")
        if not 0 <= self.gpus < math.inf:
            raise OptionError(f"gpus is {self.gpus}; expected 0 or more, such as 0.25")


class Engine:
    """Workers on a Ray cluster, one of their own where no address is given; ``close`` ends them.

    A worker is ``idle`` once its model is loaded. ``submit`` gives work to one, ``wait`` yields
    what came back.
    """

    def __init__(self, setup: Setup, options: EngineOptions) -> None:
        """Start or join the cluster, and start the workers. Raises EngineError."""
        self._ray = _import_ray()
        self._folder: Path | None = None
        self._idle: list[Any] = []
        self._busy: dict[Any, tuple[Any, Any]] = {}
        try:
            self._start(setup, options)
        except BaseException:
            self.close()
            raise

    def _start(self, setup: Setup, options: EngineOptions) -> None:
        ray, here = self._ray, _cores()
        workers, cpus = options.workers or 1, options.cpus
        if options.address is None:
            cpus = cpus or max(1.0, here // workers)
            if sys.platform == "linux":
                # Ray keeps the log of every run for ever. /tmp: its sockets need a short name.
                clear_dead(Path("/tmp"), _FOLDER)
                self._folder = Path(f"/tmp/{_FOLDER}{os.getpid()}")
            # Else it leaves one in the user's home.
            os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
            self._init(
                num_cpus=max(here, math.ceil(workers * cpus)),
                include_dashboard=False,
                object_store_memory=_STORE,
                _temp_dir=self._folder and str(self._folder),
            )
        else:
            _expect_somebody(options.address)
            self._init(address=options.address)
            cpus = cpus or _CLUSTER_CPUS
            workers = options.workers or room(ray.cluster_resources(), cpus, options.gpus)
        self.workers = workers
        for kind, wanted in (("CPU", cpus), ("GPU", options.gpus)):
            if ray.cluster_resources().get(kind, 0) < wanted:
                raise EngineError(
                    f"a worker is to have {wanted:g} {kind}s, but there are "
                    f"{ray.cluster_resources().get(kind, 0):g}; give fewer, or a larger cluster"
                )
        make = ray.remote(
            num_cpus=cpus, num_gpus=options.gpus, max_restarts=-1, max_task_retries=RETRIES
        )(Worker)
        for _ in range(workers):
            self._call(make.remote(setup, max(1, int(cpus))), "load", (), None)

    def _init(self, **options: Any) -> None:
        handlers = {s: signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)}
        try:
            self._ray.init(log_to_driver=False, logging_level="ERROR", **options)
            # Ray takes them for its own.
            for number, handler in handlers.items():
                signal.signal(number, handler)
        except (
            *(ConnectionError, RuntimeError, ValueError, TimeoutError, ImportError),
            self._ray.exceptions.RayError,
        ) as e:
            more = "" if "address" not in options else (
                "; check the address, that it runs the same version of Ray, and, where it wants a "
                "token, that RAY_AUTH_MODE=token and RAY_AUTH_TOKEN_PATH=FILE are set here"
            )  # fmt: skip
            text = mask(str(e)).partition("\n")[0].rstrip(".")
            raise EngineError(f"Ray cannot start or be reached: {text}{more}") from e

    @property
    def idle(self) -> bool:
        """Whether a worker has nothing to do."""
        return bool(self._idle)

    @property
    def busy(self) -> bool:
        """Whether any work, loading too, is under way."""
        return bool(self._busy)

    def submit(self, method: str, args: tuple[Any, ...], tag: Any) -> None:
        """Let an idle worker run a method of Worker; ``tag`` comes back with its result."""
        self._call(self._idle.pop(), method, args, tag)

    def _call(self, actor: Any, method: str, args: tuple[Any, ...], tag: Any) -> None:
        self._busy[getattr(actor, method).remote(*args)] = actor, tag

    def wait(self, seconds: float) -> Iterator[tuple[Any, dict[str, Any]]]:
        """Yield (tag, result) of what ends within so many seconds.

        Raises InferenceError where no worker can load the model.
        """
        ended, _ = self._ray.wait(
            list(self._busy), num_returns=1, timeout=seconds, fetch_local=False
        )
        for ref in ended:
            actor, tag = self._busy.pop(ref)
            self._idle.append(actor)
            try:
                result: dict[str, Any] = self._ray.get(ref)
            except self._ray.exceptions.RayTaskError as e:
                result = {"error": f"{type(e.cause).__name__}: {e.cause}"}
            except self._ray.exceptions.RayError as e:
                text = str(e).strip().splitlines()[0]
                result = {"error": f"WorkerDied: {RETRIES + 1} times in a row ({text})"}
            if tag is None:
                if "error" in result:
                    raise _same(result["error"])
                continue
            yield tag, result

    def close(self) -> None:
        """End the workers, at once, and the cluster that was started here."""
        self._idle, self._busy = [], {}
        # Workers end with their driver.
        self._ray.shutdown()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)


def room(there: Mapping[str, float], cpus: float, gpus: float) -> int:
    """Return how many workers a cluster has room for, 1 at least; there: its CPU and GPU."""
    counts = [there.get("CPU", 0.0) / cpus]
    if gpus:
        counts.append(there.get("GPU", 0.0) / gpus)
    # Ten workers of 0.1 have room in 1.
    return max(1, math.floor(min(counts) + 1e-6))


def _same(text: str) -> VmatteError:
    """Return the error that a worker told of, as the class that it was there."""
    from vmatte import errors

    name, _, rest = text.partition(": ")
    kind = getattr(errors, name, None)
    return (
        kind(rest) if isinstance(kind, type) else InferenceError(f"a worker cannot start: {text}")
    )


def _expect_somebody(address: str) -> None:
    """Raise EngineError where nobody listens at ``address``: Ray itself tries for minutes."""
    if address == "auto":
        return
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdigit():
        raise EngineError(
            f"the address is {mask(address)!r}; expected HOST:PORT, ray://HOST:PORT or auto"
        )
    try:
        socket.create_connection((host.strip("[]"), int(port)), _PATIENCE).close()
    except (OSError, OverflowError) as e:
        raise EngineError(
            f"nobody answers at {mask(address)} ({e}); check the address of the cluster, which "
            "'ray start --head' prints"
        ) from e


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _import_ray() -> Any:
    # Before the import: Ray reports its use to its makers, and prints a warning of its own change.
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    # Its workers are as nice as can be by default; but the user waits for this.
    os.environ.setdefault("RAY_worker_niceness", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        import ray
        import ray.exceptions
    except ImportError as e:
        raise EngineError(
            f"vmatte batch needs Ray ({e}); install: pip install 'vmatte[cluster]'"
        ) from e
    return ray
