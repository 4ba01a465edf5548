// RUN: quantune-opt %s --split-input-file --pass-pipeline=join-groups --report=- | filecheck %s
// RUN: quantune-opt %s --split-input-file --pass-pipeline=join-groups,fold-batch-norm,channels-last,name-layers | filecheck %s --check-prefix=LAYER

// Two groups of two channels and four filters, in torch's layout: one operation on the image. The second output's group begins at
// channel 2. A bias that the sums start from, and what follows per channel, are folded as for any convolution.

#map = affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3)>
#channel = affine_map<(d0, d1, d2, d3) -> (d1)>
#scaled = {indexing_maps = [#map, #channel, #map], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}

// CHECK: // join-groups: {"joined": 1}
// CHECK: #[[IMAGE:.+]] = affine_map<(d0, d1, d2, d3, d4, d5, d6) -> (d0, (d3 floordiv 4) * 2 + d6, d1 * 2 + d4, d2 + d5)>
// CHECK-LABEL: func.func @joined
// CHECK-SAME: (%[[X:.+]]: tensor<1x4x5x4xf32>)
// CHECK-NOT: tensor.expand_shape
// CHECK: %[[SUMS:.+]] = linalg.generic {indexing_maps = [#[[IMAGE]], {{.*}} ins(%[[X]], %{{.+}} : tensor<1x4x5x4xf32>, tensor<8x2x1x1xf32>) outs({{.*}}tensor<1x8x3x4xf32>) attrs = {{.*}}quantune.groups = 2
// CHECK-NOT: tensor.collapse_shape
// CHECK: linalg.generic {{.*}} ins(%[[SUMS]],
// LAYER: affine_map<(d0, d1, d2, d3, d4, d5, d6) -> (d0, d1 * 2 + d4, d2 + d5, (d3 floordiv 4) * 2 + d6)>
// LAYER-LABEL: func.func @joined
// LAYER-DAG: %[[W:.+]] = arith.constant dense<1.500000e+00> : tensor<1x1x2x8xf32>
// LAYER-DAG: %[[B:.+]] = arith.constant dense<{{.*}}> : tensor<8xf32>
// LAYER: %[[SUMS:.+]] = linalg.generic {{.*}} ins(%{{.+}}, %[[W]] : tensor<1x5x4x4xf32>, tensor<1x1x2x8xf32>) outs({{.*}}tensor<1x3x4x8xf32>) attrs = {{.*}}quantune.groups = 2 : i64, quantune.layer = "conv2d"
// LAYER: linalg.generic {{.*}} ins(%[[SUMS]], %[[B]] {{.*}}quantune.layer = "conv2d"
func.func @joined(%x: tensor<1x4x5x4xf32>) -> tensor<1x8x3x4xf32> {
  %w = arith.constant dense<0.5> : tensor<2x4x2x1x1xf32>
  %bias = arith.constant dense<[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]> : tensor<8xf32>
  %three = arith.constant dense<3.0> : tensor<8xf32>
  %e = tensor.empty() : tensor<1x8x3x4xf32>
  %start = linalg.broadcast ins(%bias : tensor<8xf32>) outs(%e : tensor<1x8x3x4xf32>) dimensions = [0, 2, 3]
  %apart = tensor.expand_shape %x [[0], [1, 2], [3], [4]] output_shape [1, 2, 2, 5, 4] : tensor<1x4x5x4xf32> into tensor<1x2x2x5x4xf32>
  %sums = tensor.expand_shape %start [[0], [1, 2], [3], [4]] output_shape [1, 2, 4, 3, 4] : tensor<1x8x3x4xf32> into tensor<1x2x4x3x4xf32>
  %0 = linalg.conv_2d_ngchw_gfchw {strides = dense<[2, 1]> : tensor<2xi64>}
      ins(%apart, %w : tensor<1x2x2x5x4xf32>, tensor<2x4x2x1x1xf32>) outs(%sums : tensor<1x2x4x3x4xf32>) -> tensor<1x2x4x3x4xf32>
  %1 = tensor.collapse_shape %0 [[0], [1, 2], [3], [4]] : tensor<1x2x4x3x4xf32> into tensor<1x8x3x4xf32>
  %2 = linalg.generic #scaled ins(%1, %three : tensor<1x8x3x4xf32>, tensor<8xf32>) outs(%e : tensor<1x8x3x4xf32>) {
  ^bb0(%a: f32, %b: f32, %o: f32):
    %r = arith.mulf %a, %b : f32
    linalg.yield %r : f32
  } -> tensor<1x8x3x4xf32>
  return %2 : tensor<1x8x3x4xf32>
}

// -----

// The reshapes have merged: with those of the next convolution of as many groups, and with a flattening.

// CHECK: // join-groups: {"joined": 2}
// CHECK-LABEL: func.func @merged
// CHECK-NOT: tensor.expand_shape
// CHECK: %[[FIRST:.+]] = linalg.generic {{.*}} outs({{.*}}tensor<1x4x1x1xf32>) attrs = {{.*}}quantune.groups = 2
// CHECK-NOT: tensor.expand_shape
// CHECK: %[[SECOND:.+]] = linalg.generic {{.*}} ins(%[[FIRST]], {{.*}} outs({{.*}}tensor<1x8x1x1xf32>) attrs = {{.*}}quantune.groups = 2
// CHECK: tensor.collapse_shape %[[SECOND]] {{.*}} into tensor<1x8xf32>
// LAYER-LABEL: func.func @merged
func.func @merged(%x: tensor<1x4x1x1xf32>) -> tensor<1x8xf32> {
  %w = arith.constant dense<0.5> : tensor<2x2x2x1x1xf32>
  %v = arith.constant dense<0.25> : tensor<2x4x2x1x1xf32>
  %zero = arith.constant 0.0 : f32
  %e = tensor.empty() : tensor<1x2x2x1x1xf32>
  %f = tensor.empty() : tensor<1x2x4x1x1xf32>
  %four = linalg.fill ins(%zero : f32) outs(%e : tensor<1x2x2x1x1xf32>) -> tensor<1x2x2x1x1xf32>
  %eight = linalg.fill ins(%zero : f32) outs(%f : tensor<1x2x4x1x1xf32>) -> tensor<1x2x4x1x1xf32>
  %apart = tensor.expand_shape %x [[0], [1, 2], [3], [4]] output_shape [1, 2, 2, 1, 1] : tensor<1x4x1x1xf32> into tensor<1x2x2x1x1xf32>
  %0 = linalg.conv_2d_ngchw_gfchw ins(%apart, %w : tensor<1x2x2x1x1xf32>, tensor<2x2x2x1x1xf32>) outs(%four : tensor<1x2x2x1x1xf32>) -> tensor<1x2x2x1x1xf32>
  %1 = linalg.conv_2d_ngchw_gfchw ins(%0, %v : tensor<1x2x2x1x1xf32>, tensor<2x4x2x1x1xf32>) outs(%eight : tensor<1x2x4x1x1xf32>) -> tensor<1x2x4x1x1xf32>
  %2 = tensor.collapse_shape %1 [[0], [1, 2, 3, 4]] : tensor<1x2x4x1x1xf32> into tensor<1x8xf32>
  return %2 : tensor<1x8xf32>
}

// -----

// Left alone: weights that are not constant.

// CHECK: // join-groups: {"joined": 0}
// CHECK-LABEL: func.func @left_alone
// CHECK: linalg.conv_2d_ngchw_gfchw
// LAYER-LABEL: func.func @left_alone
func.func @left_alone(%x: tensor<1x4x5x4xf32>, %w: tensor<2x4x2x1x1xf32>) -> tensor<1x8x5x4xf32> {
  %zero = arith.constant 0.0 : f32
  %e = tensor.empty() : tensor<1x2x4x5x4xf32>
  %start = linalg.fill ins(%zero : f32) outs(%e : tensor<1x2x4x5x4xf32>) -> tensor<1x2x4x5x4xf32>
  %apart = tensor.expand_shape %x [[0], [1, 2], [3], [4]] output_shape [1, 2, 2, 5, 4] : tensor<1x4x5x4xf32> into tensor<1x2x2x5x4xf32>
  %0 = linalg.conv_2d_ngchw_gfchw ins(%apart, %w : tensor<1x2x2x5x4xf32>, tensor<2x4x2x1x1xf32>) outs(%start : tensor<1x2x4x5x4xf32>) -> tensor<1x2x4x5x4xf32>
  %1 = tensor.collapse_shape %0 [[0], [1, 2], [3], [4]] : tensor<1x2x4x5x4xf32> into tensor<1x8x5x4xf32>
  return %1 : tensor<1x8x5x4xf32>
}
