"""Importing model files by hand."""

from hashlib import sha256
from pathlib import Path

import onnx
import pytest

from vmatte.errors import (
    HashMismatchError,
    InputNotFoundError,
    ModelError,
    ModelUnavailableError,
    OptionError,
    WriteError,
)
from vmatte.registry import ModelRecord, Places, Registry, Store, load_registry
from vmatte.registry.importing import import_model
from vmatte.registry.places import bundled_dir
from vmatte.registry.records import Catalogue


@pytest.fixture
def places(tmp_path: Path) -> Places:
    (tmp_path / "own").mkdir()
    return Places(bundled=bundled_dir(), own=tmp_path / "own", cache=tmp_path / "cache")


@pytest.fixture
def tiny_onnx(tmp_path: Path) -> Path:
    value = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Relu", ["x"], ["y"])],
        "g",
        [value("x", onnx.TensorProto.FLOAT, [1])],
        [value("y", onnx.TensorProto.FLOAT, [1])],
    )
    path = tmp_path / "My net.onnx"
    onnx.save_model(onnx.helper.make_model(graph), str(path))
    return path


def test_import_makes_a_model_of_ones_own(places: Places, tiny_onnx: Path) -> None:
    store = Store(places)
    with pytest.raises(OptionError, match=r"--family, one of: convgru, rvm, u2net"):
        import_model(tiny_onnx, load_registry(places), store)
    with pytest.raises(OptionError, match="'My net' cannot name a model"):
        import_model(tiny_onnx, load_registry(places), store, family="u2net")
    with pytest.raises(OptionError, match="no family is called 'x'"):
        import_model(tiny_onnx, load_registry(places), store, family="x")
    made = import_model(
        tiny_onnx,
        load_registry(places),
        store,
        family="u2net",
        name="net",
        licence='mine "© ü"\n',
        params={"size": [64, 32]},
    )
    read = load_registry(places).get("net")
    assert read == made and read.own and read.licence == 'mine "© ü"\n'
    assert read.params["size"] == [64, 32] and read.params["std"] == [0.229, 0.224, 0.225]
    assert store.find(read) == places.own / "net.onnx"
    # Once more, with other parameters, is a change of mind; another file under the name is not.
    import_model(tiny_onnx, load_registry(places), store, family="isnet", name="net")
    assert load_registry(places).get("net").family == "isnet"
    other = onnx.load(str(tiny_onnx))
    other.producer_name = "other"
    onnx.save_model(other, str(tiny_onnx))
    with pytest.raises(HashMismatchError, match="net is taken by a file with sha256"):
        import_model(tiny_onnx, load_registry(places), store, family="isnet", name="net")
    left = {p.name for p in places.own.iterdir()}
    assert left == {"net.onnx", "net.toml", "import.lock"}


def test_import_under_a_known_name_checks_the_hash(places: Places, tiny_onnx: Path) -> None:
    for name in ("u2net", "rvm"):
        with pytest.raises(HashMismatchError, match="is taken by a file with sha256") as e:
            import_model(tiny_onnx, load_registry(places), Store(places), name=name)
        assert sha256(tiny_onnx.read_bytes()).hexdigest() in str(e.value)
    assert [p.name for p in places.own.iterdir()] == ["import.lock"]


def test_import_refuses_what_is_no_model(places: Places, tiny_onnx: Path, tmp_path: Path) -> None:
    registry, store = load_registry(places), Store(places)
    with pytest.raises(InputNotFoundError, match="no such file"):
        import_model(tmp_path / "none.onnx", registry, store, family="u2net")
    for content in (b"a text file", b"", b"<html>" * 1000):
        (tmp_path / "text.onnx").write_bytes(content)
        with pytest.raises(ModelError, match="not an ONNX model"):
            import_model(tmp_path / "text.onnx", registry, store, family="u2net")
    model = onnx.load(str(tiny_onnx))
    tensor = onnx.numpy_helper.from_array(onnx.numpy_helper.np.zeros(2000, "float32"), "w")
    model.graph.initializer.append(tensor)
    split = tmp_path / "split.onnx"
    onnx.save_model(model, str(split), save_as_external_data=True, location="split.data")
    with pytest.raises(ModelError, match="keeps its weights in another file"):
        import_model(split, registry, store, family="u2net")
    assert [p.name for p in places.own.iterdir()] == ["import.lock"]


def test_import_into_a_file_instead_of_a_folder(places: Places, tiny_onnx: Path) -> None:
    (places.own / "blocked").write_text("")
    blocked = Places(bundled=places.bundled, own=places.own / "blocked", cache=places.cache)
    with pytest.raises(WriteError, match=r"cannot be copied to .*blocked"):
        import_model(tiny_onnx, load_registry(places), Store(blocked), family="u2net", name="n")


def test_import_of_a_non_commercial_model_wants_a_yes(places: Places, tiny_onnx: Path) -> None:
    known = ModelRecord(
        name="nc",
        family="u2net",
        file="nc.onnx",
        sha256=sha256(tiny_onnx.read_bytes()).hexdigest(),
        licence="research only",
        non_commercial=True,
    )
    registry = Registry(Catalogue({"nc": known}, {}, {}, "nc"), {})
    with pytest.raises(ModelUnavailableError, match=r"research only.*--accept-licence") as e:
        import_model(tiny_onnx, registry, Store(places))
    assert not (places.own / "nc.onnx").exists() and e.value.__cause__ is None
    assert import_model(tiny_onnx, registry, Store(places), accept_licence=True) is known
    assert Store(places).find(known) == places.own / "nc.onnx"
