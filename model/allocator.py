"""Freed memory is kept for the next tensor instead of going back to the system.

Knows: two settings of glibc's allocator. Does not know: tensors.

By default glibc returns every large block when it is freed, and the next one is handed out page by page,
zeroed: with maps of tens of MB per step that was a third of the time of training and of full encoding.
"""

from __future__ import annotations

import ctypes

_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
#: The largest block that glibc takes from its heap on 64 bits; larger requests always go to the system.
_HEAP_BLOCK_BYTES = 32 << 20
#: Free memory that may stay at the top of the heap.
_KEPT_BYTES = 1 << 30


def keep_freed_memory() -> bool:
    """Set it for this process; False where the C library has no such setting (only glibc has)."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    return bool(mallopt(_M_MMAP_THRESHOLD, _HEAP_BLOCK_BYTES) and mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES))
