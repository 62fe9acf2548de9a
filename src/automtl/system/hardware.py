"""The device and precision of training and prediction: what the settings ask for and this machine has."""

from __future__ import annotations

import ctypes
from contextlib import AbstractContextManager
from functools import cache

import torch
from torch import Tensor, nn

from automtl.errors import SettingsError
from automtl.system.memory import c_function

HUGE_PAGE = 2**21  # bytes
MADV_HUGEPAGE = 14  # of madvise(2)
LARGE = 2**26  # bytes of a tensor from which large pages are asked for
ROWS_SHARE = 0.5  # of a card's free memory, that encoded rows may take


def find_device(name: str) -> torch.device:
    """Find the device of a setting; auto: a graphics card if there is one. Raises SettingsError for others."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise SettingsError(f"training.device: '{name}' is no device; use auto, cpu, cuda or cuda:N") from None
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        count = torch.cuda.device_count()
        raise SettingsError(f"training.device: there is no '{name}' ({count} graphics cards found); use auto or cpu")
    return device


def device_of(model: nn.Module) -> torch.device:
    """Return the device of a model's parameters; a model without any runs on the processor."""
    first = next(model.parameters(), None)
    return torch.device("cpu") if first is None else first.device


def keeps_rows(device: torch.device, num_bytes: int) -> bool:
    """Tell whether encoded rows of so many bytes may stay in a card's memory during a training."""
    if device.type != "cuda":
        return False
    free, _ = torch.cuda.mem_get_info(device)
    return num_bytes <= ROWS_SHARE * free


@cache
def has_bf16(device: torch.device) -> bool:
    """Tell whether the device has instructions for bf16; a processor without takes a hundred times as long."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def precision(name: str, device: torch.device) -> AbstractContextManager[object]:
    """Make a context for forward passes; auto: bf16 where the device has it. Raises SettingsError for bf16 without."""
    if name == "bf16" and not has_bf16(device):
        raise SettingsError("training.precision: this machine has no instructions for bf16; use auto or full")
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=name != "full" and has_bf16(device))


def in_large_pages(values: Tensor) -> Tensor:
    """Copy into large pages, so that reaching rows misses the page table less; small tensors stay as they are."""
    count = values.numel() * values.element_size()
    advise = c_function("madvise")
    if advise is None or values.device.type != "cpu" or count < LARGE:
        return values
    room = torch.empty(count + 2 * HUGE_PAGE, dtype=torch.uint8)
    skipped = -room.data_ptr() % HUGE_PAGE
    start = ctypes.c_void_p(room.data_ptr() + skipped)
    advise(start, ctypes.c_size_t(-(-count // HUGE_PAGE) * HUGE_PAGE), MADV_HUGEPAGE)  # a refusal costs speed alone
    return room[skipped : skipped + count].view(values.dtype).view(values.shape).copy_(values)
