// RUN: quantune-opt %s --split-input-file --pass-pipeline=space-to-depth{target=x86-64-avx2} --report=- | filecheck %s
// RUN: quantune-opt %s --split-input-file --pass-pipeline=space-to-depth{target=cortex-a72} | filecheck %s --check-prefix=NONE

// NONE-NOT: linalg.transpose

// The padded image has 7 rows and columns: padding grows by one of each. The window's fourth row and column have weights of 0.

// CHECK: // space-to-depth: {"converted": ["stem"]}
// CHECK-LABEL: func.func @stem
// CHECK: %[[W:.+]] = arith.constant dense<{{.*}}> : tensor<2x2x8x1xf32>
// CHECK: %[[PAD:.+]] = tensor.pad %{{.+}} low[0, 1, 1, 0] high[0, 2, 2, 0]
// CHECK: tensor<1x5x5x2xi8> to tensor<1x8x8x2xi8>
// CHECK: %[[SPLIT:.+]] = tensor.expand_shape %[[PAD]] {{.*}} into tensor<1x4x2x4x2x2xi8>
// CHECK: %[[MOVED:.+]] = linalg.transpose ins(%[[SPLIT]] {{.*}} permutation = [0, 1, 3, 2, 4, 5]
// CHECK: tensor.collapse_shape %[[MOVED]] {{.*}} into tensor<1x4x4x8xi8>
// CHECK: linalg.conv_2d_nhwc_hwcf {quantune.layer = "stem", quantune.precision = "integer", {{.*}}strides = dense<1>
// CHECK-SAME: tensor<1x4x4x8xf32>, tensor<2x2x8x1xf32>) outs(%{{.+}} : tensor<1x3x3x1xf32>)
func.func @stem(%q: tensor<1x5x5x2x!quant.uniform<u8:f32, 0.5:3>>) -> tensor<1x3x3x1xf32> {
  %w = arith.constant dense<0.5> : tensor<3x3x2x1xf32>
  %zero = arith.constant 0.0 : f32
  %three = arith.constant 3 : i8
  %bytes = quant.scast %q : tensor<1x5x5x2x!quant.uniform<u8:f32, 0.5:3>> to tensor<1x5x5x2xi8>
  %padded = tensor.pad %bytes low[0, 1, 1, 0] high[0, 1, 1, 0] {
  ^bb0(%i: index, %j: index, %k: index, %l: index):
    tensor.yield %three : i8
  } : tensor<1x5x5x2xi8> to tensor<1x7x7x2xi8>
  %x = quant.scast %padded : tensor<1x7x7x2xi8> to tensor<1x7x7x2x!quant.uniform<u8:f32, 0.5:3>>
  %d = quant.dcast %x : tensor<1x7x7x2x!quant.uniform<u8:f32, 0.5:3>> to tensor<1x7x7x2xf32>
  %qw = quant.qcast %w : tensor<3x3x2x1xf32> to tensor<3x3x2x1x!quant.uniform<i8<-127:127>:f32:3, {0.25}>>
  %dw = quant.dcast %qw : tensor<3x3x2x1x!quant.uniform<i8<-127:127>:f32:3, {0.25}>> to tensor<3x3x2x1xf32>
  %e = tensor.empty() : tensor<1x3x3x1xf32>
  %s = linalg.fill ins(%zero : f32) outs(%e : tensor<1x3x3x1xf32>) -> tensor<1x3x3x1xf32>
  %0 = linalg.conv_2d_nhwc_hwcf {dilations = dense<1> : vector<2xi64>, quantune.layer = "stem", quantune.precision = "integer", strides = dense<2> : vector<2xi64>} ins(%d, %dw : tensor<1x7x7x2xf32>, tensor<3x3x2x1xf32>) outs(%s : tensor<1x3x3x1xf32>) -> tensor<1x3x3x1xf32>
  return %0 : tensor<1x3x3x1xf32>
}

// -----

// A float layer stays as it is.

// CHECK: // space-to-depth: {"converted": []}
// CHECK-LABEL: func.func @float
// CHECK-NOT: linalg.transpose
func.func @float(%x: tensor<1x8x8x2xf32>) -> tensor<1x3x3x1xf32> {
  %w = arith.constant dense<0.5> : tensor<3x3x2x1xf32>
  %zero = arith.constant 0.0 : f32
  %e = tensor.empty() : tensor<1x3x3x1xf32>
  %s = linalg.fill ins(%zero : f32) outs(%e : tensor<1x3x3x1xf32>) -> tensor<1x3x3x1xf32>
  %0 = linalg.conv_2d_nhwc_hwcf {dilations = dense<1> : vector<2xi64>, quantune.layer = "stem", strides = dense<2> : vector<2xi64>} ins(%x, %w : tensor<1x8x8x2xf32>, tensor<3x3x2x1xf32>) outs(%s : tensor<1x3x3x1xf32>) -> tensor<1x3x3x1xf32>
  return %0 : tensor<1x3x3x1xf32>
}
