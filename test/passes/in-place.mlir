// RUN: quantune-opt %s --split-input-file --pass-pipeline='select-kernels{target=x86-64-avx2}' --mlir-elide=8 | filecheck %s

// Results that lie where their residual did: `c` adds the result of `a`, which `b` has read before and nobody reads later. Its kernel gets
// the binding of `a`'s tensor twice.

#map = affine_map<(d0, d1) -> (d0, d1)>
#add = {indexing_maps = [#map, #map, #map], iterator_types = ["parallel", "parallel"], quantune.layer = "c", quantune.precision = "float"}

// CHECK: func.func @c$fconv_avx2(%arg0: !stream.binding, %arg1: !stream.binding, %arg2: !stream.binding) {
// CHECK: call @quantune_fconv_residual_avx2(%[[INPUT:.+]], %[[SUM:.+]], %{{.+}}, %[[SUM]], %[[AT:.+]], %[[SUM_AT:.+]], %{{.+}}, %[[SUM_AT]], %{{.+}}, %{{.+}})
// CHECK-LABEL: func.func @over
// CHECK: %[[A:.+]] = flow.dispatch @quantune_kernels::@a$fconv_avx2(%arg0, %{{.+}}) : (tensor<3x4xf32>, tensor<{{.+}}xi8>) -> tensor<3x4xf32>
// CHECK: %[[B:.+]] = flow.dispatch @quantune_kernels::@b$fconv_avx2(%[[A]], %{{.+}}) : {{.*}} -> tensor<3x4xf32>
// CHECK: flow.dispatch @quantune_kernels::@c$fconv_avx2(%[[B]], %[[A]], %{{.+}}) : (tensor<3x4xf32>, tensor<3x4xf32>, tensor<{{.+}}xi8>) -> %[[A]]
func.func @over(%x: tensor<3x4xf32>) -> tensor<3x4xf32> {
  %w = arith.constant dense<1.0> : tensor<4x4xf32>
  %zero = arith.constant 0.0 : f32
  %empty = tensor.empty() : tensor<3x4xf32>
  %zeros = linalg.fill ins(%zero : f32) outs(%empty : tensor<3x4xf32>) -> tensor<3x4xf32>
  %a = linalg.matmul {quantune.layer = "a", quantune.precision = "float"} ins(%x, %w : tensor<3x4xf32>, tensor<4x4xf32>) outs(%zeros : tensor<3x4xf32>) -> tensor<3x4xf32>
  %b = linalg.matmul {quantune.layer = "b", quantune.precision = "float"} ins(%a, %w : tensor<3x4xf32>, tensor<4x4xf32>) outs(%zeros : tensor<3x4xf32>) -> tensor<3x4xf32>
  %c = linalg.matmul {quantune.layer = "c", quantune.precision = "float"} ins(%b, %w : tensor<3x4xf32>, tensor<4x4xf32>) outs(%zeros : tensor<3x4xf32>) -> tensor<3x4xf32>
  %sum = linalg.generic #add ins(%c, %a : tensor<3x4xf32>, tensor<3x4xf32>) outs(%empty : tensor<3x4xf32>) {
  ^bb0(%i: f32, %j: f32, %o: f32):
    %k = arith.addf %i, %j : f32
    linalg.yield %k : f32
  } -> tensor<3x4xf32>
  return %sum : tensor<3x4xf32>
}

// -----

// Somebody reads the residual later: here, the caller.

#map = affine_map<(d0, d1) -> (d0, d1)>
#add = {indexing_maps = [#map, #map, #map], iterator_types = ["parallel", "parallel"], quantune.layer = "c", quantune.precision = "float"}

// CHECK-LABEL: func.func @read_later
// CHECK: flow.dispatch @quantune_kernels::@c$fconv_avx2({{.*}}) : {{.*}} -> tensor<3x4xf32>
func.func @read_later(%x: tensor<3x4xf32>) -> (tensor<3x4xf32>, tensor<3x4xf32>) {
  %w = arith.constant dense<1.0> : tensor<4x4xf32>
  %zero = arith.constant 0.0 : f32
  %empty = tensor.empty() : tensor<3x4xf32>
  %zeros = linalg.fill ins(%zero : f32) outs(%empty : tensor<3x4xf32>) -> tensor<3x4xf32>
  %a = linalg.matmul {quantune.layer = "a", quantune.precision = "float"} ins(%x, %w : tensor<3x4xf32>, tensor<4x4xf32>) outs(%zeros : tensor<3x4xf32>) -> tensor<3x4xf32>
  %b = linalg.matmul {quantune.layer = "b", quantune.precision = "float"} ins(%a, %w : tensor<3x4xf32>, tensor<4x4xf32>) outs(%zeros : tensor<3x4xf32>) -> tensor<3x4xf32>
  %c = linalg.matmul {quantune.layer = "c", quantune.precision = "float"} ins(%b, %w : tensor<3x4xf32>, tensor<4x4xf32>) outs(%zeros : tensor<3x4xf32>) -> tensor<3x4xf32>
  %sum = linalg.generic #add ins(%c, %a : tensor<3x4xf32>, tensor<3x4xf32>) outs(%empty : tensor<3x4xf32>) {
  ^bb0(%i: f32, %j: f32, %o: f32):
    %k = arith.addf %i, %j : f32
    linalg.yield %k : f32
  } -> tensor<3x4xf32>
  return %sum, %a : tensor<3x4xf32>, tensor<3x4xf32>
}

// -----

// The kernel itself reads pixels of it after it has written others.

#map = affine_map<(d0, d1) -> (d0, d1)>
#add = {indexing_maps = [#map, #map, #map], iterator_types = ["parallel", "parallel"], quantune.layer = "c", quantune.precision = "float"}

// CHECK-LABEL: func.func @own_image
// CHECK: flow.dispatch @quantune_kernels::@c$fconv_avx2(%[[A:.+]], %[[A]], %{{.+}}) : {{.*}} -> tensor<3x4xf32>
func.func @own_image(%x: tensor<3x4xf32>) -> tensor<3x4xf32> {
  %w = arith.constant dense<1.0> : tensor<4x4xf32>
  %zero = arith.constant 0.0 : f32
  %empty = tensor.empty() : tensor<3x4xf32>
  %zeros = linalg.fill ins(%zero : f32) outs(%empty : tensor<3x4xf32>) -> tensor<3x4xf32>
  %a = linalg.matmul {quantune.layer = "a", quantune.precision = "float"} ins(%x, %w : tensor<3x4xf32>, tensor<4x4xf32>) outs(%zeros : tensor<3x4xf32>) -> tensor<3x4xf32>
  %c = linalg.matmul {quantune.layer = "c", quantune.precision = "float"} ins(%a, %w : tensor<3x4xf32>, tensor<4x4xf32>) outs(%zeros : tensor<3x4xf32>) -> tensor<3x4xf32>
  %sum = linalg.generic #add ins(%c, %a : tensor<3x4xf32>, tensor<3x4xf32>) outs(%empty : tensor<3x4xf32>) {
  ^bb0(%i: f32, %j: f32, %o: f32):
    %k = arith.addf %i, %j : f32
    linalg.yield %k : f32
  } -> tensor<3x4xf32>
  return %sum : tensor<3x4xf32>
}

// -----

// The caller's tensor is not ours to write.

#map = affine_map<(d0, d1) -> (d0, d1)>
#add = {indexing_maps = [#map, #map, #map], iterator_types = ["parallel", "parallel"], quantune.layer = "c", quantune.precision = "float"}

// CHECK-LABEL: func.func @argument
// CHECK: flow.dispatch @quantune_kernels::@c$fconv_avx2(%[[B:.+]], %arg0, %{{.+}}) : {{.*}} -> tensor<3x4xf32>
func.func @argument(%x: tensor<3x4xf32>) -> tensor<3x4xf32> {
  %w = arith.constant dense<1.0> : tensor<4x4xf32>
  %zero = arith.constant 0.0 : f32
  %empty = tensor.empty() : tensor<3x4xf32>
  %zeros = linalg.fill ins(%zero : f32) outs(%empty : tensor<3x4xf32>) -> tensor<3x4xf32>
  %b = linalg.matmul {quantune.layer = "b", quantune.precision = "float"} ins(%x, %w : tensor<3x4xf32>, tensor<4x4xf32>) outs(%zeros : tensor<3x4xf32>) -> tensor<3x4xf32>
  %c = linalg.matmul {quantune.layer = "c", quantune.precision = "float"} ins(%b, %w : tensor<3x4xf32>, tensor<4x4xf32>) outs(%zeros : tensor<3x4xf32>) -> tensor<3x4xf32>
  %sum = linalg.generic #add ins(%c, %x : tensor<3x4xf32>, tensor<3x4xf32>) outs(%empty : tensor<3x4xf32>) {
  ^bb0(%i: f32, %j: f32, %o: f32):
    %k = arith.addf %i, %j : f32
    linalg.yield %k : f32
  } -> tensor<3x4xf32>
  return %sum : tensor<3x4xf32>
}
