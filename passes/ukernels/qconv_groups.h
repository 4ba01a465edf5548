// Which group a tile of columns belongs to.
#ifndef QUANTUNE_QCONV_GROUPS_H_
#define QUANTUNE_QCONV_GROUPS_H_

#include "common.h"
#include "qconv_params.h"

// Without a division where there is one group: it would cost as much as the product of a shallow tile.
INLINE i64 group_of(const i32 *p, i64 tile) { return p[QCONV_tiles] == p[QCONV_group_tiles] ? 0 : tile / p[QCONV_group_tiles]; }

#endif
