"""Editing ONNX graphs before they are loaded."""

from collections.abc import Sequence

import onnx


def cut(model: onnx.ModelProto, outputs: Sequence[str]) -> onnx.ModelProto:
    """Return the part of ``model`` that ``outputs`` depend on, with these tensors as its outputs.

    The names must be produced by nodes of the main graph, and be maps of four dimensions. Inputs
    that nothing needs any more are dropped with the nodes.
    """
    graph = model.graph
    producer = {name: node for node in graph.node for name in node.output}
    needed: set[str] = set()
    todo = list(outputs)
    while todo:
        name = todo.pop()
        if name in needed:
            continue
        needed.add(name)
        if name in producer:
            todo += [*producer[name].input, *producer[name].output]
    kept = [node for node in graph.node if any(name in needed for name in node.output)]
    known = {value.name: value for value in [*graph.output, *graph.value_info]}
    new = onnx.GraphProto()
    new.name = graph.name
    new.node.extend(kept)
    new.initializer.extend(i for i in graph.initializer if i.name in needed)
    new.input.extend(i for i in graph.input if i.name in needed)
    element = graph.input[0].type.tensor_type.elem_type
    for name in outputs:
        new.output.append(
            known.get(name) or onnx.helper.make_tensor_value_info(name, element, [None] * 4)
        )
    result = onnx.ModelProto()
    result.CopyFrom(model)
    result.graph.CopyFrom(new)
    return result


_OF_ONE_SHAPE = {"Expand", "Flatten", "Gemm", "Reshape", "Upsample"}
"""Operations that may hold a size where only a look at their other inputs would tell."""


def free_size(model: onnx.ModelProto) -> bool:
    """Let ``model``, exported for one size of picture, take any; False where it cannot.

    It can where nothing in it is told a size: its maps are resized to the sizes of other maps.
    Inputs and outputs must be maps, height and width last.
    """
    graph = model.graph
    told = {i.name for i in graph.initializer}
    told |= {name for node in graph.node if node.op_type == "Constant" for name in node.output}
    for node in graph.node:
        sizes = node.input[3:4] if node.op_type == "Resize" else []
        if node.op_type in _OF_ONE_SHAPE or any(name in told for name in sizes if name):
            return False
    maps = [v.type.tensor_type.shape.dim for v in (*graph.input, *graph.output)]
    if any(len(dims) != 4 for dims in maps):
        return False
    for dims in maps:
        dims[2].dim_param, dims[3].dim_param = "height", "width"
    del graph.value_info[:]
    return True


def first_convolution(graph: onnx.GraphProto, shape: Sequence[int]) -> str | None:
    """Return the output of the first Conv (in execution order) whose weights have ``shape``."""
    dims = {i.name: list(i.dims) for i in graph.initializer}
    for node in graph.node:
        if node.op_type == "Conv" and dims.get(node.input[1]) == list(shape):
            return str(node.output[0])
    return None
