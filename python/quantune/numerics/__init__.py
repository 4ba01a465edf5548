"""Every constant and rounding rule of the integer semantics, defined once, in numpy.

The passes and the planner take their constants from here; the reference executes with the same functions.
"""

from quantune.numerics.epilogue import (
    Epilogue,
    add_epilogue,
    average_epilogue,
    clamp_bounds,
    contraction_epilogue,
    quantize_epilogue,
    requantize,
    requantize_constants,
    requantize_epilogue,
)
from quantune.numerics.fma import fma
from quantune.numerics.scales.activations import dequantize, quantization_from_range, quantize
from quantune.numerics.scales.weights import layer_weights, quantize_weights, snap_scale, weight_scales

__all__ = [
    "Epilogue",
    "add_epilogue",
    "average_epilogue",
    "clamp_bounds",
    "contraction_epilogue",
    "dequantize",
    "fma",
    "layer_weights",
    "quantization_from_range",
    "quantize",
    "quantize_epilogue",
    "quantize_weights",
    "requantize",
    "requantize_constants",
    "requantize_epilogue",
    "snap_scale",
    "weight_scales",
]
