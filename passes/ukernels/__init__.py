"""The microkernels' Python side: their parameters, how weights are packed, the flush schedule and the bitcode."""
