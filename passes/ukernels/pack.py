"""A quantized convolution's constants as the one blob its kernel reads."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from quantune.numerics.epilogue import Epilogue
from quantune.passes.ukernels import pack_amx
from quantune.passes.ukernels.geometry import Geometry, Segments
from quantune.passes.ukernels.image import Placement
from quantune.passes.ukernels.layouts import Layout, layout_of
from quantune.passes.ukernels.panels import (
    DEPTH,
    bit_stream,
    block_segments,
    nibbles,
    operand_segments,
    stored_bits,
)
from quantune.passes.ukernels.params import Blob, epilogue_fields
from quantune.passes.ukernels.schedule import biases, flush_schedules
from quantune.passes.ukernels.workgroups import blocks

TILE = 16  # columns
MOST_ROWS = 192  # of a workgroup, as in qconv_driver.h
FULL_ROWS = 12  # that fill tiles of 4, of 6 and of 12 rows
SMALL_PANEL = 24 * 1024  # bytes of weights that stay in L1 beside a few rows
UNPACKED_BYTES = DEPTH * TILE + 64  # of those that are unpacked, as in qconv_panels.h


def pack_weights(weight: NDArray[np.int8], geometry: Geometry, parts: Segments) -> NDArray[np.int8]:
    """[KH, KW, C / groups, F] (or [K, F]) → [tiles, depth / step, 16, step], zeros in the rest."""
    groups = geometry.groups
    matrix = weight.reshape(-1, geometry.filters)
    matrix = np.concatenate([matrix, np.zeros((1, geometry.filters), np.int8)])[parts.order]
    tiles = group_tiles(geometry)
    full = np.zeros((parts.depth, groups, tiles * TILE), np.int8)
    full[..., : geometry.filters // groups] = matrix.reshape(parts.depth, groups, -1)
    tiled = full.reshape(parts.depth // parts.step, parts.step, groups * tiles, TILE)
    return np.ascontiguousarray(tiled.transpose(2, 0, 3, 1))


def panels(
    packed: NDArray[np.int8], layout: Layout, biased: NDArray[np.int64], bits: int, isa: str, block: int
) -> NDArray[np.int8]:
    """A tile's weights as its kernel reads them, [tiles, bytes], from `pack_weights`.

    They begin with what the sums lack, i32 [16]: what the kernel takes from activations, less `biased`, what
    the biases add. Of bytes every further `block` of steps begins with zeros instead.
    """
    flat = packed.reshape(len(packed), -1)
    if bits < 8:
        flat = bit_stream(flat, bits) if isa == "amx" else nibbles(flat)
    if not (layout.shift or layout.biased):
        return flat
    lacking = layout.shift * packed.sum(axis=(1, 3), dtype=np.int64) - biased
    head = lacking.astype("<i4").view(np.int8)
    cuts = range(block * TILE * layout.step, flat.shape[1], block * TILE * layout.step) if bits == 8 else ()
    parts = np.split(flat, cuts, axis=1)
    heads = [head, *([np.zeros_like(head)] * len(cuts))]
    return np.concatenate([each for pair in zip(heads, parts, strict=True) for each in pair], axis=1)


def group_tiles(geometry: Geometry) -> int:
    """Tiles of one group's filters."""
    return -(-geometry.filters // geometry.groups // TILE)


def schedules(
    packed: NDArray[np.int8], steps: Sequence[int], largest: int, layout: Layout
) -> list[bytes] | None:
    """Each tile's flush schedule: per segment a 16-bit count, then lengths; None if a step cannot be proved.

    steps: the segments' lengths. largest: the greatest stored activation.
    """
    tiles = [b""] * len(packed)
    for segment in np.split(packed.astype(np.int64), np.cumsum(steps)[:-1], axis=1):
        found = flush_schedules(segment, layout.operands(largest), layout.lane, layout.biased)
        if found is None:
            return None
        for tile, lengths in enumerate(found):
            tiles[tile] += len(lengths).to_bytes(2, "little") + bytes(lengths)
    return tiles


def _streams(
    packed: NDArray[np.int8], flushes: list[bytes], largest: int, layout: Layout, at_once: int
) -> tuple[list[bytes], NDArray[np.int64]]:
    """(schedules as kernels read them, tile by tile and block by block; what biases add [tiles, 16]).

    at_once: segments of a block. Where lanes start from biases, every length is followed by those of its
    group, i16 [16, lanes].
    """
    streams, total = [], np.zeros((len(packed), TILE), np.int64)
    for tile, (weights, data) in enumerate(zip(packed, flushes, strict=True)):
        counts, lengths = runs_of(data)
        starts = np.zeros((len(lengths), 0), np.int64)
        if layout.biased:
            starts = biases(weights.astype(np.int64), lengths, layout.operands(largest), layout.lane)
            total[tile] = starts.sum(axis=(0, 2))
        groups = iter(zip(lengths, starts.astype("<i2"), strict=True))
        segments = []
        for count in counts:
            parts = [bytes([length]) + start.tobytes() for length, start in itertools.islice(groups, count)]
            segments.append(count.to_bytes(2, "little") + b"".join(parts))
        streams += [b"".join(segments[i : i + at_once]) for i in range(0, len(segments), at_once)]
    return streams, total


def runs_of(data: bytes) -> tuple[list[int], list[int]]:
    """(number of groups of each segment, lengths of all groups) of one tile's schedule."""
    counts: list[int] = []
    lengths: list[int] = []
    at = 0
    while at < len(data):
        counts.append(int.from_bytes(data[at : at + 2], "little"))
        lengths += data[at + 2 : at + 2 + counts[-1]]
        at += 2 + counts[-1]
    return counts, lengths


def pack_conv(
    geometry: Geometry,
    weight: NDArray[np.int8],
    epilogue: Epilogue,
    flushes: list[bytes] | None,
    isa: str,
    largest: int = 255,
    placement: Placement | None = None,
    residual_f32: bool = False,
) -> tuple[bytes, tuple[int, int]]:
    """(blob, workgroups x and y).

    flushes: what `schedules` found, or None for kernels that need none; largest: the greatest stored
    activation that they are for. placement: by default dense tensors.
    """
    layout = layout_of(isa)
    parts = operand_segments(geometry, weight, isa)
    out_size = 4 if epilogue.output is None else 1
    where = placement or geometry.dense(out_size, 4 if residual_f32 else 1)
    lines = pack_amx.lines(geometry, parts, where.input, group_tiles(geometry)) if isa == "amx" else None
    # Unpacking costs no speed once a workgroup. AMX unpacks as it goes, for every few strips of pixels:
    # whoever asks for 4 bits has chosen bytes over some time.
    bits = stored_bits(weight, lines is not None and lines.waits)
    unbiased = pack_weights(weight, geometry, parts)
    at_once = block_segments(parts) if bits == 4 or layout.blocked else len(parts.places)
    blocks_of_panel = -(-len(parts.places) // at_once)
    if flushes is None:
        order, total = [b""] * len(unbiased) * blocks_of_panel, np.zeros((len(unbiased), TILE), np.int64)
    else:
        order, total = _streams(unbiased, flushes, largest, layout, at_once)
    packed = panels(unbiased, layout, total, bits, isa, sum(parts.steps[:at_once]))
    tiles, panel = packed.shape
    blob = Blob("qconv")
    table_offset = blob.add(parts.table(geometry, where.input))
    scale_offset = blob.add(tiled_scales(epilogue, geometry))
    starts = blob.end + 4 * len(order) + np.cumsum([0, *(len(part) for part in order)])[:-1]
    schedule_offset = blob.add(starts.astype("<i4").tobytes() + b"".join(order))
    weight_offset = blob.add(packed.tobytes())
    header: dict[str, int] = {
        "rows": geometry.rows,
        "out_width": geometry.out_width,
        "in_offset": where.input.offset,
        "in_step_x": geometry.strides[1] * where.input.step_x,
        "in_step_y": geometry.strides[0] * where.input.step_y,
        "segments": len(parts.places),
        "gathered": parts.gathered,
        "depth": parts.depth,
        "filters": geometry.filters // geometry.groups,
        "group_tiles": group_tiles(geometry),
        "group_bytes": geometry.channels // geometry.groups,
        "tiles": tiles,
        "segments_offset": table_offset,
        "schedule_offset": 0 if flushes is None else schedule_offset,
        "scale_offset": scale_offset,
        "bits": bits,
        "blocks": blocks_of_panel,
        "block_segments": at_once,
        "panel_bytes": panel,
        "weight_offset": weight_offset,
    }
    if lines is not None:
        header |= pack_amx.fields(lines, geometry, parts, panel, tiles)
        header["bounded"] = int(pack_amx.bounded(unbiased, epilogue, residual_f32))
    else:
        header |= _fields(geometry.rows, tiles, panel, parts.depth * TILE // 2 if bits == 4 else 0)
    whole = geometry.rows if lines is None else header["row_tiles"]
    return blob.finish(header | where.fields | epilogue_fields(epilogue, residual_f32)), (
        -(-whole // header["block_rows"]),
        -(-tiles // header["block_tiles"]),
    )


def tiled_scales(epilogue: Epilogue, geometry: Geometry) -> bytes:
    """f32 [tiles, 2, 16]: multipliers and offsets of a tile's channels, zeros beyond its group's last."""
    groups, tiles = geometry.groups, group_tiles(geometry)
    full = np.zeros((2, groups, tiles * TILE), np.float32)
    for part, vector in zip(full, (epilogue.multiplier, epilogue.offset), strict=True):
        part[:, : geometry.filters // groups] = np.broadcast_to(vector, geometry.filters).reshape(groups, -1)
    return np.ascontiguousarray(full.reshape(2, groups * tiles, TILE).transpose(1, 0, 2)).tobytes()


def _fields(rows: int, tiles: int, panel: int, more: int) -> dict[str, int]:
    """How all but AMX walk: rows and tiles of a workgroup, and in which order.

    panel: bytes of a tile's panel. more: what unpacking adds to them, 0 where they are read as they are.
    """
    block_rows, block_tiles = blocks(rows, tiles, MOST_ROWS, FULL_ROWS)
    small = block_tiles * (panel + more) <= UNPACKED_BYTES if more else tiles * panel <= SMALL_PANEL
    unused = (
        "copied",
        "chunk",
        "passing",
        "tile_rows",
        "line_length",
        "line_tiles",
        "row_tiles",
        "strips",
        "flat_width",
        "bounded",
    )
    return dict.fromkeys(unused, 0) | {
        "block_rows": block_rows,
        "block_tiles": block_tiles,
        "tiles_inner": int(small),
    }
