"""Several processes train one model: who computes which rows, and how gradients, norms and decisions become one.

    with parallel.join("auto", shards=1) as group:      # torchrun's variables; without them one process, `Alone`
        group.prepare(model)                            # before the optimizer is built
        lesson = group.lesson(model, learn)             # learn(model, batch) -> (K,) summed losses
        (lesson(part, last=True) / counts).sum().backward()

Gradients are summed over processes, never averaged, since losses are divided by counts of all processes; so a step is
the same step on any number of them. `shards` processes divide one copy of the weights, gradients and what the
optimizer remembers: 1 is data parallel training (DDP), all of them fully sharded (FSDP2), a number between them both,
sharded inside and copied outside. The mesh has a third dimension of 1, "tensor", for matrices that are cut themselves.

`Alone` is the same for one process and imports no torch.distributed. Neither knows data, optimizers or files.
"""

import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from datetime import timedelta

import torch
from torch import Tensor, nn

from ..errors import ServiceError, SettingsError

GONE = ("connection", "timed out", "timeout", "socket", "gloo", "nccl", "store", "broken pipe", "peer")


class Alone:
    """One process that is all of them."""

    rank, size, shards, main = 0, 1, 1, True

    def __init__(self, device: str = "cpu"):
        self.device = device

    def __enter__(self):
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def total(self, values: Sequence[float]) -> list[float]:
        """The sum of each value over all processes; all of them call it together."""
        return [float(value) for value in values]

    def told(self, value: float) -> float:
        """The first process's value, for decisions that depend on a clock."""
        return value

    def any(self, flag: bool) -> bool:
        """Whether it is so in any process."""
        return bool(flag)

    def share(self, rows: int) -> range:
        """Which of a step's rows this process computes; the shares of all in order are 0 .. rows - 1."""
        if rows < self.size:
            raise SettingsError(f"training.rows is {rows}; expected at least one row for each of {self.size} processes")
        return range(rows * self.rank // self.size, rows * (self.rank + 1) // self.size)

    def pieces(self, rows: int, micro: int = 0) -> list[slice]:
        """This process's share of `rows` in micro-batches of at most `micro` rows (0: one), as many in each process.

        Where a share is smaller than others its last one may be empty; a lesson takes it all the same.
        """
        mine, most = len(self.share(rows)), -(-rows // self.size)
        count = -(-most // micro) if micro else 1
        ends = [-(-mine * i // count) for i in range(count + 1)]
        return [slice(a, b) for a, b in zip(ends, ends[1:], strict=False)]

    def prepare(self, model: nn.Module) -> nn.Module:
        """The model, its weights divided where they are to be; the same object."""
        return model

    def lesson(self, model: nn.Module, learn: Callable) -> Callable:
        """learn(model, batch) -> (K,) as a function (batch, last=True) whose gradients are those of all processes."""
        return lambda batch, last=True: learn(model, batch)

    def norm(self, parameters: Iterable[nn.Parameter], limit: float = 0.0) -> float:
        """The length of the whole gradient, which is then shortened to at most `limit`; 0: left as it is."""
        return torch.nn.utils.clip_grad_norm_(parameters, limit or float("inf")).item()

    def open(self, model: nn.Module, shown: Mapping[str, Tensor] | None = None):
        """Inside, the model may be called in any way, by all processes together.

        shown: weights by name that a divided model has meanwhile, such as their averages.
        """
        return nullcontext(model)

    def barrier(self) -> None:
        """Go on when all have come."""

    def close(self) -> None:
        """Leave the group."""


def join(device: str = "auto", shards: int = 1, minutes: float = 10.0) -> Alone:
    """The group that torchrun has started this process in, or `Alone`.

    device: auto, cpu, cuda or mps. shards: see above; 0: all. minutes: a process that waits longer for another ends.
    Raises SettingsError for shards that do not divide the processes, ServiceError where the others do not come.
    """
    from .precision import default_device

    device = default_device() if device == "auto" else device
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if "RANK" not in os.environ or size == 1:
        return Alone(device)
    if shards < 0 or size % (shards or size):
        raise SettingsError(f"training.shards is {shards}; expected 0 (all), 1 (none) or a divisor of {size}, "
                            "the number of processes")  # fmt: skip
    if device == "cuda":
        device = f"cuda:{os.environ.get('LOCAL_RANK', '0')}"
        torch.cuda.set_device(device)
    return Group(device, shards or size, minutes)


class Group(Alone):
    """What a process of several knows about the others."""

    def __init__(self, device: str, shards: int, minutes: float):
        super().__init__(device)
        from torch.distributed.device_mesh import init_device_mesh

        self.rank, self.size, self.shards = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"]), shards
        self.main, self.minutes, self.lessons = self.rank == 0, minutes, []
        kind = device.partition(":")[0]
        with plainly(self):
            meet(self.rank, self.size, kind, timedelta(minutes=minutes))
            names = ("replicate", "shard", "tensor")
            self.mesh = init_device_mesh(kind, (self.size // shards, shards, 1), mesh_dim_names=names)

    # ---- numbers ----

    def total(self, values: Sequence[float]) -> list[float]:
        import torch.distributed as dist

        summed = torch.tensor([float(value) for value in values], dtype=torch.float64)
        dist.all_reduce(summed)
        return summed.tolist()

    def told(self, value: float) -> float:
        return self.total([value if self.main else 0.0])[0]

    def any(self, flag: bool) -> bool:
        return self.total([bool(flag)])[0] > 0

    def barrier(self) -> None:
        self.total([0.0])

    @torch.no_grad()
    def norm(self, parameters: Iterable[nn.Parameter], limit: float = 0.0) -> float:
        import torch.distributed as dist

        whole = [p.grad for p in parameters if p.grad is not None]
        parts = [local(gradient) for gradient in whole]
        squares = torch.zeros(2, dtype=torch.float64)  # of what is divided, of what every process has
        for number, divided in enumerate((True, False)):
            some = [t for t, w in zip(parts, whole, strict=True) if (t is not w) == divided and t.numel()]
            if some:
                squares[number] = torch.stack(torch._foreach_norm(some)).double().square().sum().cpu()
        if self.shards > 1:
            dist.all_reduce(squares[:1], group=self.mesh["shard"].get_group())
        length = squares.sum().sqrt().item()
        if parts and limit and length > limit:
            torch._foreach_mul_(parts, limit / (length + 1e-6))
        return length

    # ---- models ----

    def prepare(self, model: nn.Module) -> nn.Module:
        if self.shards == 1:
            return model
        from torch.distributed.fsdp import FSDPModule, fully_shard

        dims = ("replicate", "shard") if self.size > self.shards else ("shard",)
        mesh = self.mesh[dims]
        warnings.filterwarnings("ignore", message="FSDP2-wrapped module")  # of views; no block works in place on them
        for part in units(model):
            fully_shard(part, mesh=mesh)
        fully_shard(model, mesh=mesh)
        for part in model.modules():
            if isinstance(part, FSDPModule):
                part.set_gradient_divide_factor(1.0)
                part.set_force_sum_reduction_for_comms(True)
        return model

    def lesson(self, model: nn.Module, learn: Callable) -> Callable:
        return Lesson(self, model, learn)

    @contextmanager
    def open(self, model: nn.Module, shown: Mapping[str, Tensor] | None = None) -> Iterator[nn.Module]:
        """Inside, a sharded model gathers what stands outside its blocks once, and each block as it is called."""
        if self.shards == 1:
            yield model
            return
        model._get_fsdp_state()._lazy_init()  # else the block that is called first would take itself for the root
        with exchanged(model, shown or {}):
            model.unshard()
            try:
                yield model
            finally:
                for part in [model, *units(model)]:
                    part.reshard()

    def close(self) -> None:
        import torch.distributed as dist

        if dist.is_initialized():
            dist.destroy_process_group()


class Lesson:
    """learn(model, batch) in a group: (batch, last) -> (K,) losses; their gradients are summed over the processes.

    Only the last micro-batch of a step sends gradients where every process has all of them; sharded ones are sent each
    time, since keeping them whole is what sharding avoids.
    """

    def __init__(self, group: Group, model: nn.Module, learn: Callable):
        self.row, self.copied = None, group.shards == 1
        self.body = summing(Learning(model, learn), group) if self.copied else registered(model, learn)

    def __call__(self, batch, last: bool = True) -> Tensor:
        if len(batch[0]) == 0:  # nothing left for this process, but the others wait for its part in the sum
            return self.ask(self.row, last) * 0.0
        self.row = type(batch)(*(None if t is None else t[:1] for t in batch))
        return self.ask(batch, last)

    def ask(self, batch, last: bool) -> Tensor:
        """The losses of a batch that has rows."""
        with nullcontext() if last or not self.copied else self.body.no_sync():
            return self.body(batch)


class Learning(nn.Module):
    """A model and what it learns as one module, so that a wrapper sees every way in which weights are used."""

    def __init__(self, model: nn.Module, learn: Callable):
        super().__init__()
        self.model, self.learn = model, learn
        self.idle = nn.Parameter(torch.zeros(1, device=model.device))  # DDP warns where it finds nothing unused

    def forward(self, batch) -> Tensor:
        return self.learn(self.model, batch)


def summing(module: nn.Module, group: Group) -> nn.Module:
    """DDP whose gradients are sums: a hook takes the place of its mean."""
    import torch.distributed as dist
    from torch.nn.parallel import DistributedDataParallel

    copies = group.mesh["replicate"].get_group()

    def summed(_, bucket):
        sent = dist.all_reduce(bucket.buffer(), group=copies, async_op=True)
        return sent.get_future().then(lambda done: done.value()[0])

    wrapped = DistributedDataParallel(module, process_group=copies, find_unused_parameters=True,
                                      gradient_as_bucket_view=True)  # fmt: skip
    wrapped.register_comm_hook(None, summed)
    return wrapped


def registered(model: nn.Module, learn: Callable) -> Callable:
    """`learn` as a way into a sharded model that gathers its weights as calling it does."""
    from torch.distributed.fsdp import register_fsdp_forward_method

    model.learn = lambda batch: learn(model, batch).clone()  # FSDP's hooks sit on a result that is no view
    register_fsdp_forward_method(model, "learn")
    return model.learn


def units(model: nn.Module) -> list[nn.Module]:
    """The parts whose weights are gathered together, inner ones first: blocks, and what is used outside of them.

    A decoder reads an encoder's text once for all blocks: the matrices for that are units of their own.
    """
    blocks = [block for stack in (model.encoder, model.decoder) if stack is not None for block in stack.blocks]
    apart = [part for b in blocks if b.cross is not None for part in (b.cross.k, b.cross.v)]
    return [part for part in [*apart, *blocks] if any(True for _ in part.parameters())]


# ---- tensors that are divided ----


def local(t: Tensor) -> Tensor:
    """This process's part of a tensor, which is all of it where it is not divided."""
    return t.to_local() if hasattr(t, "to_local") else t


def divided(weights: Iterable[Tensor]) -> bool:
    """Whether several processes share one copy of some weights."""
    return any(hasattr(t, "to_local") for t in weights)


def place(t: Tensor) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """(shape, offsets) of this process's part of a tensor in the whole."""
    if not hasattr(t, "to_local"):
        return tuple(t.shape), (0,) * t.dim()
    from torch.distributed.tensor._utils import compute_local_shape_and_global_offset

    shape, offsets = compute_local_shape_and_global_offset(t.shape, t.device_mesh, t.placements)
    return tuple(shape), tuple(offsets)


@torch.no_grad()
def put(target: Tensor, whole: Tensor) -> None:
    """Copy this process's part of `whole` into `target`."""
    shape, offsets = place(target)
    local(target).copy_(whole[tuple(slice(o, o + n) for o, n in zip(offsets, shape, strict=True))])


def full(t: Tensor) -> Tensor:
    """The whole of a tensor; of a divided one every process asks together."""
    return t.full_tensor() if hasattr(t, "full_tensor") else t


def like(t: Tensor, part: Tensor) -> Tensor:
    """A part that belongs to this process as a tensor that is divided as `t` is."""
    if not hasattr(t, "to_local"):
        return part
    from torch.distributed.tensor import DTensor

    return DTensor.from_local(part, t.device_mesh, t.placements, run_check=False, shape=t.shape, stride=t.stride())


@torch.no_grad()
def together(parts: Tensor, divided: Tensor, function: Callable[[Tensor], Tensor]) -> Tensor:
    """function of whole matrices (N, m, n), where each process has some rows of all of them: (N, m_here, n).

    divided: one of the parameters, for how they are divided. Each process gets N / shards matrices whole, does the work
    for these alone and sends every process its rows back.
    """
    if not hasattr(divided, "to_local"):
        return function(parts)
    mesh, (N, _, n), m = divided.device_mesh, parts.shape, divided.shape[0]
    group, rank, size = mesh.get_group(mesh.ndim - 1), mesh.get_local_rank(mesh.ndim - 1), mesh.size(mesh.ndim - 1)
    each = -(-m // size)
    rows = [max(0, min(each, m - each * r)) for r in range(size)]
    shares = [N * (r + 1) // size - N * r // size for r in range(size)]
    out, back = [k * rows[rank] * n for k in shares], [shares[rank] * k * n for k in rows]
    flat = swapped(parts.reshape(-1), out, back, group)
    mine = torch.cat([t.view(shares[rank], k, n) for t, k in zip(flat.split(back), rows, strict=True)], 1)
    done = function(mine) if shares[rank] else mine
    flat = swapped(torch.cat([t.reshape(-1) for t in done.split(rows, 1)]), back, out, group)
    return torch.cat([t.view(k, rows[rank], n) for t, k in zip(flat.split(out), shares, strict=True)])


@contextmanager
def exchanged(model: nn.Module, others: Mapping[str, Tensor]) -> Iterator[None]:
    """Inside, some weights have other values, divided as they are; then their own again."""
    pairs = [(local(model.get_parameter(name).detach()), local(t)) for name, t in others.items()]
    kept = [mine.clone() for mine, _ in pairs]
    for mine, other in pairs:
        mine.copy_(other)
    try:
        yield
    finally:
        for (mine, _), own in zip(pairs, kept, strict=True):
            mine.copy_(own)


def handed(weights: Mapping[str, Tensor], names: Sequence[str], group: Alone, write: Callable) -> None:
    """write(read) in the first process alone, where read(name) gives a whole tensor.

    The others take part in gathering: names is the order in which it will ask.
    """
    if group.main:
        write(lambda name: full(weights[name].detach()))
    elif divided(weights.values()):
        for name in names:
            full(weights[name].detach())


def swapped(flat: Tensor, out: list[int], back: list[int], group) -> Tensor:
    """Numbers sent to each process, so many to each, for those that each sends here."""
    import torch.distributed as dist

    found = flat.new_empty(sum(back))
    dist.all_to_all_single(found, flat.contiguous(), back, out, group=group)
    return found


def create(config, seed: int, group: Alone) -> nn.Module:
    """`preset.create` on the group's devices: the same first weights, never all of them in one process."""
    from ..model import preset
    from ..model.transformer import Transformer

    with torch.device("meta"):
        model = Transformer(config)
    model = group.prepare(model).to_empty(device=group.device)
    generator = torch.Generator().manual_seed(seed)
    for name, p in model.named_parameters():
        put(p, preset.first(config, name, p.shape, generator))
    return model


@torch.no_grad()
def spread(model: nn.Module, group: Alone) -> nn.Module:
    """A model with its weights (of a folder, say, mapped from disk), each process keeping its part; the same object."""
    if group.shards == 1:
        return model.to(group.device)
    weights = {name: t.detach() for name, t in (*model.named_parameters(), *model.named_buffers())}
    learns = {name: p.requires_grad for name, p in model.named_parameters()}
    group.prepare(model.to("meta"))
    model.to_empty(device=group.device)
    for name, t in (*model.named_parameters(), *model.named_buffers()):
        put(t, weights.pop(name))
        t.requires_grad_(learns.get(name, False))
    return model


# ---- meeting ----


def meet(rank: int, size: int, kind: str, timeout: timedelta) -> None:
    """Start torch.distributed through the store whose address torchrun gives.

    Each attempt of an elastic restart has its own names in the store; else it meets what the one before left there.
    """
    import torch.distributed as dist

    agent = os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"
    address, port = os.environ.get("MASTER_ADDR", "127.0.0.1"), int(os.environ.get("MASTER_PORT", "29500"))
    store = dist.TCPStore(address, port, size, rank == 0 and not agent, timeout, wait_for_workers=False)
    attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    backend = "cpu:gloo,cuda:nccl" if kind == "cuda" else "gloo"
    dist.init_process_group(backend, store=dist.PrefixStore(f"attempt{attempt}", store), rank=rank, world_size=size,
                            timeout=timeout)  # fmt: skip


@contextmanager
def plainly(group: Alone) -> Iterator[None]:
    """One sentence where another process does not answer any more."""
    try:
        yield
    except (RuntimeError, ConnectionError, TimeoutError) as error:
        told = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        if group.size == 1 or not any(sign in str(error).lower() for sign in GONE):
            raise
        raise ServiceError(
            f"Process {group.rank} of {group.size}: another process of the run does not answer any more "
            f"({told[:160]}); look at what that one said last. The last saved state is kept, and the same command "
            "goes on from it."
        ) from error
