// RUN: quantune-opt %s --pass-pipeline='annotate-precision{plan=%S/Inputs/annotate.json}' --report=- | filecheck %s
// RUN: not quantune-opt %s --pass-pipeline='annotate-precision{plan=%S/Inputs/annotate-other-model.json}' 2>&1 | filecheck %s --check-prefix=OTHER
// RUN: not quantune-opt %s --pass-pipeline='annotate-precision{plan=%S/Inputs/annotate-misspelt.json}' 2>&1 | filecheck %s --check-prefix=MISSPELT
// RUN: not quantune-opt %s --pass-pipeline='annotate-precision{plan=%S/Inputs/annotate-no-bits.json}' 2>&1 | filecheck %s --check-prefix=BITS
// RUN: not quantune-opt %s --pass-pipeline='annotate-precision{plan=%S/Inputs/annotate-no-scale.json}' 2>&1 | filecheck %s --check-prefix=SCALE
// RUN: not quantune-opt %s --pass-pipeline='strip-annotations,annotate-precision{plan=%S/Inputs/annotate.json}' 2>&1 | filecheck %s --check-prefix=UNNAMED

// The plan: conv1 with 6-bit weights, pool and conv2 with 8, the last layer float. What float alone reads (conv2) gets no type.

// CHECK: // annotate-precision: {"integer_layers": 3, "float_layers": 1}
// CHECK-LABEL: func.func @network
// CHECK-SAME: tensor<1x4x4x1xf32> {quantune.output_type = !quant.uniform<u8:f32, 5.000000e-02:100>}
// CHECK: linalg.conv_2d_nhwc_hwcf
// CHECK-SAME: quantune.layer = "conv1"
// CHECK-SAME: quantune.precision = "integer"
// CHECK-SAME: quantune.weight_type = !quant.uniform<i8<-31:31>:f32:3, {0.016129{{[0-9]+}},0.032258{{[0-9]+}}}>
// CHECK: linalg.generic {{.*}} attrs = {quantune.layer = "conv1", quantune.output_type = !quant.uniform<u8<0:127>:f32, 1.000000e-01>, quantune.precision = "integer"}
// CHECK: linalg.pooling_nhwc_max
// CHECK-SAME: quantune.output_type = !quant.uniform<u8<0:127>:f32, 1.000000e-01>
// CHECK-SAME: quantune.precision = "integer"
// CHECK: linalg.conv_2d_nhwc_hwcf
// CHECK-SAME: {quantune.layer = "conv2", quantune.precision = "integer", quantune.weight_type = !quant.uniform<i8<-127:127>:f32:3, {{[^:]+}}>, dilations
// CHECK: linalg.generic {{.*}} attrs = {quantune.layer = "tanh", quantune.precision = "float"}

// OTHER: quantune-opt: error: the plan was made for model 'lit' with other weights or structure (fingerprint 0123456789abcdef
// MISSPELT: quantune-opt: error: layer 'conv_1' in the plan matches nothing; near matches: conv1
// BITS: quantune-opt: error: layer 'conv1' is integer but has no weight_bits; set 2..8
// SCALE: quantune-opt: error: layer conv1 has no output quantization in the plan, but pool reads it as integers
// UNNAMED: quantune-opt: error: the module has no named layers; run the pass name-layers first

#map = affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3)>
#unary = {indexing_maps = [#map, #map], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
func.func @network(%x: tensor<1x4x4x1xf32>) -> tensor<1x2x2x1xf32> {
  %w1 = arith.constant dense<[[[[0.5, 1.0]]]]> : tensor<1x1x1x2xf32>
  %w2 = arith.constant dense<[[[[0.5], [1.0]]]]> : tensor<1x1x2x1xf32>
  %zero = arith.constant 0.0 : f32
  %lowest = arith.constant 0xFF800000 : f32
  %e1 = tensor.empty() : tensor<1x4x4x2xf32>
  %s1 = linalg.fill ins(%zero : f32) outs(%e1 : tensor<1x4x4x2xf32>) -> tensor<1x4x4x2xf32>
  %0 = linalg.conv_2d_nhwc_hwcf {quantune.layer = "conv1", strides = dense<1> : tensor<2xi64>, dilations = dense<1> : tensor<2xi64>}
      ins(%x, %w1 : tensor<1x4x4x1xf32>, tensor<1x1x1x2xf32>) outs(%s1 : tensor<1x4x4x2xf32>) -> tensor<1x4x4x2xf32>
  %1 = linalg.generic #unary ins(%0 : tensor<1x4x4x2xf32>) outs(%e1 : tensor<1x4x4x2xf32>) attrs = {quantune.layer = "conv1"} {
  ^bb0(%a: f32, %o: f32):
    %r = arith.maximumf %a, %zero : f32
    linalg.yield %r : f32
  } -> tensor<1x4x4x2xf32>
  %window = tensor.empty() : tensor<2x2xf32>
  %e2 = tensor.empty() : tensor<1x2x2x2xf32>
  %s2 = linalg.fill ins(%lowest : f32) outs(%e2 : tensor<1x2x2x2xf32>) -> tensor<1x2x2x2xf32>
  %2 = linalg.pooling_nhwc_max {quantune.layer = "pool", strides = dense<2> : tensor<2xi64>, dilations = dense<1> : tensor<2xi64>}
      ins(%1, %window : tensor<1x4x4x2xf32>, tensor<2x2xf32>) outs(%s2 : tensor<1x2x2x2xf32>) -> tensor<1x2x2x2xf32>
  %e3 = tensor.empty() : tensor<1x2x2x1xf32>
  %s3 = linalg.fill ins(%zero : f32) outs(%e3 : tensor<1x2x2x1xf32>) -> tensor<1x2x2x1xf32>
  %3 = linalg.conv_2d_nhwc_hwcf {quantune.layer = "conv2", strides = dense<1> : tensor<2xi64>, dilations = dense<1> : tensor<2xi64>}
      ins(%2, %w2 : tensor<1x2x2x2xf32>, tensor<1x1x2x1xf32>) outs(%s3 : tensor<1x2x2x1xf32>) -> tensor<1x2x2x1xf32>
  %4 = linalg.generic #unary ins(%3 : tensor<1x2x2x1xf32>) outs(%e3 : tensor<1x2x2x1xf32>) attrs = {quantune.layer = "tanh"} {
  ^bb0(%a: f32, %o: f32):
    %r = math.tanh %a : f32
    linalg.yield %r : f32
  } -> tensor<1x2x2x1xf32>
  return %4 : tensor<1x2x2x1xf32>
}
