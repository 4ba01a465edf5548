"""The backend: compiling, running here and on emulated Arm, timing; and what it says when that fails."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from quantune import targets
from quantune.backend import benchmark, compiler, device, dispatches, emulation, signature
from quantune.backend.contender import CompiledModule
from quantune.backend.runner import EmulatedArmRunner, HostRunner, Runner
from quantune.errors import QuantuneError
from quantune.progress import Silent

ROWS, INNER, COLUMNS = 5, 37, 18

FLOAT = f"""
func.func @main(%a: tensor<{ROWS}x{INNER}xf32>, %b: tensor<{INNER}x{COLUMNS}xf32>)
    -> (tensor<{ROWS}x{COLUMNS}xf32>, tensor<{ROWS}xf32>) {{
  %zero = arith.constant 0.0 : f32
  %e = tensor.empty() : tensor<{ROWS}x{COLUMNS}xf32>
  %f = linalg.fill ins(%zero : f32) outs(%e : tensor<{ROWS}x{COLUMNS}xf32>) -> tensor<{ROWS}x{COLUMNS}xf32>
  %m = linalg.matmul ins(%a, %b : tensor<{ROWS}x{INNER}xf32>, tensor<{INNER}x{COLUMNS}xf32>)
      outs(%f : tensor<{ROWS}x{COLUMNS}xf32>) -> tensor<{ROWS}x{COLUMNS}xf32>
  %e1 = tensor.empty() : tensor<{ROWS}xf32>
  %f1 = linalg.fill ins(%zero : f32) outs(%e1 : tensor<{ROWS}xf32>) -> tensor<{ROWS}xf32>
  %s = linalg.reduce ins(%m : tensor<{ROWS}x{COLUMNS}xf32>) outs(%f1 : tensor<{ROWS}xf32>) dimensions = [1]
    (%x: f32, %y: f32) {{
      %t = arith.addf %x, %y : f32
      linalg.yield %t : f32
    }}
  return %m, %s : tensor<{ROWS}x{COLUMNS}xf32>, tensor<{ROWS}xf32>
}}
"""

# Unsigned activations in signless bytes times signed weights, as in a quantized network.
INTEGER = f"""
func.func @main(%a: tensor<{ROWS}x{INNER}xi8>, %b: tensor<{INNER}x{COLUMNS}xi8>)
    -> (tensor<{ROWS}x{COLUMNS}xi32>, tensor<{ROWS}x{INNER}xi8>) {{
  %zero = arith.constant 0 : i32
  %e = tensor.empty() : tensor<{ROWS}x{COLUMNS}xi32>
  %f = linalg.fill ins(%zero : i32) outs(%e : tensor<{ROWS}x{COLUMNS}xi32>) -> tensor<{ROWS}x{COLUMNS}xi32>
  %m = linalg.generic {{
      indexing_maps = [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (k, n)>,
                       affine_map<(m, n, k) -> (m, n)>],
      iterator_types = ["parallel", "parallel", "reduction"]}}
      ins(%a, %b : tensor<{ROWS}x{INNER}xi8>, tensor<{INNER}x{COLUMNS}xi8>)
      outs(%f : tensor<{ROWS}x{COLUMNS}xi32>) {{
    ^bb0(%x: i8, %w: i8, %acc: i32):
      %xe = arith.extui %x : i8 to i32
      %we = arith.extsi %w : i8 to i32
      %p = arith.muli %xe, %we : i32
      %sum = arith.addi %acc, %p : i32
      linalg.yield %sum : i32
  }} -> tensor<{ROWS}x{COLUMNS}xi32>
  %one = arith.constant dense<1> : tensor<{ROWS}x{INNER}xi8>
  %next = arith.addi %a, %one : tensor<{ROWS}x{INNER}xi8>
  return %m, %next : tensor<{ROWS}x{COLUMNS}xi32>, tensor<{ROWS}x{INNER}xi8>
}}
"""

# Line 4 does not verify: an i32 cannot be added as a float.
BROKEN = """
func.func @main(%a: tensor<4xi32>) -> tensor<4xi32> {

  %0 = arith.addf %a, %a : tensor<4xi32>
  return %0 : tensor<4xi32>
}
"""


@pytest.fixture(scope="module")
def modules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("modules")
    for name, source in (("float", FLOAT), ("integer", INTEGER)):
        for target in ("host", "cortex-a72", "cortex-a55"):
            compiler.compile_module(source, folder / f"{name}-{target}.vmfb", targets.get(target))
    return folder


def float_inputs() -> list[np.ndarray]:
    random = np.random.default_rng(1)
    shapes = ((ROWS, INNER), (INNER, COLUMNS))
    return [random.standard_normal(shape).astype(np.float32) for shape in shapes]


def integer_inputs() -> list[np.ndarray]:
    """Random activations and weights, with extremes: a row of 255 and a column of -128."""
    random = np.random.default_rng(2)
    activations = random.integers(0, 256, (ROWS, INNER)).astype(np.uint8)
    weights = random.integers(-128, 128, (INNER, COLUMNS)).astype(np.int8)
    activations[0], weights[:, 0] = 255, -128
    return [activations, weights]


def check_float(runner: Runner) -> None:
    a, b = float_inputs()
    product, sums = runner.run([a, b])
    np.testing.assert_allclose(product, a.astype(np.float64) @ b, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(sums, (a.astype(np.float64) @ b).sum(1), rtol=1e-4, atol=1e-4)


def check_integer(runner: Runner) -> None:
    a, b = integer_inputs()
    product, following = runner.run([a, b])
    np.testing.assert_array_equal(product, a.astype(np.int32) @ b.astype(np.int32))
    assert following.dtype == np.int8
    np.testing.assert_array_equal(following.view(np.uint8), a + np.uint8(1))


# Compiling


def test_compile_reports_its_cost(tmp_path: Path) -> None:
    result = compiler.compile_module(FLOAT.encode(), tmp_path / "m.vmfb", targets.get("host"))
    assert result.path == tmp_path / "m.vmfb"
    assert result.seconds > 0
    assert result.peak_memory_bytes > 1 << 20
    assert [path.name for path in tmp_path.iterdir()] == ["m.vmfb"]


def test_compile_error_names_operation_and_place(tmp_path: Path) -> None:
    source, output = tmp_path / "bad.mlir", tmp_path / "out" / "m.vmfb"
    source.write_text(BROKEN)
    output.parent.mkdir()
    output.write_text("what was there before")
    with pytest.raises(QuantuneError, match=r"bad\.mlir:4:.*error: 'arith\.addf'.*m\.vmfb\.log") as caught:
        compiler.compile_module(source, output, targets.get("host"))
    assert "\n" not in str(caught.value)
    assert output.read_text() == "what was there before"
    assert sorted(path.name for path in output.parent.iterdir()) == ["m.vmfb", "m.vmfb.log"]
    assert "arith.addf" in (output.parent / "m.vmfb.log").read_text()


def test_success_removes_an_old_log(tmp_path: Path) -> None:
    with pytest.raises(QuantuneError, match="<module>:4:"):
        compiler.compile_module(BROKEN, tmp_path / "m.vmfb", targets.get("host"))
    compiler.compile_module(FLOAT, tmp_path / "m.vmfb", targets.get("host"))
    assert [path.name for path in tmp_path.iterdir()] == ["m.vmfb"]


def test_missing_source(tmp_path: Path) -> None:
    with pytest.raises(QuantuneError, match=r"no such file: .*none\.mlir"):
        compiler.compile_module(tmp_path / "none.mlir", tmp_path / "m.vmfb", targets.get("host"))


def fake_compiler(monkeypatch: pytest.MonkeyPatch, folder: Path, script: str) -> None:
    """Puts a shell script, which sees iree-compile's arguments, in its place."""
    path = folder / "fake-iree-compile"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    monkeypatch.setattr(compiler, "iree_compile", lambda: path)


def test_crash_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_compiler(monkeypatch, tmp_path, "echo half > $3; kill -SEGV $$")
    with pytest.raises(QuantuneError, match=r"crashed \(signal 11\)"):
        compiler.compile_module(FLOAT, tmp_path / "out" / "m.vmfb", targets.get("host"))
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["m.vmfb.log"]


def test_timeout_stops_the_compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_compiler(monkeypatch, tmp_path, "echo half > $3; sleep 60")
    with pytest.raises(QuantuneError, match=r"stopped after 0\.2 s"):
        compiler.compile_module(FLOAT, tmp_path / "out" / "m.vmfb", targets.get("host"), timeout=0.2)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["m.vmfb.log"]


def test_interrupt_kills_the_compiler_and_its_children(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ready = tmp_path / "pids"
    fake_compiler(
        monkeypatch,
        tmp_path,
        f"echo half > $3; sleep 60 & echo $$ $! > {ready}.new; mv {ready}.new {ready}; wait",
    )
    done = threading.Event()

    def interrupt() -> None:
        while not ready.exists() and not done.wait(0.01):
            pass
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            compiler.compile_module(FLOAT, tmp_path / "out" / "m.vmfb", targets.get("host"), timeout=20)
    finally:
        done.set()
        thread.join()
    assert list((tmp_path / "out").iterdir()) == []
    pids = [int(pid) for pid in ready.read_text().split()]
    # The group is killed at once, but a busy kernel may take a moment over those that are not our children.
    for _ in range(100):
        if not any(map(_alive, pids)):
            break
        time.sleep(0.02)
    assert not any(map(_alive, pids))


def test_interrupt_while_the_compiler_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The worst moment: the program runs, and its handle has not yet reached the caller."""
    started: list[int] = []

    class InterruptedPopen(subprocess.Popen):  # type: ignore[type-arg]
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            started.append(self.pid)
            signal.raise_signal(signal.SIGINT)

    fake_compiler(monkeypatch, tmp_path, "echo half > $3; exec sleep 60")
    monkeypatch.setattr(subprocess, "Popen", InterruptedPopen)
    with pytest.raises(KeyboardInterrupt):
        compiler.compile_module(FLOAT, tmp_path / "out" / "m.vmfb", targets.get("host"), timeout=20)
    assert list((tmp_path / "out").iterdir()) == []
    assert len(started) == 1 and not _alive(started[0])
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def _alive(pid: int) -> bool:
    """Whether a process still runs; one killed but not yet collected by its new parent does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


# Running


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_host_runner_computes(modules: Path, threads: int) -> None:
    check_float(HostRunner(modules / "float-host.vmfb", threads))
    check_integer(HostRunner(modules / "integer-host.vmfb", threads))


@pytest.mark.skipif(not hasattr(os, "SCHED_BATCH"), reason="not Linux")
@pytest.mark.parametrize("threads", [1, 2])
def test_a_caller_that_only_waits_takes_no_core_from_the_workers(
    modules: Path, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    loaded = device.Loaded(modules / "float-host.vmfb", threads)
    arguments = loaded.upload(float_inputs())
    before = os.sched_getscheduler(0)

    def set_scheduler(pid: int, policy: int, parameters: os.sched_param) -> None:
        seen.append(policy)
        real(pid, policy, parameters)

    real = os.sched_setscheduler
    monkeypatch.setattr(os, "sched_setscheduler", set_scheduler)
    loaded.call(arguments)
    waits = threads > 1 and before == os.SCHED_OTHER
    assert seen == ([os.SCHED_BATCH, os.SCHED_OTHER] if waits else [])
    assert os.sched_getscheduler(0) == before


def test_results_belong_to_the_caller(modules: Path) -> None:
    runner = HostRunner(modules / "float-host.vmfb")
    a, b = float_inputs()
    first = runner.run([a, b])[0]
    kept = first.copy()
    runner.run([2 * a, b])
    np.testing.assert_array_equal(first, kept)
    assert first.flags.owndata and first.flags.writeable


HOLDER = """
import sys
from pathlib import Path

import numpy as np

from quantune.backend import device

for threads in (1, 2):
    loaded = device.Loaded(Path(sys.argv[1]), threads)
    arguments = loaded.upload([np.zeros(i.shape, i.dtype) for i in loaded.signature.inputs])
    globals()[f"kept{threads}"] = [loaded.call(arguments), loaded.call(arguments), arguments]
"""


def test_a_process_may_end_while_it_holds_results(modules: Path) -> None:
    command = [sys.executable, "-c", HOLDER, str(modules / "float-host.vmfb")]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert (ended.returncode, ended.stderr) == (0, "")


@pytest.mark.skipif(emulation.available() is not None, reason=str(emulation.available()))
@pytest.mark.parametrize(("target", "cpu"), [("cortex-a72", "cortex-a72"), ("cortex-a55", "max")])
def test_emulated_arm_computes(modules: Path, target: str, cpu: str) -> None:
    check_float(EmulatedArmRunner(modules / f"float-{target}.vmfb", cpu))
    check_integer(EmulatedArmRunner(modules / f"integer-{target}.vmfb", cpu))


@pytest.mark.skipif(emulation.available() is not None, reason=str(emulation.available()))
def test_emulated_arm_refuses_host_module(modules: Path) -> None:
    with pytest.raises(QuantuneError, match=r"float-host\.vmfb failed on emulated Arm"):
        EmulatedArmRunner(modules / "float-host.vmfb").run(float_inputs())


def test_missing_emulator_says_how_to_get_it(modules: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUANTUNE_ARM", str(modules / "nothing-here"))
    with pytest.raises(QuantuneError, match=r"cannot emulate Arm: no .*tools/arm_emulation\.py"):
        EmulatedArmRunner(modules / "float-cortex-a72.vmfb")


def test_inputs_that_do_not_fit(modules: Path) -> None:
    runner = HostRunner(modules / "float-host.vmfb")
    a, b = float_inputs()
    with pytest.raises(QuantuneError, match=r"takes 2 inputs \(5x37xf32, 37x18xf32\), got 1"):
        runner.run([a])
    with pytest.raises(QuantuneError, match=r"input 1 .* must be 37x18xf32, got 18x37xfloat32"):
        runner.run([a, b.T])
    with pytest.raises(QuantuneError, match=r"input 0 .* must be 5x37xf32, got 5x37xfloat64"):
        runner.run([a.astype(np.float64), b])


def test_modules_that_do_not_load(modules: Path, tmp_path: Path) -> None:
    whole = (modules / "float-host.vmfb").read_bytes()
    damaged = tmp_path / "m.vmfb"
    for content in (b"", b"module {}", whole[:100], whole[: len(whole) // 2]):
        damaged.write_bytes(content)
        with pytest.raises(QuantuneError, match=r"m\.vmfb is not a module .* compile it again"):
            HostRunner(damaged)
    with pytest.raises(QuantuneError, match=r"cannot read .*none\.vmfb"):
        HostRunner(tmp_path / "none.vmfb")
    with pytest.raises(QuantuneError, match="no function 'mian', only main"):
        HostRunner(modules / "float-host.vmfb", name="mian")
    with pytest.raises(QuantuneError, match="does not load on this machine"):
        HostRunner(modules / f"float-{'cortex-a72' if targets.get('host').avx2 else 'x86-64-avx2'}.vmfb")


def test_signature_refuses_what_arrays_cannot_hold() -> None:
    parsed = signature.parse(
        "sync func @main(%a: tensor<1x3xf32>, %b: tensor<i8>) -> (%o: tensor<2xbf16>)".replace("bf16", "ui8")
    )
    assert [str(t) for t in (*parsed.inputs, *parsed.outputs)] == ["1x3xf32", "i8", "2xui8"]
    for bad in ("%a: tensor<?x3xf32>", "%a: i32", "%a: tensor<4xbf16>"):
        with pytest.raises(QuantuneError, match="only"):
            signature.parse(f"sync func @main({bad}) -> ()")


# Timing


class Rounds(Silent):
    """Counts the rounds that a benchmark reports, one number for each count of threads."""

    def __init__(self) -> None:
        self.counts: list[int] = []

    def start(self, step: str, total: int | None = None) -> None:
        self.counts.append(0)

    def advance(self, amount: int = 1) -> None:
        self.counts[-1] += amount


def test_benchmark_rows(modules: Path) -> None:
    contenders = [
        CompiledModule("toy", "iree", "fp32", modules / "float-host.vmfb", float_inputs()),
        CompiledModule("toy", "quantune", "int8", modules / "integer-host.vmfb", integer_inputs()),
    ]
    heard = Rounds()
    rows = benchmark.benchmark(contenders, threads=(1, 2), rounds=3, progress=heard)
    assert heard.counts == [3, 3]
    names = [("iree", "fp32"), ("quantune", "int8")]
    assert [(row.threads, row.system, row.variant) for row in rows] == [
        (n, *name) for n in (1, 2) for name in names
    ]
    for row, contender in zip(rows, contenders * 2, strict=True):
        assert 0 < row.minimum_ms <= row.latency_ms
        assert row.spread_ms >= 0
        assert len(row.turns_ms) == 3 and min(row.turns_ms) >= 0.99 * row.minimum_ms
        assert row.size_bytes == contender.vmfb.stat().st_size
    document = benchmark.to_json(rows)
    assert set(document) == {"cpu", "versions", "rows"}
    keys = {"model", "system", "variant", "threads", "latency_ms", "spread_ms", "size_bytes", "settings"}
    assert keys <= set(document["rows"][0])
    assert document["versions"]["iree-base-runtime"]
    assert document["cpu"]["cores"] >= 1


def test_benchmark_stops_when_its_time_is_over(modules: Path) -> None:
    contender = CompiledModule("toy", "iree", "fp32", modules / "float-host.vmfb", float_inputs())
    heard = Rounds()
    benchmark.benchmark([contender], rounds=1000, budget_seconds=0, progress=heard)
    assert heard.counts == [benchmark.FEWEST_ROUNDS]


def test_dispatches_are_named_and_counted(modules: Path) -> None:
    times = dispatches.time_dispatches(modules / "float-host.vmfb", iterations=7)
    assert all(time.calls == 1 and time.microseconds > 0 for time in times)
    assert [time.microseconds for time in times] == sorted(
        (time.microseconds for time in times), reverse=True
    )
    assert any(time.operation.startswith("matmul") for time in times)
    assert any(time.operation.startswith("reduction") for time in times)


def test_dispatch_times_are_medians_and_skip_loading() -> None:
    def event(key: str, nanoseconds: int) -> dict[str, object]:
        return {"type": "host_dispatch_event", "valid": True, "key": key, "duration_ns": nanoseconds}

    once_loaded = [event("pack", 9_000_000), event("twice", 7_000_000)]
    inferences = [
        [event("twice", 1000 * n), event("twice", 10_000 * n), event("once", 500)] for n in (1, 2, 3)
    ]
    records: list[dict[str, object]] = [
        {"type": "dispatch_summary"},
        *once_loaded,
        *(record for one in inferences for record in one),
    ]
    times = dispatches._aggregate(iter(records), 3)
    assert times == [dispatches.DispatchTime("twice", 22.0, 2), dispatches.DispatchTime("once", 0.5, 1)]


def test_profiling_a_damaged_module(tmp_path: Path) -> None:
    (tmp_path / "m.vmfb").write_bytes(b"PK\x03\x04")
    with pytest.raises(QuantuneError, match=r"m\.vmfb is not a module"):
        dispatches.time_dispatches(tmp_path / "m.vmfb")
