"""channels-last."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from iree.compiler import ir
from iree.compiler.dialects import linalg

from quantune.ir import build, grouped, values
from quantune.ir.evaluate import constant_value
from quantune.passes.base import Pass, Report, cleanup


@dataclass(frozen=True)
class ChannelsLast(Pass):
    """Moves the whole network from NCHW to NHWC, so that nothing lands on slow channels-first code.

    Walks the function once and keeps, for every image-like value (rank 4 and more), its channels-last form:
    batch, height, width, then the channel dimensions. Convolutions, pooling, padding, concatenation, slices,
    channel shuffles (expand, transpose, collapse) and any linalg.generic are rewritten to read and write that
    form. An operation it does not know gets its operands transposed back, so every module stays correct. The
    function's signature does not change.

    Before:
        %1 = linalg.conv_2d_nchw_fchw ins(%x, %w : tensor<1x3x8x8xf32>, tensor<4x3x3x3xf32>)
    After:
        %0 = linalg.transpose ins(%x) permutation = [0, 2, 3, 1]
        %1 = linalg.conv_2d_nhwc_hwcf ins(%0, %w_t : tensor<1x8x8x3xf32>, tensor<3x3x3x4xf32>)

    Left alone: grouped convolutions that `join-groups` left alone (they stay NCHW between two transposes),
    values of rank below 4.
    """

    def apply(self, module: ir.Module) -> Report:
        function = values.main_function(module)
        mover = _Mover()
        for op in values.operations(function):
            mover.visit(op)
        cleanup(module)
        left = sorted(
            values.describe(op)
            for op in values.operations(function)
            if "nchw" in op.name or "ngchw" in op.name
        )
        return {"converted": mover.converted, "channels_first_left": left}


def channels_last(rank: int) -> list[int]:
    """Logical dimension at each physical position: batch, height, width, then channels (NGCHW → NHWGC)."""
    return [0, rank - 2, rank - 1, *range(1, rank - 2)]


def permuted(items: Sequence[int], permutation: Sequence[int]) -> list[int]:
    return [items[p] for p in permutation]


class _Mover:
    """Keeps the channels-last twin of every value and rewrites operations to use the twins."""

    def __init__(self) -> None:
        self.twins: dict[ir.Value, ir.Value] = {}
        self.converted = 0
        self.rules: dict[str, Callable[[ir.Operation], ir.Value | None]] = {
            "linalg.conv_2d_nchw_fchw": self.convolution,
            "linalg.depthwise_conv_2d_nchw_chw": self.convolution,
            "linalg.pooling_nchw_max": self.pooling,
            "linalg.pooling_nchw_sum": self.pooling,
            "tensor.pad": self.pad,
            "tensor.concat": self.concat,
            "tensor.extract_slice": self.extract_slice,
            "tensor.expand_shape": self.regroup,
            "tensor.collapse_shape": self.regroup,
            "linalg.transpose": self.transpose,
        }

    def visit(self, op: ir.Operation) -> None:
        if op.name in ("arith.constant", "tensor.empty", "linalg.fill") or "nhwc" in op.name:
            return
        with ir.InsertionPoint(op), op.location:
            rule = self.convolution if grouped.GROUPS in op.attributes else self.rules.get(op.name)
            images = any(values.rank(v) >= 4 for v in [*op.operands, *op.results])
            if rule is None and op.name == "linalg.generic" and images:
                self.generic(op)
                return
            twin = rule(op) if rule and values.rank(op.operands[0]) >= 4 else None
            if twin is not None:
                self.twins[op.results[0]] = twin
                self.converted += 1
                return
            for index, operand in enumerate(op.operands):
                if operand in self.twins:
                    op.operands[index] = self.logical(operand)

    def physical(self, value: ir.Value) -> ir.Value:
        """The channels-last form of `value`."""
        if value not in self.twins:
            moved = channels_last(values.rank(value))
            if isinstance(value, ir.BlockArgument):  # else it would be named after its first reader
                with ir.Location.file("torch:input.channels_last|", 0, 0):
                    self.twins[value] = _permute(value, moved)
            else:
                self.twins[value] = _permute(value, moved)
        return self.twins[value]

    def logical(self, value: ir.Value) -> ir.Value:
        """`value` back in the model's own layout."""
        return _permute(self.twins[value], list(np.argsort(channels_last(values.rank(value)))))

    def convolution(self, op: ir.Operation) -> ir.Value | None:
        weight, start = values.constant(op.operands[1]), op.operands[2]
        if weight is None:
            return None
        depthwise = "depthwise" in op.name
        layout, name = (
            ([1, 2, 0], "depthwise_conv_2d_nhwc_hwc") if depthwise else ([2, 3, 1, 0], "conv_2d_nhwc_hwcf")
        )
        moved = build.constant(np.ascontiguousarray(weight.transpose(layout)))
        if grouped.GROUPS in op.attributes:
            operands = [self.physical(op.operands[0]), moved, self.initial(start)]
            return grouped.convolution(operands, grouped.groups_of(op), *values.window_steps(op))
        return _named(name, [self.physical(op.operands[0]), moved], self.initial(start), op)

    def pooling(self, op: ir.Operation) -> ir.Value:
        name = op.name.removeprefix("linalg.").replace("nchw", "nhwc")
        return _named(name, [self.physical(op.operands[0]), op.operands[1]], self.initial(op.operands[2]), op)

    def initial(self, value: ir.Value) -> ir.Value:
        """An accumulator's start: a splat is made anew, anything else is moved."""
        op = values.defining(value)
        dims = permuted(values.shape(value), channels_last(values.rank(value)))
        if op is not None and op.name == "linalg.fill":
            return linalg.fill(op.operands[0], outs=[build.empty(dims, values.element_type(value))])
        if op is not None and op.name == "tensor.empty":
            return build.empty(dims, values.element_type(value))
        known = constant_value(value)
        if known is not None and known.size and (known == known.flat[0]).all():
            return build.filled(float(known.flat[0]), dims, values.element_type(value))
        return self.physical(value)

    def pad(self, op: ir.Operation) -> ir.Value | None:
        filler = list(op.regions[0].blocks[0].operations)[-1].operands[0]
        if isinstance(filler, ir.BlockArgument) or values.constant(filler) is None:
            return None
        order = channels_last(values.rank(op.operands[0]))
        low, high = (
            permuted(values.integers(op.attributes[f"static_{side}"]), order) for side in ("low", "high")
        )
        return build.pad(self.physical(op.operands[0]), low, high, filler)

    def concat(self, op: ir.Operation) -> ir.Value:
        axis = channels_last(values.rank(op.results[0])).index(op.attributes["dim"].value)
        return build.concat([self.physical(v) for v in op.operands], axis)

    def extract_slice(self, op: ir.Operation) -> ir.Value | None:
        if values.rank(op.results[0]) != values.rank(op.operands[0]) or len(op.operands) > 1:
            return None
        order = channels_last(values.rank(op.operands[0]))
        parts = [
            permuted(values.integers(op.attributes[f"static_{n}"]), order)
            for n in ("offsets", "sizes", "strides")
        ]
        return build.extract_slice(self.physical(op.operands[0]), *parts)

    def regroup(self, op: ir.Operation) -> ir.Value | None:
        """A reshape that only splits or joins channels, or moves nothing: all but one dimension are 1."""
        source, result = op.operands[0], op.results[0]
        groups = [values.integers(group) for group in op.attributes["reassociation"]]
        wide = source if values.rank(source) > values.rank(result) else result
        spatial = [[values.rank(wide) - 2], [values.rank(wide) - 1]]
        if values.rank(result) >= 4 and groups[0] == [0] and groups[-2:] == spatial:
            dims = permuted(values.shape(result), channels_last(values.rank(result)))
            return build.reshape(self.physical(source), dims)
        if sum(d != 1 for d in values.shape(source)) <= 1 and values.rank(result) < 4:
            result.replace_all_uses_with(build.reshape(self.physical(source), values.shape(result)))
            return result
        return None

    def transpose(self, op: ir.Operation) -> ir.Value:
        permutation = values.integers(op.attributes["permutation"])
        order = channels_last(len(permutation))
        return _permute(self.physical(op.operands[0]), [order.index(permutation[p]) for p in order])

    def generic(self, op: ir.Operation) -> None:
        """Reads and writes channels-last forms; loops are renamed so that the result is walked in order."""
        maps, loops = values.indexing_maps(op), len(values.iterators(op))
        count = len(values.inputs(op))
        for index, operand in enumerate(op.operands):
            if values.rank(operand) >= 4:
                order = channels_last(values.rank(operand))
                maps[index] = [maps[index][p] for p in order]
                op.operands[index] = self.physical(operand) if index < count else self.initial(operand)
        rename = list(range(loops))
        if sorted(d for d in maps[-1] if d is not None) == rename:
            rename = [maps[-1].index(loop) for loop in range(loops)]
        kinds = list(op.attributes["iterator_types"])
        op.attributes["iterator_types"] = ir.ArrayAttr.get(
            [kinds[rename.index(loop)] for loop in range(loops)]
        )
        projections = [
            build.projection(loops, [None if d is None else rename[d] for d in dims]) for dims in maps
        ]
        op.attributes["indexing_maps"] = ir.ArrayAttr.get([ir.AffineMapAttr.get(m) for m in projections])
        for result, start in zip(op.results, list(op.operands)[count:], strict=True):
            if values.rank(result) >= 4:
                result.set_type(start.type)
                self.twins[result] = result
        self.converted += 1


def _permute(value: ir.Value, permutation: list[int]) -> ir.Value:
    """A transpose, or a reshape when only dimensions of size 1 move."""
    dims = values.shape(value)
    moved = [p for p in permutation if dims[p] != 1]
    return (
        build.reshape(value, permuted(dims, permutation))
        if moved == sorted(moved)
        else build.transpose(value, permutation)
    )


def _named(name: str, ins: list[ir.Value], start: ir.Value, op: ir.Operation) -> ir.Value:
    """A linalg convolution or pooling with the strides and dilations of `op`."""
    strides, dilations = values.window_steps(op)
    return getattr(linalg, name)(*ins, outs=[start], strides=strides, dilations=dilations)
