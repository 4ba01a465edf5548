"""A network in batches, in torch: the plan's arithmetic where compiling every module would take hours.

What a user gets is always measured on the compiled module; this is for studies (`tools/oracle.py`), and for
what is asked of a network many times over (`sensitivity.probes`).
"""

from quantune.replica.network import Replica

__all__ = ["Replica"]
