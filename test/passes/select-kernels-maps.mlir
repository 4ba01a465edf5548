// RUN: quantune-opt %s --split-input-file --pass-pipeline='select-kernels{target=x86-64-avx2}' --mlir-elide=8 | filecheck %s

// A network's input is quantized, turned channels-last and framed by one kernel.

// CHECK-LABEL: func.func @planes
// CHECK-NOT: linalg.transpose
// CHECK: %[[FRAMED:.+]] = flow.dispatch @quantune_kernels::@quantize$qmap_avx2(%arg0, {{.*}}) : (tensor<1x3x4x4xf32>, {{.*}}) -> tensor<1x6x6x3xi8>
// CHECK-NOT: tensor.pad
// CHECK: flow.dispatch @quantune_kernels::@pool$qmaxpool_avx2(%[[FRAMED]], {{.*}}) -> tensor<1x4x4x3xi8>
func.func @planes(%x: tensor<1x3x4x4xf32>) -> tensor<1x4x4x3xi8> {
  %c0 = arith.constant 0 : i8
  %q = quant.qcast %x : tensor<1x3x4x4xf32> to tensor<1x3x4x4x!quant.uniform<u8:f32, 0.5:3>>
  %s = quant.scast %q : tensor<1x3x4x4x!quant.uniform<u8:f32, 0.5:3>> to tensor<1x3x4x4xi8>
  %e = tensor.empty() : tensor<1x4x4x3xi8>
  %t = linalg.transpose ins(%s : tensor<1x3x4x4xi8>) outs(%e : tensor<1x4x4x3xi8>) permutation = [0, 2, 3, 1]
  %p = tensor.pad %t low[0, 1, 1, 0] high[0, 1, 1, 0] {
  ^bb0(%i: index, %j: index, %k: index, %l: index):
    tensor.yield %c0 : i8
  } {quantune.layer = "pool", quantune.precision = "integer"} : tensor<1x4x4x3xi8> to tensor<1x6x6x3xi8>
  %f = linalg.fill ins(%c0 : i8) outs(%e : tensor<1x4x4x3xi8>) -> tensor<1x4x4x3xi8>
  %w = tensor.empty() : tensor<3x3xi8>
  %m = linalg.pooling_nhwc_max_unsigned {quantune.layer = "pool", quantune.precision = "integer"} ins(%p, %w : tensor<1x6x6x3xi8>, tensor<3x3xi8>) outs(%f : tensor<1x4x4x3xi8>) -> tensor<1x4x4x3xi8>
  return %m : tensor<1x4x4x3xi8>
}

// -----

// What space-to-depth writes is one kernel too.

// CHECK-LABEL: func.func @squares
// CHECK: %[[SQUARES:.+]] = flow.dispatch @quantune_kernels::@quantize$qmap_avx2(%arg0, {{.*}}) : (tensor<1x3x4x4xf32>, {{.*}}) -> tensor<1x3x3x12xi8>
// CHECK-NEXT: return %[[SQUARES]]
func.func @squares(%x: tensor<1x3x4x4xf32>) -> tensor<1x3x3x12xi8> {
  %c3 = arith.constant 3 : i8
  %q = quant.qcast %x : tensor<1x3x4x4xf32> to tensor<1x3x4x4x!quant.uniform<u8:f32, 0.5:3>>
  %s = quant.scast %q : tensor<1x3x4x4x!quant.uniform<u8:f32, 0.5:3>> to tensor<1x3x4x4xi8>
  %e = tensor.empty() : tensor<1x4x4x3xi8>
  %t = linalg.transpose ins(%s : tensor<1x3x4x4xi8>) outs(%e : tensor<1x4x4x3xi8>) permutation = [0, 2, 3, 1]
  %p = tensor.pad %t low[0, 1, 1, 0] high[0, 1, 1, 0] {
  ^bb0(%i: index, %j: index, %k: index, %l: index):
    tensor.yield %c3 : i8
  } : tensor<1x4x4x3xi8> to tensor<1x6x6x3xi8>
  %split = tensor.expand_shape %p [[0], [1, 2], [3, 4], [5]] output_shape [1, 3, 2, 3, 2, 3] : tensor<1x6x6x3xi8> into tensor<1x3x2x3x2x3xi8>
  %init = tensor.empty() : tensor<1x3x3x2x2x3xi8>
  %turned = linalg.transpose ins(%split : tensor<1x3x2x3x2x3xi8>) outs(%init : tensor<1x3x3x2x2x3xi8>) permutation = [0, 1, 3, 2, 4, 5]
  %joined = tensor.collapse_shape %turned [[0], [1], [2], [3, 4, 5]] : tensor<1x3x3x2x2x3xi8> into tensor<1x3x3x12xi8>
  return %joined : tensor<1x3x3x12xi8>
}

// -----

// An image that is read in another way as well keeps its own form; f32 that generated code computes is quantized there.

// CHECK-LABEL: func.func @left_alone
// CHECK: flow.dispatch @quantune_kernels::@quantize$qmap_avx2(%arg0, {{.*}}) -> tensor<1x3x4x4xi8>
// CHECK: linalg.transpose
// CHECK: quant.qcast
func.func @left_alone(%x: tensor<1x3x4x4xf32>) -> (tensor<1x3x4x4xi8>, tensor<1x4x4x3xi8>, tensor<1x3x4x4xi8>) {
  %q = quant.qcast %x : tensor<1x3x4x4xf32> to tensor<1x3x4x4x!quant.uniform<u8:f32, 0.5:3>>
  %s = quant.scast %q : tensor<1x3x4x4x!quant.uniform<u8:f32, 0.5:3>> to tensor<1x3x4x4xi8>
  %e = tensor.empty() : tensor<1x4x4x3xi8>
  %t = linalg.transpose ins(%s : tensor<1x3x4x4xi8>) outs(%e : tensor<1x4x4x3xi8>) permutation = [0, 2, 3, 1]
  %i = tensor.empty() : tensor<1x3x4x4xf32>
  %y = linalg.transpose ins(%x : tensor<1x3x4x4xf32>) outs(%i : tensor<1x3x4x4xf32>) permutation = [0, 1, 3, 2]
  %r = quant.qcast %y : tensor<1x3x4x4xf32> to tensor<1x3x4x4x!quant.uniform<u8:f32, 0.5:3>>
  %u = quant.scast %r : tensor<1x3x4x4x!quant.uniform<u8:f32, 0.5:3>> to tensor<1x3x4x4xi8>
  return %s, %t, %u : tensor<1x3x4x4xi8>, tensor<1x4x4x3xi8>, tensor<1x3x4x4xi8>
}
