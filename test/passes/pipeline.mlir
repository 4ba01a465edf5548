// RUN: quantune-opt %s --pass-pipeline='builtin.module(fold-batch-norm, channels-last, name-layers, annotate-precision{plan=%S/Inputs/pipeline.json}, insert-qdq, propagate-qdq, cancel-qdq, lower-to-integer, lower-casts, convert-conv-to-matmul, strip-annotations)' --report=- -o %t.mlir
// RUN: filecheck %s --input-file=%t.mlir
// RUN: quantune-opt %t.mlir --emit=bytecode | iree-compile - --iree-hal-target-device=local --iree-hal-local-target-device-backends=llvm-cpu --iree-llvmcpu-target-cpu=generic -o %t.vmfb
// RUN: iree-run-module --module=%t.vmfb --function=main --input=1x1x4x4xf32=1,2,3,4,-1,-2,-3,-4,5,6,7,8,0.5,0.25,0,-8 | filecheck %s --check-prefix=RUN-ONCE

// Everything at once: convolution with batch norm and ReLU, max-pool, a residual block, mean, classifier, as torch writes them
// (channels first), with mixed widths; the second convolution of the block is a float island.

// CHECK: // fold-batch-norm: {"folded": 2}
// CHECK: // channels-last:
// CHECK-SAME: "channels_first_left": []
// CHECK: // name-layers: {"layers": 8, "contractions": 4}
// CHECK: // annotate-precision: {"integer_layers": 7, "float_layers": 1}
// CHECK: // insert-qdq:
// CHECK: // propagate-qdq: {"moved": 5}
// CHECK: // cancel-qdq:
// CHECK-SAME: "boundaries_left": 3, "quantize": 2, "dequantize": 1, "requantize": 0, "where": ["quantize input", "dequantize for block.conv2", "quantize block.conv2"]}
// CHECK: // lower-to-integer: {"lowered": {"linalg.conv_2d_nhwc_hwcf": 2, "linalg.generic": 1, "linalg.matmul": 1}}
// CHECK: // lower-casts: {"quantize": 2, "dequantize": 1, "requantize": 0}
// CHECK: // convert-conv-to-matmul: {"converted": 3}
// CHECK-LABEL: func.func @main
// CHECK-SAME: (%{{.+}}: tensor<1x1x4x4xf32>) -> tensor<1x2xf32>
// CHECK-NOT: quant
// CHECK-NOT: linalg.conv
// CHECK: linalg.matmul {{.*}} -> tensor<16x2xi32>
// CHECK-NOT: quant
// CHECK: linalg.pooling_nhwc_max_unsigned
// CHECK-NOT: quant
// CHECK: linalg.matmul {{.*}} -> tensor<4x2xi32>
// CHECK-NOT: quant
// CHECK: linalg.matmul {{.*}} -> tensor<4x2xf32>
// CHECK-NOT: quant
// CHECK: linalg.matmul {{.*}} -> tensor<1x2xi32>
// CHECK-NOT: quant
// CHECK: return %{{.+}} : tensor<1x2xf32>

// The numpy reference computes the same two logits from this plan and input.
// RUN-ONCE: 1x2xf32=[5.43173 -8.05417]

#nchw = affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3)>
#channel = affine_map<(d0, d1, d2, d3) -> (d1)>
#point = affine_map<(d0, d1, d2, d3) -> (d0, d1, 0, 0)>
#unary = {indexing_maps = [#nchw, #nchw], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
#binary = {indexing_maps = [#nchw, #nchw, #nchw], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
#scale = {indexing_maps = [#nchw, #channel, #channel, #nchw], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
#sum = {indexing_maps = [#nchw, #point], iterator_types = ["parallel", "parallel", "reduction", "reduction"]}

func.func @main(%x: tensor<1x1x4x4xf32>) -> tensor<1x2xf32> {
  %w0 = arith.constant dense<[[[[0.1, -0.2, 0.3], [0.4, 0.5, -0.6], [0.7, 0.8, 0.9]]], [[[-0.9, 0.8, 0.7], [-0.6, 0.5, 0.4], [-0.3, 0.2, 0.1]]]]> : tensor<2x1x3x3xf32>
  %gamma = arith.constant dense<[0.5, 2.0]> : tensor<2xf32>
  %beta = arith.constant dense<[0.1, -0.3]> : tensor<2xf32>
  %w1 = arith.constant dense<[[[[0.5]], [[-0.25]]], [[[1.0]], [[0.75]]]]> : tensor<2x2x1x1xf32>
  %w2 = arith.constant dense<[[[[-0.5]], [[0.4]]], [[[0.3]], [[-0.8]]]]> : tensor<2x2x1x1xf32>
  %w3 = arith.constant dense<[[0.6, -0.7], [0.2, 0.9]]> : tensor<2x2xf32>
  %b3 = arith.constant dense<[0.25, -0.75]> : tensor<2xf32>
  %zero = arith.constant 0.0 : f32
  %four = arith.constant 4.0 : f32
  %lowest = arith.constant 0xFF800000 : f32
  %e4 = tensor.empty() : tensor<1x2x4x4xf32>
  %e2 = tensor.empty() : tensor<1x2x2x2xf32>
  %e1 = tensor.empty() : tensor<1x2x1x1xf32>
  %s4 = linalg.fill ins(%zero : f32) outs(%e4 : tensor<1x2x4x4xf32>) -> tensor<1x2x4x4xf32>
  %s2 = linalg.fill ins(%zero : f32) outs(%e2 : tensor<1x2x2x2xf32>) -> tensor<1x2x2x2xf32>
  %s1 = linalg.fill ins(%zero : f32) outs(%e1 : tensor<1x2x1x1xf32>) -> tensor<1x2x1x1xf32>
  %padded = tensor.pad %x low[0, 0, 1, 1] high[0, 0, 1, 1] {
  ^bb0(%i: index, %j: index, %k: index, %l: index):
    tensor.yield %zero : f32
  } : tensor<1x1x4x4xf32> to tensor<1x1x6x6xf32>
  %0 = linalg.conv_2d_nchw_fchw ins(%padded, %w0 : tensor<1x1x6x6xf32>, tensor<2x1x3x3xf32>) outs(%s4 : tensor<1x2x4x4xf32>) -> tensor<1x2x4x4xf32> loc("torch:stem.conv|model.py":1:0)
  %1 = linalg.generic #scale ins(%0, %gamma, %beta : tensor<1x2x4x4xf32>, tensor<2xf32>, tensor<2xf32>) outs(%e4 : tensor<1x2x4x4xf32>) {
  ^bb0(%a: f32, %g: f32, %b: f32, %o: f32):
    %m = arith.mulf %a, %g : f32
    %r = arith.addf %m, %b : f32
    linalg.yield %r : f32
  } -> tensor<1x2x4x4xf32> loc("torch:stem.bn|model.py":1:0)
  %2 = linalg.generic #unary ins(%1 : tensor<1x2x4x4xf32>) outs(%e4 : tensor<1x2x4x4xf32>) {
  ^bb0(%a: f32, %o: f32):
    %r = arith.maximumf %a, %zero : f32
    linalg.yield %r : f32
  } -> tensor<1x2x4x4xf32> loc("torch:stem.relu|model.py":1:0)
  %window = tensor.empty() : tensor<2x2xf32>
  %sp = linalg.fill ins(%lowest : f32) outs(%e2 : tensor<1x2x2x2xf32>) -> tensor<1x2x2x2xf32>
  %3 = linalg.pooling_nchw_max {strides = dense<2> : tensor<2xi64>} ins(%2, %window : tensor<1x2x4x4xf32>, tensor<2x2xf32>) outs(%sp : tensor<1x2x2x2xf32>) -> tensor<1x2x2x2xf32> loc("torch:stem.pool|model.py":1:0)
  %4 = linalg.conv_2d_nchw_fchw ins(%3, %w1 : tensor<1x2x2x2xf32>, tensor<2x2x1x1xf32>) outs(%s2 : tensor<1x2x2x2xf32>) -> tensor<1x2x2x2xf32> loc("torch:block.conv1|model.py":2:0)
  %5 = linalg.conv_2d_nchw_fchw ins(%4, %w2 : tensor<1x2x2x2xf32>, tensor<2x2x1x1xf32>) outs(%s2 : tensor<1x2x2x2xf32>) -> tensor<1x2x2x2xf32> loc("torch:block.conv2|model.py":3:0)
  %6 = linalg.generic #binary ins(%5, %3 : tensor<1x2x2x2xf32>, tensor<1x2x2x2xf32>) outs(%e2 : tensor<1x2x2x2xf32>) {
  ^bb0(%a: f32, %b: f32, %o: f32):
    %r = arith.addf %a, %b : f32
    linalg.yield %r : f32
  } -> tensor<1x2x2x2xf32> loc("torch:block.add|model.py":3:0)
  %7 = linalg.generic #sum ins(%6 : tensor<1x2x2x2xf32>) outs(%s1 : tensor<1x2x1x1xf32>) {
  ^bb0(%a: f32, %o: f32):
    %r = arith.addf %a, %o : f32
    linalg.yield %r : f32
  } -> tensor<1x2x1x1xf32> loc("torch:mean|model.py":4:0)
  %8 = linalg.generic #unary ins(%7 : tensor<1x2x1x1xf32>) outs(%e1 : tensor<1x2x1x1xf32>) {
  ^bb0(%a: f32, %o: f32):
    %r = arith.divf %a, %four : f32
    linalg.yield %r : f32
  } -> tensor<1x2x1x1xf32> loc("torch:mean|model.py":4:0)
  %9 = tensor.collapse_shape %8 [[0], [1, 2, 3]] : tensor<1x2x1x1xf32> into tensor<1x2xf32> loc("torch:flatten|model.py":4:0)
  %e0 = tensor.empty() : tensor<1x2xf32>
  %s0 = linalg.broadcast ins(%b3 : tensor<2xf32>) outs(%e0 : tensor<1x2xf32>) dimensions = [0]
  %10 = linalg.matmul ins(%9, %w3 : tensor<1x2xf32>, tensor<2x2xf32>) outs(%s0 : tensor<1x2xf32>) -> tensor<1x2xf32> loc("torch:fc|model.py":5:0)
  return %10 : tensor<1x2xf32>
}
