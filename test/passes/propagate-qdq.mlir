// RUN: quantune-opt %s --split-input-file --pass-pipeline=propagate-qdq --report=- | filecheck %s

// Padding with a number pads with its quantized value: 0.5 / 0.1 + 3 = 8. The order stays: cast, work on bytes, cast.

// CHECK: // propagate-qdq: {"moved": 1}
// CHECK-LABEL: func.func @pad
// CHECK-SAME: (%[[Q:.+]]: tensor<1x2x!quant.uniform<u8:f32, 1.000000e-01:3>>)
// CHECK: %[[BYTES:.+]] = quant.scast %[[Q]] : {{.*}} to tensor<1x2xi8>
// CHECK: %[[FILLER:.+]] = arith.constant 8 : i8
// CHECK: %[[PAD:.+]] = tensor.pad %[[BYTES]] low[0, 1] high[0, 1]
// CHECK: tensor.yield %[[FILLER]] : i8
// CHECK: } {quantune.layer = "pad", quantune.precision = "integer"} : tensor<1x2xi8> to tensor<1x4xi8>
// CHECK: %[[SEEN:.+]] = quant.scast %[[PAD]] : tensor<1x4xi8> to tensor<1x4x!quant.uniform<u8:f32, 1.000000e-01:3>>
// CHECK: %[[REAL:.+]] = quant.dcast %[[SEEN]]
// CHECK: return %[[REAL]]
func.func @pad(%q: tensor<1x2x!quant.uniform<u8:f32, 0.1:3>>) -> tensor<1x4xf32> {
  %half = arith.constant 0.5 : f32
  %0 = quant.dcast %q : tensor<1x2x!quant.uniform<u8:f32, 0.1:3>> to tensor<1x2xf32>
  %1 = tensor.pad %0 low[0, 1] high[0, 1] {
  ^bb0(%i: index, %j: index):
    tensor.yield %half : f32
  } {quantune.layer = "pad", quantune.precision = "integer"} : tensor<1x2xf32> to tensor<1x4xf32>
  return %1 : tensor<1x4xf32>
}

// -----

// Max-pooling takes the unsigned maximum, from 0; padding with minus infinity becomes padding with 0.

// CHECK: // propagate-qdq: {"moved": 2}
// CHECK-LABEL: func.func @max_pool
// CHECK: %[[BYTES:.+]] = quant.scast
// CHECK: %[[LEAST:.+]] = arith.constant 0 : i8
// CHECK: %[[PAD:.+]] = tensor.pad %[[BYTES]]
// CHECK: tensor.yield %[[LEAST]] : i8
// CHECK: %[[ZERO:.+]] = arith.constant 0 : i8
// CHECK: %[[START:.+]] = linalg.fill ins(%[[ZERO]] : i8)
// CHECK: linalg.pooling_nhwc_max_unsigned {{.*}}strides = dense<2> {{.*}} outs(%[[START]] : tensor<1x2x2x1xi8>)
func.func @max_pool(%q: tensor<1x3x3x1x!quant.uniform<u8:f32, 0.1:3>>) -> tensor<1x2x2x1xf32> {
  %lowest = arith.constant 0xFF800000 : f32
  %0 = quant.dcast %q : tensor<1x3x3x1x!quant.uniform<u8:f32, 0.1:3>> to tensor<1x3x3x1xf32>
  %1 = tensor.pad %0 low[0, 1, 1, 0] high[0, 0, 0, 0] {
  ^bb0(%i: index, %j: index, %k: index, %l: index):
    tensor.yield %lowest : f32
  } {quantune.layer = "pool", quantune.precision = "integer"} : tensor<1x3x3x1xf32> to tensor<1x4x4x1xf32>
  %window = tensor.empty() : tensor<2x2xf32>
  %e = tensor.empty() : tensor<1x2x2x1xf32>
  %start = linalg.fill ins(%lowest : f32) outs(%e : tensor<1x2x2x1xf32>) -> tensor<1x2x2x1xf32>
  %2 = linalg.pooling_nhwc_max {quantune.layer = "pool", quantune.precision = "integer", strides = dense<2> : tensor<2xi64>}
      ins(%1, %window : tensor<1x4x4x1xf32>, tensor<2x2xf32>) outs(%start : tensor<1x2x2x1xf32>) -> tensor<1x2x2x1xf32>
  return %2 : tensor<1x2x2x1xf32>
}

// -----

// ReLU6 clips to the zero point and to 6 / 0.05 + 10 = 130, which is -126 as a signed byte.

#map = affine_map<(d0, d1) -> (d0, d1)>
#unary = {indexing_maps = [#map, #map], iterator_types = ["parallel", "parallel"]}

// CHECK: // propagate-qdq: {"moved": 1}
// CHECK-LABEL: func.func @clamp
// CHECK-DAG: %[[LOW:.+]] = arith.constant 10 : i8
// CHECK-DAG: %[[HIGH:.+]] = arith.constant -126 : i8
// CHECK: linalg.generic
// CHECK: %[[A:.+]] = arith.maxui %{{.+}}, %[[LOW]] : i8
// CHECK: arith.minui %[[A]], %[[HIGH]] : i8
func.func @clamp(%q: tensor<1x2x!quant.uniform<u8:f32, 0.05:10>>) -> tensor<1x2xf32> {
  %zero = arith.constant 0.0 : f32
  %six = arith.constant 6.0 : f32
  %0 = quant.dcast %q : tensor<1x2x!quant.uniform<u8:f32, 0.05:10>> to tensor<1x2xf32>
  %e = tensor.empty() : tensor<1x2xf32>
  %1 = linalg.generic #unary ins(%0 : tensor<1x2xf32>) outs(%e : tensor<1x2xf32>) attrs = {quantune.layer = "relu6", quantune.precision = "integer"} {
  ^bb0(%a: f32, %o: f32):
    %m = arith.maximumf %a, %zero : f32
    %r = arith.minimumf %m, %six : f32
    linalg.yield %r : f32
  } -> tensor<1x2xf32>
  return %1 : tensor<1x2xf32>
}

// -----

// What moves bytes: reshapes, transposes, slices, concatenations of one type. One cast in, one cast out.

// CHECK: // propagate-qdq: {"moved": 5}
// CHECK-LABEL: func.func @moves
// CHECK: tensor.collapse_shape {{.*}} : tensor<1x2x3xi8> into tensor<2x3xi8>
// CHECK: linalg.transpose ins({{.*}} : tensor<2x3xi8>) outs({{.*}} : tensor<3x2xi8>) permutation = [1, 0]
// CHECK: tensor.extract_slice {{.*}}[1, 0] [2, 2] [1, 1] {{.*}} : tensor<3x2xi8> to tensor<2x2xi8>
// CHECK: tensor.concat dim(1) {{.*}} : (tensor<2x2xi8>, tensor<2x2xi8>) -> tensor<2x4xi8>
// CHECK: tensor.expand_shape {{.*}} : tensor<2x4xi8> into tensor<1x2x4xi8>
// CHECK: %[[REAL:.+]] = quant.dcast {{.*}} to tensor<1x2x4xf32>
// CHECK: return %[[REAL]]
func.func @moves(%q: tensor<1x2x3x!quant.uniform<u8:f32, 0.1>>) -> tensor<1x2x4xf32> {
  %0 = quant.dcast %q : tensor<1x2x3x!quant.uniform<u8:f32, 0.1>> to tensor<1x2x3xf32>
  %1 = tensor.collapse_shape %0 [[0, 1], [2]] {quantune.layer = "a", quantune.precision = "integer"} : tensor<1x2x3xf32> into tensor<2x3xf32>
  %e = tensor.empty() : tensor<3x2xf32>
  %2 = linalg.transpose ins(%1 : tensor<2x3xf32>) outs(%e : tensor<3x2xf32>) permutation = [1, 0] {quantune.layer = "b", quantune.precision = "integer"}
  %3 = tensor.extract_slice %2[1, 0] [2, 2] [1, 1] {quantune.layer = "c", quantune.precision = "integer"} : tensor<3x2xf32> to tensor<2x2xf32>
  %4 = tensor.concat dim(1) %3, %3 {quantune.layer = "d", quantune.precision = "integer"} : (tensor<2x2xf32>, tensor<2x2xf32>) -> tensor<2x4xf32>
  %5 = tensor.expand_shape %4 [[0, 1], [2]] output_shape [1, 2, 4] {quantune.layer = "e", quantune.precision = "integer"} : tensor<2x4xf32> into tensor<1x2x4xf32>
  return %5 : tensor<1x2x4xf32>
}

// -----

// Left alone: a float layer, an operand that is not dequantized, a concatenation of two types.

// CHECK: // propagate-qdq: {"moved": 0}
// CHECK-LABEL: func.func @left_alone
// CHECK: tensor.collapse_shape {{.*}} : tensor<1x2xf32> into tensor<2xf32>
// CHECK: tensor.collapse_shape {{.*}} : tensor<1x2xf32> into tensor<2xf32>
// CHECK: tensor.concat {{.*}} -> tensor<1x4xf32>
func.func @left_alone(%p: tensor<1x2x!quant.uniform<u8:f32, 0.1>>, %q: tensor<1x2x!quant.uniform<u8:f32, 0.2>>, %x: tensor<1x2xf32>)
    -> (tensor<2xf32>, tensor<2xf32>, tensor<1x4xf32>) {
  %0 = quant.dcast %p : tensor<1x2x!quant.uniform<u8:f32, 0.1>> to tensor<1x2xf32>
  %1 = quant.dcast %q : tensor<1x2x!quant.uniform<u8:f32, 0.2>> to tensor<1x2xf32>
  %2 = tensor.collapse_shape %0 [[0, 1]] {quantune.layer = "a", quantune.precision = "float"} : tensor<1x2xf32> into tensor<2xf32>
  %3 = tensor.collapse_shape %x [[0, 1]] {quantune.layer = "b", quantune.precision = "integer"} : tensor<1x2xf32> into tensor<2xf32>
  %4 = tensor.concat dim(1) %0, %1 {quantune.layer = "c", quantune.precision = "integer"} : (tensor<1x2xf32>, tensor<1x2xf32>) -> tensor<1x4xf32>
  return %2, %3, %4 : tensor<2xf32>, tensor<2xf32>, tensor<1x4xf32>
}
