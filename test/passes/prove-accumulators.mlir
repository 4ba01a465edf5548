// RUN: quantune-opt %s --split-input-file --pass-pipeline=prove-accumulators{target=x86-64-avx2} --report=- | filecheck %s
// RUN: quantune-opt %s --split-input-file --pass-pipeline=prove-accumulators{target=cortex-a55} | filecheck %s --check-prefix=NONE
// RUN: quantune-opt %s --split-input-file --pass-pipeline=prove-accumulators{target=cortex-a72} --report=- | filecheck %s --check-prefix=NEON

// NONE-NOT: quantune.flush_schedule

// Of 31 * 255 * 2 four fit 16 bits, not five: of five steps, the first four share a flush. The schedule is one run (2 groups, as a
// 16-bit number) of 4 and 1 steps.

// NEON adds one product a step to a lane, of an operand of -128..127: nine would not.

// NEON: // prove-accumulators: {"steps_between_flushes": {"fc": 5.0}, "unproved": []}
// NEON: linalg.matmul {quantune.flush_schedule = [array<i8: 1, 0, 5>]
// CHECK: // prove-accumulators: {"steps_between_flushes": {"fc": 2.5}, "unproved": []}
// CHECK-LABEL: func.func @six_bits
// CHECK: linalg.matmul {quantune.flush_schedule = [array<i8: 2, 0, 4, 1>]
func.func @six_bits(%q: tensor<1x20x!quant.uniform<u8:f32, 0.5:3>>) -> tensor<1x1xf32> {
  %w = arith.constant dense<31.0> : tensor<20x1xf32>
  %zero = arith.constant 0.0 : f32
  %x = quant.dcast %q : tensor<1x20x!quant.uniform<u8:f32, 0.5:3>> to tensor<1x20xf32>
  %wq = quant.qcast %w : tensor<20x1xf32> to tensor<20x1x!quant.uniform<i8<-31:31>:f32:1, {1.0}>>
  %wd = quant.dcast %wq : tensor<20x1x!quant.uniform<i8<-31:31>:f32:1, {1.0}>> to tensor<20x1xf32>
  %e = tensor.empty() : tensor<1x1xf32>
  %s = linalg.fill ins(%zero : f32) outs(%e : tensor<1x1xf32>) -> tensor<1x1xf32>
  %0 = linalg.matmul {quantune.layer = "fc", quantune.precision = "integer"} ins(%x, %wd : tensor<1x20xf32>, tensor<20x1xf32>) outs(%s : tensor<1x1xf32>) -> tensor<1x1xf32>
  return %0 : tensor<1x1xf32>
}

// -----

// Seven bits of activation double the length; eight bits of weight cannot be proved at all with AVX2, NEON takes two steps.

// NEON: // prove-accumulators: {"steps_between_flushes": {"narrow": 5.0, "wide": 1.67}, "unproved": []}
// NEON: linalg.matmul {quantune.flush_schedule = [array<i8: 1, 0, 5>], quantune.layer = "narrow"
// NEON: linalg.matmul {quantune.flush_schedule = [array<i8: 3, 0, 2, 2, 1>], quantune.layer = "wide"

// CHECK: // prove-accumulators: {"steps_between_flushes": {"narrow": 5.0}, "unproved": ["wide"]}
// CHECK-LABEL: func.func @widths
// CHECK: linalg.matmul {quantune.flush_schedule = [array<i8: 1, 0, 5>], quantune.layer = "narrow"
// CHECK: linalg.matmul {quantune.layer = "wide"
func.func @widths(%q: tensor<1x20x!quant.uniform<u8<0:127>:f32, 0.5:3>>, %r: tensor<1x20x!quant.uniform<u8:f32, 0.5:3>>) -> (tensor<1x1xf32>, tensor<1x1xf32>) {
  %w = arith.constant dense<127.0> : tensor<20x1xf32>
  %v = arith.constant dense<31.0> : tensor<20x1xf32>
  %zero = arith.constant 0.0 : f32
  %x = quant.dcast %q : tensor<1x20x!quant.uniform<u8<0:127>:f32, 0.5:3>> to tensor<1x20xf32>
  %y = quant.dcast %r : tensor<1x20x!quant.uniform<u8:f32, 0.5:3>> to tensor<1x20xf32>
  %wq = quant.qcast %w : tensor<20x1xf32> to tensor<20x1x!quant.uniform<i8<-127:127>:f32:1, {1.0}>>
  %wd = quant.dcast %wq : tensor<20x1x!quant.uniform<i8<-127:127>:f32:1, {1.0}>> to tensor<20x1xf32>
  %vq = quant.qcast %v : tensor<20x1xf32> to tensor<20x1x!quant.uniform<i8<-31:31>:f32:1, {1.0}>>
  %vd = quant.dcast %vq : tensor<20x1x!quant.uniform<i8<-31:31>:f32:1, {1.0}>> to tensor<20x1xf32>
  %e = tensor.empty() : tensor<1x1xf32>
  %s = linalg.fill ins(%zero : f32) outs(%e : tensor<1x1xf32>) -> tensor<1x1xf32>
  %0 = linalg.matmul {quantune.layer = "narrow", quantune.precision = "integer"} ins(%x, %vd : tensor<1x20xf32>, tensor<20x1xf32>) outs(%s : tensor<1x1xf32>) -> tensor<1x1xf32>
  %1 = linalg.matmul {quantune.layer = "wide", quantune.precision = "integer"} ins(%y, %wd : tensor<1x20xf32>, tensor<20x1xf32>) outs(%s : tensor<1x1xf32>) -> tensor<1x1xf32>
  return %0, %1 : tensor<1x1xf32>, tensor<1x1xf32>
}

// -----

// Left alone: float layers.

// CHECK: // prove-accumulators: {"steps_between_flushes": {}, "unproved": []}
// CHECK-LABEL: func.func @float
// CHECK-NOT: quantune.flush_schedule
func.func @float(%x: tensor<1x4xf32>) -> tensor<1x1xf32> {
  %w = arith.constant dense<1.0> : tensor<4x1xf32>
  %zero = arith.constant 0.0 : f32
  %e = tensor.empty() : tensor<1x1xf32>
  %s = linalg.fill ins(%zero : f32) outs(%e : tensor<1x1xf32>) -> tensor<1x1xf32>
  %0 = linalg.matmul {quantune.layer = "fc", quantune.precision = "float"} ins(%x, %w : tensor<1x4xf32>, tensor<4x1xf32>) outs(%s : tensor<1x1xf32>) -> tensor<1x1xf32>
  return %0 : tensor<1x1xf32>
}
