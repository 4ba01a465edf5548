"""State dicts from files that nobody has to trust: safetensors, or pickles of which only tensors are read."""

from __future__ import annotations

import pickle
import warnings
from pathlib import Path

import torch

from quantune.errors import QuantuneError


def load_weights(module: torch.nn.Module, path: Path) -> None:
    """Loads a state dict into `module`, casting to its types; counters of batches may be absent.

    Raises QuantuneError when the file is unreadable, is no state dict, or does not fit: the first key that is
    missing, unknown or of another shape, and how many there are of each.
    """
    state, wanted = read_state(path), module.state_dict()
    missing = [k for k in wanted if k not in state and not k.endswith("num_batches_tracked")]
    unknown = [key for key in state if key not in wanted]
    reshaped = [key for key in wanted if key in state and state[key].shape != wanted[key].shape]
    if missing or unknown or reshaped:
        if reshaped:
            key = reshaped[0]
            first = f"{key} is {list(state[key].shape)}, the model has {list(wanted[key].shape)}"
        else:
            first = f"{missing[0]} is missing" if missing else f"{unknown[0]} is not in the model"
        raise QuantuneError(
            f"{path} does not fit the model: {first} ({len(missing)} missing, {len(unknown)} unknown, "
            f"{len(reshaped)} of another shape); give the weights of this architecture"
        )
    module.load_state_dict(state, strict=False)


def read_state(path: Path) -> dict[str, torch.Tensor]:
    """The tensors of a safetensors file or of what `torch.save(model.state_dict())` writes.

    A checkpoint that keeps them under `state_dict` works too. Code in a pickle is refused, never run.
    """
    if not path.is_file():
        raise QuantuneError(f"no such weights file: {path}")
    try:
        state = _read(path)
    except pickle.UnpicklingError as error:
        if "eights only load failed" not in str(error) or "Unsupported" not in str(error):
            raise QuantuneError(f"{path} is not a safetensors file or PyTorch checkpoint") from error
        raise QuantuneError(
            f"{path} holds Python objects other than tensors, not loaded because loading runs code; "
            "save model.state_dict() instead of the model"
        ) from error
    except Exception as error:  # safetensors and torch raise a dozen types for damaged files
        raise QuantuneError(f"cannot read the weights in {path}: {_line(error)}") from error
    if isinstance(state, dict) and isinstance(state.get("state_dict"), dict):
        state = state["state_dict"]
    if not isinstance(state, dict) or not all(isinstance(v, torch.Tensor) for v in state.values()):
        raise QuantuneError(f"{path} is not a state dict (names and tensors); save model.state_dict()")
    return state


def release(module: torch.nn.Module) -> None:
    """Empties a module that has been imported: torch's tracing keeps its tensors until the process ends."""
    for tensor in [*module.parameters(), *module.buffers()]:
        tensor.data = torch.empty(0)


def looks_untrained(module: torch.nn.Module) -> bool:
    """True when every batch norm still has the statistics it was made with; no training leaves them so."""
    norms = [m for m in module.modules() if isinstance(m, torch.nn.modules.batchnorm._BatchNorm)]
    tracked = [(m.running_mean, m.running_var) for m in norms]
    return bool(norms) and all(
        mean is not None and var is not None and not mean.any() and bool((var == 1).all())
        for mean, var in tracked
    )


def _read(path: Path) -> object:
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        return dict(load_file(path))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about the format of files that are refused anyway
        return torch.load(path, map_location="cpu", weights_only=True)


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
