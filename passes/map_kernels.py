"""Requests for the kernel of elementwise arithmetic, on behalf of select-kernels."""

from __future__ import annotations

from iree.compiler import ir

from quantune.ir import build, quant, values
from quantune.numerics.epilogue import Epilogue, add_epilogue, quantize_epilogue, requantize_epilogue
from quantune.passes.image_views import border_of
from quantune.passes.integer_group import IntegerGroup
from quantune.passes.kernel_dispatch import Kernels
from quantune.passes.ukernels.image import Frame, Placement
from quantune.passes.ukernels.pack_map import Pixels, fits_squares, pack_map

TO_PIXELS = [0, 2, 3, 1]
TO_SQUARES = [0, 1, 3, 2, 4, 5]
NO_FRAME = Frame()


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
    if (squares := _squares(result, pixels)) is not None:
        value, frame = squares
        value.replace_all_uses_with(_squares_request(name, pixels, source, value, frame, epilogue, kernels))
        return True  # nothing reads the cast any more
    stored = _request(name, pixels, source, None, epilogue, kernels)
    result.replace_all_uses_with(quant.from_storage(stored, values.element_type(result)))
    op.erase()
    return True


def _squares(quantized: ir.Value, pixels: Pixels) -> tuple[ir.Value, Frame] | None:
    """(value, frame): what is read of an image if it is only its squares, as space-to-depth has them."""
    stored = _only_reader(quantized, quant.STORAGE)
    image = None if stored is None else stored.results[0]
    pad = None if image is None else _only_reader(image, "tensor.pad")
    frame = NO_FRAME if pad is None else border_of(pad)
    split = (
        None
        if image is None
        else _only_reader(image if pad is None else pad.results[0], "tensor.expand_shape")
    )
    turned = None if split is None else _only_reader(split.results[0], "linalg.transpose")
    if frame is None or turned is None or values.integers(turned.attributes["permutation"]) != TO_SQUARES:
        return None
    joined = _only_reader(turned.results[0], "tensor.collapse_shape")
    if joined is None or not fits_squares(pixels, frame):
        return None
    height, width = (frame.top + pixels.height + frame.bottom, frame.left + pixels.width + frame.right)
    wanted = (1, height // 2, width // 2, 4 * pixels.channels)
    return (joined.results[0], frame) if values.shape(joined.results[0]) == wanted else None


def _only_reader(value: ir.Value, name: str) -> ir.Operation | None:
    readers = values.users(value)
    return readers[0] if len(readers) == 1 and readers[0].name == name else None


def _squares_request(
    name: str,
    pixels: Pixels,
    image: ir.Value,
    squares: ir.Value,
    frame: Frame,
    epilogue: Epilogue,
    kernels: Kernels,
) -> ir.Value:
    def pack(where: Placement) -> tuple[bytes, tuple[int, int]]:
        return pack_map(pixels, epilogue, where, squares=frame)

    return kernels.request(
        name, "qmap", image, None, squares.type, pack, reads_views=not pixels.planes, writes_views=False
    )


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
