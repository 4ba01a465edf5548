// RUN: quantune-opt %s --split-input-file --pass-pipeline=fold-batch-norm --report=- | filecheck %s

// A whole batch norm as torch writes it: (x - mean) * rsqrt(var + eps) * gamma + beta. The bias of the convolution
// comes as its initial value. Here scale = [1 / sqrt(4) * 2, 1 / sqrt(1) * 3] = [1, 3],
// offset = (bias - mean) * scale + beta = [(1 - 3) * 1 + 10, (2 - 1) * 3 + 20] = [8, 23].

#id = affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3)>
#channel = affine_map<(d0, d1, d2, d3) -> (d1)>

// CHECK: // fold-batch-norm: {"folded": 1}
// CHECK-LABEL: func.func @batch_norm
// CHECK-SAME: (%[[X:.+]]: tensor<1x1x2x2xf32>)
// CHECK-DAG: %[[BIAS:.+]] = arith.constant dense<[8.000000e+00, 2.300000e+01]> : tensor<2xf32>
// CHECK-DAG: %[[W:.+]] = arith.constant dense<{{\[\[\[\[}}5.000000e-01]]], {{\[\[\[}}6.000000e+00]]]]> : tensor<2x1x1x1xf32>
// CHECK-DAG: %[[ZERO:.+]] = arith.constant 0.000000e+00 : f32
// CHECK: %[[START:.+]] = linalg.fill ins(%[[ZERO]] : f32)
// CHECK: %[[CONV:.+]] = linalg.conv_2d_nchw_fchw
// CHECK-SAME: ins(%[[X]], %[[W]] :
// CHECK-SAME: outs(%[[START]] :
// CHECK: %[[OUT:.+]] = linalg.generic {{.*}} ins(%[[CONV]], %[[BIAS]] :
// CHECK: arith.addf
// CHECK-NOT: mulf
// CHECK-NOT: subf
// CHECK-NOT: sqrt
// CHECK: return %[[OUT]]
func.func @batch_norm(%x: tensor<1x1x2x2xf32>) -> tensor<1x2x2x2xf32> {
  %w = arith.constant dense<[[[[0.5]]], [[[2.0]]]]> : tensor<2x1x1x1xf32>
  %bias = arith.constant dense<[1.0, 2.0]> : tensor<2xf32>
  %mean = arith.constant dense<[3.0, 1.0]> : tensor<2xf32>
  %variance = arith.constant dense<[3.0, 0.0]> : tensor<2xf32>
  %gamma = arith.constant dense<[2.0, 3.0]> : tensor<2xf32>
  %beta = arith.constant dense<[10.0, 20.0]> : tensor<2xf32>
  %epsilon = arith.constant 1.0 : f32
  %e = tensor.empty() : tensor<1x2x2x2xf32>
  %start = linalg.broadcast ins(%bias : tensor<2xf32>) outs(%e : tensor<1x2x2x2xf32>) dimensions = [0, 2, 3]
  %0 = linalg.conv_2d_nchw_fchw ins(%x, %w : tensor<1x1x2x2xf32>, tensor<2x1x1x1xf32>) outs(%start : tensor<1x2x2x2xf32>) -> tensor<1x2x2x2xf32>
  %1 = linalg.generic {indexing_maps = [#id, #channel, #channel, #channel, #channel, #id], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      ins(%0, %mean, %variance, %gamma, %beta : tensor<1x2x2x2xf32>, tensor<2xf32>, tensor<2xf32>, tensor<2xf32>, tensor<2xf32>) outs(%e : tensor<1x2x2x2xf32>) {
  ^bb0(%a: f32, %m: f32, %v: f32, %g: f32, %b: f32, %o: f32):
    %2 = arith.addf %v, %epsilon : f32
    %3 = math.rsqrt %2 : f32
    %4 = arith.subf %a, %m : f32
    %5 = arith.mulf %4, %3 : f32
    %6 = arith.mulf %5, %g : f32
    %7 = arith.addf %6, %b : f32
    linalg.yield %7 : f32
  } -> tensor<1x2x2x2xf32>
  return %1 : tensor<1x2x2x2xf32>
}

// -----

// The same in separate operations, on a depthwise convolution, up to the ReLU, which is not affine.

#id = affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3)>
#channel = affine_map<(d0, d1, d2, d3) -> (d1)>

// CHECK: // fold-batch-norm: {"folded": 1}
// CHECK-LABEL: func.func @chain_of_operations
// CHECK-DAG: %[[BIAS:.+]] = arith.constant dense<[-6.000000e+00, 8.000000e+00]> : tensor<2xf32>
// CHECK-DAG: %[[W:.+]] = arith.constant dense<{{\[\[\[}}2.000000e+00]], {{\[\[}}1.200000e+01]]]> : tensor<2x1x1xf32>
// CHECK: %[[CONV:.+]] = linalg.depthwise_conv_2d_nchw_chw
// CHECK-SAME: ins(%{{.+}}, %[[W]] :
// CHECK-NEXT: %[[SUM:.+]] = linalg.generic {{.*}} ins(%[[CONV]], %[[BIAS]] :
// CHECK: arith.addf
// CHECK: %[[RELU:.+]] = linalg.generic {{.*}} ins(%[[SUM]] :
// CHECK: arith.maximumf
// CHECK: return %[[RELU]]
func.func @chain_of_operations(%x: tensor<1x2x2x2xf32>) -> tensor<1x2x2x2xf32> {
  %w = arith.constant dense<[[[1.0]], [[3.0]]]> : tensor<2x1x1xf32>
  %mean = arith.constant dense<[3.0, -2.0]> : tensor<2xf32>
  %gamma = arith.constant dense<[2.0, 4.0]> : tensor<2xf32>
  %zero = arith.constant 0.0 : f32
  %e = tensor.empty() : tensor<1x2x2x2xf32>
  %start = linalg.fill ins(%zero : f32) outs(%e : tensor<1x2x2x2xf32>) -> tensor<1x2x2x2xf32>
  %0 = linalg.depthwise_conv_2d_nchw_chw ins(%x, %w : tensor<1x2x2x2xf32>, tensor<2x1x1xf32>) outs(%start : tensor<1x2x2x2xf32>) -> tensor<1x2x2x2xf32>
  %1 = linalg.generic {indexing_maps = [#id, #channel, #id], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      ins(%0, %mean : tensor<1x2x2x2xf32>, tensor<2xf32>) outs(%e : tensor<1x2x2x2xf32>) {
  ^bb0(%a: f32, %m: f32, %o: f32):
    %4 = arith.subf %a, %m : f32
    linalg.yield %4 : f32
  } -> tensor<1x2x2x2xf32>
  %2 = linalg.generic {indexing_maps = [#id, #channel, #id], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      ins(%1, %gamma : tensor<1x2x2x2xf32>, tensor<2xf32>) outs(%e : tensor<1x2x2x2xf32>) {
  ^bb0(%a: f32, %g: f32, %o: f32):
    %4 = arith.mulf %g, %a : f32
    linalg.yield %4 : f32
  } -> tensor<1x2x2x2xf32>
  %3 = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      ins(%2 : tensor<1x2x2x2xf32>) outs(%e : tensor<1x2x2x2xf32>) {
  ^bb0(%a: f32, %o: f32):
    %4 = arith.maximumf %a, %zero : f32
    linalg.yield %4 : f32
  } -> tensor<1x2x2x2xf32>
  return %3 : tensor<1x2x2x2xf32>
}

// -----

// A bias alone moves out of the initial value, and the transposed weight of a linear layer becomes a constant.

// CHECK: // fold-batch-norm: {"folded": 1}
// CHECK-LABEL: func.func @linear
// CHECK-SAME: (%[[X:.+]]: tensor<1x2xf32>)
// CHECK-DAG: %[[BIAS:.+]] = arith.constant dense<[5.000000e+00, 6.000000e+00, 7.000000e+00]> : tensor<3xf32>
// CHECK-DAG: %[[W:.+]] = arith.constant dense<{{\[\[}}1.000000e+00, 3.000000e+00, 5.000000e+00], [2.000000e+00, 4.000000e+00, 6.000000e+00]]> : tensor<2x3xf32>
// CHECK-NOT: linalg.transpose
// CHECK-NOT: linalg.broadcast
// CHECK: %[[DOT:.+]] = linalg.matmul ins(%[[X]], %[[W]] :
// CHECK-NEXT: linalg.generic {{.*}} ins(%[[DOT]], %[[BIAS]] :
func.func @linear(%x: tensor<1x2xf32>) -> tensor<1x3xf32> {
  %w = arith.constant dense<[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]> : tensor<3x2xf32>
  %bias = arith.constant dense<[5.0, 6.0, 7.0]> : tensor<3xf32>
  %e = tensor.empty() : tensor<2x3xf32>
  %wt = linalg.transpose ins(%w : tensor<3x2xf32>) outs(%e : tensor<2x3xf32>) permutation = [1, 0]
  %e2 = tensor.empty() : tensor<1x3xf32>
  %start = linalg.broadcast ins(%bias : tensor<3xf32>) outs(%e2 : tensor<1x3xf32>) dimensions = [0]
  %0 = linalg.matmul ins(%x, %wt : tensor<1x2xf32>, tensor<2x3xf32>) outs(%start : tensor<1x3xf32>) -> tensor<1x3xf32>
  return %0 : tensor<1x3xf32>
}

// -----

// Left alone: a value with two readers, weights that are not constant, arithmetic that varies over the image.

#id = affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3)>

// CHECK: // fold-batch-norm: {"folded": 0}
// CHECK-LABEL: func.func @two_readers
// CHECK: %[[CONV:.+]] = linalg.conv_2d_nchw_fchw
// CHECK: %[[TWICE:.+]] = linalg.generic {{.*}} ins(%[[CONV]] :
// CHECK: arith.mulf
// CHECK: return %[[CONV]], %[[TWICE]]
func.func @two_readers(%x: tensor<1x1x2x2xf32>) -> (tensor<1x1x2x2xf32>, tensor<1x1x2x2xf32>) {
  %w = arith.constant dense<2.0> : tensor<1x1x1x1xf32>
  %zero = arith.constant 0.0 : f32
  %two = arith.constant 2.0 : f32
  %e = tensor.empty() : tensor<1x1x2x2xf32>
  %start = linalg.fill ins(%zero : f32) outs(%e : tensor<1x1x2x2xf32>) -> tensor<1x1x2x2xf32>
  %0 = linalg.conv_2d_nchw_fchw ins(%x, %w : tensor<1x1x2x2xf32>, tensor<1x1x1x1xf32>) outs(%start : tensor<1x1x2x2xf32>) -> tensor<1x1x2x2xf32>
  %1 = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      ins(%0 : tensor<1x1x2x2xf32>) outs(%e : tensor<1x1x2x2xf32>) {
  ^bb0(%a: f32, %o: f32):
    %2 = arith.mulf %a, %two : f32
    linalg.yield %2 : f32
  } -> tensor<1x1x2x2xf32>
  return %0, %1 : tensor<1x1x2x2xf32>, tensor<1x1x2x2xf32>
}

// -----

#id = affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3)>

// CHECK: // fold-batch-norm: {"folded": 0}
// CHECK-LABEL: func.func @weights_not_constant
// CHECK-SAME: (%[[X:.+]]: tensor<1x1x2x2xf32>, %[[W:.+]]: tensor<1x1x1x1xf32>)
// CHECK: linalg.conv_2d_nchw_fchw {{.*}}ins(%[[X]], %[[W]] :
// CHECK: arith.mulf
func.func @weights_not_constant(%x: tensor<1x1x2x2xf32>, %w: tensor<1x1x1x1xf32>) -> tensor<1x1x2x2xf32> {
  %zero = arith.constant 0.0 : f32
  %two = arith.constant 2.0 : f32
  %e = tensor.empty() : tensor<1x1x2x2xf32>
  %start = linalg.fill ins(%zero : f32) outs(%e : tensor<1x1x2x2xf32>) -> tensor<1x1x2x2xf32>
  %0 = linalg.conv_2d_nchw_fchw ins(%x, %w : tensor<1x1x2x2xf32>, tensor<1x1x1x1xf32>) outs(%start : tensor<1x1x2x2xf32>) -> tensor<1x1x2x2xf32>
  %1 = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      ins(%0 : tensor<1x1x2x2xf32>) outs(%e : tensor<1x1x2x2xf32>) {
  ^bb0(%a: f32, %o: f32):
    %2 = arith.mulf %a, %two : f32
    linalg.yield %2 : f32
  } -> tensor<1x1x2x2xf32>
  return %1 : tensor<1x1x2x2xf32>
}

// -----

#id = affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3)>
#column = affine_map<(d0, d1, d2, d3) -> (d3)>

// CHECK: // fold-batch-norm: {"folded": 0}
// CHECK-LABEL: func.func @scale_per_column
// CHECK: linalg.conv_2d_nchw_fchw
// CHECK: arith.mulf
func.func @scale_per_column(%x: tensor<1x1x2x2xf32>) -> tensor<1x1x2x2xf32> {
  %w = arith.constant dense<2.0> : tensor<1x1x1x1xf32>
  %scale = arith.constant dense<[2.0, 3.0]> : tensor<2xf32>
  %zero = arith.constant 0.0 : f32
  %e = tensor.empty() : tensor<1x1x2x2xf32>
  %start = linalg.fill ins(%zero : f32) outs(%e : tensor<1x1x2x2xf32>) -> tensor<1x1x2x2xf32>
  %0 = linalg.conv_2d_nchw_fchw ins(%x, %w : tensor<1x1x2x2xf32>, tensor<1x1x1x1xf32>) outs(%start : tensor<1x1x2x2xf32>) -> tensor<1x1x2x2xf32>
  %1 = linalg.generic {indexing_maps = [#id, #column, #id], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      ins(%0, %scale : tensor<1x1x2x2xf32>, tensor<2xf32>) outs(%e : tensor<1x1x2x2xf32>) {
  ^bb0(%a: f32, %s: f32, %o: f32):
    %2 = arith.mulf %a, %s : f32
    linalg.yield %2 : f32
  } -> tensor<1x1x2x2xf32>
  return %1 : tensor<1x1x2x2xf32>
}
