func.func @main(%x: tensor<1x2xi8>) -> tensor<1x2xf32> {
  %w = arith.constant dense<1> : tensor<2x2xi8>
  %0 = quant.scast %w : tensor<2x2xi8> to tensor<2x2x!quant.uniform<i8<-127:127>:f32:1, {0.1,0.2}>>
  %1 = quant.dcast %0 : tensor<2x2x!quant.uniform<i8<-127:127>:f32:1, {0.1,0.2}>> to tensor<2x2xf32>
  %2 = tensor.extract_slice %1[0, 0] [1, 2] [1, 1] : tensor<2x2xf32> to tensor<1x2xf32>
  return %2 : tensor<1x2xf32>
}
