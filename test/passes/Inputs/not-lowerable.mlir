func.func @raw_input(%x: tensor<1x1xf32>) -> tensor<1x1xf32> {
  %w = arith.constant dense<0.5> : tensor<1x1xf32>
  %zero = arith.constant 0.0 : f32
  %qw = quant.qcast %w : tensor<1x1xf32> to tensor<1x1x!quant.uniform<i8<-127:127>:f32:1, {0.25}>>
  %dw = quant.dcast %qw : tensor<1x1x!quant.uniform<i8<-127:127>:f32:1, {0.25}>> to tensor<1x1xf32>
  %e = tensor.empty() : tensor<1x1xf32>
  %start = linalg.fill ins(%zero : f32) outs(%e : tensor<1x1xf32>) -> tensor<1x1xf32>
  %0 = linalg.matmul {quantune.layer = "raw_input", quantune.precision = "integer"} ins(%x, %dw : tensor<1x1xf32>, tensor<1x1xf32>) outs(%start : tensor<1x1xf32>) -> tensor<1x1xf32>
  return %0 : tensor<1x1xf32>
}

// -----

func.func @raw_weights(%q: tensor<1x1x!quant.uniform<u8:f32, 0.5>>) -> tensor<1x1xf32> {
  %w = arith.constant dense<0.5> : tensor<1x1xf32>
  %zero = arith.constant 0.0 : f32
  %d = quant.dcast %q : tensor<1x1x!quant.uniform<u8:f32, 0.5>> to tensor<1x1xf32>
  %e = tensor.empty() : tensor<1x1xf32>
  %start = linalg.fill ins(%zero : f32) outs(%e : tensor<1x1xf32>) -> tensor<1x1xf32>
  %0 = linalg.matmul {quantune.layer = "raw_weights", quantune.precision = "integer"} ins(%d, %w : tensor<1x1xf32>, tensor<1x1xf32>) outs(%start : tensor<1x1xf32>) -> tensor<1x1xf32>
  return %0 : tensor<1x1xf32>
}

// -----

// 70000 products of up to 127 * 255 each.
func.func @long_sum(%q: tensor<1x70000x!quant.uniform<u8:f32, 0.5>>) -> tensor<1x1xf32> {
  %w = arith.constant dense<127.0> : tensor<70000x1xf32>
  %zero = arith.constant 0.0 : f32
  %d = quant.dcast %q : tensor<1x70000x!quant.uniform<u8:f32, 0.5>> to tensor<1x70000xf32>
  %qw = quant.qcast %w : tensor<70000x1xf32> to tensor<70000x1x!quant.uniform<i8<-127:127>:f32:1, {1.0}>>
  %dw = quant.dcast %qw : tensor<70000x1x!quant.uniform<i8<-127:127>:f32:1, {1.0}>> to tensor<70000x1xf32>
  %e = tensor.empty() : tensor<1x1xf32>
  %start = linalg.fill ins(%zero : f32) outs(%e : tensor<1x1xf32>) -> tensor<1x1xf32>
  %0 = linalg.matmul {quantune.layer = "long_sum", quantune.precision = "integer"} ins(%d, %dw : tensor<1x70000xf32>, tensor<70000x1xf32>) outs(%start : tensor<1x1xf32>) -> tensor<1x1xf32>
  return %0 : tensor<1x1xf32>
}
