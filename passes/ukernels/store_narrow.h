// A last tile of fewer than 16 columns goes through buffers, so that nothing beyond the tensors is touched. Needs store_rows.
SPILLING void store_narrow(const i32 *sums, const float *scales, const Finish *f, const u8 *const *residual, u8 *const *out, i64 columns,
                          i64 count) {
  const i64 out_bytes = columns * (f->out_f32 ? 4 : 1), residual_bytes = columns * (f->residual_f32 ? 4 : 1);
  for (i64 i = 0; i < count; i++) {
    u8 result[64], other[64] = {0};
    u8 *const to = result;
    const u8 *const from = other;
    if (residual) copy_bytes(other, residual[i], residual_bytes);
    store_rows(sums + i * 16, scales, f, residual ? &from : 0, &to, 1);
    copy_bytes(out[i], result, out_bytes);
  }
}
