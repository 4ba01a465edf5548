"""A quantized depthwise convolution's constants as the one blob its kernel reads."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from quantune.numerics.epilogue import Epilogue
from quantune.passes.ukernels.geometry import Geometry
from quantune.passes.ukernels.pack import TILE, WORKGROUPS
from quantune.passes.ukernels.params import Blob, bounds

# Unpacking two taps of 16 channels leaves them in this order, both taps of a channel side by side.
ORDER = np.array([0, 1, 2, 3, 8, 9, 10, 11, 4, 5, 6, 7, 12, 13, 14, 15])


def pack_depthwise(
    geometry: Geometry, weight: NDArray[np.int8], epilogue: Epilogue
) -> tuple[bytes, tuple[int, int]]:
    """weight: HWC. Returns (blob, workgroups x and y)."""
    channels = geometry.channels
    starts = _starts(channels)
    blob = Blob("qdepthwise")
    scale_offset = blob.add(_scales(epilogue, starts, channels))
    taps = _taps(geometry)
    taps_offset = blob.add(taps.astype("<i4").tobytes())
    weight_offset = blob.add(_weights(weight.reshape(-1, channels), starts).tobytes())
    step_y = geometry.width * channels
    block = max(1, -(-geometry.out_height // (2 * WORKGROUPS)))
    header = {
        "height": geometry.out_height,
        "width": geometry.out_width,
        "channels": channels,
        "step_x": geometry.strides[1] * channels,
        "step_y": geometry.strides[0] * step_y,
        "pairs": len(taps),
        "block_height": block,
        "blocks": len(starts),
        "taps_offset": taps_offset,
        "scale_offset": scale_offset,
        "weight_offset": weight_offset,
    }
    return blob.finish(header | bounds(epilogue)), (-(-geometry.out_height // block), 1)


def _scales(epilogue: Epilogue, starts: NDArray[np.int64], channels: int) -> bytes:
    """f32 [blocks, 2, 16]: multipliers and offsets of 16 channels from each start, zeros beyond the last."""
    places = starts[:, None] + np.arange(TILE)
    vectors = [
        np.append(np.broadcast_to(v, channels), np.float32(0)) for v in (epilogue.multiplier, epilogue.offset)
    ]
    return np.stack([v[np.minimum(places, channels)] for v in vectors], axis=1).astype(np.float32).tobytes()


def _starts(channels: int) -> NDArray[np.int64]:
    """First channel of every block; the last block ends with the last channel."""
    return np.minimum(np.arange(0, channels, TILE), max(channels - TILE, 0))


def _taps(geometry: Geometry) -> NDArray[np.int64]:
    """[pairs, 2] byte offsets; an odd last tap is paired with itself (its second weight is zero)."""
    rows = np.arange(geometry.kernel[0]) * geometry.dilations[0] * geometry.width
    columns = np.arange(geometry.kernel[1]) * geometry.dilations[1]
    flat = ((rows[:, None] + columns) * geometry.channels).ravel()
    return np.append(flat, flat[-1:] if len(flat) % 2 else []).astype(np.int64).reshape(-1, 2)


def _weights(weight: NDArray[np.int8], starts: NDArray[np.int64]) -> NDArray[np.int16]:
    """[taps, channels] → [blocks, pairs, 16, 2] in ORDER."""
    taps, channels = weight.shape
    full = np.zeros((taps + taps % 2, channels + 1), np.int16)
    full[:taps, :channels] = weight
    places = np.minimum(starts[:, None] + ORDER, channels)
    blocks = full.reshape(-1, 2, channels + 1)[:, :, places]  # [pairs, 2, blocks, 16]
    return np.ascontiguousarray(blocks.transpose(2, 0, 3, 1))
