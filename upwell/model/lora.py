"""Low-rank adapters: beside a frozen matrix W stands a product of two thin ones that learn, y = W x + scale * B A x.

    wrap(model, Lora(rank=8), seed=1)     # in place: the blocks' matrices get adapters, nothing else learns
    save(model, folder)                   # in the format of the package PEFT, under the names of Hugging Face
    load(model, folder)                   # a folder that PEFT or `save` wrote
    merge(model) · unmerge(model)         # the product into the matrix and out of it
    unwrap(model)                         # a plain model again

W may be float, int8 or int4. A matrix that Hugging Face keeps in one with others (GPT-2's c_attn, ModernBERT's Wqkv)
has one adapter there and one for each part here; both directions compute the same numbers. It knows nothing of loss.

Sources: Hu et al. 2021, arXiv 2106.09685; Kalajdzievski 2023 (rsLoRA), arXiv 2312.03732; Dettmers et al. 2023 (on
quantised matrices), arXiv 2305.14314.
"""

import json
import math
import re
from collections import Counter
from itertools import accumulate
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F

from ..atomic import new_file, write_file
from ..errors import CheckpointError, SettingsError
from . import hub
from .config import Config
from .lora_settings import Lora
from .names import BASES, Row, bare
from .rounded import Int4, Int8
from .transformer import Transformer

MATRICES = (nn.Linear, Int8, Int4)
FIRST = "base_model.model."  # how PEFT begins every name
TASKS = {"classify": "SEQ_CLS", "tag": "TOKEN_CLS", "span": "QUESTION_ANS", "embed": "FEATURE_EXTRACTION",
         "none": "FEATURE_EXTRACTION"}  # fmt: skip
KNOWN = frozenset("""
    peft_type r lora_alpha lora_dropout use_rslora rank_pattern alpha_pattern target_modules modules_to_save bias
    init_lora_weights fan_in_fan_out task_type base_model_name_or_path revision inference_mode auto_mapping peft_version
    layers_to_transform layers_pattern exclude_modules loftq_config eva_config corda_config lora_ga_config
    megatron_config megatron_core qalora_group_size runtime_config ensure_weight_tying
""".split())  # keys of an adapter_config.json that are read here, or that say only how an adapter was begun or chosen
STARTS = (True, False, None, "gaussian", "orthogonal", "eva")  # beginnings that leave the model's own weights alone


class Adapted(nn.Module):
    """A matrix with its adapter: (..., in) -> (..., out). .a (rank, in) and .b (out, rank) learn."""

    def __init__(self, base: nn.Module, rank: int, scale: float, dropout: float = 0.0):
        super().__init__()
        self.base, self.scale, self.merged = base, scale, False
        self.in_features, self.out_features = base.in_features, base.out_features
        device = next(iter(base.state_dict().values())).device
        self.a = nn.Parameter(torch.zeros(rank, base.in_features, device=device))
        self.b = nn.Parameter(torch.zeros(base.out_features, rank, device=device))
        self.dropout, self.held = nn.Dropout(dropout), None

    def forward(self, x: Tensor) -> Tensor:
        if not self.merged and self.together(x):
            return self.product(x)
        y = self.base(x)
        if self.merged:
            return y
        low = F.linear(self.dropout(x).to(self.a.dtype), self.a)
        return y + (F.linear(low, self.b) * self.scale).to(y.dtype)

    def together(self, x: Tensor) -> bool:
        """Whether matrix and adapter are one step of autograd: where the matrix is frozen and nothing is dropped."""
        plain = type(self.base) is nn.Linear and not self.base.weight.requires_grad and torch.is_grad_enabled()
        drops = self.training and self.dropout.p > 0
        return plain and not drops and x.device.type == "cpu" and not torch.compiler.is_compiling()

    def product(self, x: Tensor) -> Tensor:
        """The same in one step of autograd, under autocast in its number format."""
        low, bias = torch.is_autocast_enabled("cpu") and x.dtype != torch.float64, self.base.bias
        dtype = torch.get_autocast_dtype("cpu") if low else torch.promote_types(x.dtype, self.a.dtype)
        held = self.held is not None and self.held.dtype == dtype
        weight = self.held if held else self.base.weight.to(dtype)
        y = Product.apply(x.reshape(-1, x.shape[-1]).to(dtype), weight, self.a, self.b, self.scale)
        y = y.view(*x.shape[:-1], -1)
        return y if bias is None else y + bias.to(dtype)

    def __getstate__(self) -> dict:
        """Copies hold no second form of the matrix."""
        return self.__dict__ | {"held": None}

    @property
    def rank(self) -> int:
        """How thin the two matrices are."""
        return len(self.a)

    @torch.no_grad()
    def delta(self) -> Tensor:
        """What the adapter adds to the matrix, (out, in)."""
        return self.b @ self.a * self.scale

    @torch.no_grad()
    def shift(self, sign: int) -> None:
        """Add the product to the matrix, or take it out; an int8 or int4 matrix becomes float before."""
        if not isinstance(self.base, nn.Linear):
            self.base = self.base.floating()
        weight = self.base.weight
        weight.copy_((weight.float() + sign * self.delta().float()).to(weight.dtype))


class Product(torch.autograd.Function):
    """x (N, in) @ (weight + scale * b @ a).T -> (N, out), with gradients to x, a and b; weight has the format of x."""

    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor, a: Tensor, b: Tensor, scale: float) -> Tensor:
        with torch.autocast("cpu", enabled=False):
            low = x @ a.to(x.dtype).T
            ctx.save_for_backward(x, weight, a, b, low)
            ctx.scale = scale
            return torch.addmm(x @ weight.T, low, b.to(x.dtype).T, alpha=scale)

    @staticmethod
    def backward(ctx, slope: Tensor):
        x, weight, a, b, low = ctx.saved_tensors
        to_low = (slope @ b.to(x.dtype)).mul_(ctx.scale)
        to_x = (slope @ weight).addmm_(to_low, a.to(x.dtype)) if ctx.needs_input_grad[0] else None
        to_b = (slope.T @ low).to(b.dtype).mul_(ctx.scale)
        return to_x, None, (to_low.T @ x).to(a.dtype), to_b, None


def hold(model: Transformer, dtype: torch.dtype) -> None:
    """Frozen matrices with adapters are held in the format of matrix products too, in place, on a CPU.

    Otherwise every pass would round them anew. It takes half as much memory as they do in float32, while it trains.
    """
    for part in adapters(model).values():
        plain = type(part.base) is nn.Linear and type(part.base.weight) is nn.Parameter
        plain = plain and not part.base.weight.requires_grad and part.held is None
        if plain and part.base.weight.device.type == "cpu" and part.base.weight.dtype != dtype:
            part.held = part.base.weight.detach().to(dtype)


def wrap(model: Transformer, s: Lora, seed: int = 0) -> Transformer:
    """Give matrices adapters that compute nothing yet, in place; only they and `s.whole` learn from now on.

    Raises SettingsError where a target or a whole module is not there, or the model is wrapped already.
    """
    if adapters(model):
        raise SettingsError("found a model that has adapters already; merge them or load the model anew first")
    names, generator = chosen(model, s.targets), torch.Generator().manual_seed(seed)
    scale = s.alpha / (math.sqrt(s.rank) if s.rslora else s.rank)
    model.requires_grad_(False)
    for name in names:
        part = Adapted(model.get_submodule(name), s.rank, scale, s.dropout)
        spread = 1 / math.sqrt(part.in_features)
        part.a.data.copy_(torch.empty(part.a.shape).uniform_(-spread, spread, generator=generator))
        model.set_submodule(name, part.train(model.training))
    for name in s.whole:
        module(model, name).requires_grad_(True)
    return model


def chosen(model: Transformer, targets: tuple[str, ...]) -> list[str]:
    """Names of the blocks' matrices that end in one of the targets."""
    every = [name for name, part in model.named_modules() if ".blocks." in name and isinstance(part, MATRICES)]
    kinds = sorted({name.partition(".blocks.")[2].partition(".")[2] for name in every})
    for target in targets:
        if not any(ends(name, target) for name in every):
            raise SettingsError(f"lora.targets: {target!r} is no matrix of this model; it has {', '.join(kinds)}")
    return [name for name in every if not targets or any(ends(name, target) for target in targets)]


def ends(name: str, target: str) -> bool:
    """Whether a module's name is the target or ends in it."""
    return name == target or name.endswith("." + target)


def module(model: Transformer, name: str) -> nn.Module:
    """A module by its name; SettingsError where there is none with weights of its own."""
    try:
        found = model.get_submodule(name)
    except AttributeError:
        found = None
    if found is None or not any(True for _ in found.parameters()):
        raise SettingsError(f"lora.whole: {name!r} is no module of this model that has weights of its own")
    return found


def adapters(model: Transformer) -> dict[str, Adapted]:
    """The adapted matrices by name."""
    return {name: part for name, part in model.named_modules() if isinstance(part, Adapted)}


def parameters(model: Transformer) -> list[nn.Parameter]:
    """What learns: the adapters and the modules that are trained whole."""
    return [p for p in model.parameters() if p.requires_grad]


def whole(model: Transformer) -> list[str]:
    """Names of the parameters that learn as they are."""
    thin = {id(p) for part in adapters(model).values() for p in (part.a, part.b)}
    return [name for name, p in model.named_parameters() if p.requires_grad and id(p) not in thin]


def merge(model: Transformer) -> Transformer:
    """Add every adapter to its matrix, in place, which then costs nothing more; an int8 or int4 one becomes float."""
    for part in adapters(model).values():
        if not part.merged:
            part.shift(1)
            part.merged, part.held = True, None
    return model


def unmerge(model: Transformer) -> Transformer:
    """Take every adapter out of its matrix again, in place; equal to before up to rounding."""
    for part in adapters(model).values():
        if part.merged:
            part.shift(-1)
            part.merged, part.held = False, None
    return model


def unwrap(model: Transformer) -> Transformer:
    """Drop the adapters, in place: with `merge` before, what they learnt stays; else the model is as it was."""
    for name, part in adapters(model).items():
        model.set_submodule(name, part.base)
    return model.requires_grad_(True)


# ---- folders ----


def save(model: Transformer, folder, base: str = "") -> Path:
    """Write adapter_config.json and adapter_model.safetensors, which PEFT opens; `base` names the model below.

    Raises CheckpointError for an adapter that Hugging Face's layout has no place for.
    """
    folder = Path(folder)
    config, tensors = to_peft(model, base)
    folder.mkdir(parents=True, exist_ok=True)
    with new_file(folder / "adapter_model.safetensors") as temporary:
        save_file(tensors, temporary, metadata={"format": "pt"})
    write_file(folder / "adapter_config.json", (json.dumps(config, indent=2) + "\n").encode())
    return folder


def to_peft(model: Transformer, base: str = "") -> tuple[dict, dict[str, Tensor]]:
    """The adapters as PEFT's settings and tensors."""
    left, parts, rows = adapters(model), {}, hub.table(model.config)
    if not left:
        raise CheckpointError("found a model without adapters; expected one that `lora.wrap` has wrapped")
    dropout = next(iter(left.values())).dropout.p
    for row in rows:
        names = [name.removesuffix(".weight") for name in row.ours]
        if any(name in left for name in names):
            parts[row.theirs.removesuffix(".weight")] = joined(row, [model.get_submodule(name) for name in names])
            left = {name: part for name, part in left.items() if name not in names}
    if left:
        raise CheckpointError(f"{next(iter(left))}: Hugging Face's layout of {model.config.kind} has no such matrix of "
                              "its own, so its adapter cannot be saved; choose other targets")
    tensors = {}
    for name, (a, b, _) in parts.items():
        tensors |= {f"{FIRST}{name}.lora_A.weight": a, f"{FIRST}{name}.lora_B.weight": b}
    saved = whole_tensors(model, rows)
    tensors |= {FIRST + name: tensor for name, tensor in saved.items()}
    config = settings(model, {name: (len(a), scale) for name, (a, _, scale) in parts.items()}, rows, base)
    kept = sorted({name.rpartition(".")[0] for name in saved})
    config |= {"lora_dropout": dropout, "modules_to_save": kept or None, "task_type": task(model.config, kept)}
    return config, {name: t.detach().cpu().contiguous().clone() for name, t in tensors.items()}


def joined(row: Row, parts: list[nn.Module]) -> tuple[Tensor, Tensor, float]:
    """A, B and scale of one matrix of theirs from the adapters of ours that it holds; one without an adapter adds 0."""
    mine = [part for part in parts if isinstance(part, Adapted)]
    scale, numbers = mine[0].scale, order(row, [part.out_features for part in parts])[0]
    if len(mine) == len(parts) and all(torch.equal(part.a, mine[0].a) for part in mine):
        a, b = mine[0].a, torch.cat([part.b * (part.scale / scale) for part in mine])
    else:
        a, b = torch.cat([part.a for part in mine]), beside(parts, scale)
    return a, b[numbers.to(b.device)], scale


def beside(parts: list[nn.Module], scale: float) -> Tensor:
    """The matrices B of several adapters, each in rows and columns of its own."""
    columns = sum(part.rank for part in parts if isinstance(part, Adapted))
    rows, first = [], 0
    for part in parts:
        thin = torch.zeros(part.out_features, columns)
        if isinstance(part, Adapted):
            thin[:, first : first + part.rank] = part.b.detach().cpu() * (part.scale / scale)
            first += part.rank
        rows.append(thin)
    return torch.cat(rows)


def order(row: Row, sizes: list[int]) -> tuple[Tensor, bool]:
    """Which output of ours, counted through, each output of theirs is, and whether they store (in, out).

    Found by sending numbered rows through the row's own way; CheckpointError where that mixes outputs.
    """
    ends = list(accumulate(sizes))
    marks = [torch.stack((torch.arange(end - size, end), torch.full((size,), -1)), 1)
             for size, end in zip(sizes, ends, strict=True)]  # fmt: skip
    try:
        theirs = row.write(marks)
    except RuntimeError:
        theirs = torch.zeros(0)
    for transposed, found in ((False, theirs), (True, theirs.T if theirs.dim() == 2 else theirs)):
        straight = tuple(found.shape) == (ends[-1], 2) and bool((found[:, 1] == -1).all())
        if straight and torch.equal(found[:, 0].sort().values, torch.arange(ends[-1])):
            return found[:, 0], transposed
    raise CheckpointError(f"{row.theirs}: its outputs are not those of {', '.join(row.ours)} in another order, so an "
                          "adapter cannot be told for it; choose other targets")


def whole_tensors(model: Transformer, rows: list[Row]) -> dict[str, Tensor]:
    """The modules that learnt as they are, under their names."""
    state, wanted, found = dict(model.named_parameters()), set(whole(model)), {}
    for row in rows:
        if wanted & set(row.ours):
            found[row.theirs] = row.write([state[name].detach() for name in row.ours])
            wanted -= set(row.ours)
    assert not wanted, f"no row for {sorted(wanted)}"
    return found


def settings(model: Transformer, parts: dict[str, tuple[int, float]], rows: list[Row], base: str) -> dict:
    """adapter_config.json for matrices of theirs with their rank and scale."""
    rank, scale = Counter(parts.values()).most_common(1)[0][0]
    transposed = any(row.theirs.removesuffix(".weight") in parts and flipped(model, row) for row in rows)
    return {
        "peft_type": "LORA", "base_model_name_or_path": base or None, "inference_mode": True, "r": rank,
        "lora_alpha": scale * rank,
        "target_modules": targets(set(parts), rows), "bias": "none", "use_rslora": False,
        "fan_in_fan_out": transposed, "init_lora_weights": True,
        "rank_pattern": {name: r for name, (r, _) in parts.items() if r != rank},
        "alpha_pattern": {name: s * r for name, (r, s) in parts.items() if s * r != scale * rank},
    }  # fmt: skip


def task(c: Config, kept: list[str]) -> str | None:
    """What PEFT calls the task; None where that would make it look for a head that is not in the file."""
    if c.head.kind == "language":
        return "SEQ_2_SEQ_LM" if c.shape == "encoder-decoder" else "CAUSAL_LM"
    if c.head.kind in ("classify", "tag", "span") and not {"classifier", "score", "qa_outputs"} & set(kept):
        return None
    return TASKS.get(c.head.kind)


def flipped(model: Transformer, row: Row) -> bool:
    """Whether they store this matrix as (in, out)."""
    return order(row, [model.get_submodule(name.removesuffix(".weight")).out_features for name in row.ours])[1]


def targets(names: set[str], rows: list[Row]) -> list[str]:
    """The last parts of the adapted matrices' names where every matrix of such a name is adapted; else their names."""
    matrices = {row.theirs.removesuffix(".weight") for row in rows if row.theirs.endswith(".weight")}
    alike = {name for name in matrices if name.rpartition(".")[2] in {n.rpartition(".")[2] for n in names}}
    return sorted({name.rpartition(".")[2] for name in names} if alike == names else names)


def load(model: Transformer, folder) -> Transformer:
    """Wrap a model with the adapters of a folder that PEFT or `save` wrote, in place.

    Raises CheckpointError for a setting, a tensor or a shape that is unknown here; it names it.
    """
    folder = Path(folder)
    if not (folder / "adapter_config.json").is_file():
        raise CheckpointError(f"{folder}: no adapter_config.json; expected a folder as PEFT writes it")
    config = checked(hub.read_json(folder / "adapter_config.json"))
    try:
        tensors = load_file(folder / "adapter_model.safetensors")
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{folder}: adapter_model.safetensors cannot be read ({error}); copy it again") from None
    return from_peft(model, config, tensors)


def checked(config: dict) -> dict:
    """adapter_config.json with only what is understood here."""
    if config.get("peft_type") != "LORA":
        raise CheckpointError(f"adapter_config.json: peft_type is {config.get('peft_type')!r}; upwell knows 'LORA'")
    for key, value in config.items():
        if key not in KNOWN and value:
            raise CheckpointError(f"adapter_config.json: {key} is {value!r}; upwell does not know what it changes")
    if config.get("bias", "none") != "none":
        raise CheckpointError(f"adapter_config.json: bias is {config['bias']!r}; upwell knows 'none'")
    if config.get("init_lora_weights", True) not in STARTS:
        raise CheckpointError(f"adapter_config.json: init_lora_weights is {config['init_lora_weights']!r}, which "
                              "changes the model's own weights too; convert the adapter with PEFT first")
    return config


def from_peft(model: Transformer, config: dict, tensors: dict[str, Tensor]) -> Transformer:
    """Wrap a model, in place, with adapters under PEFT's names."""
    if adapters(model):
        raise CheckpointError("found a model that has adapters already; merge them or load the model anew first")
    left = {name.removeprefix(FIRST): tensor for name, tensor in tensors.items()}
    model.requires_grad_(False)
    for row in hub.table(model.config):
        for name in (row.theirs, bare(row.theirs), *(base + row.theirs for base in BASES)):
            stem = name.removesuffix(".weight")
            if f"{stem}.lora_A.weight" in left and f"{stem}.lora_B.weight" in left:
                a, b = left.pop(f"{stem}.lora_A.weight"), left.pop(f"{stem}.lora_B.weight")
                adapt(model, row, a, b, scale_of(config, stem, len(a)), config.get("lora_dropout") or 0.0)
            elif name in left:
                replace(model, row, left.pop(name))
    if left:
        raise CheckpointError(f"adapter: {hub.shortened(sorted(left))} not a matrix of this model; the adapter belongs "
                              "to another one, or to layers that upwell gives no adapters")
    return model


def scale_of(config: dict, stem: str, rank: int) -> float:
    """What the product of a module of theirs is multiplied by."""
    patterns = config.get("alpha_pattern") or {}
    key = next((key for key in patterns if re.match(rf"(.*\.)?({key})$", stem)), None)
    alpha = config.get("lora_alpha", 8) if key is None else patterns[key]
    return alpha / (math.sqrt(rank) if config.get("use_rslora") else rank)


def adapt(model: Transformer, row: Row, a: Tensor, b: Tensor, scale: float, dropout: float) -> None:
    """Wrap the matrices of ours that one of theirs holds."""
    names = [name.removesuffix(".weight") for name in row.ours]
    parts = [model.get_submodule(name) for name in names]
    sizes = [part.out_features for part in parts if isinstance(part, MATRICES)]
    fits = len(sizes) == len(parts) and a.shape[1] == parts[0].in_features and b.shape == (sum(sizes), len(a))
    if not fits:
        raise CheckpointError(f"{row.theirs}: an adapter of shapes {tuple(a.shape)} and {tuple(b.shape)} does not fit "
                              f"a {model.config.kind} model of width {model.config.width}")
    straight = torch.empty_like(b)
    straight[order(row, sizes)[0]] = b
    for name, part, thin in zip(names, parts, straight.split(sizes), strict=True):
        adapted = Adapted(part, len(a), scale, dropout)
        adapted.a.data = a.to(adapted.a)
        adapted.b.data = thin.to(adapted.b).clone()
        model.set_submodule(name, adapted.train(model.training))


def replace(model: Transformer, row: Row, tensor: Tensor) -> None:
    """Put a tensor that was trained whole in its place; it goes on learning."""
    for name, part in zip(row.ours, row.read(tensor), strict=True):
        held = model.get_parameter(name)
        if part.shape != held.shape:
            raise CheckpointError(f"{row.theirs}: the adapter has {tuple(part.shape)}, the model {tuple(held.shape)}")
        held.data = part.to(held)
        held.requires_grad_(True)
