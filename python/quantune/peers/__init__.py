"""Other inference engines, timed beside our modules on the same network: `quantune bench --peers`."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence

from quantune.errors import QuantuneError

PEERS = {"openvino": "OpenVINO", "onnxruntime": "ONNX Runtime"}
"""Name on the command line, which is the package's → name for people."""
NEEDED = ("onnx", "onnxruntime")
"""What any peer needs: the network as an ONNX file, and its quantizer."""


def check_installed(peers: Sequence[str]) -> None:
    """Raises QuantuneError naming the first package that a peer lacks."""
    for package in dict.fromkeys((*peers, *(NEEDED if peers else ()))):
        if importlib.util.find_spec(package) is None:
            raise QuantuneError(
                f"--peers needs {package}, which is not installed: pip install 'quantune[bench]' "
                "(in a checkout: pip install '.[bench]')"
            )
