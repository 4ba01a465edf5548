"""Requests for the kernel of elementwise arithmetic, on behalf of select-kernels."""

from __future__ import annotations

from iree.compiler import ir

from quantune.ir import build, quant, values
from quantune.numerics.epilogue import Epilogue, add_epilogue, quantize_epilogue, requantize_epilogue
from quantune.passes.integer_group import IntegerGroup
from quantune.passes.kernel_dispatch import Kernels
from quantune.passes.ukernels.image import Placement
from quantune.passes.ukernels.pack_map import Pixels, pack_map

TO_PIXELS = [0, 2, 3, 1]


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
    earlier, planes = quant.quantized_source(source), _planes(source)
    pixels = _pixels(values.shape(result), real=earlier is None, planes=planes is not None)
    if earlier is not None:
        epilogue = requantize_epilogue(quant.activation_quantization(values.element_type(earlier)), target)
        source = quant.storage(earlier)
    elif planes is not None or isinstance(source, ir.BlockArgument) or kernels.makes(source):
        epilogue = quantize_epilogue(target)
        source = source if planes is None else planes
    else:
        return False  # whatever computes it quantizes as it goes
    name = values.layer_of(op) or "quantize"
    stored = _request(name, pixels, source, None, epilogue, kernels)
    result.replace_all_uses_with(quant.from_storage(stored, values.element_type(result)))
    op.erase()
    return True


def _planes(value: ir.Value) -> ir.Value | None:
    """The function's argument [1, C, H, W] of which `value` is the channels-last form."""
    op = values.defining(value)
    if op is None or op.name != "linalg.transpose" or not isinstance(op.operands[0], ir.BlockArgument):
        return None
    permutation = values.integers(op.attributes["permutation"])
    return op.operands[0] if permutation == TO_PIXELS else None


def _pixels(dims: tuple[int, ...], real: bool = False, planes: bool = False) -> Pixels:
    """Of an image [1, H, W, C] or of rows [N, C]."""
    height, width = (dims[1], dims[2]) if len(dims) == 4 else (dims[0], 1)
    return Pixels(height, width, dims[-1], real, planes)


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

    dims = values.shape(image)
    if pixels.planes:
        dims = (1, pixels.height, pixels.width, pixels.channels)
    result = build.tensor_type(dims, build.f32() if epilogue.output is None else build.integer(8))
    return kernels.request(name, "qmap", image, residual, result, pack, reads_views=not pixels.planes)
