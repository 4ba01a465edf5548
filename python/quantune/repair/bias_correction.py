"""Bias correction: the mean error that quantizing makes in a channel goes into the channel's bias.

M. Nagel, M. van Baalen, T. Blankevoort, M. Welling, "Data-free quantization through weight equalization and
bias correction", ICCV 2019, section 4.2, in its empirical form: E[y] - E[ỹ] is measured over images and
positions, on what the quantized layers before really deliver.
"""

from __future__ import annotations

from torch import Tensor


def mean_error(exact: Tensor, noisy: Tensor) -> Tensor:
    """[F], what the bias lacks: mean of exact - noisy, sums before the activation function.

    [N, F, H, W] or [N, F] each. Taken in f64.
    """
    axes = [axis for axis in range(exact.dim()) if axis != 1]
    return (exact - noisy).double().mean(axes).float()
