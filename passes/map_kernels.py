"""Requests for the kernel of elementwise arithmetic, on behalf of select-kernels."""

from __future__ import annotations

from iree.compiler import ir

from quantune.ir import build, quant, values
from quantune.numerics.epilogue import Epilogue, add_epilogue, quantize_epilogue, requantize_epilogue
from quantune.passes.integer_group import IntegerGroup
from quantune.passes.kernel_dispatch import Kernels
from quantune.passes.planes import Planes, image_of_planes
from quantune.passes.ukernels.image import Placement
from quantune.passes.ukernels.pack_map import Pixels, pack_map


def add(name: str, group: IntegerGroup, kernels: Kernels) -> str:
    """Requests qmap for an addition of two stored inputs; returns what was chosen and why."""
    isa = kernels.target.isa("qmap")
    if isa is None:
        return "generated code: no kernel for this target"
    (a, source_a), (b, source_b) = (group.source(value) for value in values.inputs(group.anchor))
    if values.rank(a) not in (2, 4):
        return "generated code: it adds no images"
    epilogue = add_epilogue(source_a, source_b, group.output, group.clamp)
    group.finish(_request(name, _pixels(values.shape(a)), a, b, epilogue, kernels))
    return f"kernel qmap for {isa}"


def casts(module: ir.Module, kernels: Kernels) -> int:
    """Requests qmap for the quantization of inputs and every requantization; returns how many."""
    if kernels.target.isa("qmap") is None:
        return 0
    found = 0
    for op in values.operations(values.main_function(module)):
        if op.name == quant.QUANTIZE and values.constant(op.operands[0]) is None:
            with ir.InsertionPoint(op), op.location:
                found += _cast(op, kernels)
    return found


def _cast(op: ir.Operation, kernels: Kernels) -> bool:
    """Replaces one quantization if a kernel fits."""
    source, result = op.operands[0], op.results[0]
    if values.rank(result) not in (2, 4):
        return False
    target = quant.activation_quantization(values.element_type(result))
    name = values.layer_of(op) or "quantize"
    earlier = quant.quantized_source(source)
    if earlier is not None:
        epilogue = requantize_epilogue(quant.activation_quantization(values.element_type(earlier)), target)
        pixels, source = _pixels(values.shape(result)), quant.storage(earlier)
    elif isinstance(source, ir.BlockArgument) or kernels.makes(source):
        epilogue = quantize_epilogue(target)
        if (planes := image_of_planes(result)) is not None:
            planes.image.replace_all_uses_with(_from_planes(name, planes, source, epilogue, kernels))
            return True  # nothing reads the cast any more
        pixels = _pixels(values.shape(result), real=True)
    else:
        return False  # whatever computes it quantizes as it goes
    stored = _request(name, pixels, source, None, epilogue, kernels)
    result.replace_all_uses_with(quant.from_storage(stored, values.element_type(result)))
    op.erase()
    return True


def _from_planes(
    name: str, planes: Planes, source: ir.Value, epilogue: Epilogue, kernels: Kernels
) -> ir.Value:
    def pack(where: Placement) -> tuple[bytes, tuple[int, int]]:
        return pack_map(planes.pixels, epilogue, where, squares=planes.squares)

    return kernels.request(
        name,
        "qmap",
        source,
        None,
        planes.image.type,
        pack,
        reads_views=False,
        writes_views=planes.squares is None,
    )


def _pixels(dims: tuple[int, ...], real: bool = False) -> Pixels:
    """Of an image [1, H, W, C] or of rows [N, C]."""
    height, width = (dims[1], dims[2]) if len(dims) == 4 else (dims[0], 1)
    return Pixels(height, width, dims[-1], real)


def _request(
    name: str,
    pixels: Pixels,
    image: ir.Value,
    residual: ir.Value | None,
    epilogue: Epilogue,
    kernels: Kernels,
) -> ir.Value:
    def pack(where: Placement) -> tuple[bytes, tuple[int, int]]:
        return pack_map(pixels, epilogue, where)

    result = build.tensor_type(
        values.shape(image), build.f32() if epilogue.output is None else build.integer(8)
    )
    return kernels.request(name, "qmap", image, residual, result, pack)
