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


def first_convolution(graph: onnx.GraphProto, shape: Sequence[int]) -> str | None:
    """Return the output of the first Conv (in execution order) whose weights have ``shape``."""
    dims = {i.name: list(i.dims) for i in graph.initializer}
    for node in graph.node:
        if node.op_type == "Conv" and dims.get(node.input[1]) == list(shape):
            return str(node.output[0])
    return None
