"""The microkernels' Python side: parameters, how weights are packed, the flush schedule and the bitcode."""
