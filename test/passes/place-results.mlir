// RUN: quantune-opt %s --split-input-file --pass-pipeline='prove-accumulators{target=x86-64-avx2},select-kernels{target=x86-64-avx2}' --mlir-elide=8 | filecheck %s

// Where kernels' results lie. `a` is padded twice, by different amounts: it is written into the larger frame, from which one reader
// takes all and the others parts, at their own offsets. Generated code (here, what is returned) gets a slice of the inside. It may have
// asked for a border itself: `b`'s is what a maximum reads.

// CHECK-LABEL: func.func @frame
// CHECK-NOT: tensor.pad
// CHECK: %[[A:.+]] = flow.dispatch @quantune_kernels::@a$qconv_avx2({{.*}}) : (tensor<1x4x5x4xi8>, {{.*}}) -> tensor<1x7x7x4xi8>
// CHECK-DAG: %[[INSIDE:.+]] = tensor.extract_slice %[[A]][0, 2, 1, 0] [1, 4, 5, 4] [1, 1, 1, 1]
// CHECK-DAG: flow.dispatch @quantune_kernels::@large$qconv_avx2(%[[A]], %{{.+}}) : (tensor<1x7x7x4xi8>, {{.*}}) -> tensor<1x5x5x2xi8>
// CHECK-DAG: flow.dispatch @quantune_kernels::@small$qconv_avx2(%[[A]], %{{.+}}) : (tensor<1x7x7x4xi8>, {{.*}}) -> tensor<1x4x5x2xi8>
// CHECK-DAG: flow.dispatch @quantune_kernels::@pointwise$qconv_avx2(%[[A]], %{{.+}}) : (tensor<1x7x7x4xi8>, {{.*}}) -> tensor<1x4x5x2xi8>
// CHECK-DAG: quant.scast %[[INSIDE]]
// CHECK-DAG: %[[B:.+]] = flow.dispatch @quantune_kernels::@b$qconv_avx2({{.*}}) -> tensor<1x6x7x2xi8>
// CHECK: return {{.*}}, %[[B]] :
func.func @frame(%q: tensor<1x4x5x4x!quant.uniform<u8:f32, 0.5:3>>) -> (tensor<1x5x5x2x!quant.uniform<u8:f32, 0.5:3>>, tensor<1x4x5x2x!quant.uniform<u8:f32, 0.5:3>>, tensor<1x4x5x2x!quant.uniform<u8:f32, 0.5:3>>, tensor<1x4x5x4x!quant.uniform<u8:f32, 0.5:3>>, tensor<1x6x7x2xi8>) {
  %zero = arith.constant 0.0 : f32
  %three = arith.constant 3 : i8
  %least = arith.constant 0 : i8
  %a.x = quant.dcast %q : tensor<1x4x5x4x!quant.uniform<u8:f32, 0.5:3>> to tensor<1x4x5x4xf32>
  %a.w = arith.constant dense<0.5> : tensor<1x1x4x4xf32>
  %a.qw = quant.qcast %a.w : tensor<1x1x4x4xf32> to tensor<1x1x4x4x!quant.uniform<i8<-31:31>:f32:3, {0.25,0.25,0.25,0.25}>>
  %a.dw = quant.dcast %a.qw : tensor<1x1x4x4x!quant.uniform<i8<-31:31>:f32:3, {0.25,0.25,0.25,0.25}>> to tensor<1x1x4x4xf32>
  %a.e = tensor.empty() : tensor<1x4x5x4xf32>
  %a.zero = linalg.fill ins(%zero : f32) outs(%a.e : tensor<1x4x5x4xf32>) -> tensor<1x4x5x4xf32>
  %a.y = linalg.conv_2d_nhwc_hwcf {quantune.layer = "a", quantune.precision = "integer"}
      ins(%a.x, %a.dw : tensor<1x4x5x4xf32>, tensor<1x1x4x4xf32>) outs(%a.zero : tensor<1x4x5x4xf32>) -> tensor<1x4x5x4xf32>
  %qa = quant.qcast %a.y : tensor<1x4x5x4xf32> to tensor<1x4x5x4x!quant.uniform<u8:f32, 0.5:3>>
  %ba = quant.scast %qa : tensor<1x4x5x4x!quant.uniform<u8:f32, 0.5:3>> to tensor<1x4x5x4xi8>
  %p1 = tensor.pad %ba low[0, 2, 1, 0] high[0, 1, 1, 0] {
  ^bb0(%i: index, %j: index, %k: index, %l: index):
    tensor.yield %three : i8
  } : tensor<1x4x5x4xi8> to tensor<1x7x7x4xi8>
  %q1 = quant.scast %p1 : tensor<1x7x7x4xi8> to tensor<1x7x7x4x!quant.uniform<u8:f32, 0.5:3>>
  %large.x = quant.dcast %q1 : tensor<1x7x7x4x!quant.uniform<u8:f32, 0.5:3>> to tensor<1x7x7x4xf32>
  %large.w = arith.constant dense<0.5> : tensor<3x3x4x2xf32>
  %large.qw = quant.qcast %large.w : tensor<3x3x4x2xf32> to tensor<3x3x4x2x!quant.uniform<i8<-31:31>:f32:3, {0.25,0.25}>>
  %large.dw = quant.dcast %large.qw : tensor<3x3x4x2x!quant.uniform<i8<-31:31>:f32:3, {0.25,0.25}>> to tensor<3x3x4x2xf32>
  %large.e = tensor.empty() : tensor<1x5x5x2xf32>
  %large.zero = linalg.fill ins(%zero : f32) outs(%large.e : tensor<1x5x5x2xf32>) -> tensor<1x5x5x2xf32>
  %large.y = linalg.conv_2d_nhwc_hwcf {quantune.layer = "large", quantune.precision = "integer"}
      ins(%large.x, %large.dw : tensor<1x7x7x4xf32>, tensor<3x3x4x2xf32>) outs(%large.zero : tensor<1x5x5x2xf32>) -> tensor<1x5x5x2xf32>
  %r1 = quant.qcast %large.y : tensor<1x5x5x2xf32> to tensor<1x5x5x2x!quant.uniform<u8:f32, 0.5:3>>
  %p2 = tensor.pad %ba low[0, 1, 1, 0] high[0, 1, 1, 0] {
  ^bb0(%i: index, %j: index, %k: index, %l: index):
    tensor.yield %three : i8
  } : tensor<1x4x5x4xi8> to tensor<1x6x7x4xi8>
  %q2 = quant.scast %p2 : tensor<1x6x7x4xi8> to tensor<1x6x7x4x!quant.uniform<u8:f32, 0.5:3>>
  %small.x = quant.dcast %q2 : tensor<1x6x7x4x!quant.uniform<u8:f32, 0.5:3>> to tensor<1x6x7x4xf32>
  %small.w = arith.constant dense<0.5> : tensor<3x3x4x2xf32>
  %small.qw = quant.qcast %small.w : tensor<3x3x4x2xf32> to tensor<3x3x4x2x!quant.uniform<i8<-31:31>:f32:3, {0.25,0.25}>>
  %small.dw = quant.dcast %small.qw : tensor<3x3x4x2x!quant.uniform<i8<-31:31>:f32:3, {0.25,0.25}>> to tensor<3x3x4x2xf32>
  %small.e = tensor.empty() : tensor<1x4x5x2xf32>
  %small.zero = linalg.fill ins(%zero : f32) outs(%small.e : tensor<1x4x5x2xf32>) -> tensor<1x4x5x2xf32>
  %small.y = linalg.conv_2d_nhwc_hwcf {quantune.layer = "small", quantune.precision = "integer"}
      ins(%small.x, %small.dw : tensor<1x6x7x4xf32>, tensor<3x3x4x2xf32>) outs(%small.zero : tensor<1x4x5x2xf32>) -> tensor<1x4x5x2xf32>
  %r2 = quant.qcast %small.y : tensor<1x4x5x2xf32> to tensor<1x4x5x2x!quant.uniform<u8:f32, 0.5:3>>
  %pointwise.x = quant.dcast %qa : tensor<1x4x5x4x!quant.uniform<u8:f32, 0.5:3>> to tensor<1x4x5x4xf32>
  %pointwise.w = arith.constant dense<0.5> : tensor<1x1x4x2xf32>
  %pointwise.qw = quant.qcast %pointwise.w : tensor<1x1x4x2xf32> to tensor<1x1x4x2x!quant.uniform<i8<-31:31>:f32:3, {0.25,0.25}>>
  %pointwise.dw = quant.dcast %pointwise.qw : tensor<1x1x4x2x!quant.uniform<i8<-31:31>:f32:3, {0.25,0.25}>> to tensor<1x1x4x2xf32>
  %pointwise.e = tensor.empty() : tensor<1x4x5x2xf32>
  %pointwise.zero = linalg.fill ins(%zero : f32) outs(%pointwise.e : tensor<1x4x5x2xf32>) -> tensor<1x4x5x2xf32>
  %pointwise.y = linalg.conv_2d_nhwc_hwcf {quantune.layer = "pointwise", quantune.precision = "integer"}
      ins(%pointwise.x, %pointwise.dw : tensor<1x4x5x4xf32>, tensor<1x1x4x2xf32>) outs(%pointwise.zero : tensor<1x4x5x2xf32>) -> tensor<1x4x5x2xf32>
  %r3 = quant.qcast %pointwise.y : tensor<1x4x5x2xf32> to tensor<1x4x5x2x!quant.uniform<u8:f32, 0.5:3>>
  %b.x = quant.dcast %q : tensor<1x4x5x4x!quant.uniform<u8:f32, 0.5:3>> to tensor<1x4x5x4xf32>
  %b.w = arith.constant dense<0.5> : tensor<1x1x4x2xf32>
  %b.qw = quant.qcast %b.w : tensor<1x1x4x2xf32> to tensor<1x1x4x2x!quant.uniform<i8<-31:31>:f32:3, {0.25,0.25}>>
  %b.dw = quant.dcast %b.qw : tensor<1x1x4x2x!quant.uniform<i8<-31:31>:f32:3, {0.25,0.25}>> to tensor<1x1x4x2xf32>
  %b.e = tensor.empty() : tensor<1x4x5x2xf32>
  %b.zero = linalg.fill ins(%zero : f32) outs(%b.e : tensor<1x4x5x2xf32>) -> tensor<1x4x5x2xf32>
  %b.y = linalg.conv_2d_nhwc_hwcf {quantune.layer = "b", quantune.precision = "integer"}
      ins(%b.x, %b.dw : tensor<1x4x5x4xf32>, tensor<1x1x4x2xf32>) outs(%b.zero : tensor<1x4x5x2xf32>) -> tensor<1x4x5x2xf32>
  %qb = quant.qcast %b.y : tensor<1x4x5x2xf32> to tensor<1x4x5x2x!quant.uniform<u8:f32, 0.5:3>>
  %bb = quant.scast %qb : tensor<1x4x5x2x!quant.uniform<u8:f32, 0.5:3>> to tensor<1x4x5x2xi8>
  %r4 = tensor.pad %bb low[0, 1, 1, 0] high[0, 1, 1, 0] {
  ^bb0(%i: index, %j: index, %k: index, %l: index):
    tensor.yield %least : i8
  } : tensor<1x4x5x2xi8> to tensor<1x6x7x2xi8>
  return %r1, %r2, %r3, %qa, %r4 : tensor<1x5x5x2x!quant.uniform<u8:f32, 0.5:3>>, tensor<1x4x5x2x!quant.uniform<u8:f32, 0.5:3>>, tensor<1x4x5x2x!quant.uniform<u8:f32, 0.5:3>>, tensor<1x4x5x4x!quant.uniform<u8:f32, 0.5:3>>, tensor<1x6x7x2xi8>
}

// -----

// A concatenation of channels is one tensor that kernels write into in turn: each dispatch is tied to the one before. It has the frame
// that its reader wants. Who reads one part only finds it among the channels; a 1x1 kernel needs no copy for that.

// CHECK-LABEL: func.func @concatenation
// CHECK-NOT: tensor.pad
// CHECK: %[[EMPTY:.+]] = tensor.empty() : tensor<1x6x7x10xi8>
// CHECK: %[[ONE:.+]] = flow.dispatch @quantune_kernels::@a$qconv_avx2({{.*}}, %[[EMPTY]]) : (tensor<1x4x5x4xi8>, {{.*}}, tensor<1x6x7x10xi8>) -> %[[EMPTY]]
// CHECK: %[[BOTH:.+]] = flow.dispatch @quantune_kernels::@b$qconv_avx2({{.*}}, %[[ONE]]) : (tensor<1x4x5x4xi8>, {{.*}}, tensor<1x6x7x10xi8>) -> %[[ONE]]
// CHECK-NOT: tensor.concat
// CHECK: flow.dispatch @quantune_kernels::@reader$qconv_avx2(%[[BOTH]], %{{.+}}) : (tensor<1x6x7x10xi8>, {{.*}}) -> tensor<1x4x5x2xi8>
// CHECK: flow.dispatch @quantune_kernels::@part$qconv_avx2(%[[BOTH]], %{{.+}}) : (tensor<1x6x7x10xi8>, {{.*}}) -> tensor<1x4x5x2xi8>
func.func @concatenation(%q: tensor<1x4x5x4x!quant.uniform<u8:f32, 0.5:3>>) -> (tensor<1x4x5x2x!quant.uniform<u8:f32, 0.5:3>>, tensor<1x4x5x2x!quant.uniform<u8:f32, 0.5:3>>) {
  %zero = arith.constant 0.0 : f32
  %three = arith.constant 3 : i8
  %least = arith.constant 0 : i8
  %a.x = quant.dcast %q : tensor<1x4x5x4x!quant.uniform<u8:f32, 0.5:3>> to tensor<1x4x5x4xf32>
  %a.w = arith.constant dense<0.5> : tensor<1x1x4x4xf32>
  %a.qw = quant.qcast %a.w : tensor<1x1x4x4xf32> to tensor<1x1x4x4x!quant.uniform<i8<-31:31>:f32:3, {0.25,0.25,0.25,0.25}>>
  %a.dw = quant.dcast %a.qw : tensor<1x1x4x4x!quant.uniform<i8<-31:31>:f32:3, {0.25,0.25,0.25,0.25}>> to tensor<1x1x4x4xf32>
  %a.e = tensor.empty() : tensor<1x4x5x4xf32>
  %a.zero = linalg.fill ins(%zero : f32) outs(%a.e : tensor<1x4x5x4xf32>) -> tensor<1x4x5x4xf32>
  %a.y = linalg.conv_2d_nhwc_hwcf {quantune.layer = "a", quantune.precision = "integer"}
      ins(%a.x, %a.dw : tensor<1x4x5x4xf32>, tensor<1x1x4x4xf32>) outs(%a.zero : tensor<1x4x5x4xf32>) -> tensor<1x4x5x4xf32>
  %qa = quant.qcast %a.y : tensor<1x4x5x4xf32> to tensor<1x4x5x4x!quant.uniform<u8:f32, 0.5:3>>
  %ba = quant.scast %qa : tensor<1x4x5x4x!quant.uniform<u8:f32, 0.5:3>> to tensor<1x4x5x4xi8>
  %b.x = quant.dcast %q : tensor<1x4x5x4x!quant.uniform<u8:f32, 0.5:3>> to tensor<1x4x5x4xf32>
  %b.w = arith.constant dense<0.5> : tensor<1x1x4x6xf32>
  %b.qw = quant.qcast %b.w : tensor<1x1x4x6xf32> to tensor<1x1x4x6x!quant.uniform<i8<-31:31>:f32:3, {0.25,0.25,0.25,0.25,0.25,0.25}>>
  %b.dw = quant.dcast %b.qw : tensor<1x1x4x6x!quant.uniform<i8<-31:31>:f32:3, {0.25,0.25,0.25,0.25,0.25,0.25}>> to tensor<1x1x4x6xf32>
  %b.e = tensor.empty() : tensor<1x4x5x6xf32>
  %b.zero = linalg.fill ins(%zero : f32) outs(%b.e : tensor<1x4x5x6xf32>) -> tensor<1x4x5x6xf32>
  %b.y = linalg.conv_2d_nhwc_hwcf {quantune.layer = "b", quantune.precision = "integer"}
      ins(%b.x, %b.dw : tensor<1x4x5x4xf32>, tensor<1x1x4x6xf32>) outs(%b.zero : tensor<1x4x5x6xf32>) -> tensor<1x4x5x6xf32>
  %qb = quant.qcast %b.y : tensor<1x4x5x6xf32> to tensor<1x4x5x6x!quant.uniform<u8:f32, 0.5:3>>
  %bb = quant.scast %qb : tensor<1x4x5x6x!quant.uniform<u8:f32, 0.5:3>> to tensor<1x4x5x6xi8>
  %both = tensor.concat dim(3) %ba, %bb : (tensor<1x4x5x4xi8>, tensor<1x4x5x6xi8>) -> tensor<1x4x5x10xi8>
  %p = tensor.pad %both low[0, 1, 1, 0] high[0, 1, 1, 0] {
  ^bb0(%i: index, %j: index, %k: index, %l: index):
    tensor.yield %three : i8
  } : tensor<1x4x5x10xi8> to tensor<1x6x7x10xi8>
  %qp = quant.scast %p : tensor<1x6x7x10xi8> to tensor<1x6x7x10x!quant.uniform<u8:f32, 0.5:3>>
  %reader.x = quant.dcast %qp : tensor<1x6x7x10x!quant.uniform<u8:f32, 0.5:3>> to tensor<1x6x7x10xf32>
  %reader.w = arith.constant dense<0.5> : tensor<3x3x10x2xf32>
  %reader.qw = quant.qcast %reader.w : tensor<3x3x10x2xf32> to tensor<3x3x10x2x!quant.uniform<i8<-31:31>:f32:3, {0.25,0.25}>>
  %reader.dw = quant.dcast %reader.qw : tensor<3x3x10x2x!quant.uniform<i8<-31:31>:f32:3, {0.25,0.25}>> to tensor<3x3x10x2xf32>
  %reader.e = tensor.empty() : tensor<1x4x5x2xf32>
  %reader.zero = linalg.fill ins(%zero : f32) outs(%reader.e : tensor<1x4x5x2xf32>) -> tensor<1x4x5x2xf32>
  %reader.y = linalg.conv_2d_nhwc_hwcf {quantune.layer = "reader", quantune.precision = "integer"}
      ins(%reader.x, %reader.dw : tensor<1x6x7x10xf32>, tensor<3x3x10x2xf32>) outs(%reader.zero : tensor<1x4x5x2xf32>) -> tensor<1x4x5x2xf32>
  %r1 = quant.qcast %reader.y : tensor<1x4x5x2xf32> to tensor<1x4x5x2x!quant.uniform<u8:f32, 0.5:3>>
  %part.x = quant.dcast %qb : tensor<1x4x5x6x!quant.uniform<u8:f32, 0.5:3>> to tensor<1x4x5x6xf32>
  %part.w = arith.constant dense<0.5> : tensor<1x1x6x2xf32>
  %part.qw = quant.qcast %part.w : tensor<1x1x6x2xf32> to tensor<1x1x6x2x!quant.uniform<i8<-31:31>:f32:3, {0.25,0.25}>>
  %part.dw = quant.dcast %part.qw : tensor<1x1x6x2x!quant.uniform<i8<-31:31>:f32:3, {0.25,0.25}>> to tensor<1x1x6x2xf32>
  %part.e = tensor.empty() : tensor<1x4x5x2xf32>
  %part.zero = linalg.fill ins(%zero : f32) outs(%part.e : tensor<1x4x5x2xf32>) -> tensor<1x4x5x2xf32>
  %part.y = linalg.conv_2d_nhwc_hwcf {quantune.layer = "part", quantune.precision = "integer"}
      ins(%part.x, %part.dw : tensor<1x4x5x6xf32>, tensor<1x1x6x2xf32>) outs(%part.zero : tensor<1x4x5x2xf32>) -> tensor<1x4x5x2xf32>
  %r2 = quant.qcast %part.y : tensor<1x4x5x2xf32> to tensor<1x4x5x2x!quant.uniform<u8:f32, 0.5:3>>
  return %r1, %r2 : tensor<1x4x5x2x!quant.uniform<u8:f32, 0.5:3>>, tensor<1x4x5x2x!quant.uniform<u8:f32, 0.5:3>>
}

// -----

// A padding with another filler than what kernels read stays (a maximum's is not the zero point).

// CHECK-LABEL: func.func @left_alone
// CHECK: %[[A:.+]] = flow.dispatch @quantune_kernels::@a$qconv_avx2({{.*}}) : (tensor<1x4x5x4xi8>, {{.*}}) -> tensor<1x6x7x4xi8>
// CHECK: %[[INSIDE:.+]] = tensor.extract_slice %[[A]]
// CHECK: tensor.pad %[[INSIDE]]
// CHECK: flow.dispatch @quantune_kernels::@c$qconv_avx2(%[[A]], {{.*}}) : {{.*}} -> tensor<1x4x5x2xi8>
func.func @left_alone(%q: tensor<1x4x5x4x!quant.uniform<u8:f32, 0.5:3>>) -> (tensor<1x6x7x4xi8>, tensor<1x4x5x2x!quant.uniform<u8:f32, 0.5:3>>) {
  %zero = arith.constant 0.0 : f32
  %three = arith.constant 3 : i8
  %least = arith.constant 0 : i8
  %a.x = quant.dcast %q : tensor<1x4x5x4x!quant.uniform<u8:f32, 0.5:3>> to tensor<1x4x5x4xf32>
  %a.w = arith.constant dense<0.5> : tensor<1x1x4x4xf32>
  %a.qw = quant.qcast %a.w : tensor<1x1x4x4xf32> to tensor<1x1x4x4x!quant.uniform<i8<-31:31>:f32:3, {0.25,0.25,0.25,0.25}>>
  %a.dw = quant.dcast %a.qw : tensor<1x1x4x4x!quant.uniform<i8<-31:31>:f32:3, {0.25,0.25,0.25,0.25}>> to tensor<1x1x4x4xf32>
  %a.e = tensor.empty() : tensor<1x4x5x4xf32>
  %a.zero = linalg.fill ins(%zero : f32) outs(%a.e : tensor<1x4x5x4xf32>) -> tensor<1x4x5x4xf32>
  %a.y = linalg.conv_2d_nhwc_hwcf {quantune.layer = "a", quantune.precision = "integer"}
      ins(%a.x, %a.dw : tensor<1x4x5x4xf32>, tensor<1x1x4x4xf32>) outs(%a.zero : tensor<1x4x5x4xf32>) -> tensor<1x4x5x4xf32>
  %qa = quant.qcast %a.y : tensor<1x4x5x4xf32> to tensor<1x4x5x4x!quant.uniform<u8:f32, 0.5:3>>
  %ba = quant.scast %qa : tensor<1x4x5x4x!quant.uniform<u8:f32, 0.5:3>> to tensor<1x4x5x4xi8>
  %p = tensor.pad %ba low[0, 1, 1, 0] high[0, 1, 1, 0] {
  ^bb0(%i: index, %j: index, %k: index, %l: index):
    tensor.yield %least : i8
  } : tensor<1x4x5x4xi8> to tensor<1x6x7x4xi8>
  %pz = tensor.pad %ba low[0, 1, 1, 0] high[0, 1, 1, 0] {
  ^bb0(%i: index, %j: index, %k: index, %l: index):
    tensor.yield %three : i8
  } : tensor<1x4x5x4xi8> to tensor<1x6x7x4xi8>
  %qz = quant.scast %pz : tensor<1x6x7x4xi8> to tensor<1x6x7x4x!quant.uniform<u8:f32, 0.5:3>>
  %c.x = quant.dcast %qz : tensor<1x6x7x4x!quant.uniform<u8:f32, 0.5:3>> to tensor<1x6x7x4xf32>
  %c.w = arith.constant dense<0.5> : tensor<3x3x4x2xf32>
  %c.qw = quant.qcast %c.w : tensor<3x3x4x2xf32> to tensor<3x3x4x2x!quant.uniform<i8<-31:31>:f32:3, {0.25,0.25}>>
  %c.dw = quant.dcast %c.qw : tensor<3x3x4x2x!quant.uniform<i8<-31:31>:f32:3, {0.25,0.25}>> to tensor<3x3x4x2xf32>
  %c.e = tensor.empty() : tensor<1x4x5x2xf32>
  %c.zero = linalg.fill ins(%zero : f32) outs(%c.e : tensor<1x4x5x2xf32>) -> tensor<1x4x5x2xf32>
  %c.y = linalg.conv_2d_nhwc_hwcf {quantune.layer = "c", quantune.precision = "integer"}
      ins(%c.x, %c.dw : tensor<1x6x7x4xf32>, tensor<3x3x4x2xf32>) outs(%c.zero : tensor<1x4x5x2xf32>) -> tensor<1x4x5x2xf32>
  %qc = quant.qcast %c.y : tensor<1x4x5x2xf32> to tensor<1x4x5x2x!quant.uniform<u8:f32, 0.5:3>>
  return %p, %qc : tensor<1x6x7x4xi8>, tensor<1x4x5x2x!quant.uniform<u8:f32, 0.5:3>>
}

// -----

// A channel shuffle is one kernel that deals two runs of channels out in turn, half of them, straight into the next concatenation. What
// else is concatenated and comes from elsewhere is copied there.

// CHECK-LABEL: func.func @shuffled
// CHECK-SAME: (%[[Q:.+]]: tensor<1x4x5x4x!quant
// CHECK-DAG: %[[IMAGE:.+]] = quant.scast %[[Q]]
// CHECK-DAG: %[[EMPTY:.+]] = tensor.empty() : tensor<1x4x5x8xi8>
// CHECK: %[[ONE:.+]] = flow.dispatch @quantune_kernels::@a$qconv_avx2({{.*}}, %[[EMPTY]]) : {{.*}} -> %[[EMPTY]]
// CHECK: %[[BOTH:.+]] = flow.dispatch @quantune_kernels::@b$qconv_avx2({{.*}}, %[[ONE]]) : {{.*}} -> %[[ONE]]
// CHECK-NOT: linalg.transpose
// CHECK: %[[NEXT:.+]] = tensor.empty() : tensor<1x4x5x10xi8>
// CHECK: %[[HALF:.+]] = flow.dispatch @quantune_kernels::@shuffle$move_avx2(%[[BOTH]], %{{.+}}, %[[NEXT]]) : {{.*}} -> %[[NEXT]]
// CHECK: %[[C:.+]] = flow.dispatch @quantune_kernels::@c$qconv_avx2(%[[IMAGE]], %{{.+}}, %[[HALF]]) : {{.*}} -> %[[HALF]]
// CHECK: %[[ALL:.+]] = flow.dispatch @quantune_kernels::@tensor.concat$move_avx2(%[[IMAGE]], %{{.+}}, %[[C]]) : {{.*}} -> %[[C]]
// CHECK: return %[[ALL]]
func.func @shuffled(%q: tensor<1x4x5x4x!quant.uniform<u8:f32, 0.5:3>>) -> (tensor<1x4x5x10xi8>) {
  %zero = arith.constant 0.0 : f32
  %three = arith.constant 3 : i8
  %least = arith.constant 0 : i8
  %a.x = quant.dcast %q : tensor<1x4x5x4x!quant.uniform<u8:f32, 0.5:3>> to tensor<1x4x5x4xf32>
  %a.w = arith.constant dense<0.5> : tensor<1x1x4x4xf32>
  %a.qw = quant.qcast %a.w : tensor<1x1x4x4xf32> to tensor<1x1x4x4x!quant.uniform<i8<-31:31>:f32:3, {0.25,0.25,0.25,0.25}>>
  %a.dw = quant.dcast %a.qw : tensor<1x1x4x4x!quant.uniform<i8<-31:31>:f32:3, {0.25,0.25,0.25,0.25}>> to tensor<1x1x4x4xf32>
  %a.e = tensor.empty() : tensor<1x4x5x4xf32>
  %a.zero = linalg.fill ins(%zero : f32) outs(%a.e : tensor<1x4x5x4xf32>) -> tensor<1x4x5x4xf32>
  %a.y = linalg.conv_2d_nhwc_hwcf {quantune.layer = "a", quantune.precision = "integer"}
      ins(%a.x, %a.dw : tensor<1x4x5x4xf32>, tensor<1x1x4x4xf32>) outs(%a.zero : tensor<1x4x5x4xf32>) -> tensor<1x4x5x4xf32>
  %qa = quant.qcast %a.y : tensor<1x4x5x4xf32> to tensor<1x4x5x4x!quant.uniform<u8:f32, 0.5:3>>
  %ba = quant.scast %qa : tensor<1x4x5x4x!quant.uniform<u8:f32, 0.5:3>> to tensor<1x4x5x4xi8>
  %b.x = quant.dcast %q : tensor<1x4x5x4x!quant.uniform<u8:f32, 0.5:3>> to tensor<1x4x5x4xf32>
  %b.w = arith.constant dense<0.5> : tensor<1x1x4x4xf32>
  %b.qw = quant.qcast %b.w : tensor<1x1x4x4xf32> to tensor<1x1x4x4x!quant.uniform<i8<-31:31>:f32:3, {0.25,0.25,0.25,0.25}>>
  %b.dw = quant.dcast %b.qw : tensor<1x1x4x4x!quant.uniform<i8<-31:31>:f32:3, {0.25,0.25,0.25,0.25}>> to tensor<1x1x4x4xf32>
  %b.e = tensor.empty() : tensor<1x4x5x4xf32>
  %b.zero = linalg.fill ins(%zero : f32) outs(%b.e : tensor<1x4x5x4xf32>) -> tensor<1x4x5x4xf32>
  %b.y = linalg.conv_2d_nhwc_hwcf {quantune.layer = "b", quantune.precision = "integer"}
      ins(%b.x, %b.dw : tensor<1x4x5x4xf32>, tensor<1x1x4x4xf32>) outs(%b.zero : tensor<1x4x5x4xf32>) -> tensor<1x4x5x4xf32>
  %qb = quant.qcast %b.y : tensor<1x4x5x4xf32> to tensor<1x4x5x4x!quant.uniform<u8:f32, 0.5:3>>
  %bb = quant.scast %qb : tensor<1x4x5x4x!quant.uniform<u8:f32, 0.5:3>> to tensor<1x4x5x4xi8>
  %bq = quant.scast %q : tensor<1x4x5x4x!quant.uniform<u8:f32, 0.5:3>> to tensor<1x4x5x4xi8>
  %both = tensor.concat dim(3) %ba, %bb : (tensor<1x4x5x4xi8>, tensor<1x4x5x4xi8>) -> tensor<1x4x5x8xi8>
  %split = tensor.expand_shape %both [[0], [1], [2], [3, 4]] output_shape [1, 4, 5, 2, 4] : tensor<1x4x5x8xi8> into tensor<1x4x5x2x4xi8>
  %dealt.e = tensor.empty() : tensor<1x4x5x4x2xi8>
  %dealt = linalg.transpose ins(%split : tensor<1x4x5x2x4xi8>) outs(%dealt.e : tensor<1x4x5x4x2xi8>) permutation = [0, 1, 2, 4, 3]
  %shuffled = tensor.collapse_shape %dealt [[0], [1], [2], [3, 4]] : tensor<1x4x5x4x2xi8> into tensor<1x4x5x8xi8>
  %half = tensor.extract_slice %shuffled[0, 0, 0, 4] [1, 4, 5, 4] [1, 1, 1, 1] {quantune.layer = "shuffle"} : tensor<1x4x5x8xi8> to tensor<1x4x5x4xi8>
  %c.x = quant.dcast %q : tensor<1x4x5x4x!quant.uniform<u8:f32, 0.5:3>> to tensor<1x4x5x4xf32>
  %c.w = arith.constant dense<0.5> : tensor<1x1x4x2xf32>
  %c.qw = quant.qcast %c.w : tensor<1x1x4x2xf32> to tensor<1x1x4x2x!quant.uniform<i8<-31:31>:f32:3, {0.25,0.25}>>
  %c.dw = quant.dcast %c.qw : tensor<1x1x4x2x!quant.uniform<i8<-31:31>:f32:3, {0.25,0.25}>> to tensor<1x1x4x2xf32>
  %c.e = tensor.empty() : tensor<1x4x5x2xf32>
  %c.zero = linalg.fill ins(%zero : f32) outs(%c.e : tensor<1x4x5x2xf32>) -> tensor<1x4x5x2xf32>
  %c.y = linalg.conv_2d_nhwc_hwcf {quantune.layer = "c", quantune.precision = "integer"}
      ins(%c.x, %c.dw : tensor<1x4x5x4xf32>, tensor<1x1x4x2xf32>) outs(%c.zero : tensor<1x4x5x2xf32>) -> tensor<1x4x5x2xf32>
  %qc = quant.qcast %c.y : tensor<1x4x5x2xf32> to tensor<1x4x5x2x!quant.uniform<u8:f32, 0.5:3>>
  %bc = quant.scast %qc : tensor<1x4x5x2x!quant.uniform<u8:f32, 0.5:3>> to tensor<1x4x5x2xi8>
  %all = tensor.concat dim(3) %half, %bc, %bq : (tensor<1x4x5x4xi8>, tensor<1x4x5x2xi8>, tensor<1x4x5x4xi8>) -> tensor<1x4x5x10xi8>
  return %all : tensor<1x4x5x10xi8>
}
