"""Bias correction: the mean error that quantizing makes in a channel goes into the channel's bias.

M. Nagel, M. van Baalen, T. Blankevoort, M. Welling, "Data-free quantization through weight equalization and
bias correction", ICCV 2019, section 4.2, in its empirical form: E[y] - E[ỹ] is measured over images and
positions, on what the quantized layers before really deliver. There y are the sums before the activation
function; here they are what it lets through, as errors far below 0 would otherwise decide about all others.
"""
