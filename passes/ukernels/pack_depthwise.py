"""A quantized depthwise convolution's constants as the one blob its kernel reads."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quantune.numerics.epilogue import Epilogue
from quantune.passes.ukernels.geometry import Geometry
from quantune.passes.ukernels.image import Placement
from quantune.passes.ukernels.pack import TILE
from quantune.passes.ukernels.params import Blob, epilogue_fields
from quantune.passes.ukernels.workgroups import WORKGROUPS

LARGEST_QUICK = 2.0**30  # results before the clamp that surely convert to 32 bits


@dataclass(frozen=True)
class Layout:
    """How an instruction set's kernel wants its weights.

    Attributes:
        block: channels of a block.
        taps: of a step; their weights lie side by side.
        dtype: of a weight.
        vectors: registers of a block's sums. Interleaving bytes deals channels in fours to one after the
            other, in every 128 bits of a register.
        splits: whether a block may hold half as many channels of two rows.
    """

    block: int
    taps: int
    dtype: str
    vectors: int = 1
    splits: bool = False

    @property
    def order(self) -> NDArray[np.int64]:
        """The channel at each place of a block."""
        if self.vectors == 1:
            return np.arange(self.block)
        return np.arange(self.block).reshape(-1, self.vectors, 4).transpose(1, 0, 2).ravel()


LAYOUTS = {
    "avx512vnni": Layout(64, 4, "i1", vectors=4, splits=True),
    "avx2": Layout(16, 2, "<i2", vectors=2),
    "neon": Layout(16, 1, "<i2"),
    "portable": Layout(16, 1, "i1"),
}


def pack_depthwise(
    geometry: Geometry,
    weight: NDArray[np.int8],
    epilogue: Epilogue,
    isa: str,
    largest: int,
    placement: Placement | None = None,
    residual_f32: bool = False,
) -> tuple[bytes, tuple[int, int]]:
    """(blob, workgroups x and y). weight: HWC.

    isa: the instruction set whose kernel reads it. largest: the greatest stored activation.
    placement: by default dense tensors.
    """
    layout = LAYOUTS[isa]
    out_size = 4 if epilogue.output is None else 1
    where = placement or geometry.dense(out_size, 4 if residual_f32 else 1)
    quick = _is_quick(weight, epilogue, largest)
    window, taps = _steps(geometry, layout.taps)
    split = quick and bool(window) and _is_split(geometry, layout)
    places = _places(geometry.channels, layout.block, split)
    dealt = places[:, layout.order]
    blob = Blob("qdepthwise")
    scale_offset = blob.add(_scales(epilogue, geometry.channels, dealt if quick else places, quick))
    taps_offset = blob.add(_offsets(geometry, where, taps).astype("<i4").tobytes())
    packed = _weights(weight, taps, dealt)
    shared = bool((weight == weight[..., :1]).all())  # an average: one block's weights do for all
    weight_offset = blob.add((packed[:1] if shared else packed).astype(layout.dtype).tobytes())
    block = max(1, -(-geometry.out_height // WORKGROUPS))
    block += split and block % 2  # rows go in pairs
    header: dict[str, int | float] = {
        "height": geometry.out_height,
        "width": geometry.out_width,
        "channels": geometry.channels,
        "in_offset": where.input.offset,
        "in_step_x": geometry.strides[1] * where.input.step_x,
        "in_step_y": geometry.strides[0] * where.input.step_y,
        "column_step": geometry.dilations[1] * where.input.step_x,
        "row_step": geometry.dilations[0] * where.input.step_y,
        "window": window,
        "stride": geometry.strides[1],
        "split": int(split),
        "steps": len(taps),
        "blocks": len(places),
        "block_weights": 0 if shared else packed[0].size,
        "block_height": block,
        "quick": int(quick),
        "taps_offset": taps_offset,
        "scale_offset": scale_offset,
        "weight_offset": weight_offset,
    }
    header |= where.fields | epilogue_fields(epilogue, residual_f32)
    return blob.finish(header), (-(-geometry.out_height // block), 1)


def _is_quick(weight: NDArray[np.int8], epilogue: Epilogue, largest: int) -> bool:
    """Whether results are u8 without a residual, and surely within 32 bits before they are clamped."""
    if epilogue.output is None or epilogue.residual_multiplier is not None:
        return False
    sums = largest * np.abs(weight.astype(np.float64)).sum(axis=(0, 1))
    reach = np.abs(epilogue.multiplier.astype(np.float64)) * sums + np.abs(epilogue.offset.astype(np.float64))
    return bool(reach.max(initial=0) < LARGEST_QUICK)


def _is_split(geometry: Geometry, layout: Layout) -> bool:
    """Whether what is left of the channels for the last block is better done for two rows at once."""
    rest = geometry.channels % layout.block
    half = layout.block // 2
    return layout.splits and 0 < rest <= half <= geometry.channels and geometry.out_height > 1


def _places(channels: int, block: int, split: bool) -> NDArray[np.int64]:
    """[blocks, block]: the channel at each place, `channels` where there is none.

    The last block ends with the last channel. split: it has half as many channels, twice.
    """
    starts = np.minimum(np.arange(0, channels, block), max(channels - block, 0))
    places = np.minimum(starts[:, None] + np.arange(block), channels)
    if split:
        places[-1] = channels - block // 2 + np.arange(block) % (block // 2)
    return places


def _steps(geometry: Geometry, taps: int) -> tuple[int, NDArray[np.int64]]:
    """(size of a window that is walked by columns, or 0; [steps, taps]: the tap, row by row, or -1)."""
    height, width = geometry.kernel
    all_taps = np.arange(height * width).reshape(height, width)
    by_columns = (
        height == width and height in (3, 5) and geometry.strides[1] <= 2 and geometry.dilations[1] == 1
    )
    runs = list(all_taps.T) if by_columns else [all_taps.ravel()]
    filled = [np.pad(run, (0, -len(run) % taps), constant_values=-1) for run in runs]
    return height if by_columns else 0, np.concatenate(filled).reshape(-1, taps)


def _offsets(geometry: Geometry, where: Placement, taps: NDArray[np.int64]) -> NDArray[np.int64]:
    """Bytes from a window's first tap; a place without a tap repeats the first."""
    rows, columns = np.divmod(np.maximum(taps, 0), geometry.kernel[1])
    found: NDArray[np.int64] = (
        rows * geometry.dilations[0] * where.input.step_y
        + columns * geometry.dilations[1] * where.input.step_x
    )
    return found


def _scales(epilogue: Epilogue, channels: int, places: NDArray[np.int64], quick: bool) -> bytes:
    """f32 [blocks, 2, block], or [blocks, block / 16, 2, 16]: multipliers and offsets.

    Zeros where there is no channel.
    """
    vectors = [
        np.append(np.broadcast_to(v, channels), np.float32(0))[places].astype("<f4")
        for v in (epilogue.multiplier, epilogue.offset)
    ]
    if quick:
        return np.stack(vectors, axis=1).tobytes()
    return np.stack([v.reshape(len(places), -1, TILE) for v in vectors], axis=2).tobytes()


def _weights(
    weight: NDArray[np.int8], taps: NDArray[np.int64], places: NDArray[np.int64]
) -> NDArray[np.int8]:
    """[KH, KW, C] → [blocks, steps, block, taps], zeros where there is no tap or no channel."""
    channels = weight.shape[-1]
    full = np.zeros((weight.shape[0] * weight.shape[1] + 1, channels + 1), np.int8)
    full[:-1, :-1] = weight.reshape(-1, channels)
    blocks = full[taps][:, :, places]  # [steps, taps, blocks, block]
    return np.ascontiguousarray(blocks.transpose(2, 0, 3, 1))
