"""Quantune: trained CNNs made small and fast on ordinary CPUs, through MLIR and IREE."""

__version__ = "0.1.0"
