// RUN: quantune-opt %s --split-input-file --pass-pipeline=channels-last --report=- | filecheck %s

// A convolution with padding, strides and dilations; the signature stays NCHW.

// CHECK: // channels-last: {"converted": 2, "channels_first_left": []}
// CHECK-LABEL: func.func @convolution
// CHECK-SAME: (%[[X:.+]]: tensor<1x2x8x8xf32>) -> tensor<1x3x3x3xf32>
// CHECK-DAG: %[[W:.+]] = arith.constant dense<{{.+}}> : tensor<2x2x2x3xf32>
// CHECK-DAG: %[[ZERO:.+]] = arith.constant 0.000000e+00 : f32
// CHECK: %[[T:.+]] = linalg.transpose ins(%[[X]] : tensor<1x2x8x8xf32>) {{.*}} permutation = [0, 2, 3, 1]
// CHECK: %[[PAD:.+]] = tensor.pad %[[T]] low[0, 1, 0, 0] high[0, 0, 2, 0]
// CHECK: tensor.yield %[[ZERO]]
// CHECK: %[[START:.+]] = linalg.fill ins(%[[ZERO]] : f32) outs(%{{.+}} : tensor<1x3x3x3xf32>)
// CHECK: %[[CONV:.+]] = linalg.conv_2d_nhwc_hwcf
// CHECK-SAME: dilations = dense<[3, 4]>
// CHECK-SAME: strides = dense<2>
// CHECK-SAME: ins(%[[PAD]], %[[W]] : tensor<1x9x10x2xf32>, tensor<2x2x2x3xf32>)
// CHECK-SAME: outs(%[[START]] :
// CHECK: %[[BACK:.+]] = linalg.transpose ins(%[[CONV]] : tensor<1x3x3x3xf32>) {{.*}} permutation = [0, 3, 1, 2]
// CHECK: return %[[BACK]] : tensor<1x3x3x3xf32>
func.func @convolution(%x: tensor<1x2x8x8xf32>) -> tensor<1x3x3x3xf32> {
  %w = arith.constant dense<[[[[0.0, 1.0], [2.0, 3.0]], [[4.0, 5.0], [6.0, 7.0]]], [[[8.0, 9.0], [10.0, 11.0]], [[12.0, 13.0], [14.0, 15.0]]], [[[16.0, 17.0], [18.0, 19.0]], [[20.0, 21.0], [22.0, 23.0]]]]> : tensor<3x2x2x2xf32>
  %zero = arith.constant 0.0 : f32
  %padded = tensor.pad %x low[0, 0, 1, 0] high[0, 0, 0, 2] {
  ^bb0(%i: index, %j: index, %k: index, %l: index):
    tensor.yield %zero : f32
  } : tensor<1x2x8x8xf32> to tensor<1x2x9x10xf32>
  %e = tensor.empty() : tensor<1x3x3x3xf32>
  %start = linalg.fill ins(%zero : f32) outs(%e : tensor<1x3x3x3xf32>) -> tensor<1x3x3x3xf32>
  %0 = linalg.conv_2d_nchw_fchw {strides = dense<2> : tensor<2xi64>, dilations = dense<[3, 4]> : tensor<2xi64>}
      ins(%padded, %w : tensor<1x2x9x10xf32>, tensor<3x2x2x2xf32>) outs(%start : tensor<1x3x3x3xf32>) -> tensor<1x3x3x3xf32>
  return %0 : tensor<1x3x3x3xf32>
}

// -----

// Depthwise; the weight's elements land where they belong: [C, H, W] = [[[0, 1]], [[2, 3]]] becomes [H, W, C].

// CHECK-LABEL: func.func @depthwise
// CHECK: arith.constant dense<{{\[\[\[}}0.000000e+00, 2.000000e+00], [1.000000e+00, 3.000000e+00]]]> : tensor<1x2x2xf32>
// CHECK: linalg.depthwise_conv_2d_nhwc_hwc {{.*}} -> tensor<1x4x3x2xf32>
func.func @depthwise(%x: tensor<1x2x4x4xf32>) -> tensor<1x2x4x3xf32> {
  %w = arith.constant dense<[[[0.0, 1.0]], [[2.0, 3.0]]]> : tensor<2x1x2xf32>
  %zero = arith.constant 0.0 : f32
  %e = tensor.empty() : tensor<1x2x4x3xf32>
  %start = linalg.fill ins(%zero : f32) outs(%e : tensor<1x2x4x3xf32>) -> tensor<1x2x4x3xf32>
  %0 = linalg.depthwise_conv_2d_nchw_chw ins(%x, %w : tensor<1x2x4x4xf32>, tensor<2x1x2xf32>) outs(%start : tensor<1x2x4x3xf32>) -> tensor<1x2x4x3xf32>
  return %0 : tensor<1x2x4x3xf32>
}

// -----

// Pooling, concatenation and slices along the channels: one transpose in, one out, none between.

// CHECK: // channels-last: {"converted": 4, "channels_first_left": []}
// CHECK-LABEL: func.func @pools_concat_slice
// CHECK-SAME: (%[[X:.+]]: tensor<1x3x4x4xf32>)
// CHECK: %[[T:.+]] = linalg.transpose ins(%[[X]] :
// CHECK-NOT: linalg.transpose
// CHECK: %[[MAX:.+]] = linalg.pooling_nhwc_max {{.*}}ins(%[[T]],
// CHECK-NOT: linalg.transpose
// CHECK: %[[SUM:.+]] = linalg.pooling_nhwc_sum {{.*}}ins(%[[T]],
// CHECK-NOT: linalg.transpose
// CHECK: %[[BOTH:.+]] = tensor.concat dim(3) %[[MAX]], %[[SUM]] : {{.*}} -> tensor<1x2x2x6xf32>
// CHECK-NOT: linalg.transpose
// CHECK: %[[SLICE:.+]] = tensor.extract_slice %[[BOTH]][0, 0, 0, 1] [1, 2, 2, 5] [1, 1, 1, 1]
// CHECK: linalg.transpose ins(%[[SLICE]] :
// CHECK-NOT: linalg.transpose
// CHECK: return
func.func @pools_concat_slice(%x: tensor<1x3x4x4xf32>) -> tensor<1x5x2x2xf32> {
  %zero = arith.constant 0.0 : f32
  %lowest = arith.constant 0xFF800000 : f32
  %window = tensor.empty() : tensor<2x2xf32>
  %e = tensor.empty() : tensor<1x3x2x2xf32>
  %s0 = linalg.fill ins(%lowest : f32) outs(%e : tensor<1x3x2x2xf32>) -> tensor<1x3x2x2xf32>
  %0 = linalg.pooling_nchw_max {strides = dense<2> : tensor<2xi64>} ins(%x, %window : tensor<1x3x4x4xf32>, tensor<2x2xf32>) outs(%s0 : tensor<1x3x2x2xf32>) -> tensor<1x3x2x2xf32>
  %s1 = linalg.fill ins(%zero : f32) outs(%e : tensor<1x3x2x2xf32>) -> tensor<1x3x2x2xf32>
  %1 = linalg.pooling_nchw_sum {strides = dense<2> : tensor<2xi64>} ins(%x, %window : tensor<1x3x4x4xf32>, tensor<2x2xf32>) outs(%s1 : tensor<1x3x2x2xf32>) -> tensor<1x3x2x2xf32>
  %2 = tensor.concat dim(1) %0, %1 : (tensor<1x3x2x2xf32>, tensor<1x3x2x2xf32>) -> tensor<1x6x2x2xf32>
  %3 = tensor.extract_slice %2[0, 1, 0, 0] [1, 5, 2, 2] [1, 1, 1, 1] : tensor<1x6x2x2xf32> to tensor<1x5x2x2xf32>
  return %3 : tensor<1x5x2x2xf32>
}

// -----

// ShuffleNet's channel shuffle: split the channels, swap, join. Only channels move, so the image stays as it is.

// CHECK-LABEL: func.func @channel_shuffle
// CHECK: linalg.transpose {{.*}} permutation = [0, 2, 3, 1]
// CHECK: %[[SPLIT:.+]] = tensor.expand_shape {{.*}} : tensor<1x2x2x6xf32> into tensor<{{.*}}2x3xf32>
// CHECK: %[[SWAP:.+]] = linalg.transpose ins(%[[SPLIT]] : {{.*}} permutation = [{{.*}}]
// CHECK: %[[JOIN:.+]] = tensor.collapse_shape %[[SWAP]]
// CHECK: linalg.transpose {{.*}} permutation = [0, 3, 1, 2]
// CHECK-NOT: linalg.transpose
// CHECK: return
func.func @channel_shuffle(%x: tensor<1x6x2x2xf32>) -> tensor<1x6x2x2xf32> {
  %0 = tensor.expand_shape %x [[0], [1, 2], [3], [4]] output_shape [1, 2, 3, 2, 2] : tensor<1x6x2x2xf32> into tensor<1x2x3x2x2xf32>
  %e = tensor.empty() : tensor<1x3x2x2x2xf32>
  %1 = linalg.transpose ins(%0 : tensor<1x2x3x2x2xf32>) outs(%e : tensor<1x3x2x2x2xf32>) permutation = [0, 2, 1, 3, 4]
  %2 = tensor.collapse_shape %1 [[0], [1, 2], [3], [4]] : tensor<1x3x2x2x2xf32> into tensor<1x6x2x2xf32>
  return %2 : tensor<1x6x2x2xf32>
}

// -----

// Elementwise operations with a per-channel operand, and a mean over height and width written as linalg.generic.

#bias = {indexing_maps = [affine_map<(n, c, h, w) -> (n, c, h, w)>, affine_map<(n, c, h, w) -> (c)>, affine_map<(n, c, h, w) -> (n, c, h, w)>],
  iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
#mean = {indexing_maps = [affine_map<(n, c, h, w) -> (n, c, h, w)>, affine_map<(n, c, h, w) -> (n, c, 0, 0)>],
  iterator_types = ["parallel", "parallel", "reduction", "reduction"]}

// CHECK-DAG: #[[IMAGE:.+]] = affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3)>
// CHECK-DAG: #[[CHANNEL:.+]] = affine_map<(d0, d1, d2, d3) -> (d3)>
// CHECK-DAG: #[[POINT:.+]] = affine_map<(d0, d1, d2, d3) -> (d0, 0, 0, d1)>
// CHECK-DAG: #[[READ:.+]] = affine_map<(d0, d1, d2, d3) -> (d0, d2, d3, d1)>
// CHECK-LABEL: func.func @generics
// CHECK: %[[SUM:.+]] = linalg.generic {indexing_maps = [#[[IMAGE]], #[[CHANNEL]], #[[IMAGE]]], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
// CHECK: %[[MEAN:.+]] = linalg.generic {indexing_maps = [#[[READ]], #[[POINT]]], iterator_types = ["parallel", "parallel", "reduction", "reduction"]}
// CHECK-SAME: ins(%[[SUM]] : tensor<1x2x2x3xf32>) outs(%{{.+}} : tensor<1x1x1x3xf32>)
// CHECK: %[[FLAT:.+]] = tensor.collapse_shape %[[MEAN]] {{.*}} : tensor<1x1x1x3xf32> into tensor<1x3xf32>
// CHECK: return %[[FLAT]]
func.func @generics(%x: tensor<1x3x2x2xf32>, %b: tensor<3xf32>) -> tensor<1x3xf32> {
  %zero = arith.constant 0.0 : f32
  %e = tensor.empty() : tensor<1x3x2x2xf32>
  %0 = linalg.generic #bias ins(%x, %b : tensor<1x3x2x2xf32>, tensor<3xf32>) outs(%e : tensor<1x3x2x2xf32>) {
  ^bb0(%a: f32, %c: f32, %o: f32):
    %4 = arith.addf %a, %c : f32
    linalg.yield %4 : f32
  } -> tensor<1x3x2x2xf32>
  %e1 = tensor.empty() : tensor<1x3x1x1xf32>
  %start = linalg.fill ins(%zero : f32) outs(%e1 : tensor<1x3x1x1xf32>) -> tensor<1x3x1x1xf32>
  %1 = linalg.generic #mean ins(%0 : tensor<1x3x2x2xf32>) outs(%start : tensor<1x3x1x1xf32>) {
  ^bb0(%a: f32, %o: f32):
    %4 = arith.addf %a, %o : f32
    linalg.yield %4 : f32
  } -> tensor<1x3x1x1xf32>
  %2 = tensor.collapse_shape %1 [[0], [1, 2, 3]] : tensor<1x3x1x1xf32> into tensor<1x3xf32>
  return %2 : tensor<1x3xf32>
}

// -----

// Flattening an image mixes height, width and channels: it must see the model's own order.

// CHECK-LABEL: func.func @flatten
// CHECK: %[[MAX:.+]] = linalg.pooling_nhwc_max
// CHECK: %[[NCHW:.+]] = linalg.transpose ins(%[[MAX]] : {{.*}} permutation = [0, 3, 1, 2]
// CHECK: tensor.collapse_shape %[[NCHW]] {{.*}} into tensor<1x12xf32>
func.func @flatten(%x: tensor<1x3x4x4xf32>) -> tensor<1x12xf32> {
  %lowest = arith.constant 0xFF800000 : f32
  %window = tensor.empty() : tensor<2x2xf32>
  %e = tensor.empty() : tensor<1x3x2x2xf32>
  %start = linalg.fill ins(%lowest : f32) outs(%e : tensor<1x3x2x2xf32>) -> tensor<1x3x2x2xf32>
  %0 = linalg.pooling_nchw_max {strides = dense<2> : tensor<2xi64>} ins(%x, %window : tensor<1x3x4x4xf32>, tensor<2x2xf32>) outs(%start : tensor<1x3x2x2xf32>) -> tensor<1x3x2x2xf32>
  %1 = tensor.collapse_shape %0 [[0], [1, 2, 3]] : tensor<1x3x2x2xf32> into tensor<1x12xf32>
  return %1 : tensor<1x12xf32>
}

// -----

// Left alone: weights that are not constant, matrices; reported: what stays channels-first.

// CHECK: // channels-last: {"converted": 0, "channels_first_left": ["linalg.conv_2d_nchw_fchw
// CHECK-LABEL: func.func @left_alone
// CHECK-SAME: (%[[X:.+]]: tensor<1x1x2x2xf32>, %[[W:.+]]: tensor<1x1x1x1xf32>, %[[M:.+]]: tensor<2x2xf32>)
// CHECK: linalg.conv_2d_nchw_fchw {{.*}}ins(%[[X]], %[[W]] :
// CHECK: linalg.matmul ins(%[[M]], %[[M]] :
func.func @left_alone(%x: tensor<1x1x2x2xf32>, %w: tensor<1x1x1x1xf32>, %m: tensor<2x2xf32>) -> (tensor<1x1x2x2xf32>, tensor<2x2xf32>) {
  %zero = arith.constant 0.0 : f32
  %e = tensor.empty() : tensor<1x1x2x2xf32>
  %start = linalg.fill ins(%zero : f32) outs(%e : tensor<1x1x2x2xf32>) -> tensor<1x1x2x2xf32>
  %0 = linalg.conv_2d_nchw_fchw ins(%x, %w : tensor<1x1x2x2xf32>, tensor<1x1x1x1xf32>) outs(%start : tensor<1x1x2x2xf32>) -> tensor<1x1x2x2xf32>
  %e1 = tensor.empty() : tensor<2x2xf32>
  %s1 = linalg.fill ins(%zero : f32) outs(%e1 : tensor<2x2xf32>) -> tensor<2x2xf32>
  %1 = linalg.matmul ins(%m, %m : tensor<2x2xf32>, tensor<2x2xf32>) outs(%s1 : tensor<2x2xf32>) -> tensor<2x2xf32>
  return %0, %1 : tensor<1x1x2x2xf32>, tensor<2x2xf32>
}

// -----

// Grouped convolutions that join-groups has left stay as they are: their input goes back to the model's order, and they are reported.

// CHECK: // channels-last: {"converted": {{[0-9]+}}, "channels_first_left": ["linalg.conv_2d_ngchw_gfchw
// CHECK-LABEL: func.func @grouped
// CHECK: %[[MAX:.+]] = linalg.pooling_nhwc_max
// CHECK: %[[BACK:.+]] = linalg.transpose ins(%{{.+}} : tensor<1x2x2x2x2xf32>) outs(%{{.+}} : tensor<1x2x2x2x2xf32>) permutation = [0, 3, 4, 1, 2]
// CHECK: linalg.conv_2d_ngchw_gfchw {{.*}}ins(%[[BACK]],
func.func @grouped(%x: tensor<1x4x4x4xf32>) -> tensor<1x4x2x2xf32> {
  %w = arith.constant dense<0.5> : tensor<2x2x2x1x1xf32>
  %zero = arith.constant 0.0 : f32
  %lowest = arith.constant 0xFF800000 : f32
  %window = tensor.empty() : tensor<2x2xf32>
  %e = tensor.empty() : tensor<1x4x2x2xf32>
  %start = linalg.fill ins(%lowest : f32) outs(%e : tensor<1x4x2x2xf32>) -> tensor<1x4x2x2xf32>
  %0 = linalg.pooling_nchw_max {strides = dense<2> : tensor<2xi64>} ins(%x, %window : tensor<1x4x4x4xf32>, tensor<2x2xf32>) outs(%start : tensor<1x4x2x2xf32>) -> tensor<1x4x2x2xf32>
  %1 = tensor.expand_shape %0 [[0], [1, 2], [3], [4]] output_shape [1, 2, 2, 2, 2] : tensor<1x4x2x2xf32> into tensor<1x2x2x2x2xf32>
  %e1 = tensor.empty() : tensor<1x2x2x2x2xf32>
  %s1 = linalg.fill ins(%zero : f32) outs(%e1 : tensor<1x2x2x2x2xf32>) -> tensor<1x2x2x2x2xf32>
  %2 = linalg.conv_2d_ngchw_gfchw ins(%1, %w : tensor<1x2x2x2x2xf32>, tensor<2x2x2x1x1xf32>) outs(%s1 : tensor<1x2x2x2x2xf32>) -> tensor<1x2x2x2x2xf32>
  %3 = tensor.collapse_shape %2 [[0], [1, 2], [3], [4]] : tensor<1x2x2x2x2xf32> into tensor<1x4x2x2xf32>
  return %3 : tensor<1x4x2x2xf32>
}
