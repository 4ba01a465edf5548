"""AMED: which layer gets how many bits, found as a Markov decision process while the network trains.

After M. Kimhi, T. Rozen, A. Mendelson, C. Baskin, "AMED: Automatic Mixed-Precision Quantization for Edge
Devices", Mathematics 12(12), 2024. docs/amed.md says what is ours.
"""
