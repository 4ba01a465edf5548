"""Contractions of batches, exact in integers, and the fused epilogue on tensors."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from quantune.graph.model import Layer
from quantune.numerics.epilogue import Epilogue

Contraction = Callable[[Tensor], Tensor]


def contraction(layer: Layer, weight: NDArray[np.float32], bias: NDArray[np.float32] | None) -> Contraction:
    """[N, ...] → [N, ..., F] in f32, zeros around it, no residual, no clamp; weights as in the layer."""
    constant = None if bias is None else torch.from_numpy(np.array(bias, np.float32))
    if layer.kind == "linear":
        matrix = torch.from_numpy(np.ascontiguousarray(weight.T))
        return lambda x: functional.linear(x, matrix, constant)
    kernel = torch.from_numpy(_kernel(layer, weight)).contiguous(memory_format=torch.channels_last)
    strides, dilations = _steps(layer)

    def convolve(x: Tensor) -> Tensor:
        x = padded(x, layer, 0.0).permute(0, 3, 1, 2)
        groups = x.shape[1] // kernel.shape[1]
        y = functional.conv2d(x, kernel, constant, strides, 0, dilations, groups)
        return y.permute(0, 2, 3, 1)

    return convolve


def accumulation(layer: Layer, weight: NDArray[np.int8], zero: int, plus: NDArray[np.int64]) -> Contraction:
    """u8 [N, ...] → exact sums of (x - zero) w, `plus` [F] added, in f32. The border holds `zero`."""
    if layer.kind != "linear" and _multiplies_bytes():
        convolve = _in_bytes(layer, weight, zero)
    else:
        inner = contraction(layer, weight.astype(np.float32), None)

        def convolve(x: Tensor) -> Tensor:
            return inner(x.float() - float(zero))

    constant = torch.from_numpy(plus.astype(np.float32))
    return (lambda x: convolve(x).add_(constant)) if np.any(plus) else convolve


def _in_bytes(layer: Layer, weight: NDArray[np.int8], zero: int) -> Contraction:
    """By oneDNN's 8-bit convolution, all scales 1."""
    kernel = torch.from_numpy(_kernel(layer, weight))
    features = kernel.shape[0]
    strides, dilations = _steps(layer)
    ones, zeros = torch.ones(features), torch.zeros(features, dtype=torch.int32)
    groups = weight.shape[-1] if layer.kind == "depthwise_conv2d" else layer.attributes.get("groups", 1)
    operations: Any = torch.ops.onednn
    packed: dict[str, Any] = {}

    def convolve(x: Tensor) -> Tensor:
        x = padded(x, layer, zero).permute(0, 3, 1, 2)
        shape = list(x.shape)
        if packed.get("shape") != shape:
            packed["weight"] = operations.qconv_prepack(
                kernel, ones, 1.0, zero, strides, [0, 0], dilations, groups, shape
            )
            packed["shape"] = shape
        places = (strides, [0, 0], dilations, groups)
        weights = (packed["weight"], ones, zeros, None)
        y: Tensor = operations.qconv_pointwise(
            x, 1.0, zero, *weights, *places, 1.0, 0, torch.float32, "none", [], ""
        )
        return y.permute(0, 2, 3, 1)

    return convolve


class Fused:
    """An Epilogue on tensors: stored values as u8, real ones as f32."""

    def __init__(self, epilogue: Epilogue) -> None:
        self.multiplier = torch.from_numpy(np.array(epilogue.multiplier, np.float32))
        self.offset = torch.from_numpy(np.array(epilogue.offset, np.float32))
        second = epilogue.residual_multiplier
        self.second = None if second is None else torch.tensor(second)
        self.low = None if epilogue.low is None else float(epilogue.low)
        self.high = None if epilogue.high is None else float(epilogue.high)
        self.stored = epilogue.output is not None

    def __call__(self, acc: Tensor, other: Tensor | None = None) -> Tensor:
        """acc: sums as exact f32, or u8 for elementwise arithmetic."""
        v = _fma(acc.float(), self.multiplier, self.offset)
        if self.second is not None:
            assert other is not None
            v = _fma(other.float(), self.second, v)
        v = v.round_() if self.stored else v
        v = v if self.low is None and self.high is None else v.clamp_(self.low, self.high)
        return v.to(torch.uint8) if self.stored else v


def padded(x: Tensor, layer: Layer, fill: float) -> Tensor:
    """x [N, H, W, C] with the layer's spatial padding filled in."""
    (top, bottom), (left, right) = layer.attributes.get("padding", [[0, 0], [0, 0]])
    if not (top or bottom or left or right):
        return x
    return functional.pad(x, (0, 0, left, right, top, bottom), value=fill)


def _fma(x: Tensor, multiplier: Tensor, offset: Tensor) -> Tensor:
    """x * multiplier + offset, rounded once."""
    if _addcmul_is_fused():
        return torch.addcmul(offset, x, multiplier)
    # rounds twice, but twice differently only where the f64 sum lies exactly between two f32
    return (x.double() * multiplier.double() + offset.double()).float()


@cache
def _addcmul_is_fused() -> bool:
    """Whether torch's own code for this processor rounds once; long enough for vectors and a remainder."""
    x = torch.linspace(1, 1e6, 4099).round()
    m, b = torch.tensor(0.0123456789), torch.tensor(-77.77)
    exact = (x.double() * m.double() + b.double()).float()
    return bool(torch.equal(torch.addcmul(b, x, m), exact))


@cache
def _multiplies_bytes() -> bool:
    """Without VNNI, oneDNN's sums of byte products saturate at 16 bits."""
    return bool(torch.cpu._is_vnni_supported()) and hasattr(torch.ops.onednn, "qconv_pointwise")


def _kernel(layer: Layer, weight: NDArray[np.generic]) -> NDArray[np.generic]:
    """[F, C, KH, KW]."""
    apart = weight[:, :, None, :] if layer.kind == "depthwise_conv2d" else weight
    return np.ascontiguousarray(apart.transpose(3, 2, 0, 1))


def _steps(layer: Layer) -> tuple[list[int], list[int]]:
    facts = layer.attributes
    return list(facts.get("strides", [1, 1])), list(facts.get("dilations", [1, 1]))
