"""What a layer costs on a target, in microseconds and bytes: measured here, or modelled."""
