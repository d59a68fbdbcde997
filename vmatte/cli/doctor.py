"""vmatte doctor: check this machine and say what to do."""

import json
import platform
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from importlib import metadata, util

import click

from vmatte import __version__
from vmatte.cli.finding import Finding, State
from vmatte.errors import VmatteError


@click.command("doctor", epilog="Example: vmatte doctor --json")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
def command(as_json: bool) -> int:
    """Check this machine; exit 1 where something that vmatte needs is broken."""
    findings = list(examine())
    for finding in findings:
        if as_json:
            click.echo(json.dumps(asdict(finding)))
            continue
        mark = {"ok": "ok  ", "note": "note", "bad": "BAD "}[finding.state]
        click.echo(f"{mark}  {finding.what}: {finding.found}")
        if finding.advice:
            click.echo(f"      -> {finding.advice}")
    return 1 if any(f.state == "bad" for f in findings) else 0


def examine() -> Iterator[Finding]:
    """Look at everything, one finding at a time."""
    yield Finding(
        "vmatte",
        "ok",
        f"{__version__}, Python {platform.python_version()}, "
        f"{platform.system()} {platform.machine()}",
    )
    with suppress(ImportError):
        # Before PyAV: the other way round OpenCV can show no windows, see expect_screen.
        import cv2  # noqa: F401
    yield from _media()
    yield from _opencv()
    yield from _runtimes()
    yield from _models()
    # Imported here: it needs PyAV and OpenCV, which may be what is broken.
    from vmatte.cli.chain import examine_live

    yield from examine_live()


def _media() -> Iterator[Finding]:
    try:
        import av
        import av.codec

        from vmatte.sinks.codecs import CODECS
    except ImportError as e:
        yield Finding("PyAV", "bad", str(e), "pip install --force-reinstall av")
        return
    version = ".".join(map(str, av.library_versions["libavcodec"]))
    yield Finding("PyAV", "ok", f"{av.__version__}, libavcodec {version}")
    lacking = []
    for name, codec in CODECS.items():
        try:
            av.codec.Codec(codec.encoder, "w")
        except av.error.FFmpegError:
            lacking.append(name)
    if lacking:
        yield Finding(
            "encoders",
            "note",
            f"without {', '.join(lacking)}",
            "install PyAV's own wheel (pip install --force-reinstall av)",
        )
    else:
        yield Finding("encoders", "ok", ", ".join(CODECS))


def _opencv() -> Iterator[Finding]:
    try:
        import cv2
    except ImportError as e:
        yield Finding("OpenCV", "bad", str(e), "on Debian: apt-get install libgl1 libglib2.0-0")
        return
    installed = [
        d for d in ("opencv-python", "opencv-python-headless", "opencv-contrib-python") if _has(d)
    ]
    if len(installed) > 1:
        yield Finding(
            "OpenCV",
            "note",
            f"{cv2.__version__}, from {' and '.join(installed)}",
            "they overwrite each other: keep one of them",
        )
    else:
        yield Finding("OpenCV", "ok", str(cv2.__version__))


def _has(distribution: str) -> bool:
    try:
        metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return False
    return True


def _runtimes() -> Iterator[Finding]:
    try:
        from vmatte.runtimes.ort import import_onnxruntime

        ort = import_onnxruntime()
        providers = ", ".join(ort.get_available_providers())
        yield Finding("onnxruntime", "ok", f"{ort.__version__}, {providers}")
    except ImportError as e:
        yield Finding("onnxruntime", "bad", str(e), "pip install onnxruntime")
    if _has("onnxruntime") and _has("onnxruntime-gpu"):
        yield Finding(
            "onnxruntime",
            "bad",
            "onnxruntime and onnxruntime-gpu are both installed",
            "they overwrite each other: pip uninstall both, then install one",
        )
    if util.find_spec("openvino") is None:
        state: State = "note" if platform.machine() in ("x86_64", "AMD64") else "ok"
        yield Finding(
            "OpenVINO",
            state,
            "not installed",
            "pip install openvino (often faster on x86-64)" if state == "note" else "",
        )
        return
    try:
        from vmatte.runtimes.openvino import import_openvino

        ov = import_openvino()
        core = ov.Core()
        units = core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        bf16 = "with" if "BF16" in units else "without"
        devices = ", ".join(core.available_devices)
        yield Finding("OpenVINO", "ok", f"{ov.__version__}, {devices}, CPU {bf16} bf16 units")
    except Exception as e:  # a broken driver may raise anything
        yield Finding("OpenVINO", "bad", str(e), "pip install --force-reinstall openvino")


def _models() -> Iterator[Finding]:
    try:
        from vmatte.registry import find_model, load_registry

        registry = load_registry()
        here = [n for n in registry.names() if find_model(registry.get(n)) is not None]
        default = registry.default
    except VmatteError as e:
        yield Finding("models", "bad", str(e), "repair or remove the file that is named")
        return
    if default in here:
        yield Finding("models", "ok", f"here: {', '.join(here)}; default {default}")
    else:
        yield Finding(
            "models",
            "note",
            f"the default, {default}, is fetched at first use",
            f"to have it now: vmatte models pull {default}",
        )
