"""What a target is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from quantune.targets import cost_model, cpu
from quantune.targets.cost_model import CostModel

Architecture = Literal["x86_64", "aarch64"]


@dataclass(frozen=True)
class Target:
    """A processor to compile for.

    `triple`, `cpu` and `cpu_features` are LLVM's; an empty triple or feature list is the compiler's choice.
    `weight_bits_menu` lists, widest first, the weight widths that are faster or smaller here (see the
    target's file for why). `native_vector_bytes` is the width of the registers that kernels use.
    """

    name: str
    triple: str
    cpu: str
    cpu_features: str
    architecture: Architecture
    native_vector_bytes: int
    weight_bits_menu: tuple[int, ...]
    description: str
    avx2: bool = False
    avx512: bool = False
    avx512_vnni: bool = False
    amx: bool = False
    neon: bool = False
    dotprod: bool = False
    i8mm: bool = False

    @property
    def kernel_isas(self) -> tuple[str, ...]:
        """Whose microkernels run here, the best first; empty where only IREE's code generation does."""
        if self.architecture == "aarch64":
            has = {"i8mm": self.i8mm, "dotprod": self.dotprod, "neon": self.neon}
        else:
            has = {
                "amx": self.amx,
                "avx512vnni": self.avx512_vnni,
                "avx512": self.avx512,
                "avx2": self.avx2,
            }
        return tuple(isa for isa, there in has.items() if there)

    @property
    def cost_model(self) -> CostModel:
        """What prices a layer where it has not been measured."""
        if self.architecture == "x86_64":
            amx = "amx" in self.kernel_isas
            return cost_model.AMX if amx else cost_model.AVX512_VNNI if self.avx512_vnni else cost_model.AVX2
        if self.i8mm:
            return cost_model.INT8_MATRIX
        if self.dotprod:
            return cost_model.DOT_PRODUCT
        return cost_model.CORTEX_A53 if self.cpu == "cortex-a53" else cost_model.CORTEX_A72

    def compile_flags(self) -> list[str]:
        """The flags of iree-compile that choose this processor."""
        flags = ["--iree-hal-target-device=local", "--iree-hal-local-target-device-backends=llvm-cpu"]
        flags.append(f"--iree-llvmcpu-target-cpu={self.cpu}")
        if self.triple:
            flags.append(f"--iree-llvmcpu-target-triple={self.triple}")
        if self.cpu_features:
            flags.append(f"--iree-llvmcpu-target-cpu-features={self.cpu_features}")
        return flags

    @property
    def runs_here(self) -> bool:
        """Whether this machine executes the target's modules without emulation."""
        machine = cpu.here()
        needed = {
            "avx2": self.avx2,
            "fma": self.avx2,
            "avx512_vnni": self.avx512_vnni,
            "asimd": self.neon,
            "asimddp": self.dotprod,
            "i8mm": self.i8mm,
        }
        has_all = all(feature in machine.features for feature, wanted in needed.items() if wanted)
        return machine.architecture == self.architecture and has_all
