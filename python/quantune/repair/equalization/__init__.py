"""Cross-layer equalization: channels of one layer's weights get equal ranges, the next layer makes up for it.

M. Nagel, M. van Baalen, T. Blankevoort, M. Welling, "Data-free quantization through weight equalization and
bias correction", ICCV 2019, section 4.1. For f(s·x) = s·f(x), s > 0, the network stays the same function:

    W2 f(W1 x + b1) = (W2 S) f(S⁻¹ W1 x + S⁻¹ b1),   s_c = sqrt(range(W1[c]) / range(W2[c]))

That holds for ReLU and for no activation. It does not for ReLU6, whose bound would have to move with each
channel (the paper swaps ReLU6 for ReLU first, and so the network for another): such pairs are left alone.
"""
