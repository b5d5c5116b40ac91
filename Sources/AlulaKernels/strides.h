// Walking over tensors by strides.
#pragma once
#include "instruction_set.h"

// The offset of an index that runs over `axes` axes, the last one fastest.
ALULA_INLINE int64_t alula_offset_of(size_t index, int32_t axes, const int32_t *shape, const int64_t *strides) {
    int64_t offset = 0;
    for (int32_t axis = axes - 1; axis >= 0; axis--) {
        size_t size = (size_t)shape[axis];
        offset += (int64_t)(index % size) * strides[axis];
        index /= size;
    }
    return offset;
}

ALULA_INLINE size_t alula_product_of(int32_t axes, const int32_t *shape) {
    size_t product = 1;
    for (int32_t axis = 0; axis < axes; axis++) product *= (size_t)shape[axis];
    return product;
}
