"""What a run takes of this machine."""

import sys

import torch


def used(device: str) -> int:
    """Bytes: the most that the device, or this process on a CPU, has held so far; 0 where the system does not tell."""
    if device.startswith("cuda"):
        return torch.cuda.max_memory_allocated(device)
    try:
        import resource
    except ImportError:  # Windows
        return 0
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def fitting(job, s, training, device, group):
    return training
