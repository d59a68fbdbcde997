"""What every runtime must do, and how one is chosen."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import graphs
import numpy as np
import pytest
from conftest import missing

from vmatte.errors import EngineError, InferenceError, ModelError, OptionError
from vmatte.runtimes import Runtime, RuntimeOptions, load_runtime, ort
from vmatte.runtimes.openvino import import_openvino

NAMES = ("onnxruntime", "openvino")
X = np.array([[1, 2, 3], [0.5, -4, 0]], np.float32)


@pytest.fixture(params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    if request.param == "openvino":
        importlib.util.find_spec("openvino") or missing("OpenVINO is not installed")
    return str(request.param)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return graphs.plain(tmp_path / "plain.onnx")


def load(model: Path | bytes, **options: Any) -> Runtime:
    return load_runtime(model, RuntimeOptions(**options))


def test_computes_and_says_what_runs(name: str, model: Path) -> None:
    runtime = load(model, runtime=name, precision="fp32")
    assert (runtime.name, runtime.provider, runtime.precision) == (name, "cpu", "fp32")
    assert runtime.outputs == ("y",)
    (spec,) = runtime.inputs.values()
    assert list(runtime.inputs) == ["x"]
    assert spec.dtype == np.float32 and spec.shape == (None, 3)
    np.testing.assert_allclose(runtime.run({"x": X})["y"], X * 2, rtol=1e-6)
    runtime.close()
    runtime.close()


def test_loads_bytes_as_it_loads_a_path(name: str, model: Path) -> None:
    runtime = load(model.read_bytes(), runtime=name, precision="fp32")
    np.testing.assert_allclose(runtime.run({"x": X})["y"], X * 2, rtol=1e-6)


def test_threads_are_read_back(name: str, model: Path) -> None:
    assert load(model, runtime=name, threads=1).threads == 1


def test_results_outlive_the_next_run(name: str, model: Path) -> None:
    runtime = load(model, runtime=name, precision="fp32")
    first = runtime.run({"x": X})["y"]
    kept = first.copy()
    runtime.run({"x": X + 10})
    np.testing.assert_array_equal(first, kept)


def test_inputs_are_not_written_to(name: str, model: Path) -> None:
    x = X.copy()
    load(model, runtime=name).run({"x": x})
    np.testing.assert_array_equal(x, X)


def test_sizes_may_change_from_run_to_run(name: str, model: Path) -> None:
    runtime = load(model, runtime=name, precision="fp32")
    for rows in (1, 5, 2):
        x = np.full((rows, 3), rows, np.float32)
        np.testing.assert_array_equal(runtime.run({"x": x})["y"], x * 2)


@pytest.mark.parametrize("content", [b"", b"no graph at all", None])
def test_damaged_file(name: str, model: Path, content: bytes | None, capfd: Any) -> None:
    whole = model.read_bytes()
    model.write_bytes(whole[: len(whole) // 2] if content is None else content)
    for given in (model, model.read_bytes()):
        with pytest.raises(ModelError, match="cannot load"):
            load(given, runtime=name)
    assert capfd.readouterr().err == ""


def test_missing_file(name: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError):
        load(tmp_path / "none.onnx", runtime=name)


def test_a_failing_network_is_typed_and_silent(name: str, tmp_path: Path, capfd: Any) -> None:
    runtime = load(graphs.plain(tmp_path / "broken.onnx", broken=True), runtime=name)
    with pytest.raises(InferenceError):
        runtime.run({"x": np.ones((2, 3), np.float32)})
    assert capfd.readouterr().err == ""


def test_wrong_feeds_are_typed(name: str, model: Path) -> None:
    runtime = load(model, runtime=name)
    with pytest.raises(InferenceError):
        runtime.run({"x": np.ones((2, 4), np.float32)})
    with pytest.raises(InferenceError):
        runtime.run({"z": X})


@pytest.mark.parametrize("provider", ["warp9", "CPU "])
def test_unknown_provider(name: str, model: Path, provider: str) -> None:
    with pytest.raises(EngineError, match="cpu"):
        load(model, runtime=name, provider=provider)


def test_provider_that_is_not_here(name: str, model: Path) -> None:
    absent = "npu" if name == "openvino" else "rocm"
    with pytest.raises(EngineError, match="--provider cpu"):
        load(model, runtime=name, provider=absent)


def test_precision_that_cannot_be_had(name: str, model: Path) -> None:
    if name == "openvino":
        units = import_openvino().Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        lacking = next(p for p in ("fp16", "bf16") if p.upper() not in units)
    else:
        lacking = "bf16"
    with pytest.raises(EngineError, match=r"--precision|weights"):
        load(model, runtime=name, precision=lacking)


def test_half_precision_is_read_from_the_graph(tmp_path: Path) -> None:
    path = graphs.rvm(tmp_path / "half.onnx", half=True)
    assert load(path, runtime="onnxruntime").precision == "fp16"
    with pytest.raises(EngineError, match="fp16"):
        load(path, runtime="onnxruntime", precision="fp32")


@pytest.mark.parametrize(
    "wrong", [{"runtime": "tpu"}, {"precision": "fp8"}, {"threads": -1}, {"threads": 1 << 20}]
)
def test_options_are_checked(wrong: dict[str, Any]) -> None:
    with pytest.raises(OptionError, match=next(iter(wrong))):
        RuntimeOptions(**wrong)


def test_an_accelerator_may_be_required(name: str, model: Path) -> None:
    if ort.accelerator() is not None:
        pytest.skip("there is one")
    for runtime in (name, "auto"):
        with pytest.raises(EngineError, match="accelerator"):
            load(model, runtime=runtime, require_provider=True)
    assert load(model, runtime=name, provider="cpu", require_provider=True).provider == "cpu"


def test_auto_takes_openvino_on_the_cpu(model: Path) -> None:
    importlib.util.find_spec("openvino") or missing("OpenVINO is not installed")
    assert load(model).name == "openvino"
    assert load(model, provider="cpu").name == "openvino"


def test_auto_without_openvino(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    find = "importlib.util.find_spec"
    monkeypatch.setattr(find, lambda name: None)
    assert load(model).name == "onnxruntime"


def test_auto_tries_an_accelerator_first(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A GPU build must not be passed over for the CPU; one without its driver must be."""
    tried = []

    class Session:
        def __init__(self, model: Any, settings: Any, providers: list[str]) -> None:
            tried.append(providers[0])

        def get_providers(self) -> list[str]:
            return ["CPUExecutionProvider"]

    built = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    onnxruntime = ort.import_onnxruntime()
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: built)
    monkeypatch.setattr(onnxruntime, "InferenceSession", Session)
    with pytest.raises(EngineError, match="fell back to CPU"):
        load(model, provider="cuda")
    if importlib.util.find_spec("openvino"):
        assert load(model).name == "openvino"
    assert tried == ["CUDAExecutionProvider"] * 2


def test_auto_sends_each_provider_to_its_runtime(model: Path) -> None:
    importlib.util.find_spec("openvino") or missing("OpenVINO is not installed")
    with pytest.raises(EngineError, match="OpenVINO has no device 'npu'"):
        load(model, provider="npu")
    with pytest.raises(EngineError, match="onnxruntime"):
        load(model, provider="rocm")


def test_a_runtime_that_is_not_installed(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(EngineError, match="pip install onnxruntime"):
        load(model, runtime="onnxruntime")


@pytest.mark.parametrize("module", ["ort", "openvino"])
def test_nothing_is_reported_to_the_makers(module: str, model: Path, tmp_path: Path) -> None:
    """Both would: a thread, a file with an identifier, and packets, on import already."""
    name = {"ort": "onnxruntime"}.get(module, module)
    importlib.util.find_spec(name) or missing(f"{name} is not installed")
    code = (
        "import sys, threading, pathlib; from vmatte.runtimes import *;"
        f"load_runtime(pathlib.Path(sys.argv[1]), RuntimeOptions(runtime={name!r}));"
        "print(threading.active_count());"
        "print([m for m in sys.modules if 'telemetry' in m.partition('.')[0]])"
    )
    home = tmp_path / "home"
    home.mkdir()
    kept = {k: v for k, v in os.environ.items() if k not in ("ORT_DISABLE_TELEMETRY",)}
    environment = {**kept, "HOME": str(home), "XDG_CACHE_HOME": str(home / "cache")}
    done = subprocess.run(
        [sys.executable, "-c", code, str(model)],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["1", "[]"]
    files = [f for f in home.rglob("*") if f.is_file()]
    # Compiled networks are ours, and stay here.
    assert all(f.suffix == ".blob" and "vmatte" in f.parts for f in files), files


def test_a_look_for_accelerators_does_not_import_onnxruntime(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = (
        "import sys; from vmatte.runtimes.ort import accelerator; found = accelerator(); "
        "print(found, 'onnxruntime' in sys.modules)"
    )
    capi = tmp_path / "onnxruntime" / "capi"
    capi.mkdir(parents=True)
    built = "def get_available_providers(): return ['CUDAExecutionProvider']"
    (tmp_path / "onnxruntime" / "__init__.py").write_text(built)
    paths = [str(tmp_path), *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([*paths, str(Path.cwd())]))

    def said() -> str:
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        return done.stdout.strip() or done.stderr

    assert said() == "None False"
    (capi / "libonnxruntime_providers_cuda.so").touch()
    assert said() == "cuda True"


def test_a_compiled_network_is_kept_and_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    importlib.util.find_spec("openvino") or missing("OpenVINO is not installed")
    monkeypatch.setenv("VMATTE_MODELS", str(tmp_path / "kept"))
    core = import_openvino().Core
    compiled: list[int] = []
    compile_model = core.compile_model

    def counting(*args: Any) -> Any:
        compiled.append(1)
        return compile_model(*args)

    monkeypatch.setattr(core, "compile_model", counting)
    model = graphs.plain(tmp_path / "plain.onnx")

    def run(**options: Any) -> int:
        compiled.clear()
        runtime = load(model, runtime="openvino", **options)
        np.testing.assert_allclose(runtime.run({"x": X})["y"], X * 2, rtol=1e-2)
        assert runtime.outputs == ("y",) and runtime.precision == options.get("precision", "fp32")
        return len(compiled)

    fp32: dict[str, Any] = {"precision": "fp32"}
    assert [run(**fp32), run(**fp32)] == [1, 0]
    # Another setting is another network.
    assert [run(**fp32, threads=1), run(**fp32, threads=1)] == [1, 0]
    for file in (tmp_path / "kept" / "compiled").glob("*.blob"):
        whole = file.read_bytes()
        file.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert [run(**fp32), run(**fp32)] == [1, 0]
    # Nowhere to keep it: it runs all the same.
    (tmp_path / "file").touch()
    monkeypatch.setenv("VMATTE_MODELS", str(tmp_path / "file"))
    assert [run(**fp32), run(**fp32)] == [1, 1]
