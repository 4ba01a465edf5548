// RUN: quantune-opt %s --split-input-file --pass-pipeline=lower-to-integer --report=- | filecheck %s
// RUN: not quantune-opt %S/Inputs/not-lowerable.mlir --split-input-file --pass-pipeline=lower-to-integer 2>&1 | filecheck %s --check-prefix=REJECTED

// REJECTED: quantune-opt: error: linalg.matmul 'raw_input' {{.*}} is planned integer, but its input is not quantized; make it float
// REJECTED: quantune-opt: error: linalg.matmul 'raw_weights' {{.*}} is planned integer, but its weights are not quantized; run insert-qdq
// REJECTED: quantune-opt: error: linalg.matmul 'long_sum' {{.*}} could overflow 32-bit accumulators; make the layer float in the plan

// Padding, convolution, bias, ReLU. Weights [0.5, 1.5] of scales [0.25, 0.5] are stored as [2, 3]. With s_x = 0.5, z_x = 3,
// s_y = 0.25, z_y = 10: m = s_x s_w / s_y = [0.5, 1], b = (bias - s_x s_w z_x sum(w)) / s_y + z_y = [11, 9]; ReLU's bound is z_y.
// 128 is taken from the activations, above the padding, whose zero point 3 turns -125; 128 sum(w) is given back.

#map = affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3)>
#channel = affine_map<(d0, d1, d2, d3) -> (d3)>
#unary = {indexing_maps = [#map, #map], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
#bias = {indexing_maps = [#map, #channel, #map], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}

// CHECK: // lower-to-integer: {"lowered": {"linalg.conv_2d_nhwc_hwcf": 1}}
// CHECK-LABEL: func.func @convolution
// CHECK-DAG: %[[W:.+]] = arith.constant dense<{{\[\[\[\[}}2, 3]]]]> : tensor<1x1x1x2xi8>
// CHECK-DAG: %[[SUMS:.+]] = arith.constant dense<[256, 384]> : tensor<2xi32>
// CHECK-DAG: %[[M:.+]] = arith.constant dense<[5.000000e-01, 1.000000e+00]> : tensor<2xf32>
// CHECK-DAG: %[[B:.+]] = arith.constant dense<[1.100000e+01, 9.000000e+00]> : tensor<2xf32>
// CHECK-DAG: %[[SIGN:.+]] = arith.constant -128 : i8
// CHECK-DAG: %[[BORDER:.+]] = arith.constant -125 : i8
// CHECK-DAG: %[[LOW:.+]] = arith.constant 1.000000e+01 : f32
// CHECK-DAG: %[[HIGH:.+]] = arith.constant 2.550000e+02 : f32
// CHECK: %[[SIGNED:.+]] = linalg.generic
// CHECK: arith.xori %{{.+}}, %[[SIGN]] : i8
// CHECK: %[[PAD:.+]] = tensor.pad %[[SIGNED]] low[0, 1, 0, 0] high[0, 0, 1, 0]
// CHECK: tensor.yield %[[BORDER]] : i8
// CHECK: %[[ACC:.+]] = linalg.conv_2d_nhwc_hwcf {{.*}}ins(%[[PAD]], %[[W]] : tensor<1x3x3x1xi8>, tensor<1x1x1x2xi8>) outs(%{{.+}} : tensor<1x3x3x2xi32>)
// CHECK: linalg.generic {{.*}} ins(%[[ACC]], %[[SUMS]], %[[M]], %[[B]] : {{.*}}) outs(%{{.+}} : tensor<1x3x3x2xi8>)
// CHECK: ^bb0(%[[A:.+]]: i32, %[[S:.+]]: i32, %[[RATE:.+]]: f32, %[[OFFSET:.+]]: f32, %{{.+}}: i8):
// CHECK: %[[T:.+]] = arith.addi %[[A]], %[[S]]
// CHECK: %[[F:.+]] = arith.sitofp %[[T]]
// CHECK: %[[V:.+]] = math.fma %[[F]], %[[RATE]], %[[OFFSET]]
// CHECK: %[[R:.+]] = math.roundeven %[[V]]
// CHECK: %[[L:.+]] = arith.maximumf %[[R]], %[[LOW]]
// CHECK: %[[H:.+]] = arith.minimumf %[[L]], %[[HIGH]]
// CHECK: arith.fptosi %[[H]] : f32 to i32
// CHECK: arith.trunci
// CHECK-NOT: xf32>, tensor<1x1x1x2xf32>
func.func @convolution(%q: tensor<1x2x2x1x!quant.uniform<u8:f32, 0.5:3>>) -> tensor<1x3x3x2x!quant.uniform<u8:f32, 0.25:10>> {
  %w = arith.constant dense<[[[[0.5, 1.5]]]]> : tensor<1x1x1x2xf32>
  %b = arith.constant dense<[1.0, 2.0]> : tensor<2xf32>
  %zero = arith.constant 0.0 : f32
  %three = arith.constant 3 : i8
  %bytes = quant.scast %q : tensor<1x2x2x1x!quant.uniform<u8:f32, 0.5:3>> to tensor<1x2x2x1xi8>
  %padded = tensor.pad %bytes low[0, 1, 0, 0] high[0, 0, 1, 0] {
  ^bb0(%i: index, %j: index, %k: index, %l: index):
    tensor.yield %three : i8
  } {quantune.layer = "conv", quantune.precision = "integer"} : tensor<1x2x2x1xi8> to tensor<1x3x3x1xi8>
  %x = quant.scast %padded : tensor<1x3x3x1xi8> to tensor<1x3x3x1x!quant.uniform<u8:f32, 0.5:3>>
  %d = quant.dcast %x : tensor<1x3x3x1x!quant.uniform<u8:f32, 0.5:3>> to tensor<1x3x3x1xf32>
  %qw = quant.qcast %w : tensor<1x1x1x2xf32> to tensor<1x1x1x2x!quant.uniform<i8<-127:127>:f32:3, {0.25,0.5}>>
  %dw = quant.dcast %qw : tensor<1x1x1x2x!quant.uniform<i8<-127:127>:f32:3, {0.25,0.5}>> to tensor<1x1x1x2xf32>
  %e = tensor.empty() : tensor<1x3x3x2xf32>
  %start = linalg.fill ins(%zero : f32) outs(%e : tensor<1x3x3x2xf32>) -> tensor<1x3x3x2xf32>
  %0 = linalg.conv_2d_nhwc_hwcf {quantune.layer = "conv", quantune.precision = "integer"}
      ins(%d, %dw : tensor<1x3x3x1xf32>, tensor<1x1x1x2xf32>) outs(%start : tensor<1x3x3x2xf32>) -> tensor<1x3x3x2xf32>
  %1 = linalg.generic #bias ins(%0, %b : tensor<1x3x3x2xf32>, tensor<2xf32>) outs(%e : tensor<1x3x3x2xf32>) attrs = {quantune.layer = "conv", quantune.precision = "integer"} {
  ^bb0(%a: f32, %c: f32, %o: f32):
    %r = arith.addf %a, %c : f32
    linalg.yield %r : f32
  } -> tensor<1x3x3x2xf32>
  %2 = linalg.generic #unary ins(%1 : tensor<1x3x3x2xf32>) outs(%e : tensor<1x3x3x2xf32>) attrs = {quantune.layer = "conv", quantune.precision = "integer"} {
  ^bb0(%a: f32, %o: f32):
    %r = arith.maximumf %a, %zero : f32
    linalg.yield %r : f32
  } -> tensor<1x3x3x2xf32>
  %3 = quant.qcast %2 : tensor<1x3x3x2xf32> to tensor<1x3x3x2x!quant.uniform<u8:f32, 0.25:10>>
  return %3 : tensor<1x3x3x2x!quant.uniform<u8:f32, 0.25:10>>
}

// -----

// Activations of 7 bits fit a signed byte: nothing to shift, nothing to give back. Depthwise.

// CHECK: // lower-to-integer: {"lowered": {"linalg.depthwise_conv_2d_nhwc_hwc": 1}}
// CHECK-LABEL: func.func @seven_bits
// CHECK-SAME: (%[[Q:.+]]: tensor<1x2x2x2x!quant
// CHECK-DAG: %[[W:.+]] = arith.constant dense<{{\[\[\[}}2, -4]]]> : tensor<1x1x2xi8>
// CHECK-DAG: %[[HIGH:.+]] = arith.constant 6.300000e+01 : f32
// CHECK-NOT: arith.xori
// CHECK: %[[BYTES:.+]] = quant.scast %[[Q]]
// CHECK: %[[ACC:.+]] = linalg.depthwise_conv_2d_nhwc_hwc {{.*}}strides = dense<2> {{.*}}ins(%[[BYTES]], %[[W]] :
// CHECK: linalg.generic {{.*}} ins(%[[ACC]], %{{.+}}, %{{.+}} : tensor<1x1x1x2xi32>, tensor<2xf32>, tensor<2xf32>)
// CHECK-NOT: arith.addi
// CHECK: arith.minimumf %{{.+}}, %[[HIGH]]
func.func @seven_bits(%q: tensor<1x2x2x2x!quant.uniform<u8<0:127>:f32, 0.5:3>>) -> tensor<1x1x1x2x!quant.uniform<u8<0:63>:f32, 0.25>> {
  %w = arith.constant dense<[[[0.5, -1.0]]]> : tensor<1x1x2xf32>
  %zero = arith.constant 0.0 : f32
  %d = quant.dcast %q : tensor<1x2x2x2x!quant.uniform<u8<0:127>:f32, 0.5:3>> to tensor<1x2x2x2xf32>
  %qw = quant.qcast %w : tensor<1x1x2xf32> to tensor<1x1x2x!quant.uniform<i8<-7:7>:f32:2, {0.25,0.25}>>
  %dw = quant.dcast %qw : tensor<1x1x2x!quant.uniform<i8<-7:7>:f32:2, {0.25,0.25}>> to tensor<1x1x2xf32>
  %e = tensor.empty() : tensor<1x1x1x2xf32>
  %start = linalg.fill ins(%zero : f32) outs(%e : tensor<1x1x1x2xf32>) -> tensor<1x1x1x2xf32>
  %0 = linalg.depthwise_conv_2d_nhwc_hwc {quantune.layer = "dw", quantune.precision = "integer", strides = dense<2> : tensor<2xi64>}
      ins(%d, %dw : tensor<1x2x2x2xf32>, tensor<1x1x2xf32>) outs(%start : tensor<1x1x1x2xf32>) -> tensor<1x1x1x2xf32>
  %1 = quant.qcast %0 : tensor<1x1x1x2xf32> to tensor<1x1x1x2x!quant.uniform<u8<0:63>:f32, 0.25>>
  return %1 : tensor<1x1x1x2x!quant.uniform<u8<0:63>:f32, 0.25>>
}

// -----

// Nothing reads the result as integers: the epilogue delivers f32, m = s_x s_w = 0.125, without rounding; ReLU6 clips in f32.

#map = affine_map<(d0, d1) -> (d0, d1)>
#unary = {indexing_maps = [#map, #map], iterator_types = ["parallel", "parallel"]}

// CHECK: // lower-to-integer: {"lowered": {"linalg.matmul": 1}}
// CHECK-LABEL: func.func @f32_output
// CHECK: %[[M:.+]] = arith.constant dense<[1.250000e-01, 2.500000e-01]> : tensor<2xf32>
// CHECK: linalg.matmul ins({{.*}} : tensor<1x2xi8>, tensor<2x2xi8>) outs({{.*}} : tensor<1x2xi32>)
// CHECK: %[[OUT:.+]] = linalg.generic {{.*}} outs({{.*}} : tensor<1x2xf32>)
// CHECK: math.fma
// CHECK-NOT: math.roundeven
// CHECK: arith.maximumf
// CHECK: arith.minimumf
// CHECK-NOT: arith.fptosi
// CHECK: return %[[OUT]]
func.func @f32_output(%q: tensor<1x2x!quant.uniform<u8:f32, 0.5:3>>) -> tensor<1x2xf32> {
  %w = arith.constant dense<[[0.5, 1.5], [0.25, 1.0]]> : tensor<2x2xf32>
  %zero = arith.constant 0.0 : f32
  %six = arith.constant 6.0 : f32
  %d = quant.dcast %q : tensor<1x2x!quant.uniform<u8:f32, 0.5:3>> to tensor<1x2xf32>
  %qw = quant.qcast %w : tensor<2x2xf32> to tensor<2x2x!quant.uniform<i8<-127:127>:f32:1, {0.25,0.5}>>
  %dw = quant.dcast %qw : tensor<2x2x!quant.uniform<i8<-127:127>:f32:1, {0.25,0.5}>> to tensor<2x2xf32>
  %e = tensor.empty() : tensor<1x2xf32>
  %start = linalg.fill ins(%zero : f32) outs(%e : tensor<1x2xf32>) -> tensor<1x2xf32>
  %0 = linalg.matmul {quantune.layer = "fc", quantune.precision = "integer"} ins(%d, %dw : tensor<1x2xf32>, tensor<2x2xf32>) outs(%start : tensor<1x2xf32>) -> tensor<1x2xf32>
  %1 = linalg.generic #unary ins(%0 : tensor<1x2xf32>) outs(%e : tensor<1x2xf32>) attrs = {quantune.layer = "fc", quantune.precision = "integer"} {
  ^bb0(%a: f32, %o: f32):
    %m = arith.maximumf %a, %zero : f32
    %r = arith.minimumf %m, %six : f32
    linalg.yield %r : f32
  } -> tensor<1x2xf32>
  return %1 : tensor<1x2xf32>
}

// -----

// Residuals. The first matmul adds an integer value (m_r = 0.5 / 0.25 = 2), the second an f32 one (m_r = 1 / 0.25 = 4).

#map = affine_map<(d0, d1) -> (d0, d1)>
#binary = {indexing_maps = [#map, #map, #map], iterator_types = ["parallel", "parallel"]}

// CHECK: // lower-to-integer: {"lowered": {"linalg.matmul": 2}}
// CHECK-LABEL: func.func @residuals
// CHECK-SAME: (%[[Q:.+]]: tensor<1x1x!quant{{.*}}, %[[REAL:.+]]: tensor<1x1xf32>)
// CHECK-DAG: %[[TWO:.+]] = arith.constant 2.000000e+00 : f32
// CHECK-DAG: %[[FOUR:.+]] = arith.constant 4.000000e+00 : f32
// CHECK: %[[BYTES:.+]] = quant.scast %[[Q]]
// CHECK: linalg.generic {{.*}} ins(%{{.+}}, %[[BYTES]] : {{.*}} tensor<1x1xi8>)
// CHECK: %[[V:.+]] = math.fma
// CHECK: %[[R:.+]] = arith.uitofp
// CHECK: math.fma %[[R]], %[[TWO]], %[[V]]
// CHECK: linalg.generic {{.*}} ins(%{{.+}}, %[[REAL]] : {{.*}} tensor<1x1xf32>)
// CHECK: ^bb0({{.*}}, %[[IN:.+]]: f32, %{{.+}}: i8):
// CHECK: %[[U:.+]] = math.fma
// CHECK: math.fma %[[IN]], %[[FOUR]], %[[U]]
func.func @residuals(%q: tensor<1x1x!quant.uniform<u8:f32, 0.5:3>>, %real: tensor<1x1xf32>)
    -> (tensor<1x1x!quant.uniform<u8:f32, 0.25>>, tensor<1x1x!quant.uniform<u8:f32, 0.25>>) {
  %w = arith.constant dense<0.5> : tensor<1x1xf32>
  %zero = arith.constant 0.0 : f32
  %d = quant.dcast %q : tensor<1x1x!quant.uniform<u8:f32, 0.5:3>> to tensor<1x1xf32>
  %qw = quant.qcast %w : tensor<1x1xf32> to tensor<1x1x!quant.uniform<i8<-127:127>:f32:1, {0.25}>>
  %dw = quant.dcast %qw : tensor<1x1x!quant.uniform<i8<-127:127>:f32:1, {0.25}>> to tensor<1x1xf32>
  %e = tensor.empty() : tensor<1x1xf32>
  %start = linalg.fill ins(%zero : f32) outs(%e : tensor<1x1xf32>) -> tensor<1x1xf32>
  %0 = linalg.matmul {quantune.layer = "a", quantune.precision = "integer"} ins(%d, %dw : tensor<1x1xf32>, tensor<1x1xf32>) outs(%start : tensor<1x1xf32>) -> tensor<1x1xf32>
  %1 = linalg.generic #binary ins(%0, %d : tensor<1x1xf32>, tensor<1x1xf32>) outs(%e : tensor<1x1xf32>) attrs = {quantune.layer = "a", quantune.precision = "integer"} {
  ^bb0(%a: f32, %b: f32, %o: f32):
    %r = arith.addf %a, %b : f32
    linalg.yield %r : f32
  } -> tensor<1x1xf32>
  %2 = quant.qcast %1 : tensor<1x1xf32> to tensor<1x1x!quant.uniform<u8:f32, 0.25>>
  %3 = linalg.matmul {quantune.layer = "b", quantune.precision = "integer"} ins(%d, %dw : tensor<1x1xf32>, tensor<1x1xf32>) outs(%start : tensor<1x1xf32>) -> tensor<1x1xf32>
  %4 = linalg.generic #binary ins(%real, %3 : tensor<1x1xf32>, tensor<1x1xf32>) outs(%e : tensor<1x1xf32>) attrs = {quantune.layer = "b", quantune.precision = "integer"} {
  ^bb0(%a: f32, %b: f32, %o: f32):
    %r = arith.addf %a, %b : f32
    linalg.yield %r : f32
  } -> tensor<1x1xf32>
  %5 = quant.qcast %4 : tensor<1x1xf32> to tensor<1x1x!quant.uniform<u8:f32, 0.25>>
  return %2, %5 : tensor<1x1x!quant.uniform<u8:f32, 0.25>>, tensor<1x1x!quant.uniform<u8:f32, 0.25>>
}

// -----

// Averages sum in i32. Over 2x2 windows m = 0.5 / (0.25 * 4) = 0.5 and b = -m * 4 * 3 = -6; over the whole 4x4 image the same
// values by 16: m = 0.125, b = -6.

#map = affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3)>
#point = affine_map<(d0, d1, d2, d3) -> (d0, 0, 0, d3)>
#unary = {indexing_maps = [#map, #map], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
#sum = {indexing_maps = [#map, #point], iterator_types = ["parallel", "reduction", "reduction", "parallel"]}

// CHECK: // lower-to-integer: {"lowered": {"linalg.pooling_nhwc_sum": 1, "linalg.generic": 1}}
// CHECK-LABEL: func.func @averages
// CHECK-DAG: %[[HALF:.+]] = arith.constant dense<5.000000e-01> : tensor<1xf32>
// CHECK-DAG: %[[EIGHTH:.+]] = arith.constant dense<1.250000e-01> : tensor<1xf32>
// CHECK-DAG: %[[OFFSET:.+]] = arith.constant dense<-6.000000e+00> : tensor<1xf32>
// CHECK: arith.extui %{{.+}} : i8 to i32
// CHECK: %[[SUM:.+]] = linalg.pooling_nhwc_sum {{.*}}strides = dense<2> {{.*}} -> tensor<1x2x2x1xi32>
// CHECK: linalg.generic {{.*}} ins(%[[SUM]], %[[HALF]], %[[OFFSET]] :
// CHECK: %[[ALL:.+]] = linalg.generic {{.*}} iterator_types = ["parallel", "reduction", "reduction", "parallel"]
// CHECK: arith.addi
// CHECK: linalg.generic {{.*}} ins(%[[ALL]], %[[EIGHTH]], %[[OFFSET]] :
func.func @averages(%q: tensor<1x4x4x1x!quant.uniform<u8:f32, 0.5:3>>)
    -> (tensor<1x2x2x1x!quant.uniform<u8:f32, 0.25>>, tensor<1x1x1x1x!quant.uniform<u8:f32, 0.25>>) {
  %zero = arith.constant 0.0 : f32
  %four = arith.constant 4.0 : f32
  %sixteen = arith.constant 16.0 : f32
  %d = quant.dcast %q : tensor<1x4x4x1x!quant.uniform<u8:f32, 0.5:3>> to tensor<1x4x4x1xf32>
  %window = tensor.empty() : tensor<2x2xf32>
  %e = tensor.empty() : tensor<1x2x2x1xf32>
  %start = linalg.fill ins(%zero : f32) outs(%e : tensor<1x2x2x1xf32>) -> tensor<1x2x2x1xf32>
  %0 = linalg.pooling_nhwc_sum {quantune.layer = "pool", quantune.precision = "integer", strides = dense<2> : tensor<2xi64>}
      ins(%d, %window : tensor<1x4x4x1xf32>, tensor<2x2xf32>) outs(%start : tensor<1x2x2x1xf32>) -> tensor<1x2x2x1xf32>
  %1 = linalg.generic #unary ins(%0 : tensor<1x2x2x1xf32>) outs(%e : tensor<1x2x2x1xf32>) attrs = {quantune.layer = "pool", quantune.precision = "integer"} {
  ^bb0(%a: f32, %o: f32):
    %r = arith.divf %a, %four : f32
    linalg.yield %r : f32
  } -> tensor<1x2x2x1xf32>
  %2 = quant.qcast %1 : tensor<1x2x2x1xf32> to tensor<1x2x2x1x!quant.uniform<u8:f32, 0.25>>
  %e1 = tensor.empty() : tensor<1x1x1x1xf32>
  %s1 = linalg.fill ins(%zero : f32) outs(%e1 : tensor<1x1x1x1xf32>) -> tensor<1x1x1x1xf32>
  %3 = linalg.generic #sum ins(%d : tensor<1x4x4x1xf32>) outs(%s1 : tensor<1x1x1x1xf32>) attrs = {quantune.layer = "mean", quantune.precision = "integer"} {
  ^bb0(%a: f32, %o: f32):
    %r = arith.addf %a, %o : f32
    linalg.yield %r : f32
  } -> tensor<1x1x1x1xf32>
  %4 = linalg.generic #unary ins(%3 : tensor<1x1x1x1xf32>) outs(%e1 : tensor<1x1x1x1xf32>) attrs = {quantune.layer = "mean", quantune.precision = "integer"} {
  ^bb0(%a: f32, %o: f32):
    %r = arith.divf %a, %sixteen : f32
    linalg.yield %r : f32
  } -> tensor<1x1x1x1xf32>
  %5 = quant.qcast %4 : tensor<1x1x1x1xf32> to tensor<1x1x1x1x!quant.uniform<u8:f32, 0.25>>
  return %2, %5 : tensor<1x2x2x1x!quant.uniform<u8:f32, 0.25>>, tensor<1x1x1x1x!quant.uniform<u8:f32, 0.25>>
}

// -----

// An addition of its own: fma(b, m_b, fma(a, m_a, offset)), m_a = 2, m_b = 1, offset = -2 * 3 - 1 * 4 = -10.

#map = affine_map<(d0, d1) -> (d0, d1)>
#binary = {indexing_maps = [#map, #map, #map], iterator_types = ["parallel", "parallel"]}

// CHECK: // lower-to-integer: {"lowered": {"linalg.generic": 1}}
// CHECK-LABEL: func.func @add
// CHECK-DAG: %[[MA:.+]] = arith.constant dense<2.000000e+00>
// CHECK-DAG: %[[OFFSET:.+]] = arith.constant dense<-1.000000e+01>
// CHECK-DAG: %[[MB:.+]] = arith.constant 1.000000e+00 : f32
// CHECK: math.fma
// CHECK: math.fma %{{.+}}, %[[MB]], %{{.+}}
func.func @add(%p: tensor<1x2x!quant.uniform<u8:f32, 0.5:3>>, %q: tensor<1x2x!quant.uniform<u8:f32, 0.25:4>>) -> tensor<1x2x!quant.uniform<u8:f32, 0.25>> {
  %a = quant.dcast %p : tensor<1x2x!quant.uniform<u8:f32, 0.5:3>> to tensor<1x2xf32>
  %b = quant.dcast %q : tensor<1x2x!quant.uniform<u8:f32, 0.25:4>> to tensor<1x2xf32>
  %e = tensor.empty() : tensor<1x2xf32>
  %0 = linalg.generic #binary ins(%a, %b : tensor<1x2xf32>, tensor<1x2xf32>) outs(%e : tensor<1x2xf32>) attrs = {quantune.layer = "add", quantune.precision = "integer"} {
  ^bb0(%x: f32, %y: f32, %o: f32):
    %r = arith.addf %x, %y : f32
    linalg.yield %r : f32
  } -> tensor<1x2xf32>
  %1 = quant.qcast %0 : tensor<1x2xf32> to tensor<1x2x!quant.uniform<u8:f32, 0.25>>
  return %1 : tensor<1x2x!quant.uniform<u8:f32, 0.25>>
}

// -----

// Left alone: float layers, and what propagate-qdq has moved to storage.

// CHECK: // lower-to-integer: {"lowered": {}}
// CHECK-LABEL: func.func @left_alone
// CHECK: linalg.matmul {{.*}} -> tensor<1x1xf32>
// CHECK: tensor.pad {{.*}}
// CHECK: : tensor<1x1xi8> to tensor<1x2xi8>
func.func @left_alone(%x: tensor<1x1xf32>, %bytes: tensor<1x1xi8>) -> (tensor<1x1xf32>, tensor<1x2xi8>) {
  %w = arith.constant dense<0.5> : tensor<1x1xf32>
  %zero = arith.constant 0.0 : f32
  %three = arith.constant 3 : i8
  %e = tensor.empty() : tensor<1x1xf32>
  %start = linalg.fill ins(%zero : f32) outs(%e : tensor<1x1xf32>) -> tensor<1x1xf32>
  %0 = linalg.matmul {quantune.layer = "fc", quantune.precision = "float"} ins(%x, %w : tensor<1x1xf32>, tensor<1x1xf32>) outs(%start : tensor<1x1xf32>) -> tensor<1x1xf32>
  %1 = tensor.pad %bytes low[0, 1] high[0, 0] {
  ^bb0(%i: index, %j: index):
    tensor.yield %three : i8
  } {quantune.layer = "pad", quantune.precision = "integer"} : tensor<1x1xi8> to tensor<1x2xi8>
  return %0, %1 : tensor<1x1xf32>, tensor<1x2xi8>
}
