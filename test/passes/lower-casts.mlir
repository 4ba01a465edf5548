// RUN: quantune-opt %s --split-input-file --pass-pipeline=lower-casts --report=- | filecheck %s
// RUN: not quantune-opt %S/Inputs/weights-not-lowered.mlir --pass-pipeline=lower-casts 2>&1 | filecheck %s --check-prefix=WEIGHTS

// WEIGHTS: quantune-opt: error: quant.dcast{{.*}}not a per-tensor activation type: !quant.uniform<i8{{.*}}; run lower-to-integer first

// Quantize to 7 bits: clamp(rint(fma(x, 2, 3)), 0, 127).

// CHECK: // lower-casts: {"quantize": 1, "dequantize": 0, "requantize": 0}
// CHECK-LABEL: func.func @quantize
// CHECK-SAME: (%[[X:.+]]: tensor<1x2xf32>)
// CHECK-DAG: %[[RATE:.+]] = arith.constant 2.000000e+00 : f32
// CHECK-DAG: %[[ZERO:.+]] = arith.constant 3.000000e+00 : f32
// CHECK-DAG: %[[LOW:.+]] = arith.constant 0.000000e+00 : f32
// CHECK-DAG: %[[HIGH:.+]] = arith.constant 1.270000e+02 : f32
// CHECK: linalg.generic {{.*}} ins(%[[X]] : tensor<1x2xf32>) outs(%{{.+}} : tensor<1x2xi8>)
// CHECK: %[[FMA:.+]] = math.fma %in, %[[RATE]], %[[ZERO]]
// CHECK: %[[ROUND:.+]] = math.roundeven %[[FMA]]
// CHECK: %[[MAX:.+]] = arith.maximumf %[[ROUND]], %[[LOW]]
// CHECK: %[[MIN:.+]] = arith.minimumf %[[MAX]], %[[HIGH]]
// CHECK: %[[INT:.+]] = arith.fptosi %[[MIN]] : f32 to i32
// CHECK: arith.trunci %[[INT]] : i32 to i8
// CHECK-NOT: quant.
func.func @quantize(%x: tensor<1x2xf32>) -> tensor<1x2xi8> {
  %0 = quant.qcast %x : tensor<1x2xf32> to tensor<1x2x!quant.uniform<u8<0:127>:f32, 0.5:3>>
  %1 = quant.scast %0 : tensor<1x2x!quant.uniform<u8<0:127>:f32, 0.5:3>> to tensor<1x2xi8>
  return %1 : tensor<1x2xi8>
}

// -----

// Dequantize: 0.5 * (q - 3), the storage read as unsigned.

// CHECK: // lower-casts: {"quantize": 0, "dequantize": 1, "requantize": 0}
// CHECK-LABEL: func.func @dequantize
// CHECK-SAME: (%[[Q:.+]]: tensor<1x2xi8>)
// CHECK-DAG: %[[ZERO:.+]] = arith.constant 3.000000e+00 : f32
// CHECK-DAG: %[[SCALE:.+]] = arith.constant 5.000000e-01 : f32
// CHECK: linalg.generic {{.*}} ins(%[[Q]] : tensor<1x2xi8>) outs(%{{.+}} : tensor<1x2xf32>)
// CHECK: %[[REAL:.+]] = arith.uitofp %in : i8 to f32
// CHECK: %[[LESS:.+]] = arith.subf %[[REAL]], %[[ZERO]]
// CHECK: arith.mulf %[[LESS]], %[[SCALE]]
// CHECK-NOT: quant.
func.func @dequantize(%x: tensor<1x2xi8>) -> tensor<1x2xf32> {
  %0 = quant.scast %x : tensor<1x2xi8> to tensor<1x2x!quant.uniform<u8:f32, 0.5:3>>
  %1 = quant.dcast %0 : tensor<1x2x!quant.uniform<u8:f32, 0.5:3>> to tensor<1x2xf32>
  return %1 : tensor<1x2xf32>
}

// -----

// Dequantize and quantize are one requantization, clamp(rint(fma(q, 0.5 / 0.25, 4 - 2 * 3)), 0, 255), unless the reals are
// read by someone else as well.

// CHECK: // lower-casts: {"quantize": 0, "dequantize": 1, "requantize": 1}
// CHECK-LABEL: func.func @requantize
// CHECK-DAG: %[[RATE:.+]] = arith.constant 2.000000e+00 : f32
// CHECK-DAG: %[[OFFSET:.+]] = arith.constant -2.000000e+00 : f32
// CHECK-DAG: %[[SCALE:.+]] = arith.constant 5.000000e-01 : f32
// CHECK: %[[REALS:.+]] = linalg.generic {{.*}} outs(%{{.+}} : tensor<1x2xf32>)
// CHECK: arith.mulf %{{.+}}, %[[SCALE]]
// CHECK: %[[BYTES:.+]] = linalg.generic {{.*}} ins(%{{.+}} : tensor<1x2xi8>) outs(%{{.+}} : tensor<1x2xi8>)
// CHECK: math.fma %{{.+}}, %[[RATE]], %[[OFFSET]]
// CHECK: return %[[BYTES]], %[[REALS]]
func.func @requantize(%x: tensor<1x2xi8>) -> (tensor<1x2xi8>, tensor<1x2xf32>) {
  %0 = quant.scast %x : tensor<1x2xi8> to tensor<1x2x!quant.uniform<u8:f32, 0.5:3>>
  %1 = quant.dcast %0 : tensor<1x2x!quant.uniform<u8:f32, 0.5:3>> to tensor<1x2xf32>
  %2 = quant.qcast %1 : tensor<1x2xf32> to tensor<1x2x!quant.uniform<u8:f32, 0.25:4>>
  %3 = quant.scast %2 : tensor<1x2x!quant.uniform<u8:f32, 0.25:4>> to tensor<1x2xi8>
  return %3, %1 : tensor<1x2xi8>, tensor<1x2xf32>
}

// -----

// Storage seen as quantized and back is nothing at all.

// CHECK: // lower-casts: {"quantize": 0, "dequantize": 0, "requantize": 0}
// CHECK-LABEL: func.func @storage
// CHECK-SAME: (%[[X:.+]]: tensor<1x2xi8>)
// CHECK-NEXT: return %[[X]]
func.func @storage(%x: tensor<1x2xi8>) -> tensor<1x2xi8> {
  %0 = quant.scast %x : tensor<1x2xi8> to tensor<1x2x!quant.uniform<u8:f32, 0.5:3>>
  %1 = quant.scast %0 : tensor<1x2x!quant.uniform<u8:f32, 0.5:3>> to tensor<1x2xi8>
  return %1 : tensor<1x2xi8>
}
