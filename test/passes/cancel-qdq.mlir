// RUN: quantune-opt %s --split-input-file --pass-pipeline=cancel-qdq --report=- | filecheck %s

// A dequantize that meets a quantize of its own type: both vanish, the readers of the second read the first.

// CHECK: // cancel-qdq: {"pairs_found": 1, "cancelled": 1, "boundaries_left": 0, "quantize": 0, "dequantize": 0, "requantize": 0, "where": []}
// CHECK-LABEL: func.func @same_type
// CHECK-SAME: (%[[Q:.+]]: tensor<1x2x!quant.uniform<u8:f32, 1.000000e-01>>)
// CHECK-NOT: quant.qcast
// CHECK-NOT: quant.dcast
// CHECK: %[[BYTES:.+]] = quant.scast %[[Q]]
// CHECK: return %[[BYTES]]
func.func @same_type(%q: tensor<1x2x!quant.uniform<u8:f32, 0.1>>) -> tensor<1x2xi8> {
  %0 = quant.dcast %q : tensor<1x2x!quant.uniform<u8:f32, 0.1>> to tensor<1x2xf32>
  %1 = quant.qcast %0 : tensor<1x2xf32> to tensor<1x2x!quant.uniform<u8:f32, 0.1>>
  %2 = quant.scast %1 : tensor<1x2x!quant.uniform<u8:f32, 0.1>> to tensor<1x2xi8>
  return %2 : tensor<1x2xi8>
}

// -----

// Different scales: a requantization, which stays and is counted as such, not as a boundary.

// CHECK: // cancel-qdq: {"pairs_found": 1, "cancelled": 0, "boundaries_left": 0, "quantize": 0, "dequantize": 0, "requantize": 1, "where": []}
// CHECK-LABEL: func.func @other_type
// CHECK: %[[REAL:.+]] = quant.dcast
// CHECK: quant.qcast %[[REAL]] : tensor<1x2xf32> to tensor<1x2x!quant.uniform<u8:f32, 2.000000e-01>>
func.func @other_type(%q: tensor<1x2x!quant.uniform<u8:f32, 0.1>>) -> tensor<1x2xi8> {
  %0 = quant.dcast %q : tensor<1x2x!quant.uniform<u8:f32, 0.1>> to tensor<1x2xf32>
  %1 = quant.qcast %0 : tensor<1x2xf32> to tensor<1x2x!quant.uniform<u8:f32, 0.2>>
  %2 = quant.scast %1 : tensor<1x2x!quant.uniform<u8:f32, 0.2>> to tensor<1x2xi8>
  return %2 : tensor<1x2xi8>
}

// -----

// A float island between two integer layers: its two edges stay. The network's input is quantized, its integer output is not
// dequantized: `last` delivers f32. A layer's own quantize (fused into its epilogue) is no boundary, nor are its weights.

#map = affine_map<(d0, d1) -> (d0, d1)>
#unary = {indexing_maps = [#map, #map], iterator_types = ["parallel", "parallel"]}

// CHECK: // cancel-qdq: {"pairs_found": 4, "cancelled": 1, "boundaries_left": 3, "quantize": 2, "dequantize": 1, "requantize": 0,
// CHECK-SAME: "where": ["quantize input", "dequantize for island", "quantize island"]}
// CHECK-LABEL: func.func @island
// CHECK-SAME: (%[[X:.+]]: tensor<1x2xf32>)
// CHECK: quant.qcast %[[X]]
// CHECK: quant.qcast %{{.+}} : tensor<2x2xf32> to tensor<2x2x!quant.uniform<i8
// CHECK: %[[DOT:.+]] = linalg.matmul
// CHECK: %[[Q:.+]] = quant.qcast %[[DOT]]
// CHECK: %[[REAL:.+]] = quant.dcast %[[Q]]
// CHECK: %[[TANH:.+]] = linalg.generic {{.*}} ins(%[[REAL]] :
// CHECK: %[[BACK:.+]] = quant.qcast %[[TANH]]
// CHECK-NOT: quant.qcast
// CHECK: %[[LAST:.+]] = linalg.generic
// CHECK: return %[[LAST]]
func.func @island(%x: tensor<1x2xf32>) -> tensor<1x2xf32> {
  %w = arith.constant dense<0.5> : tensor<2x2xf32>
  %zero = arith.constant 0.0 : f32
  %e = tensor.empty() : tensor<1x2xf32>
  %start = linalg.fill ins(%zero : f32) outs(%e : tensor<1x2xf32>) -> tensor<1x2xf32>
  %q = quant.qcast %x : tensor<1x2xf32> to tensor<1x2x!quant.uniform<u8:f32, 0.1>>
  %d = quant.dcast %q : tensor<1x2x!quant.uniform<u8:f32, 0.1>> to tensor<1x2xf32>
  %qw = quant.qcast %w : tensor<2x2xf32> to tensor<2x2x!quant.uniform<i8<-127:127>:f32:1, {0.1,0.1}>>
  %dw = quant.dcast %qw : tensor<2x2x!quant.uniform<i8<-127:127>:f32:1, {0.1,0.1}>> to tensor<2x2xf32>
  %0 = linalg.matmul {quantune.layer = "fc", quantune.precision = "integer"} ins(%d, %dw : tensor<1x2xf32>, tensor<2x2xf32>) outs(%start : tensor<1x2xf32>) -> tensor<1x2xf32>
  %q0 = quant.qcast %0 : tensor<1x2xf32> to tensor<1x2x!quant.uniform<u8:f32, 0.2>>
  %d0 = quant.dcast %q0 : tensor<1x2x!quant.uniform<u8:f32, 0.2>> to tensor<1x2xf32>
  %1 = linalg.generic #unary ins(%d0 : tensor<1x2xf32>) outs(%e : tensor<1x2xf32>) attrs = {quantune.layer = "island", quantune.precision = "float"} {
  ^bb0(%a: f32, %o: f32):
    %r = math.tanh %a : f32
    linalg.yield %r : f32
  } -> tensor<1x2xf32>
  %q1 = quant.qcast %1 : tensor<1x2xf32> to tensor<1x2x!quant.uniform<u8:f32, 0.3>>
  %d1 = quant.dcast %q1 : tensor<1x2x!quant.uniform<u8:f32, 0.3>> to tensor<1x2xf32>
  %q2 = quant.qcast %d1 : tensor<1x2xf32> to tensor<1x2x!quant.uniform<u8:f32, 0.3>>
  %d2 = quant.dcast %q2 : tensor<1x2x!quant.uniform<u8:f32, 0.3>> to tensor<1x2xf32>
  %2 = linalg.generic #unary ins(%d2 : tensor<1x2xf32>) outs(%e : tensor<1x2xf32>) attrs = {quantune.layer = "last", quantune.precision = "integer"} {
  ^bb0(%a: f32, %o: f32):
    %r = arith.maximumf %a, %zero : f32
    linalg.yield %r : f32
  } -> tensor<1x2xf32>
  return %2 : tensor<1x2xf32>
}
