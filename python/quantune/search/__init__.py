"""Searches over post-training-quantization settings: Quantune's tuner and what it is compared with."""
