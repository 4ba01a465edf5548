"""Scales and zero points of weights and activations, and what is stored with them."""
