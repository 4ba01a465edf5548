// RUN: quantune-opt %s --split-input-file --pass-pipeline=insert-qdq --report=- | filecheck %s

// An integer layer gets pairs on its input, on its weights (not counted: they cost nothing at run time) and, as `next` reads it
// as integers, on its output.

#map = affine_map<(d0, d1) -> (d0, d1)>
#unary = {indexing_maps = [#map, #map], iterator_types = ["parallel", "parallel"]}

// CHECK: // insert-qdq: {"pairs": 3}
// CHECK-LABEL: func.func @every_edge
// CHECK-SAME: (%[[X:.+]]: tensor<1x2xf32> {
// CHECK: %[[W:.+]] = arith.constant dense
// CHECK: %[[XQ:.+]] = quant.qcast %[[X]] : tensor<1x2xf32> to tensor<1x2x!quant.uniform<u8:f32, 5.000000e-01:3>>
// CHECK: %[[XD:.+]] = quant.dcast %[[XQ]]
// CHECK: %[[WQ:.+]] = quant.qcast %[[W]] : tensor<2x2xf32> to tensor<2x2x!quant.uniform<i8<-127:127>:f32:1, {2.500000e-01,5.000000e-01}>>
// CHECK: %[[WD:.+]] = quant.dcast %[[WQ]]
// CHECK: %[[DOT:.+]] = linalg.matmul {{.*}} ins(%[[XD]], %[[WD]] :
// CHECK: %[[RELU:.+]] = linalg.generic {{.*}} ins(%[[DOT]] :
// CHECK: %[[YQ:.+]] = quant.qcast %[[RELU]] : tensor<1x2xf32> to tensor<1x2x!quant.uniform<u8<0:127>:f32, 1.000000e-01>>
// CHECK: %[[YD:.+]] = quant.dcast %[[YQ]]
// The next layer pairs what it reads anew, cancel-qdq will remove that; its own output stays float.
// CHECK: %[[ZQ:.+]] = quant.qcast %[[YD]]
// CHECK: %[[ZD:.+]] = quant.dcast %[[ZQ]]
// CHECK: %[[NEXT:.+]] = linalg.generic {{.*}} ins(%[[ZD]] :
// CHECK-NOT: = quant.
// CHECK: return %[[NEXT]]
func.func @every_edge(%x: tensor<1x2xf32> {quantune.output_type = !quant.uniform<u8:f32, 0.5:3>}) -> tensor<1x2xf32> {
  %w = arith.constant dense<[[0.5, 1.0], [1.5, -2.0]]> : tensor<2x2xf32>
  %zero = arith.constant 0.0 : f32
  %e = tensor.empty() : tensor<1x2xf32>
  %start = linalg.fill ins(%zero : f32) outs(%e : tensor<1x2xf32>) -> tensor<1x2xf32>
  %0 = linalg.matmul {quantune.layer = "fc", quantune.precision = "integer", quantune.weight_type = !quant.uniform<i8<-127:127>:f32:1, {0.25,0.5}>}
      ins(%x, %w : tensor<1x2xf32>, tensor<2x2xf32>) outs(%start : tensor<1x2xf32>) -> tensor<1x2xf32>
  %1 = linalg.generic #unary ins(%0 : tensor<1x2xf32>) outs(%e : tensor<1x2xf32>)
      attrs = {quantune.layer = "fc", quantune.precision = "integer", quantune.output_type = !quant.uniform<u8<0:127>:f32, 0.1>} {
  ^bb0(%a: f32, %o: f32):
    %r = arith.maximumf %a, %zero : f32
    linalg.yield %r : f32
  } -> tensor<1x2xf32>
  %2 = linalg.generic #unary ins(%1 : tensor<1x2xf32>) outs(%e : tensor<1x2xf32>) attrs = {quantune.layer = "next", quantune.precision = "integer"} {
  ^bb0(%a: f32, %o: f32):
    %r = arith.maximumf %a, %zero : f32
    linalg.yield %r : f32
  } -> tensor<1x2xf32>
  return %2 : tensor<1x2xf32>
}

// -----

// Integer inputs of different types meet in a concatenation: each is taken to the type of the result.

// CHECK: // insert-qdq: {"pairs": 3}
// CHECK-LABEL: func.func @concat_requantizes
// CHECK-SAME: (%[[A:.+]]: tensor<1x2xf32> {{{.*}}}, %[[B:.+]]: tensor<1x2xf32> {
// CHECK: %[[AQ:.+]] = quant.qcast %[[A]] : {{.*}} to tensor<1x2x!quant.uniform<u8:f32, 5.000000e-01>>
// CHECK: %[[AD:.+]] = quant.dcast %[[AQ]]
// CHECK: %[[AR:.+]] = quant.qcast %[[AD]] : {{.*}} to tensor<1x2x!quant.uniform<u8:f32, 2.500000e-01>>
// CHECK: %[[ARD:.+]] = quant.dcast %[[AR]]
// CHECK: %[[BQ:.+]] = quant.qcast %[[B]] : {{.*}} to tensor<1x2x!quant.uniform<u8:f32, 2.500000e-01>>
// CHECK: %[[BD:.+]] = quant.dcast %[[BQ]]
// CHECK: tensor.concat dim(1) %[[ARD]], %[[BD]]
// CHECK: quant.qcast {{.*}} to tensor<1x4x!quant.uniform<u8:f32, 2.500000e-01>>
func.func @concat_requantizes(%a: tensor<1x2xf32> {quantune.output_type = !quant.uniform<u8:f32, 0.5>},
                              %b: tensor<1x2xf32> {quantune.output_type = !quant.uniform<u8:f32, 0.25>}) -> tensor<1x4xf32> {
  %0 = tensor.concat dim(1) %a, %b {quantune.layer = "concat", quantune.precision = "integer", quantune.output_type = !quant.uniform<u8:f32, 0.25>}
      : (tensor<1x2xf32>, tensor<1x2xf32>) -> tensor<1x4xf32>
  return %0 : tensor<1x4xf32>
}

// -----

// Left alone: float layers, even where they read a value that integer layers read too, and what happens inside a layer.

#map = affine_map<(d0, d1) -> (d0, d1)>
#unary = {indexing_maps = [#map, #map], iterator_types = ["parallel", "parallel"]}

// CHECK: // insert-qdq: {"pairs": 0}
// CHECK-LABEL: func.func @float_only
// CHECK-NOT: = quant.
// CHECK: return
func.func @float_only(%x: tensor<1x2xf32> {quantune.output_type = !quant.uniform<u8:f32, 0.5:3>}) -> tensor<1x2xf32> {
  %e = tensor.empty() : tensor<1x2xf32>
  %0 = linalg.generic #unary ins(%x : tensor<1x2xf32>) outs(%e : tensor<1x2xf32>) attrs = {quantune.layer = "tanh", quantune.precision = "float"} {
  ^bb0(%a: f32, %o: f32):
    %r = math.tanh %a : f32
    linalg.yield %r : f32
  } -> tensor<1x2xf32>
  return %0 : tensor<1x2xf32>
}
