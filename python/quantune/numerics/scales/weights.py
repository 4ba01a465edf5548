"""Weights: signed, symmetric, per output channel; |q| <= 2**(bits - 1) - 1."""

from __future__ import annotations

from typing import overload

import numpy as np
from numpy.typing import NDArray

from quantune.errors import PlanError, QuantuneError
from quantune.graph.model import Layer
from quantune.numerics.scales.clipping import clipping
from quantune.plan.schema import LayerPlan
from quantune.plan.settings import Granularity

SMALLEST = 1e-30
"""Scales below this count as zero: their f32 reciprocals would leave the range of f32."""


CLIPPED_BITS = 5
"""From here on down, clipping the largest weights loses less than a coarser step for all."""


@overload
def snap_scale(x: float) -> float: ...
@overload
def snap_scale(x: NDArray[np.float64]) -> NDArray[np.float64]: ...
def snap_scale(x: float | NDArray[np.float64]) -> float | NDArray[np.float64]:
    """Rounds to 7 significant decimal digits, which is what survives in the text of MLIR's quant types.

    Monotone, idempotent, and positive for positive input.
    """
    if isinstance(x, np.ndarray):
        return np.array([float(f"{item:.6e}") for item in x.ravel()], dtype=np.float64).reshape(x.shape)
    return float(f"{x:.6e}")


def weight_scales(
    w: NDArray[np.float32],
    bits: int,
    channel_axis: int = -1,
    name: str = "weights",
    granularity: Granularity = "channel",
    power_of_two: bool = False,
) -> NDArray[np.float64]:
    """One scale a channel, [channels]; channels that are all zero get 1.

    Above CLIPPED_BITS max|w| / (2**(bits-1) - 1), from there on clipped where that lessens the squared error
    (`clipping`). Granularity "tensor" looks at all weights together and repeats their scale. Powers of two
    cover what the scale covers (the nearest power where weights are clipped anyway).

    Raises QuantuneError naming `name` when a weight is NaN or infinite.
    """
    channels = w.shape[channel_axis]
    magnitude = np.abs(np.moveaxis(np.asarray(w), channel_axis, 0)).reshape(channels, -1)
    largest = magnitude.max(axis=1, initial=0.0).astype(np.float64)
    if not np.isfinite(largest).all():
        channel = int(np.flatnonzero(~np.isfinite(largest))[0])
        raise QuantuneError(
            f"{name}: weights of output channel {channel} are NaN or infinite; repair the weights file"
        )
    if granularity == "tensor":
        magnitude, largest = magnitude.reshape(1, -1), largest.max(keepdims=True, initial=0.0)
    clipped = bits <= CLIPPED_BITS
    scales = largest / _limit(bits)
    if clipped:
        scales = scales * clipping(magnitude, largest, _limit(bits))
    scales = np.where(scales < SMALLEST, 1.0, scales)
    if power_of_two:
        exponents = np.log2(scales)
        scales = np.exp2(np.rint(exponents) if clipped else np.ceil(exponents))
    return np.broadcast_to(snap_scale(scales), channels).copy()


def quantize_weights(
    w: NDArray[np.float32], scales: NDArray[np.float64], bits: int, channel_axis: int = -1
) -> NDArray[np.int8]:
    """rint(w / scale), half to even, clipped to +-(2**(bits-1) - 1); the shape of `w`. Computed in f64."""
    shape = [1] * w.ndim
    shape[channel_axis] = -1
    limit = _limit(bits)
    q = np.rint(np.asarray(w, dtype=np.float64) / np.asarray(scales, dtype=np.float64).reshape(shape))
    return np.clip(q, -limit, limit).astype(np.int8)


def layer_weights(layer: Layer, choice: LayerPlan) -> tuple[NDArray[np.int8], NDArray[np.float64]]:
    """The integer weights of a contraction, in the layout of its kind, and one scale an output channel.

    Raises PlanError when the plan lacks the bits or its explicit scales do not fit the layer.
    """
    if layer.weight is None or choice.weight_bits is None:
        raise PlanError(
            f"layer {layer.name} ({layer.kind}) is integer in the plan but has no weight_bits; set 2..8"
        )
    if choice.weight_scales is None:
        scales = weight_scales(layer.weight, choice.weight_bits, name=layer.name)
    else:
        scales = snap_scale(np.array(choice.weight_scales, dtype=np.float64))
        channels = layer.weight.shape[-1]
        if scales.shape != (channels,) or not (np.isfinite(scales) & (scales > 0)).all():
            raise PlanError(f"layer {layer.name}: weight_scales must be {channels} positive numbers")
    return quantize_weights(layer.weight, scales, choice.weight_bits), scales


def _limit(bits: int) -> int:
    return int((1 << (bits - 1)) - 1)
