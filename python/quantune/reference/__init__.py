"""The judge: a numpy interpreter with exact integer semantics. It reads no IR and compiles nothing."""

from quantune.reference.execute import Trace, execute, execute_float, execute_layer, trace

__all__ = ["Trace", "execute", "execute_float", "execute_layer", "trace"]
