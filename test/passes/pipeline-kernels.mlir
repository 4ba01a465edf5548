// REQUIRES: avx2
// RUN: quantune-opt %S/pipeline.mlir --pass-pipeline='builtin.module(fold-batch-norm, channels-last, name-layers, annotate-precision{plan=%S/Inputs/pipeline.json}, insert-qdq, propagate-qdq, cancel-qdq, prove-accumulators{target=x86-64-avx2}, select-kernels{target=x86-64-avx2}, lower-to-integer, lower-casts, convert-conv-to-matmul, strip-annotations)' --report=- --mlir-elide=64 -o %t.mlir
// RUN: filecheck %s --input-file=%t.mlir
// RUN: quantune-opt %S/pipeline.mlir --pass-pipeline='builtin.module(fold-batch-norm, channels-last, name-layers, annotate-precision{plan=%S/Inputs/pipeline.json}, insert-qdq, propagate-qdq, cancel-qdq, prove-accumulators{target=x86-64-avx2}, select-kernels{target=x86-64-avx2}, lower-to-integer, lower-casts, convert-conv-to-matmul, strip-annotations)' --emit=bytecode | iree-compile - -o %t.vmfb
// RUN: iree-run-module --module=%t.vmfb --function=main --input=1x1x4x4xf32=1,2,3,4,-1,-2,-3,-4,5,6,7,8,0.5,0.25,0,-8 | filecheck %s --check-prefix=RUN-ONCE

// The network of pipeline.mlir with kernels: the module says itself which processor it is for and carries their bitcode, so that a
// stock iree-compile needs no flag. `fc` has 8-bit weights whose sums cannot be proved: its kernel widens every product.

// CHECK: // select-kernels: {"choices": {"stem.conv": "kernel qconv for avx2", "stem.pool": "kernel qmaxpool for avx2", "block.conv1": "kernel qconv for avx2", "block.conv2": "kernel fconv for avx2", "mean": "kernel qdepthwise for avx2", "fc": "kernel qconv for avx2, widening every product: {{.*}}"}, "kernels": 6, "quantizations": 2}
// CHECK: // lower-to-integer: {"lowered": {}}
// CHECK: module attributes {hal.device.targets = [
// CHECK-LABEL: func.func @main
// CHECK: flow.dispatch @quantune_kernels::@quantize$qmap_avx2({{.*}} -> tensor<1x1x4x4xi8>
// CHECK: flow.dispatch {{.*}} -> tensor<1x4x4x2xi8>
// CHECK: flow.dispatch @quantune_kernels::@stem.pool$qmaxpool_avx2({{.*}} -> tensor<1x2x2x2xi8>
// CHECK: flow.dispatch {{.*}} -> tensor<1x2x2x2xf32>
// CHECK: %[[REAL:.+]] = flow.dispatch {{.*}} -> tensor<1x2x2x2xf32>
// CHECK: flow.dispatch @quantune_kernels::@quantize$qmap_avx2_1(%[[REAL]], {{.*}} -> tensor<1x2x2x2xi8>
// CHECK: flow.dispatch @quantune_kernels::@mean$qdepthwise_avx2({{.*}} -> tensor<1x1x1x2xi8>
// CHECK: flow.dispatch @quantune_kernels::@fc$qconv_avx2({{.*}} -> tensor<1x2xf32>
// CHECK-NOT: linalg.matmul
// CHECK: return %{{.+}} : tensor<1x2xf32>

// The same as without kernels: `block.conv2`, which stays f32, sums in the same order.
// RUN-ONCE: 1x2xf32=[5.43173 -8.05417]
