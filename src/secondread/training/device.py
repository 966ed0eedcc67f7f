"""What a training run asks of the machine it is on: which device, which precision, how many threads, whose memory."""

import ctypes
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from torch import nn

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h
_LARGEST = 2**31 - 1  # bytes; what mallopt can be given
_SMALL = 500_000  # parameters


def choose_device() -> torch.device:
    """CUDA where there is one, else Apple's MPS, else the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


def keep_freed_memory() -> bool:
    """Let the process keep what it frees, for the next step of a training run; True where the C library can be asked.

    glibc gives blocks of more than 32 MB back to the system when they are freed, and a training step frees and takes
    gigabytes of them: a fresh page at a time, which was a quarter of the processor's time of EfficientNet-Lite at 224
    pixels (74 → 54 ms an image). Process-wide; where it is no glibc, nothing happens.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    return bool(mallopt(_M_MMAP_THRESHOLD, _LARGEST) and mallopt(_M_TRIM_THRESHOLD, _LARGEST))


def mixed_precision(model: nn.Module, device: torch.device, *, bfloat16: bool) -> torch.autocast:
    """Autocast to bfloat16 where the recipe asks for it and the network gains by it on that device."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=bfloat16 and _gains_by_bfloat16(model, device))


def _gains_by_bfloat16(model: nn.Module, device: torch.device) -> bool:
    """Whether the device computes in it, and this network faster: a processor that only imitates it needs fifteen
    times as long. With AVX-512 alone, dense convolutions take half of the time, depthwise ones a fifth more."""
    if device.type != "cpu":
        return device.type == "cuda"
    if torch.cpu._is_amx_tile_supported():
        return True
    return torch.cpu._is_avx512_bf16_supported() and not _is_depthwise(model)


def _is_depthwise(model: nn.Module) -> bool:
    return any(isinstance(part, nn.Conv2d) and 1 < part.groups == part.in_channels for part in model.modules())


@contextmanager
def own_draws(device: torch.device, seeds: Sequence[int]) -> Iterator[None]:
    """What layers draw within, such as dropout, is drawn by `seeds` alone; the process's own draws go on after it."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(int(np.random.default_rng([*seeds, 2]).integers(2**62)))
        yield


@contextmanager
def threads_for(model: nn.Module) -> Iterator[None]:
    """One thread for a small network: a second gains it nothing, and waits at every step wherever a core is busy."""
    before = torch.get_num_threads()
    if sum(parameter.numel() for parameter in model.parameters()) < _SMALL:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
