"""Which precision the products of training have.

Knows: what a device multiplies natively. Does not know: networks, losses.

bfloat16 here is torch's autocast: weights, norms, sums and the optimiser stay fp32, routers too; only the
inputs and results of matrix products are rounded.
"""

from __future__ import annotations

from contextlib import AbstractContextManager

import torch


def pays_bf16(device: torch.device) -> bool:
    """Whether the device multiplies bfloat16 natively; elsewhere products are converted in software.

    A flag and not a trial run: a machine always decides alike, so the same seed gives the same weights.
    """
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def products_in(precision: str, device: torch.device) -> AbstractContextManager[object]:
    """Within it matrix products have this precision: fp32, bf16, or auto (bf16 where it pays)."""
    bf16 = precision == "bf16" or (precision == "auto" and pays_bf16(device))
    return torch.autocast(device.type, torch.bfloat16, enabled=bf16)
