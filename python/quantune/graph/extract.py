"""IR with named layers → Graph."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from iree.compiler import ir

from quantune.errors import QuantuneError
from quantune.graph.model import Graph, Layer, LayerKind
from quantune.ir import grouped, match, values
from quantune.ir.evaluate import constant_value


def extract(module: ir.Module) -> Graph:
    """Reads the layers that `name-layers` has formed.

    Raises QuantuneError when the module has no named layers, or returns one of its inputs.
    """
    function = values.main_function(module)
    arguments = list(values.body(function).arguments)
    names = ["input"] if len(arguments) == 1 else [f"input{i}" for i in range(len(arguments))]
    known: dict[ir.Value, str] = dict(zip(arguments, names, strict=True))
    layers = []
    for group in layer_operations(module).values():
        layer = _layer(group, known)
        known[group[-1].results[0]] = layer.name
        layers.append(layer)
    if not layers:
        raise QuantuneError("the module has no named layers; run the pass name-layers first")
    returned = list(values.terminator(function).operands)
    outputs = tuple(known.get(value, "") for value in returned)
    if set(outputs) - {layer.name for layer in layers}:
        raise QuantuneError(
            "the module returns a constant or one of its inputs; there is nothing to quantize"
        )
    return Graph({n: values.shape(a) for n, a in zip(names, arguments, strict=True)}, tuple(layers), outputs)


def layer_operations(module: ir.Module) -> dict[str, list[ir.Operation]]:
    """Layer name → its operations, ordered by each layer's last operation."""
    groups: dict[str, list[ir.Operation]] = {}
    for op in values.operations(values.main_function(module)):
        if (name := values.layer_of(op)) is not None:
            groups[name] = [
                *groups.pop(name, []),
                op,
            ]  # re-inserted: the dict stays ordered by last operation
    return groups


def anchor_of(group: list[ir.Operation]) -> ir.Operation:
    """The operation a layer is named after: its contraction or pooling, else its first."""
    heavy = [
        op
        for op in group
        if match.contraction_kind(op) is not None or "pooling" in op.name or match.spatial_sum(op) is not None
    ]
    return (heavy or group)[0]


def _layer(group: list[ir.Operation], known: dict[ir.Value, str]) -> Layer:
    anchor, first, last = anchor_of(group), group[0], group[-1]
    kind = _kind(group, anchor)
    inner = {r for op in group for r in op.results}
    read: list[ir.Value] = []
    for op in group:
        for value in op.operands:
            if value in known and value not in inner and (value not in read or op.name == "tensor.concat"):
                read.append(value)
    if kind == "add" and len(read) == 1:
        read *= 2
    bias, residual, clamp = epilogue_facts(group, anchor)
    weight = values.constant(anchor.operands[1]) if kind in ("conv2d", "depthwise_conv2d", "linear") else None
    attributes = _attributes(kind, group, anchor)
    if first is not anchor and (padding := match.padding_of(first)) is not None:
        attributes["padding"] = _needed_padding(first, anchor, padding[0], padding[1])
    elif kind in ("conv2d", "depthwise_conv2d", "max_pool") or "kernel" in attributes:
        attributes["padding"] = [[0, 0], [0, 0]]
    _, file, line = values.source(anchor)
    return Layer(
        name=str(values.layer_of(anchor)),
        kind=kind,
        inputs=tuple(known[v] for v in read),
        output_shape=values.shape(last.results[0]),
        attributes=attributes,
        clamp=clamp,
        residual=residual,
        weight=None if weight is None else weight.astype(np.float32, copy=False),
        bias=bias,
        macs=_macs(kind, anchor),
        location=f"{file}:{line}" if file else "",
    )


def _needed_padding(
    pad: ir.Operation, anchor: ir.Operation, low: list[int], high: list[int]
) -> list[list[int]]:
    """[[top, bottom], [left, right]] without what no window reaches (torch's ceil_mode pads generously)."""
    needed = []
    window = anchor.operands[1]
    for axis in (1, 2):
        kernel = values.shape(window)[axis - 1]
        stride, dilation = (steps[axis - 1] for steps in values.window_steps(anchor))
        reach = (values.shape(anchor.results[0])[axis] - 1) * stride + (kernel - 1) * dilation + 1
        spare = reach - values.shape(pad.operands[0])[axis] - low[axis]
        needed.append([low[axis], max(0, min(high[axis], spare))])
    return needed


_SIMPLE: dict[str, LayerKind] = {
    "linalg.pooling_nhwc_max": "max_pool",
    "tensor.concat": "concat",
    "tensor.expand_shape": "reshape",
    "tensor.collapse_shape": "reshape",
    "linalg.transpose": "transpose",
}


def _kind(group: list[ir.Operation], anchor: ir.Operation) -> LayerKind:
    if match.is_contraction(anchor):
        return match.contraction_kind(anchor)  # type: ignore[return-value]
    if anchor.name in _SIMPLE:
        return _SIMPLE[anchor.name]
    if anchor.name == "tensor.pad" and match.padding_of(anchor) is not None:
        return "pad"
    if anchor.name == "tensor.extract_slice" and values.rank(anchor.operands[0]) == values.rank(
        anchor.results[0]
    ):
        return "slice"
    if anchor.name == "linalg.pooling_nhwc_sum" or match.spatial_sum(anchor) is not None:
        return "avg_pool"
    if match.is_plain_add(anchor) and match.residual_operand(anchor, anchor.operands[0]) is not None:
        return "add"
    return "clamp" if match.clamp_bounds(anchor) is not None else "opaque"


def epilogue_facts(group: list[ir.Operation], anchor: ir.Operation) -> tuple[Any, bool, tuple[float, float]]:
    """(bias or None, residual, clamp) fused after the anchor."""
    bias, residual = None, False
    clamp = match.clamp_bounds(anchor) or (-np.inf, np.inf)
    value = anchor.results[0]
    for op in group[group.index(anchor) + 1 :]:
        if (vector := match.bias_operand(op, value)) is not None:
            known = constant_value(vector)
            bias = None if known is None else known.astype(np.float32)
        elif match.residual_operand(op, value) is not None:
            residual = True
        elif (bounds := match.clamp_bounds(op)) is not None:
            clamp = (float(np.clip(clamp[0], *bounds)), float(np.clip(clamp[1], *bounds)))
        value = op.results[0]
    return bias, residual, clamp


def _attributes(kind: LayerKind, group: list[ir.Operation], anchor: ir.Operation) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if kind in ("conv2d", "depthwise_conv2d") or "pooling" in anchor.name:
        found["strides"], found["dilations"] = values.window_steps(anchor)
    if (groups := grouped.groups_of(anchor)) > 1:
        found["groups"] = groups
    if "pooling" in anchor.name:
        found["kernel"] = list(values.shape(anchor.operands[1]))
    elif kind == "avg_pool":
        found["kernel"] = list(values.shape(anchor.operands[0])[1:3])
        found["strides"], found["dilations"] = [1, 1], [1, 1]
    if kind == "avg_pool":
        number = match.divisor(group[-1])
        found["divisor"] = float(number or 1.0)
    elif kind == "concat":
        found["axis"] = int(anchor.attributes["dim"].value)
    elif kind == "transpose":
        found["permutation"] = values.integers(anchor.attributes["permutation"])
    elif kind == "slice":
        found |= {
            n: values.integers(anchor.attributes[f"static_{n}"]) for n in ("offsets", "sizes", "strides")
        }
    elif kind == "pad" and (padding := match.padding_of(anchor)) is not None:
        found |= {"low": padding[0], "high": padding[1], "value": padding[2]}
    elif kind == "opaque":
        found["operation"] = anchor.name
    return found


def _macs(kind: LayerKind, anchor: ir.Operation) -> int:
    result = math.prod(values.shape(anchor.results[0]))
    weight = values.shape(anchor.operands[1]) if kind in ("conv2d", "depthwise_conv2d", "linear") else ()
    match kind:
        case "conv2d":
            return result * math.prod(weight[:3])
        case "depthwise_conv2d":
            return result * math.prod(weight[:2])
        case "linear":
            return result * weight[0]
    return 0
