// RUN: quantune-opt %s --split-input-file --pass-pipeline=name-layers --report=- | filecheck %s

// The names come from the locations that ingress writes. Padding, bias and ReLU join their convolution.

#map = affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3)>
#channel = affine_map<(d0, d1, d2, d3) -> (d3)>
#unary = {indexing_maps = [#map, #map], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
#bias = {indexing_maps = [#map, #channel, #map], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}

// CHECK: // name-layers: {"layers": 2, "contractions": 1}
// CHECK-LABEL: func.func @conv_bias_relu6
// CHECK-NOT: arith.constant {quantune
// CHECK-NOT: linalg.fill {quantune
// CHECK: tensor.pad {{.*}} {
// CHECK: } {quantune.layer = "features.0"} :
// CHECK: linalg.conv_2d_nhwc_hwcf {quantune.layer = "features.0"}
// CHECK: linalg.generic {{.*}} attrs = {quantune.layer = "features.0"} {
// CHECK: arith.addf
// CHECK: linalg.generic {{.*}} attrs = {quantune.layer = "features.0"} {
// CHECK: arith.maximumf
// CHECK: linalg.generic {{.*}} attrs = {quantune.layer = "features.0"} {
// CHECK: arith.minimumf
// CHECK: linalg.pooling_nhwc_max {{.*}}quantune.layer = "features.2"
func.func @conv_bias_relu6(%x: tensor<1x4x4x2xf32>) -> tensor<1x2x2x2xf32> {
  %w = arith.constant dense<0.5> : tensor<3x3x2x2xf32>
  %b = arith.constant dense<[1.0, 2.0]> : tensor<2xf32>
  %zero = arith.constant 0.0 : f32
  %six = arith.constant 6.0 : f32
  %lowest = arith.constant 0xFF800000 : f32
  %padded = tensor.pad %x low[0, 1, 1, 0] high[0, 1, 1, 0] {
  ^bb0(%i: index, %j: index, %k: index, %l: index):
    tensor.yield %zero : f32
  } : tensor<1x4x4x2xf32> to tensor<1x6x6x2xf32>
  %e = tensor.empty() : tensor<1x4x4x2xf32>
  %start = linalg.fill ins(%zero : f32) outs(%e : tensor<1x4x4x2xf32>) -> tensor<1x4x4x2xf32>
  %0 = linalg.conv_2d_nhwc_hwcf ins(%padded, %w : tensor<1x6x6x2xf32>, tensor<3x3x2x2xf32>) outs(%start : tensor<1x4x4x2xf32>) -> tensor<1x4x4x2xf32> loc("torch:features.0|model.py":3:0)
  %1 = linalg.generic #bias ins(%0, %b : tensor<1x4x4x2xf32>, tensor<2xf32>) outs(%e : tensor<1x4x4x2xf32>) {
  ^bb0(%a: f32, %c: f32, %o: f32):
    %r = arith.addf %a, %c : f32
    linalg.yield %r : f32
  } -> tensor<1x4x4x2xf32>
  %2 = linalg.generic #unary ins(%1 : tensor<1x4x4x2xf32>) outs(%e : tensor<1x4x4x2xf32>) {
  ^bb0(%a: f32, %o: f32):
    %r = arith.maximumf %a, %zero : f32
    linalg.yield %r : f32
  } -> tensor<1x4x4x2xf32> loc("torch:features.1|model.py":3:0)
  %3 = linalg.generic #unary ins(%2 : tensor<1x4x4x2xf32>) outs(%e : tensor<1x4x4x2xf32>) {
  ^bb0(%a: f32, %o: f32):
    %r = arith.minimumf %a, %six : f32
    linalg.yield %r : f32
  } -> tensor<1x4x4x2xf32> loc("torch:features.1|model.py":3:0)
  %window = tensor.empty() : tensor<2x2xf32>
  %e1 = tensor.empty() : tensor<1x2x2x2xf32>
  %s1 = linalg.fill ins(%lowest : f32) outs(%e1 : tensor<1x2x2x2xf32>) -> tensor<1x2x2x2xf32>
  %4 = linalg.pooling_nhwc_max {strides = dense<2> : tensor<2xi64>} ins(%3, %window : tensor<1x4x4x2xf32>, tensor<2x2xf32>) outs(%s1 : tensor<1x2x2x2xf32>) -> tensor<1x2x2x2xf32> loc("torch:features.2|model.py":3:0)
  return %4 : tensor<1x2x2x2xf32>
}

// -----

// A residual addition of two contractions belongs to the later one, and its hardtanh (compare and select) with it.

#id = affine_map<(d0, d1) -> (d0, d1)>
#unary = {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}
#binary = {indexing_maps = [#id, #id, #id], iterator_types = ["parallel", "parallel"]}

// CHECK: // name-layers: {"layers": 2, "contractions": 2}
// CHECK-LABEL: func.func @residual
// CHECK: linalg.matmul {quantune.layer = "skip"}
// CHECK: linalg.matmul {quantune.layer = "main"}
// CHECK: linalg.generic {{.*}} attrs = {quantune.layer = "main"} {
// CHECK: arith.addf
// CHECK: linalg.generic {{.*}} attrs = {quantune.layer = "main"} {
// CHECK: arith.select
func.func @residual(%x: tensor<1x2xf32>) -> tensor<1x2xf32> {
  %w = arith.constant dense<0.5> : tensor<2x2xf32>
  %zero = arith.constant 0.0 : f32
  %one = arith.constant 1.0 : f32
  %minus = arith.constant -1.0 : f32
  %e = tensor.empty() : tensor<1x2xf32>
  %start = linalg.fill ins(%zero : f32) outs(%e : tensor<1x2xf32>) -> tensor<1x2xf32>
  %0 = linalg.matmul ins(%x, %w : tensor<1x2xf32>, tensor<2x2xf32>) outs(%start : tensor<1x2xf32>) -> tensor<1x2xf32> loc("torch:skip|model.py":3:0)
  %1 = linalg.matmul ins(%x, %w : tensor<1x2xf32>, tensor<2x2xf32>) outs(%start : tensor<1x2xf32>) -> tensor<1x2xf32> loc("torch:main|model.py":4:0)
  %2 = linalg.generic #binary ins(%0, %1 : tensor<1x2xf32>, tensor<1x2xf32>) outs(%e : tensor<1x2xf32>) {
  ^bb0(%a: f32, %b: f32, %o: f32):
    %r = arith.addf %a, %b : f32
    linalg.yield %r : f32
  } -> tensor<1x2xf32>
  %3 = linalg.generic #unary ins(%2 : tensor<1x2xf32>) outs(%e : tensor<1x2xf32>) {
  ^bb0(%a: f32, %o: f32):
    %l = arith.cmpf olt, %a, %minus : f32
    %m = arith.select %l, %minus, %a : f32
    %g = arith.cmpf ogt, %m, %one : f32
    %r = arith.select %g, %one, %m : f32
    linalg.yield %r : f32
  } -> tensor<1x2xf32>
  return %3 : tensor<1x2xf32>
}

// -----

// A value with two readers ends its layer; the ReLU becomes a layer of its own. So does an addition whose operands are no
// contractions, with its ReLU. Layers without a torch name are called by their kind, and numbered.

#id = affine_map<(d0, d1) -> (d0, d1)>
#unary = {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}
#binary = {indexing_maps = [#id, #id, #id], iterator_types = ["parallel", "parallel"]}

// CHECK: // name-layers: {"layers": 4, "contractions": 1}
// CHECK-LABEL: func.func @two_readers
// CHECK: linalg.matmul {quantune.layer = "linear"}
// CHECK: linalg.generic {{.*}} attrs = {quantune.layer = "clamp"} {
// CHECK: arith.maximumf
// CHECK: linalg.generic {{.*}} attrs = {quantune.layer = "generic"} {
// CHECK: math.tanh
// CHECK: linalg.generic {{.*}} attrs = {quantune.layer = "add"} {
// CHECK: arith.addf
// CHECK: linalg.generic {{.*}} attrs = {quantune.layer = "add"} {
// CHECK: arith.maximumf
func.func @two_readers(%x: tensor<1x2xf32>) -> (tensor<1x2xf32>, tensor<1x2xf32>) {
  %w = arith.constant dense<0.5> : tensor<2x2xf32>
  %zero = arith.constant 0.0 : f32
  %e = tensor.empty() : tensor<1x2xf32>
  %start = linalg.fill ins(%zero : f32) outs(%e : tensor<1x2xf32>) -> tensor<1x2xf32>
  %0 = linalg.matmul ins(%x, %w : tensor<1x2xf32>, tensor<2x2xf32>) outs(%start : tensor<1x2xf32>) -> tensor<1x2xf32>
  %1 = linalg.generic #unary ins(%0 : tensor<1x2xf32>) outs(%e : tensor<1x2xf32>) {
  ^bb0(%a: f32, %o: f32):
    %r = arith.maximumf %a, %zero : f32
    linalg.yield %r : f32
  } -> tensor<1x2xf32>
  %2 = linalg.generic #unary ins(%1 : tensor<1x2xf32>) outs(%e : tensor<1x2xf32>) {
  ^bb0(%a: f32, %o: f32):
    %r = math.tanh %a : f32
    linalg.yield %r : f32
  } -> tensor<1x2xf32>
  %3 = linalg.generic #binary ins(%1, %2 : tensor<1x2xf32>, tensor<1x2xf32>) outs(%e : tensor<1x2xf32>) {
  ^bb0(%a: f32, %b: f32, %o: f32):
    %r = arith.addf %a, %b : f32
    linalg.yield %r : f32
  } -> tensor<1x2xf32>
  %4 = linalg.generic #unary ins(%3 : tensor<1x2xf32>) outs(%e : tensor<1x2xf32>) {
  ^bb0(%a: f32, %o: f32):
    %r = arith.maximumf %a, %zero : f32
    linalg.yield %r : f32
  } -> tensor<1x2xf32>
  return %0, %4 : tensor<1x2xf32>, tensor<1x2xf32>
}

// -----

// Two contractions of one torch module are numbered in order of execution; a mean takes its division in; padding that is not zero stays outside.

#map = affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3)>
#point = affine_map<(d0, d1, d2, d3) -> (d0, 0, 0, d3)>
#unary = {indexing_maps = [#map, #map], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
#mean = {indexing_maps = [#map, #point], iterator_types = ["parallel", "reduction", "reduction", "parallel"]}

// CHECK: // name-layers: {"layers": 4, "contractions": 2}
// CHECK-LABEL: func.func @shared_module
// CHECK: tensor.pad
// CHECK: } {quantune.layer = "pad"} :
// CHECK: linalg.conv_2d_nhwc_hwcf {quantune.layer = "block.conv"}
// CHECK: linalg.conv_2d_nhwc_hwcf {quantune.layer = "block.conv#2"}
// CHECK: linalg.generic {{.*}} attrs = {quantune.layer = "avg_pool"} {
// CHECK: arith.addf
// CHECK: linalg.generic {{.*}} attrs = {quantune.layer = "avg_pool"} {
// CHECK: arith.divf
func.func @shared_module(%x: tensor<1x2x2x1xf32>) -> tensor<1x1x1x1xf32> {
  %w = arith.constant dense<0.5> : tensor<1x1x1x1xf32>
  %zero = arith.constant 0.0 : f32
  %one = arith.constant 1.0 : f32
  %nine = arith.constant 9.0 : f32
  %padded = tensor.pad %x low[0, 1, 0, 0] high[0, 0, 1, 0] {
  ^bb0(%i: index, %j: index, %k: index, %l: index):
    tensor.yield %one : f32
  } : tensor<1x2x2x1xf32> to tensor<1x3x3x1xf32>
  %e = tensor.empty() : tensor<1x3x3x1xf32>
  %start = linalg.fill ins(%zero : f32) outs(%e : tensor<1x3x3x1xf32>) -> tensor<1x3x3x1xf32>
  %0 = linalg.conv_2d_nhwc_hwcf ins(%padded, %w : tensor<1x3x3x1xf32>, tensor<1x1x1x1xf32>) outs(%start : tensor<1x3x3x1xf32>) -> tensor<1x3x3x1xf32> loc("torch:block.conv|model.py":3:0)
  %1 = linalg.conv_2d_nhwc_hwcf ins(%0, %w : tensor<1x3x3x1xf32>, tensor<1x1x1x1xf32>) outs(%start : tensor<1x3x3x1xf32>) -> tensor<1x3x3x1xf32> loc("torch:block.conv|model.py":3:0)
  %e1 = tensor.empty() : tensor<1x1x1x1xf32>
  %s1 = linalg.fill ins(%zero : f32) outs(%e1 : tensor<1x1x1x1xf32>) -> tensor<1x1x1x1xf32>
  %2 = linalg.generic #mean ins(%1 : tensor<1x3x3x1xf32>) outs(%s1 : tensor<1x1x1x1xf32>) {
  ^bb0(%a: f32, %o: f32):
    %r = arith.addf %a, %o : f32
    linalg.yield %r : f32
  } -> tensor<1x1x1x1xf32>
  %3 = linalg.generic #unary ins(%2 : tensor<1x1x1x1xf32>) outs(%e1 : tensor<1x1x1x1xf32>) {
  ^bb0(%a: f32, %o: f32):
    %r = arith.divf %a, %nine : f32
    linalg.yield %r : f32
  } -> tensor<1x1x1x1xf32>
  return %3 : tensor<1x1x1x1xf32>
}
