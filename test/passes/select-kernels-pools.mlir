// RUN: quantune-opt %s --split-input-file --pass-pipeline='select-kernels{target=x86-64-avx2}' --report=- --mlir-elide=8 | filecheck %s
// RUN: quantune-opt %s --split-input-file --pass-pipeline=select-kernels --report=- | filecheck %s --check-prefix=NO-KERNELS

// Behind a ReLU nothing is negative: padding with 0 gives the same maximum as with -inf, and the convolution writes it as a frame.
// Not where a window meets nothing but padding: its maximum is -inf.

#map = affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3)>

// CHECK: // select-kernels: {"choices": {"conv": "kernel fconv for avx2", "pool": "kernel fmaxpool for avx2", "corner": "kernel fmaxpool for avx2"}, "kernels": 3
// CHECK-LABEL: func.func @positive
// CHECK: %[[FRAMED:.+]] = flow.dispatch @quantune_kernels::@conv$fconv_avx2(%arg0, {{.*}} -> tensor<1x6x6x2xf32>
// CHECK-NOT: tensor.pad
// CHECK: flow.dispatch @quantune_kernels::@pool$fmaxpool_avx2(%[[FRAMED]], {{.*}} -> tensor<1x2x2x2xf32>
// CHECK: %[[PADDED:.+]] = tensor.pad
// CHECK: flow.dispatch @quantune_kernels::@corner$fmaxpool_avx2(%[[PADDED]], {{.*}} -> tensor<1x6x6x2xf32>

// NO-KERNELS: "conv": "generated code: no f32 kernel for this target", "pool": "generated code: no kernel for this target", "corner": "generated code: no kernel for this target"
// NO-KERNELS-LABEL: func.func @positive
// NO-KERNELS: tensor.pad
// NO-KERNELS: linalg.pooling_nhwc_max
func.func @positive(%x: tensor<1x4x4x3xf32>) -> (tensor<1x2x2x2xf32>, tensor<1x6x6x2xf32>) {
  %w = arith.constant dense<1.0> : tensor<1x1x3x2xf32>
  %zero = arith.constant 0.0 : f32
  %least = arith.constant 0xFF800000 : f32
  %e = tensor.empty() : tensor<1x4x4x2xf32>
  %start = linalg.fill ins(%zero : f32) outs(%e : tensor<1x4x4x2xf32>) -> tensor<1x4x4x2xf32>
  %0 = linalg.conv_2d_nhwc_hwcf {quantune.layer = "conv"} ins(%x, %w : tensor<1x4x4x3xf32>, tensor<1x1x3x2xf32>) outs(%start : tensor<1x4x4x2xf32>) -> tensor<1x4x4x2xf32>
  %1 = linalg.generic {indexing_maps = [#map, #map], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%0 : tensor<1x4x4x2xf32>) outs(%e : tensor<1x4x4x2xf32>) attrs = {quantune.layer = "conv"} {
  ^bb0(%a: f32, %o: f32):
    %p = arith.cmpf ugt, %a, %zero : f32
    %r = arith.select %p, %a, %zero : f32
    linalg.yield %r : f32
  } -> tensor<1x4x4x2xf32>
  %2 = tensor.pad %1 low[0, 1, 1, 0] high[0, 1, 1, 0] {
  ^bb0(%i: index, %j: index, %k: index, %l: index):
    tensor.yield %least : f32
  } {quantune.layer = "pool"} : tensor<1x4x4x2xf32> to tensor<1x6x6x2xf32>
  %small = tensor.empty() : tensor<1x2x2x2xf32>
  %begin = linalg.fill ins(%least : f32) outs(%small : tensor<1x2x2x2xf32>) -> tensor<1x2x2x2xf32>
  %window = tensor.empty() : tensor<3x3xf32>
  %3 = linalg.pooling_nhwc_max {quantune.layer = "pool", strides = dense<2> : tensor<2xi64>} ins(%2, %window : tensor<1x6x6x2xf32>, tensor<3x3xf32>) outs(%begin : tensor<1x2x2x2xf32>) -> tensor<1x2x2x2xf32>
  %4 = tensor.pad %1 low[0, 1, 1, 0] high[0, 1, 1, 0] {
  ^bb0(%i: index, %j: index, %k: index, %l: index):
    tensor.yield %least : f32
  } {quantune.layer = "corner"} : tensor<1x4x4x2xf32> to tensor<1x6x6x2xf32>
  %large = tensor.empty() : tensor<1x6x6x2xf32>
  %first = linalg.fill ins(%least : f32) outs(%large : tensor<1x6x6x2xf32>) -> tensor<1x6x6x2xf32>
  %one = tensor.empty() : tensor<1x1xf32>
  %5 = linalg.pooling_nhwc_max {quantune.layer = "corner"} ins(%4, %one : tensor<1x6x6x2xf32>, tensor<1x1xf32>) outs(%first : tensor<1x6x6x2xf32>) -> tensor<1x6x6x2xf32>
  return %3, %5 : tensor<1x2x2x2xf32>, tensor<1x6x6x2xf32>
}

// -----

// What may be negative keeps its padding of -inf. A maximum that starts elsewhere is left to generated code.

// CHECK: "any": "kernel fmaxpool for avx2", "started": "generated code: its maximum does not start from -inf"
// CHECK-LABEL: func.func @left_alone
// CHECK: %[[PADDED:.+]] = tensor.pad %arg0
// CHECK: tensor.yield %{{.+}} : f32
// CHECK: flow.dispatch @quantune_kernels::@any$fmaxpool_avx2(%[[PADDED]],
// CHECK: linalg.pooling_nhwc_max
func.func @left_alone(%x: tensor<1x4x4x2xf32>) -> (tensor<1x2x2x2xf32>, tensor<1x2x2x2xf32>) {
  %zero = arith.constant 0.0 : f32
  %least = arith.constant 0xFF800000 : f32
  %0 = tensor.pad %x low[0, 1, 1, 0] high[0, 1, 1, 0] {
  ^bb0(%i: index, %j: index, %k: index, %l: index):
    tensor.yield %least : f32
  } {quantune.layer = "any"} : tensor<1x4x4x2xf32> to tensor<1x6x6x2xf32>
  %e = tensor.empty() : tensor<1x2x2x2xf32>
  %begin = linalg.fill ins(%least : f32) outs(%e : tensor<1x2x2x2xf32>) -> tensor<1x2x2x2xf32>
  %window = tensor.empty() : tensor<3x3xf32>
  %1 = linalg.pooling_nhwc_max {quantune.layer = "any", strides = dense<2> : tensor<2xi64>} ins(%0, %window : tensor<1x6x6x2xf32>, tensor<3x3xf32>) outs(%begin : tensor<1x2x2x2xf32>) -> tensor<1x2x2x2xf32>
  %start = linalg.fill ins(%zero : f32) outs(%e : tensor<1x2x2x2xf32>) -> tensor<1x2x2x2xf32>
  %two = tensor.empty() : tensor<2x2xf32>
  %2 = linalg.pooling_nhwc_max {quantune.layer = "started", strides = dense<2> : tensor<2xi64>} ins(%x, %two : tensor<1x4x4x2xf32>, tensor<2x2xf32>) outs(%start : tensor<1x2x2x2xf32>) -> tensor<1x2x2x2xf32>
  return %1, %2 : tensor<1x2x2x2xf32>, tensor<1x2x2x2xf32>
}
