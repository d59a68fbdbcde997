"""The public surface: what each package offers, and what importing it costs."""

import importlib
import inspect
import subprocess
import sys

import pytest

PUBLIC = {
    "vmatte.runtimes": "Precision Runtime RuntimeName RuntimeOptions Tensor TensorSpec "
    "load_runtime",
    "vmatte.matting": "Engine Matte Matter MatterOptions Stabilise build_matter expect_licence "
    "for_still load_matter try_out warmup_of",
    "vmatte.registry": "ModelRecord Places Progress Registry Store ensure_model find_model "
    "find_places load_registry",
}
PACKAGES = [*PUBLIC, "vmatte.sources", "vmatte.sinks", "vmatte.composite", "vmatte.evaluation"]


@pytest.mark.parametrize("name", PACKAGES)
def test_public_names(name: str) -> None:
    package = importlib.import_module(name)
    names = getattr(package, "__all__", [])
    # As ruff sorts: constants, classes, functions.
    order = sorted(names, key=lambda n: (not n.isupper(), not n[0].isupper(), n))
    assert list(names) == order, f"{name}.__all__ is not sorted"
    assert len(names) == len(set(names))
    for public in names:
        assert hasattr(package, public)
    if name in PUBLIC:
        assert set(names) == set(PUBLIC[name].split())


@pytest.mark.parametrize("name", PACKAGES)
def test_what_is_public_is_documented(name: str) -> None:
    package = importlib.import_module(name)
    assert package.__doc__
    for public in getattr(package, "__all__", []):
        thing = getattr(package, public)
        if inspect.isclass(thing) or inspect.isfunction(thing):
            assert thing.__doc__, f"{name}.{public}"


def loaded(code: str) -> set[str]:
    """Return the outside packages that ``code`` loads."""
    code += "; import sys; print(*{m.partition('.')[0] for m in sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_importing_is_light() -> None:
    heavy = {"av", "cv2", "numpy", "onnx", "onnxruntime", "openvino", "rich", "click", "httpx"}
    assert not loaded("import vmatte, vmatte.errors") & heavy
    # Networks' runtimes and the network are for those who use them.
    engines = {"onnx", "onnxruntime", "openvino", "httpx", "rich", "pyvirtualcam"}
    assert not loaded("import vmatte.job, vmatte.cli, vmatte.cli.run, vmatte.testing") & engines
    assert not loaded("import vmatte.cli") & (heavy - {"click"})


def test_errors_are_one_tree() -> None:
    from vmatte import errors

    classes = [c for _, c in inspect.getmembers(errors, inspect.isclass)]
    ours = [c for c in classes if c.__module__ == "vmatte.errors"]
    assert len(ours) > 15
    assert all(issubclass(c, errors.VmatteError) for c in ours)
    assert errors.__doc__ is not None
    # The tree at the top of the file is the tree.
    assert all(c.__name__ in errors.__doc__ for c in ours)
