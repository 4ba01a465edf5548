// RUN: quantune-opt %s --split-input-file --pass-pipeline='select-kernels{target=x86-64-avx2}' --report=- --mlir-elide=8 | filecheck %s

// A large convolution that only a maximum pool reads: one kernel for both, with working memory as its second result. The pool's padding
// needs no copy, and its own reader finds the border it wants.

// CHECK: // select-kernels: {"choices": {"conv": "kernel fconv for avx2, which pools for pool", "pool": "kernel fconv for avx2, that of conv", "next": "kernel fconv for avx2"}, "kernels": 3
// CHECK: call @quantune_fconv_pooled_avx2(
// CHECK-LABEL: func.func @pooled
// CHECK-SAME: (%[[X:.+]]: tensor<1x96x96x4xf32>)
// CHECK-NOT: tensor.pad
// CHECK: %[[BOTH:.+]]:2 = flow.dispatch @quantune_kernels::@conv$fconv_avx2(%[[X]], {{.*}} -> (tensor<1x50x50x16xf32>, tensor<[[MEMORY:[0-9]+]]xi8>)
// CHECK-NOT: linalg.
// CHECK: flow.dispatch @quantune_kernels::@next$fconv_avx2(%[[BOTH]]#0, {{.*}} -> tensor<1x48x48x2xf32>
func.func @pooled(%x: tensor<1x96x96x4xf32>) -> tensor<1x48x48x2xf32> {
  %w = arith.constant dense<1.0> : tensor<1x1x4x16xf32>
  %v = arith.constant dense<1.0> : tensor<3x3x16x2xf32>
  %zero = arith.constant 0.0 : f32
  %least = arith.constant 0xFF800000 : f32
  %e = tensor.empty() : tensor<1x96x96x16xf32>
  %start = linalg.fill ins(%zero : f32) outs(%e : tensor<1x96x96x16xf32>) -> tensor<1x96x96x16xf32>
  %0 = linalg.conv_2d_nhwc_hwcf {quantune.layer = "conv"} ins(%x, %w : tensor<1x96x96x4xf32>, tensor<1x1x4x16xf32>) outs(%start : tensor<1x96x96x16xf32>) -> tensor<1x96x96x16xf32>
  %1 = tensor.pad %0 low[0, 1, 1, 0] high[0, 1, 1, 0] {
  ^bb0(%i: index, %j: index, %k: index, %l: index):
    tensor.yield %least : f32
  } {quantune.layer = "pool"} : tensor<1x96x96x16xf32> to tensor<1x98x98x16xf32>
  %small = tensor.empty() : tensor<1x48x48x16xf32>
  %begin = linalg.fill ins(%least : f32) outs(%small : tensor<1x48x48x16xf32>) -> tensor<1x48x48x16xf32>
  %window = tensor.empty() : tensor<3x3xf32>
  %2 = linalg.pooling_nhwc_max {quantune.layer = "pool", strides = dense<2> : tensor<2xi64>} ins(%1, %window : tensor<1x98x98x16xf32>, tensor<3x3xf32>) outs(%begin : tensor<1x48x48x16xf32>) -> tensor<1x48x48x16xf32>
  %3 = tensor.pad %2 low[0, 1, 1, 0] high[0, 1, 1, 0] {
  ^bb0(%i: index, %j: index, %k: index, %l: index):
    tensor.yield %zero : f32
  } {quantune.layer = "next"} : tensor<1x48x48x16xf32> to tensor<1x50x50x16xf32>
  %last = tensor.empty() : tensor<1x48x48x2xf32>
  %from = linalg.fill ins(%zero : f32) outs(%last : tensor<1x48x48x2xf32>) -> tensor<1x48x48x2xf32>
  %4 = linalg.conv_2d_nhwc_hwcf {quantune.layer = "next"} ins(%3, %v : tensor<1x50x50x16xf32>, tensor<3x3x16x2xf32>) outs(%from : tensor<1x48x48x2xf32>) -> tensor<1x48x48x2xf32>
  return %4 : tensor<1x48x48x2xf32>
}

// -----

// What something else reads as well is written and read again.

// CHECK: "conv": "kernel fconv for avx2", "pool": "kernel fmaxpool for avx2"
// CHECK-LABEL: func.func @read_twice
// CHECK: flow.dispatch @quantune_kernels::@conv$fconv_avx2({{.*}} -> tensor<1x96x96x16xf32>
// CHECK: flow.dispatch @quantune_kernels::@pool$fmaxpool_avx2(
func.func @read_twice(%x: tensor<1x96x96x4xf32>) -> (tensor<1x96x96x16xf32>, tensor<1x48x48x16xf32>) {
  %w = arith.constant dense<1.0> : tensor<1x1x4x16xf32>
  %zero = arith.constant 0.0 : f32
  %least = arith.constant 0xFF800000 : f32
  %e = tensor.empty() : tensor<1x96x96x16xf32>
  %start = linalg.fill ins(%zero : f32) outs(%e : tensor<1x96x96x16xf32>) -> tensor<1x96x96x16xf32>
  %0 = linalg.conv_2d_nhwc_hwcf {quantune.layer = "conv"} ins(%x, %w : tensor<1x96x96x4xf32>, tensor<1x1x4x16xf32>) outs(%start : tensor<1x96x96x16xf32>) -> tensor<1x96x96x16xf32>
  %small = tensor.empty() : tensor<1x48x48x16xf32>
  %begin = linalg.fill ins(%least : f32) outs(%small : tensor<1x48x48x16xf32>) -> tensor<1x48x48x16xf32>
  %window = tensor.empty() : tensor<2x2xf32>
  %1 = linalg.pooling_nhwc_max {quantune.layer = "pool", strides = dense<2> : tensor<2xi64>} ins(%0, %window : tensor<1x96x96x16xf32>, tensor<2x2xf32>) outs(%begin : tensor<1x48x48x16xf32>) -> tensor<1x48x48x16xf32>
  return %0, %1 : tensor<1x96x96x16xf32>, tensor<1x48x48x16xf32>
}
