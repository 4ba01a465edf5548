// RUN: quantune-opt %s --split-input-file --pass-pipeline='prove-accumulators{target=x86-64-avx2},select-kernels{target=x86-64-avx2}' --report=- --mlir-elide=8 | filecheck %s
// RUN: quantune-opt %s --split-input-file --pass-pipeline='prove-accumulators{target=cortex-a72},select-kernels{target=cortex-a72}' --report=- --mlir-elide=8 | filecheck %s --check-prefix=NEON
// RUN: quantune-opt %s --split-input-file --pass-pipeline=select-kernels --report=- | filecheck %s --check-prefix=NO-KERNELS
// RUN: not quantune-opt %s --pass-pipeline='select-kernels{target=x86-64-avx3}' 2>&1 | filecheck %s --check-prefix=REJECTED

// REJECTED: quantune-opt: error: unknown target 'x86-64-avx3'; choose one of {{.*}}x86-64-avx2

// Without kernels for the processor every layer stays as it is, and the module is for no device in particular.

// NO-KERNELS-NOT: hal.
// NO-KERNELS-NOT: flow.
// NO-KERNELS: // select-kernels: {"choices": {"conv": "generated code: no kernel for this target"}, "kernels": 0, "quantizations": 0}
// NO-KERNELS-NOT: hal.
// NO-KERNELS-NOT: flow.
// NO-KERNELS-LABEL: func.func @convolution
// NO-KERNELS: linalg.conv_2d_nhwc_hwcf

// Padding, convolution, bias, ReLU: padded storage in, storage out. The kernel's arguments are a pointer and an offset for each of
// input, constants and result, and the workgroup; the bitcode and the device travel with the module.

#map = affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3)>
#channel = affine_map<(d0, d1, d2, d3) -> (d3)>
#unary = {indexing_maps = [#map, #map], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
#bias = {indexing_maps = [#map, #channel, #map], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}

// NEON: // select-kernels: {"choices": {"conv": "kernel qconv for neon"}, "kernels": 1, "quantizations": 0}
// NEON: #hal.executable.target<"llvm-cpu", "embedded-elf-arm_64", {{.*}}target_triple = "aarch64-
// NEON: flow.dispatch @quantune_kernels::@conv$qconv_neon(

// CHECK: // select-kernels: {"choices": {"conv": "kernel qconv for avx2"}, "kernels": 1, "quantizations": 0}
// CHECK: #[[TARGET:.+]] = #hal.executable.target<"llvm-cpu", "embedded-elf-x86_64", {{.*}}target_triple = "x86_64-
// CHECK: #[[DEVICE:.+]] = #hal.device.target<"local", [#[[TARGET]]]> : !hal.device
// CHECK: module attributes {hal.device.targets = [#[[DEVICE]]]}
// CHECK: stream.executable private @quantune_kernels attributes {hal.executable.objects = #hal.executable.objects<{#[[TARGET]] = [#hal.executable.object<{path = "qconv.bc", data = {{.*}}}>]}>}
// CHECK: stream.executable.export public @[[ENTRY:conv[$]qconv_avx2]] workgroups() -> (index, index, index)
// CHECK: func.func private @quantune_qconv_avx2(memref<i8>, memref<i8>, memref<i8>, index, index, index, index, index) attributes {hal.import.static, llvm.bareptr = true}
// CHECK: func.func @[[ENTRY]](%{{.+}}: !stream.binding, %{{.+}}: !stream.binding, %{{.+}}: !stream.binding)
// CHECK: call @quantune_qconv_avx2(
// CHECK-LABEL: func.func @convolution
// CHECK-DAG: %[[CONSTANTS:.+]] = arith.constant {{.*}} : tensor<[[SIZE:[0-9]+]]xi8>
// CHECK-DAG: %[[PAD:.+]] = tensor.pad
// CHECK-NOT: linalg.
// CHECK: %[[OUT:.+]] = flow.dispatch @quantune_kernels::@[[ENTRY]](%[[PAD]], %[[CONSTANTS]]) : (tensor<1x4x4x4xi8>, tensor<[[SIZE]]xi8>) -> tensor<1x2x2x2xi8>
// CHECK: quant.scast %[[OUT]]
// CHECK-NOT: linalg.
func.func @convolution(%q: tensor<1x2x2x4x!quant.uniform<u8:f32, 0.5:3>>) -> tensor<1x2x2x2x!quant.uniform<u8:f32, 0.25:10>> {
  %w = arith.constant dense<0.5> : tensor<3x3x4x2xf32>
  %b = arith.constant dense<[1.0, 2.0]> : tensor<2xf32>
  %zero = arith.constant 0.0 : f32
  %three = arith.constant 3 : i8
  %bytes = quant.scast %q : tensor<1x2x2x4x!quant.uniform<u8:f32, 0.5:3>> to tensor<1x2x2x4xi8>
  %padded = tensor.pad %bytes low[0, 1, 1, 0] high[0, 1, 1, 0] {
  ^bb0(%i: index, %j: index, %k: index, %l: index):
    tensor.yield %three : i8
  } {quantune.layer = "conv", quantune.precision = "integer"} : tensor<1x2x2x4xi8> to tensor<1x4x4x4xi8>
  %x = quant.scast %padded : tensor<1x4x4x4xi8> to tensor<1x4x4x4x!quant.uniform<u8:f32, 0.5:3>>
  %d = quant.dcast %x : tensor<1x4x4x4x!quant.uniform<u8:f32, 0.5:3>> to tensor<1x4x4x4xf32>
  %qw = quant.qcast %w : tensor<3x3x4x2xf32> to tensor<3x3x4x2x!quant.uniform<i8<-127:127>:f32:3, {0.25,0.5}>>
  %dw = quant.dcast %qw : tensor<3x3x4x2x!quant.uniform<i8<-127:127>:f32:3, {0.25,0.5}>> to tensor<3x3x4x2xf32>
  %e = tensor.empty() : tensor<1x2x2x2xf32>
  %start = linalg.fill ins(%zero : f32) outs(%e : tensor<1x2x2x2xf32>) -> tensor<1x2x2x2xf32>
  %0 = linalg.conv_2d_nhwc_hwcf {quantune.layer = "conv", quantune.precision = "integer"}
      ins(%d, %dw : tensor<1x4x4x4xf32>, tensor<3x3x4x2xf32>) outs(%start : tensor<1x2x2x2xf32>) -> tensor<1x2x2x2xf32>
  %1 = linalg.generic #bias ins(%0, %b : tensor<1x2x2x2xf32>, tensor<2xf32>) outs(%e : tensor<1x2x2x2xf32>) attrs = {quantune.layer = "conv", quantune.precision = "integer"} {
  ^bb0(%a: f32, %c: f32, %o: f32):
    %r = arith.addf %a, %c : f32
    linalg.yield %r : f32
  } -> tensor<1x2x2x2xf32>
  %2 = linalg.generic #unary ins(%1 : tensor<1x2x2x2xf32>) outs(%e : tensor<1x2x2x2xf32>) attrs = {quantune.layer = "conv", quantune.precision = "integer"} {
  ^bb0(%a: f32, %o: f32):
    %r = arith.maximumf %a, %zero : f32
    linalg.yield %r : f32
  } -> tensor<1x2x2x2xf32>
  %3 = quant.qcast %2 : tensor<1x2x2x2xf32> to tensor<1x2x2x2x!quant.uniform<u8:f32, 0.25:10>>
  return %3 : tensor<1x2x2x2x!quant.uniform<u8:f32, 0.25:10>>
}

// -----

// Depthwise, of stride 2. Another family of kernels, which sums in 32 bits and needs no proof.

// CHECK: // select-kernels: {"choices": {"dw": "kernel qdepthwise for avx2"}, "kernels": 1, "quantizations": 0}
// CHECK: path = "qdepthwise.bc"
// CHECK-LABEL: func.func @depthwise
// CHECK-NOT: linalg.
// CHECK: flow.dispatch @quantune_kernels::@dw$qdepthwise_avx2(%{{.+}}, %{{.+}}) : (tensor<1x3x3x2xi8>, tensor<{{[0-9]+}}xi8>) -> tensor<1x1x1x2xi8>
// NO-KERNELS-LABEL: func.func @depthwise
// NO-KERNELS: linalg.depthwise_conv_2d_nhwc_hwc
func.func @depthwise(%q: tensor<1x3x3x2x!quant.uniform<u8:f32, 0.5:3>>) -> tensor<1x1x1x2x!quant.uniform<u8:f32, 0.25>> {
  %w = arith.constant dense<[[[0.5, -1.0], [1.0, 1.0]], [[0.25, 0.5], [1.0, -1.0]]]> : tensor<2x2x2xf32>
  %zero = arith.constant 0.0 : f32
  %d = quant.dcast %q : tensor<1x3x3x2x!quant.uniform<u8:f32, 0.5:3>> to tensor<1x3x3x2xf32>
  %qw = quant.qcast %w : tensor<2x2x2xf32> to tensor<2x2x2x!quant.uniform<i8<-127:127>:f32:2, {0.0078125,0.0078125}>>
  %dw = quant.dcast %qw : tensor<2x2x2x!quant.uniform<i8<-127:127>:f32:2, {0.0078125,0.0078125}>> to tensor<2x2x2xf32>
  %e = tensor.empty() : tensor<1x1x1x2xf32>
  %start = linalg.fill ins(%zero : f32) outs(%e : tensor<1x1x1x2xf32>) -> tensor<1x1x1x2xf32>
  %0 = linalg.depthwise_conv_2d_nhwc_hwc {quantune.layer = "dw", quantune.precision = "integer", strides = dense<2> : tensor<2xi64>}
      ins(%d, %dw : tensor<1x3x3x2xf32>, tensor<2x2x2xf32>) outs(%start : tensor<1x1x1x2xf32>) -> tensor<1x1x1x2xf32>
  %1 = quant.qcast %0 : tensor<1x1x1x2xf32> to tensor<1x1x1x2x!quant.uniform<u8:f32, 0.25>>
  return %1 : tensor<1x1x1x2x!quant.uniform<u8:f32, 0.25>>
}

// -----

// An integer residual is one more operand. `last` is read by nobody as integers and delivers f32. Both share one executable.

#map = affine_map<(d0, d1) -> (d0, d1)>
#binary = {indexing_maps = [#map, #map, #map], iterator_types = ["parallel", "parallel"]}

// CHECK: // select-kernels: {"choices": {"block": "kernel qconv for avx2", "last": "kernel qconv for avx2"}, "kernels": 2, "quantizations": 0}
// CHECK: [#hal.executable.object<{path = "qconv.bc", data = {{[^}]+}}}>]
// CHECK: stream.executable.export public @[[ADD:block[$]qconv_avx2]]
// CHECK: stream.executable.export public @[[LAST:last[$]qconv_avx2]]
// CHECK-LABEL: func.func @residual
// CHECK-SAME: (%[[A:.+]]: tensor<1x4x!quant{{.*}}, %[[B:.+]]: tensor<1x4x!quant
// CHECK-DAG: %[[X:.+]] = quant.scast %[[A]]
// CHECK-DAG: %[[R:.+]] = quant.scast %[[B]]
// CHECK: %[[SUM:.+]] = flow.dispatch @quantune_kernels::@[[ADD]](%[[X]], %[[R]], %{{.+}}) : (tensor<1x4xi8>, tensor<1x4xi8>, tensor<{{[0-9]+}}xi8>) -> tensor<1x4xi8>
// CHECK: %[[LOGITS:.+]] = flow.dispatch @quantune_kernels::@[[LAST]](%{{.+}}, %{{.+}}) : (tensor<1x4xi8>, tensor<{{[0-9]+}}xi8>) -> tensor<1x2xf32>
// CHECK: return %[[LOGITS]]
// NO-KERNELS: "kernels": 0
// NO-KERNELS-LABEL: func.func @residual
// NO-KERNELS: linalg.matmul
// NO-KERNELS: linalg.matmul
func.func @residual(%q: tensor<1x4x!quant.uniform<u8:f32, 0.5:3>>, %p: tensor<1x4x!quant.uniform<u8:f32, 0.5:7>>) -> tensor<1x2xf32> {
  %w = arith.constant dense<0.5> : tensor<4x4xf32>
  %v = arith.constant dense<[[0.5, -0.5], [0.25, 1.0], [0.0, -0.25], [1.0, 0.5]]> : tensor<4x2xf32>
  %zero = arith.constant 0.0 : f32
  %d = quant.dcast %q : tensor<1x4x!quant.uniform<u8:f32, 0.5:3>> to tensor<1x4xf32>
  %other = quant.dcast %p : tensor<1x4x!quant.uniform<u8:f32, 0.5:7>> to tensor<1x4xf32>
  %qw = quant.qcast %w : tensor<4x4xf32> to tensor<4x4x!quant.uniform<i8<-127:127>:f32:1, {0.25,0.25,0.25,0.25}>>
  %dw = quant.dcast %qw : tensor<4x4x!quant.uniform<i8<-127:127>:f32:1, {0.25,0.25,0.25,0.25}>> to tensor<4x4xf32>
  %qv = quant.qcast %v : tensor<4x2xf32> to tensor<4x2x!quant.uniform<i8<-7:7>:f32:1, {0.25,0.25}>>
  %dv = quant.dcast %qv : tensor<4x2x!quant.uniform<i8<-7:7>:f32:1, {0.25,0.25}>> to tensor<4x2xf32>
  %e = tensor.empty() : tensor<1x4xf32>
  %e2 = tensor.empty() : tensor<1x2xf32>
  %start = linalg.fill ins(%zero : f32) outs(%e : tensor<1x4xf32>) -> tensor<1x4xf32>
  %start2 = linalg.fill ins(%zero : f32) outs(%e2 : tensor<1x2xf32>) -> tensor<1x2xf32>
  %0 = linalg.matmul {quantune.layer = "block", quantune.precision = "integer"} ins(%d, %dw : tensor<1x4xf32>, tensor<4x4xf32>) outs(%start : tensor<1x4xf32>) -> tensor<1x4xf32>
  %1 = linalg.generic #binary ins(%0, %other : tensor<1x4xf32>, tensor<1x4xf32>) outs(%e : tensor<1x4xf32>) attrs = {quantune.layer = "block", quantune.precision = "integer"} {
  ^bb0(%a: f32, %b: f32, %o: f32):
    %r = arith.addf %a, %b : f32
    linalg.yield %r : f32
  } -> tensor<1x4xf32>
  %2 = quant.qcast %1 : tensor<1x4xf32> to tensor<1x4x!quant.uniform<u8:f32, 0.25>>
  %3 = quant.dcast %2 : tensor<1x4x!quant.uniform<u8:f32, 0.25>> to tensor<1x4xf32>
  %4 = linalg.matmul {quantune.layer = "last", quantune.precision = "integer"} ins(%3, %dv : tensor<1x4xf32>, tensor<4x2xf32>) outs(%start2 : tensor<1x2xf32>) -> tensor<1x2xf32>
  return %4 : tensor<1x2xf32>
}

// -----

// Two neighbouring weights of 127 can make 2 * 127 * 255 = 64770, which vpmaddubsw cuts to 32767, so there is no proof; the same of 63
// make 32130. A float layer has kernels of its own; the f32 that it delivers may be another's residual.

#map = affine_map<(d0, d1) -> (d0, d1)>
#binary = {indexing_maps = [#map, #map, #map], iterator_types = ["parallel", "parallel"]}

// CHECK: // select-kernels: {"choices": {
// CHECK-SAME: "eight": "kernel qconv for avx2, widening every product: 8-bit weights may overflow 16 bits, 7-bit ones would not",
// CHECK-SAME: "seven": "kernel qconv for avx2",
// CHECK-SAME: "island": "kernel fconv for avx2",
// CHECK-SAME: "real": "kernel qconv for avx2"}, "kernels": 4, "quantizations": 0}
// CHECK-LABEL: func.func @precisions
// CHECK: flow.dispatch @quantune_kernels::@eight$qconv_avx2(
// CHECK: flow.dispatch @quantune_kernels::@seven$qconv_avx2(
// CHECK: %[[REAL:.+]] = flow.dispatch @quantune_kernels::@island$fconv_avx2(%{{.+}}, %{{.+}}) : (tensor<1x4xf32>, {{.*}}) -> tensor<1x1xf32>
// CHECK: flow.dispatch @quantune_kernels::@real$qconv_avx2(%{{.+}}, %[[REAL]], %{{.+}}) : (tensor<1x4xi8>, tensor<1x1xf32>, {{.*}}) -> %[[REAL]]
func.func @precisions(%q: tensor<1x4x!quant.uniform<u8:f32, 0.5:3>>) -> (tensor<1x1xf32>, tensor<1x1xf32>, tensor<1x1xf32>) {
  %w = arith.constant dense<1.0> : tensor<4x1xf32>
  %zero = arith.constant 0.0 : f32
  %d = quant.dcast %q : tensor<1x4x!quant.uniform<u8:f32, 0.5:3>> to tensor<1x4xf32>
  %q8 = quant.qcast %w : tensor<4x1xf32> to tensor<4x1x!quant.uniform<i8<-127:127>:f32:1, {0.0078125}>>
  %d8 = quant.dcast %q8 : tensor<4x1x!quant.uniform<i8<-127:127>:f32:1, {0.0078125}>> to tensor<4x1xf32>
  %q7 = quant.qcast %w : tensor<4x1xf32> to tensor<4x1x!quant.uniform<i8<-63:63>:f32:1, {0.015625}>>
  %d7 = quant.dcast %q7 : tensor<4x1x!quant.uniform<i8<-63:63>:f32:1, {0.015625}>> to tensor<4x1xf32>
  %e = tensor.empty() : tensor<1x1xf32>
  %start = linalg.fill ins(%zero : f32) outs(%e : tensor<1x1xf32>) -> tensor<1x1xf32>
  %0 = linalg.matmul {quantune.layer = "eight", quantune.precision = "integer"} ins(%d, %d8 : tensor<1x4xf32>, tensor<4x1xf32>) outs(%start : tensor<1x1xf32>) -> tensor<1x1xf32>
  %1 = linalg.matmul {quantune.layer = "seven", quantune.precision = "integer"} ins(%d, %d7 : tensor<1x4xf32>, tensor<4x1xf32>) outs(%start : tensor<1x1xf32>) -> tensor<1x1xf32>
  %2 = linalg.matmul {quantune.layer = "island", quantune.precision = "float"} ins(%d, %w : tensor<1x4xf32>, tensor<4x1xf32>) outs(%start : tensor<1x1xf32>) -> tensor<1x1xf32>
  %3 = linalg.matmul {quantune.layer = "real", quantune.precision = "integer"} ins(%d, %d7 : tensor<1x4xf32>, tensor<4x1xf32>) outs(%start : tensor<1x1xf32>) -> tensor<1x1xf32>
  %4 = linalg.generic #binary ins(%3, %2 : tensor<1x1xf32>, tensor<1x1xf32>) outs(%e : tensor<1x1xf32>) attrs = {quantune.layer = "real", quantune.precision = "integer"} {
  ^bb0(%a: f32, %b: f32, %o: f32):
    %r = arith.addf %a, %b : f32
    linalg.yield %r : f32
  } -> tensor<1x1xf32>
  return %0, %1, %4 : tensor<1x1xf32>, tensor<1x1xf32>, tensor<1x1xf32>
}
