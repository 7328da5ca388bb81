"""Steps of a model on a GPU as CUDA graphs: what the processor would order call by call is recorded once and replayed.

    recorded = Recorded(model, cache)           # a cache whose memory stays where it is
    recorded(ids)                               # logits, or None: do this step yourself

Nothing is recorded before a shape has been asked for a few times, so that the first answer comes at once. Shapes are
few: rows and the keys that are seen are rounded up. Where a model cannot be recorded (its step asks the GPU for a
number, as experts do) that is noticed at the first attempt, and its steps go on as they are.
Source: CUDA graphs, docs.nvidia.com/cuda/cuda-programming-guide.
"""

import logging
from collections import Counter
from collections.abc import Callable

import torch
from torch import Tensor

from ..model.config import Config
from ..model.lasting import Fixed, Lasting

FEW = 4  # times that a shape is asked for before it is recorded
SEEN = 256  # the fewest keys that a recorded step sees; then twice as many, and so on
log = logging.getLogger("upwell.generation")


def possible(config: Config) -> bool:
    """Whether every step of one token of a model is the same calls, whatever the text."""
    scaling = config.rotary_scaling
    return config.shape == "decoder" and (scaling is None or scaling.kind not in ("dynamic", "longrope"))


class Recorded:
    """Steps of one token for each row. record: function () -> tensor, recorded -> function that replays it."""

    def __init__(self, model, cache: Lasting, record: Callable[[Callable[[], Tensor]], Callable[[], Tensor]]):
        self.model, self.cache, self.record = model, cache, record
        self.works, self._generation = possible(model.config), cache.generation
        self._asked: Counter = Counter()
        self._steps: dict[tuple[int, int], _Step] = {}

    @torch.inference_mode()
    def __call__(self, ids: Tensor) -> Tensor | None:
        """ids (rows, 1) behind what each row has read -> logits (rows, V), and the cache counts them; or None."""
        cache = self.cache
        cache.reserve(cache.longest + 1)
        if self._generation != cache.generation:  # other addresses
            self._steps.clear()
            self._generation = cache.generation
        shape = rounded(cache.rows, 1, cache.most), rounded(cache.longest + 1, SEEN, cache.capacity)
        if not self.works or not self._ready(shape):
            return None
        logits = self._steps[shape](ids, cache.lengths)
        cache.commit(1, None)
        return logits

    def _ready(self, shape: tuple[int, int]) -> bool:
        """Whether this shape is recorded, which it is as soon as it has been asked for a few times."""
        if shape in self._steps:
            return True
        self._asked[shape] += 1
        if self._asked[shape] < FEW:
            return False
        try:
            self._steps[shape] = _Step(self.model, self.cache, *shape, self.record)
        except RuntimeError as error:
            self.works = False
            log.warning("the steps of this %s model are not recorded as CUDA graphs (%s)", self.model.config.kind,
                        str(error).splitlines()[0])  # fmt: skip
        return self.works


class _Step:
    """One recorded step: what it reads is written into its own tensors before each replay."""

    def __init__(self, model, cache: Lasting, rows: int, seen: int, record: Callable):
        self.ids = torch.zeros(rows, 1, dtype=torch.long, device=cache.lengths.device)
        self.lengths = torch.zeros(rows, dtype=torch.long, device=cache.lengths.device)
        view = Fixed(cache, rows, seen, self.lengths)
        self.lengths[: cache.rows] = cache.lengths
        self.replay = record(lambda: model(self.ids, cache=view, last=True).float())

    def __call__(self, ids: Tensor, lengths: Tensor) -> Tensor:
        rows = len(ids)
        self.ids[:rows] = ids
        self.lengths[:rows] = lengths
        self.lengths[rows:] = 0  # nobody's rows write to the first place, which whoever comes writes over
        return self.replay()[:rows].clone()


def rounded(number: int, least: int, most: int) -> int:
    """The next of least, twice as much and so on, and `most` at most."""
    size = least
    while size < number:
        size *= 2
    return max(number, min(size, most))


def cuda_graph(step: Callable[[], Tensor]) -> Callable[[], Tensor]:
    """Record a step, which may be done again without harm: it runs twice before, to make what is made only once."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(2):
            step()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, capture_error_mode="thread_local"):
        made = step()

    def replay() -> Tensor:
        graph.replay()
        return made

    return replay
