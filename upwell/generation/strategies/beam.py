"""Beam search: the likeliest continuations as wholes, a few kept alive at each step.

Source: Sutskever et al. 2014, arXiv 1409.3215; Wu et al. 2016, arXiv 1609.08144 (lengths). A text is ranked by its
log-probability over its length to a power; it ends when no living one can still enter the ranking at its length now.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ...errors import UpwellError
from ..steps import Found, Search, Step, Token


@dataclass(frozen=True)
class Settings:
    """How wide and by what measure."""

    beams: int = 4
    """Texts that are kept alive."""
    length_power: float = 1.0
    """What a text's length is raised to before its log-probability is divided by it; 0 ignores the length."""


def search(logits: Tensor, filters: Callable, stop: Callable, settings: Settings) -> Search:
    """Up to `beams` texts, best first."""
    width, power = settings.beams, settings.length_power
    keep = width * (1 + max(1, len(getattr(stop, "ends", ()))))  # so many that `width` are left when others end
    scores, texts, done, n = torch.zeros(1), [()], [], 0
    while True:
        n += 1
        logp = logits.float().cpu().log_softmax(-1)
        ids = torch.tensor([[token.id for token in text] for text in texts], dtype=torch.int64)
        sums = (scores[:, None] + filters(ids.view(len(texts), n - 1), logp)).flatten()
        best, live = sums.topk(min(keep, len(sums))), []
        for rank, (score, place) in enumerate(zip(best.values.tolist(), best.indices.tolist(), strict=True)):
            row, token = divmod(place, logp.shape[1])
            if score == float("-inf"):
                break
            text = (*texts[row], Token(token, logp[row, token].item()))
            finish = stop([token.id for token in text])
            if finish and rank < width:
                done.append(Found(score / n**power, text, finish))
            elif not finish and len(live) < width:
                live.append((score, row, text))
        done = sorted(done, key=lambda found: -found.score)[:width]
        if not live and not done:
            raise UpwellError("every token is banned, so none can be written; ban fewer or lower the minimum length")
        if not live or (len(done) == width and live[0][0] / n**power <= done[-1].score):
            return done
        scores, texts = torch.tensor([score for score, _, _ in live]), [text for *_, text in live]
        last = torch.tensor([text[-1].id for text in texts])
        logits = yield Step(last, torch.tensor([row for _, row, _ in live]))
