"""Folders of rounded weights, in the layout "pack-quantized" of compressed-tensors, which transformers and vLLM open.

    to_theirs(small, rows), settings(small, rows)       # the tensors, and what config.json says of them
    split(tensors, said), build(...)                    # and back

Source: the layout: github.com/vllm-project/compressed-tensors.
"""

import re

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..errors import CheckpointError
from .config import Config
from .names import BASES, Row, bare
from .quantize import Quantized, empty, matrices, parent
from .rounded import Int4, Int8

OUTPUTS = ("lm_head", "embed_out", "decoder", "cls.predictions.decoder", "lm_head.decoder", "vocab_projector")


def to_theirs(model: Quantized, rows: list[Row]) -> dict[str, Tensor]:
    """Our tensors under Hugging Face's names, rounded matrices in the layout pack-quantized."""
    theirs, symmetric = {}, centred_everywhere(model)
    for row in rows:
        parts = [parent(model, name) for name in row.ours]
        if row.ours[0].endswith(".weight") and isinstance(parts[0], (Int8, Int4)) and ".blocks." in row.ours[0]:
            theirs |= packed_row(row, parts, symmetric)
        else:
            theirs[row.theirs] = row.write([getattr(part, name.rpartition(".")[2]).detach()
                                            for part, name in zip(parts, row.ours, strict=True)])  # fmt: skip
    return {name: tensor.detach().cpu().contiguous() for name, tensor in theirs.items()}


def centred_everywhere(model: Quantized) -> bool:
    """Whether no group needs a zero of its own."""
    return all(bool((part.zero == 8).all()) for part in model.modules() if isinstance(part, Int4))


def packed_row(row: Row, parts: list[Int8 | Int4], symmetric: bool) -> dict[str, Tensor]:
    """The tensors of one rounded matrix of theirs."""
    stem, bits, stored = row.theirs.removesuffix("weight"), width(parts[0]), [part.stored() for part in parts]
    values, scale = row.write([s[0] for s in stored]), row.write([s[1] for s in stored])
    outputs = sum(part.out_features for part in parts)
    if values.shape != (outputs, parts[0].in_features) or scale.shape[0] != outputs or ".experts." in row.theirs:
        raise CheckpointError(f"{row.theirs}: this family's matrices cannot be kept in the layout pack-quantized (it "
                              "stores them as (in, out), or many in one); save the float model and round it after load")
    found = {"weight_packed": packed32(values, bits), "weight_scale": scale,
             "weight_shape": torch.tensor(values.shape)}  # fmt: skip
    if not symmetric:
        found["weight_zero_point"] = packed32(row.write([s[2] for s in stored]).T, bits).T
    return {stem + name: tensor for name, tensor in found.items()}


def width(part: nn.Module) -> int:
    """Bits of a rounded matrix."""
    return 8 if isinstance(part, Int8) else 4


def packed32(values: Tensor, bits: int) -> Tensor:
    """Signed integers (N, K) -> (N, ceil(K * bits / 32)) int32, the first in the lowest bits."""
    count = 32 // bits
    raised = F.pad(values.to(torch.int64) + (1 << bits - 1), (0, -values.shape[1] % count))
    shifts = torch.arange(count, device=values.device) * bits
    return (raised.view(len(values), -1, count) << shifts).sum(-1).to(torch.int32)


def unpacked32(words: Tensor, bits: int, columns: int) -> Tensor:
    """The way back: (N, columns) int8."""
    shifts = torch.arange(32 // bits, dtype=torch.int32, device=words.device) * bits
    raised = (words[..., None] >> shifts) & (1 << bits) - 1
    return (raised.flatten(1)[:, :columns] - (1 << bits - 1)).to(torch.int8)


def settings(model: Quantized, rows: list[Row]) -> dict:
    """The quantization_config of a config.json; {} where no matrix is rounded."""
    rounded = {name: part for name, part in model.named_modules()
               if isinstance(part, (Int8, Int4)) and ".blocks." in name}  # fmt: skip
    if not rounded:
        return {}
    first = next(iter(rounded.values()))
    int4 = isinstance(first, Int4)
    weights = {"num_bits": width(first), "type": "int", "symmetric": centred_everywhere(model),
               "strategy": "group" if int4 else "channel", "group_size": first.group if int4 else None}  # fmt: skip
    left = {row.theirs.removesuffix(".weight") for row in rows
            if row.theirs.endswith(".weight") and row.ours[0].removesuffix(".weight") not in rounded}  # fmt: skip
    group = {"targets": ["Linear"], "weights": weights, "input_activations": None, "output_activations": None}
    return {"quantization_config": {
        "quant_method": "compressed-tensors", "format": "pack-quantized", "quantization_status": "compressed",
        "config_groups": {"group_0": group}, "ignore": sorted(left | set(OUTPUTS)), "kv_cache_scheme": None,
    }}  # fmt: skip


def bits_of(said: dict) -> int:
    """Bits of the matrices of a folder, from its quantization_config; CheckpointError for what is not known here."""
    if said.get("quant_method") != "compressed-tensors" or said.get("format") != "pack-quantized":
        raise CheckpointError(f"config.json: quantization_config is {said.get('quant_method')!r} in the layout "
                              f"{said.get('format')!r}; upwell knows compressed-tensors in pack-quantized")
    groups = list((said.get("config_groups") or {}).values())
    weights = [group.get("weights") or {} for group in groups]
    bits = {w.get("num_bits") for w in weights}
    if len(bits) != 1 or not bits <= {4, 8} or any(w.get("type") != "int" for w in weights):
        raise CheckpointError(f"config.json: quantization_config has weights of {sorted(map(str, bits))} bits; upwell "
                              "knows one group of 8 or 4 bit integers")
    if any(group.get("input_activations") for group in groups) or said.get("kv_cache_scheme"):
        raise CheckpointError("config.json: quantization_config rounds activations too; upwell rounds weights only")
    return bits.pop()


def split(tensors: dict[str, Tensor], said: dict) -> tuple[dict[str, Tensor], dict[str, tuple[Tensor, Tensor | None]]]:
    """The tensors of a rounded folder -> tensors with integers (N, K) in the matrices' places, and by matrix the scale
    and the zero points (N, G), signed."""
    bits, plain, grids = bits_of(said), {}, {}
    stems = [name.removesuffix("_packed") for name in tensors if name.endswith(".weight_packed")]
    for stem in stems:
        if f"{stem}_g_idx" in tensors:
            raise CheckpointError(f"{stem}_g_idx: groups in another order than the inputs' are not known here")
        N, K = tensors[f"{stem}_shape"].tolist()
        scale, point = tensors[f"{stem}_scale"], tensors.get(f"{stem}_zero_point")
        plain[stem] = unpacked32(tensors[f"{stem}_packed"], bits, K)
        grids[stem] = scale, None if point is None else unpacked32(point.T, bits, N).T
    taken = re.compile(r"_(packed|scale|shape|zero_point)$")
    rest = {name: t for name, t in tensors.items() if not (taken.search(name) and taken.sub("", name) in grids)}
    return rest | plain, grids


def build(config: Config, state: dict[str, Tensor], grids: dict[str, tuple], rows: list[Row], bits: int, device="cpu",
          dtype: torch.dtype | None = None) -> Quantized:  # fmt: skip
    """A model from its tensors under our names, the rounded ones integers, and their grids under Hugging Face's."""
    model, bounds = empty(config), translated(grids, rows)
    for name, part in matrices(model).items():
        if f"{name}.weight" in bounds:
            bias = None if part.bias is None else state.pop(f"{name}.bias").to(device, dtype)
            grid = [None if t is None else t.to(device) for t in bounds[f"{name}.weight"]]
            model.set_submodule(name, restored(state.pop(f"{name}.weight").to(device), *grid, bias, bits, dtype))
    floats = {name: t.to(device, dtype or t.dtype) for name, t in state.items()}
    left = [name for name in model.load_state_dict(floats, strict=False, assign=True).unexpected_keys]
    if left:
        raise CheckpointError(f"{left[0]}: only the matrices of the blocks may be rounded")
    return model.eval().requires_grad_(False)


def translated(grids: dict[str, tuple], rows: list[Row]) -> dict[str, tuple[Tensor, Tensor | None]]:
    """Scales and zero points under our names."""
    found = {}
    for row in rows:
        names = (row.theirs, bare(row.theirs), *(base + row.theirs for base in BASES))
        name = next((name for name in names if name in grids), None)
        if name is not None:
            parts = [[None] * len(row.ours) if t is None else row.read(t) for t in grids[name]]
            found |= dict(zip(row.ours, zip(*parts, strict=True), strict=True))
    return found


def restored(values: Tensor, scale: Tensor, point: Tensor | None, bias: Tensor | None, bits: int,
             dtype: torch.dtype | None) -> Int8 | Int4:  # fmt: skip
    """A matrix from signed integers (N, K), scales (N, G) and signed zero points (N, G) or none."""
    dtype = dtype or scale.dtype
    if bits == 8:
        if scale.shape[1] != 1 or point is not None:
            raise CheckpointError("found int8 weights with groups or zero points; upwell knows one scale an output")
        return Int8(values, scale[:, 0].to(dtype), bias)
    zero = torch.full(scale.shape, 8, dtype=torch.int8) if point is None else point + 8
    return Int4((values + 8).to(torch.uint8), scale.to(dtype), zero.to(scale.device), bias)
