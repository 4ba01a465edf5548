// RUN: quantune-opt %s --split-input-file --pass-pipeline=convert-conv-to-matmul --report=- | filecheck %s

// 3x3: every output pixel's window is gathered, then one matmul. The weights' rows follow the window: height, width, channel.

// CHECK: #[[WINDOW:.+]] = affine_map<(d0, d1, d2, d3, d4, d5) -> (d0, d1 + d3, d2 + d4, d5)>
// CHECK-LABEL: func.func @three_by_three
// CHECK-SAME: (%[[X:.+]]: tensor<1x4x5x2xi8>)
// CHECK: %[[W:.+]] = arith.constant dense<{{.*}}> : tensor<18x1xi8>
// CHECK-NOT: linalg.conv
// CHECK: %[[COLUMNS:.+]] = linalg.generic {indexing_maps = [#[[WINDOW]], #{{.+}}], iterator_types = ["parallel", "parallel", "parallel", "parallel", "parallel", "parallel"]}
// CHECK-SAME: ins(%[[X]] : tensor<1x4x5x2xi8>) outs(%{{.+}} : tensor<1x2x3x3x3x2xi8>)
// CHECK: %[[FLAT:.+]] = tensor.collapse_shape %[[COLUMNS]] {{\[\[}}0, 1, 2], [3, 4, 5]] : {{.*}} into tensor<6x18xi8>
// CHECK: %[[DOT:.+]] = linalg.matmul ins(%[[FLAT]], %[[W]] : tensor<6x18xi8>, tensor<18x1xi8>) outs(%{{.+}} : tensor<6x1xi32>)
// CHECK: %[[OUT:.+]] = tensor.expand_shape %[[DOT]] {{.*}} : tensor<6x1xi32> into tensor<1x2x3x1xi32>
// CHECK: return %[[OUT]]
func.func @three_by_three(%x: tensor<1x4x5x2xi8>) -> tensor<1x2x3x1xi32> {
  %w = arith.constant dense<[[[[1], [2]], [[3], [4]], [[5], [6]]], [[[7], [8]], [[9], [10]], [[11], [12]]], [[[13], [14]], [[15], [16]], [[17], [18]]]]> : tensor<3x3x2x1xi8>
  %zero = arith.constant 0 : i32
  %e = tensor.empty() : tensor<1x2x3x1xi32>
  %start = linalg.fill ins(%zero : i32) outs(%e : tensor<1x2x3x1xi32>) -> tensor<1x2x3x1xi32>
  %0 = linalg.conv_2d_nhwc_hwcf ins(%x, %w : tensor<1x4x5x2xi8>, tensor<3x3x2x1xi8>) outs(%start : tensor<1x2x3x1xi32>) -> tensor<1x2x3x1xi32>
  return %0 : tensor<1x2x3x1xi32>
}

// -----

// 1x1 with stride 1 needs no gathering.

// CHECK: // convert-conv-to-matmul: {"converted": 1}
// CHECK-LABEL: func.func @pointwise
// CHECK-SAME: (%[[X:.+]]: tensor<1x4x4x2xi8>)
// CHECK-NOT: linalg.generic
// CHECK: %[[FLAT:.+]] = tensor.collapse_shape %[[X]] {{.*}} : tensor<1x4x4x2xi8> into tensor<16x2xi8>
// CHECK: linalg.matmul ins(%[[FLAT]], %{{.+}} : tensor<16x2xi8>, tensor<2x3xi8>)
func.func @pointwise(%x: tensor<1x4x4x2xi8>) -> tensor<1x4x4x3xi32> {
  %w = arith.constant dense<1> : tensor<1x1x2x3xi8>
  %zero = arith.constant 0 : i32
  %e = tensor.empty() : tensor<1x4x4x3xi32>
  %start = linalg.fill ins(%zero : i32) outs(%e : tensor<1x4x4x3xi32>) -> tensor<1x4x4x3xi32>
  %0 = linalg.conv_2d_nhwc_hwcf ins(%x, %w : tensor<1x4x4x2xi8>, tensor<1x1x2x3xi8>) outs(%start : tensor<1x4x4x3xi32>) -> tensor<1x4x4x3xi32>
  return %0 : tensor<1x4x4x3xi32>
}

// -----

// 1x1 with stride 2 does.

// CHECK: affine_map<(d0, d1, d2, d3, d4, d5) -> (d0, d1 * 2 + d3, d2 * 2 + d4, d5)>
// CHECK-LABEL: func.func @strided_pointwise
// CHECK: linalg.generic {{.*}} outs(%{{.+}} : tensor<1x2x2x1x1x2xi8>)
// CHECK: linalg.matmul ins({{.*}} : tensor<4x2xi8>, tensor<2x3xi8>)
func.func @strided_pointwise(%x: tensor<1x4x4x2xi8>) -> tensor<1x2x2x3xi32> {
  %w = arith.constant dense<1> : tensor<1x1x2x3xi8>
  %zero = arith.constant 0 : i32
  %e = tensor.empty() : tensor<1x2x2x3xi32>
  %start = linalg.fill ins(%zero : i32) outs(%e : tensor<1x2x2x3xi32>) -> tensor<1x2x2x3xi32>
  %0 = linalg.conv_2d_nhwc_hwcf {strides = dense<2> : tensor<2xi64>} ins(%x, %w : tensor<1x4x4x2xi8>, tensor<1x1x2x3xi8>) outs(%start : tensor<1x2x2x3xi32>) -> tensor<1x2x2x3xi32>
  return %0 : tensor<1x2x2x3xi32>
}

// -----

// Strides and dilations, different in height and width.

// CHECK: affine_map<(d0, d1, d2, d3, d4, d5) -> (d0, d1 + d3 * 3, d2 * 2 + d4, d5)>
// CHECK-LABEL: func.func @dilated
// CHECK: linalg.generic {{.*}} outs(%{{.+}} : tensor<1x2x2x2x2x1xi8>)
// CHECK: linalg.matmul ins({{.*}} : tensor<4x4xi8>, tensor<4x1xi8>)
func.func @dilated(%x: tensor<1x5x4x1xi8>) -> tensor<1x2x2x1xi32> {
  %w = arith.constant dense<1> : tensor<2x2x1x1xi8>
  %zero = arith.constant 0 : i32
  %e = tensor.empty() : tensor<1x2x2x1xi32>
  %start = linalg.fill ins(%zero : i32) outs(%e : tensor<1x2x2x1xi32>) -> tensor<1x2x2x1xi32>
  %0 = linalg.conv_2d_nhwc_hwcf {strides = dense<[1, 2]> : tensor<2xi64>, dilations = dense<[3, 1]> : tensor<2xi64>}
      ins(%x, %w : tensor<1x5x4x1xi8>, tensor<2x2x1x1xi8>) outs(%start : tensor<1x2x2x1xi32>) -> tensor<1x2x2x1xi32>
  return %0 : tensor<1x2x2x1xi32>
}

// -----

// Float convolutions too.

// CHECK: // convert-conv-to-matmul: {"converted": 1}
// CHECK-LABEL: func.func @float
// CHECK: linalg.matmul ins({{.*}} : tensor<4x1xf32>, tensor<1x3xf32>)
func.func @float(%x: tensor<1x4x4x1xf32>) -> tensor<1x2x2x3xf32> {
  %w = arith.constant dense<1.0> : tensor<1x1x1x3xf32>
  %zero = arith.constant 0.0 : f32
  %e = tensor.empty() : tensor<1x2x2x3xf32>
  %s = linalg.fill ins(%zero : f32) outs(%e : tensor<1x2x2x3xf32>) -> tensor<1x2x2x3xf32>
  %0 = linalg.conv_2d_nhwc_hwcf {strides = dense<2> : tensor<2xi64>} ins(%x, %w : tensor<1x4x4x1xf32>, tensor<1x1x1x3xf32>) outs(%s : tensor<1x2x2x3xf32>) -> tensor<1x2x2x3xf32>
  return %0 : tensor<1x2x2x3xf32>
}

// -----

// Left alone: depthwise, weights that are not constant.

// CHECK: // convert-conv-to-matmul: {"converted": 0}
// CHECK-LABEL: func.func @left_alone
// CHECK: linalg.depthwise_conv_2d_nhwc_hwc
// CHECK: linalg.conv_2d_nhwc_hwcf {{.*}} -> tensor<1x2x2x1xi32>
func.func @left_alone(%q: tensor<1x2x2x1xi8>, %v: tensor<1x1x1x1xi8>) -> (tensor<1x2x2x1xi32>, tensor<1x2x2x1xi32>) {
  %u = arith.constant dense<1> : tensor<1x1x1xi8>
  %none = arith.constant 0 : i32
  %e1 = tensor.empty() : tensor<1x2x2x1xi32>
  %s1 = linalg.fill ins(%none : i32) outs(%e1 : tensor<1x2x2x1xi32>) -> tensor<1x2x2x1xi32>
  %1 = linalg.depthwise_conv_2d_nhwc_hwc ins(%q, %u : tensor<1x2x2x1xi8>, tensor<1x1x1xi8>) outs(%s1 : tensor<1x2x2x1xi32>) -> tensor<1x2x2x1xi32>
  %2 = linalg.conv_2d_nhwc_hwcf ins(%q, %v : tensor<1x2x2x1xi8>, tensor<1x1x1x1xi8>) outs(%s1 : tensor<1x2x2x1xi32>) -> tensor<1x2x2x1xi32>
  return %1, %2 : tensor<1x2x2x1xi32>, tensor<1x2x2x1xi32>
}
