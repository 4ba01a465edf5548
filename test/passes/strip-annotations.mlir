// RUN: quantune-opt %s --pass-pipeline=strip-annotations --report=- --debug-info | filecheck %s

// Every attribute of ours goes, from the function, its arguments and its operations; others and the locations stay.

// CHECK: // strip-annotations: {"removed": 4}
// CHECK-LABEL: func.func @annotated
// CHECK-SAME: {iree.abi.name = "image"}
// CHECK-NOT: quantune
// CHECK: linalg.matmul {note = "kept"}
// CHECK-NOT: quantune
// CHECK: loc("torch:fc|model.py":3:0)
func.func @annotated(%x: tensor<1x2xf32> {iree.abi.name = "image", quantune.output_type = !quant.uniform<u8:f32, 0.1>}) -> tensor<1x2xf32>
    attributes {quantune.outputs = ["fc"]} {
  %w = arith.constant dense<0.5> : tensor<2x2xf32>
  %zero = arith.constant 0.0 : f32
  %e = tensor.empty() : tensor<1x2xf32>
  %start = linalg.fill ins(%zero : f32) outs(%e : tensor<1x2xf32>) -> tensor<1x2xf32>
  %0 = linalg.matmul {quantune.layer = "fc", quantune.precision = "float", note = "kept"}
      ins(%x, %w : tensor<1x2xf32>, tensor<2x2xf32>) outs(%start : tensor<1x2xf32>) -> tensor<1x2xf32> loc("torch:fc|model.py":3:0)
  return %0 : tensor<1x2xf32>
}
