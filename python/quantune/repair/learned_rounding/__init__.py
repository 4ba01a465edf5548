"""Learned rounding: every weight goes up or down, whichever reconstructs the layer's output best.

M. Nagel, R. A. Amjad, M. van Baalen, C. Louizos, T. Blankevoort, "Up or down? Adaptive rounding for
post-training quantization", ICML 2020: rounding is relaxed to h(V) in [0, 1], a rectified sigmoid, and

    |f(W x) - f(W̃ x̃)|² + λ Σ 1 - |2 h(V) - 1|^β,   W̃ = s · clip(floor(W / s) + h(V))

is minimised layer by layer, with x̃ from the quantized layers before (the paper's asymmetric reconstruction),
and β annealed so that all h end at 0 or 1. Here the first term is in units of what nearest rounding costs.
"""
