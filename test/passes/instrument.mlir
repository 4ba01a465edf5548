// RUN: quantune-opt %s --pass-pipeline=instrument --report=- | filecheck %s --check-prefix=ALL
// RUN: quantune-opt %s --pass-pipeline='instrument{layers=fc2,fc1}' | filecheck %s --check-prefix=SOME
// RUN: quantune-opt %s --pass-pipeline='instrument{twins=true}' --report=- | filecheck %s --check-prefix=TWINS
// RUN: not quantune-opt %s --pass-pipeline='instrument{layers=fc3}' 2>&1 | filecheck %s --check-prefix=UNKNOWN
// RUN: not quantune-opt %s --pass-pipeline='strip-annotations,instrument' 2>&1 | filecheck %s --check-prefix=UNNAMED

// Every layer's value, after its bias and clamp, behind what the function returned before.

// ALL: // instrument: {"outputs": ["fc1", "fc2"]}
// ALL-LABEL: func.func @network
// ALL-SAME: -> (tensor<1x2xf32>, tensor<1x2xf32>, tensor<1x2xf32>) attributes {quantune.outputs = ["output0", "fc1", "fc2"]}
// ALL: linalg.matmul {quantune.layer = "fc1"
// ALL: %[[FC1:.+]] = linalg.generic {{.*}}quantune.layer = "fc1"
// ALL: %[[FC2:.+]] = linalg.matmul {quantune.layer = "fc2"
// ALL: return %[[FC2]], %[[FC1]], %[[FC2]] :

// SOME-LABEL: func.func @network
// SOME-SAME: attributes {quantune.outputs = ["output0", "fc2", "fc1"]}

// A twin repeats the whole layer in float from the inputs of the integer one; fc2 is float already.

// TWINS: // instrument: {"outputs": ["fc1", "fc2", "fc1/float"]}
// TWINS-LABEL: func.func @network
// TWINS-SAME: (%[[X:.+]]: tensor<1x2xf32>
// TWINS: linalg.matmul {quantune.layer = "fc1", quantune.precision = "integer", quantune.weight_type
// TWINS: linalg.generic {{.*}}quantune.precision = "integer"
// TWINS: %[[DOT:.+]] = linalg.matmul {quantune.layer = "fc1/float", quantune.precision = "float"} ins(%[[X]],
// TWINS: %[[TWIN:.+]] = linalg.generic {{.*}} ins(%[[DOT]] : {{.*}} attrs = {quantune.layer = "fc1/float", quantune.precision = "float"}
// TWINS: return %{{.+}}, %{{.+}}, %{{.+}}, %[[TWIN]] :

// UNKNOWN: quantune-opt: error: instrument: no layer 'fc3'; near matches: fc
// UNNAMED: quantune-opt: error: instrument: the module has no named layers; run the pass name-layers first

#id = affine_map<(d0, d1) -> (d0, d1)>
#unary = {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}
func.func @network(%x: tensor<1x2xf32> {quantune.output_type = !quant.uniform<u8:f32, 0.1>}) -> tensor<1x2xf32> {
  %w = arith.constant dense<0.5> : tensor<2x2xf32>
  %zero = arith.constant 0.0 : f32
  %e = tensor.empty() : tensor<1x2xf32>
  %start = linalg.fill ins(%zero : f32) outs(%e : tensor<1x2xf32>) -> tensor<1x2xf32>
  %0 = linalg.matmul {quantune.layer = "fc1", quantune.precision = "integer", quantune.weight_type = !quant.uniform<i8<-127:127>:f32:1, {0.1,0.1}>}
      ins(%x, %w : tensor<1x2xf32>, tensor<2x2xf32>) outs(%start : tensor<1x2xf32>) -> tensor<1x2xf32>
  %1 = linalg.generic #unary ins(%0 : tensor<1x2xf32>) outs(%e : tensor<1x2xf32>)
      attrs = {quantune.layer = "fc1", quantune.precision = "integer", quantune.output_type = !quant.uniform<u8:f32, 0.1>} {
  ^bb0(%a: f32, %o: f32):
    %r = arith.maximumf %a, %zero : f32
    linalg.yield %r : f32
  } -> tensor<1x2xf32>
  %2 = linalg.matmul {quantune.layer = "fc2", quantune.precision = "float"}
      ins(%1, %w : tensor<1x2xf32>, tensor<2x2xf32>) outs(%start : tensor<1x2xf32>) -> tensor<1x2xf32>
  return %2 : tensor<1x2xf32>
}
