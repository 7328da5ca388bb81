"""The loss task beside a plain sum over documents."""

import math

import pytest
import torch

from upwell.evaluation.tasks import loss
from upwell.model import preset
from upwell.model.sizes import Sizes
from upwell.tokens import store


@pytest.fixture
def held(tmp_path):
    documents = torch.randint(1, 50, (9, 11), generator=torch.Generator().manual_seed(1)).tolist()
    store.write(tmp_path / "held", documents, 50, 0, text_bytes=400)
    return store.Store(tmp_path / "held")


def test_bits_per_byte_is_the_sum_over_all_tokens(held):
    model = preset.create(preset.config(Sizes(width=16, layers=1, heads=2), 50, 128, 0), seed=2).eval()
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.2 * torch.randn(p.shape, generator=torch.Generator().manual_seed(3)))
    scores = loss.measure(model, held, loss.Settings())
    nats = 0.0
    for number in range(9):
        ids = held.document(number).tolist()
        ids = ids if ids[0] == 0 else [0, *ids]
        with torch.no_grad():
            logp = model(torch.tensor([ids])).double().log_softmax(-1)[0]
        following = [*ids[1:], 0] if number < 8 else ids[1:]
        nats -= sum(logp[t, token].item() for t, token in enumerate(following))
    assert scores.items == 9 * 12 - 1
    assert scores.numbers["bits per byte"].value == pytest.approx(nats / math.log(2) / 400, rel=1e-5)
    assert scores.numbers["loss"].value == pytest.approx(nats / scores.items, rel=1e-5)


def test_the_error_is_the_spread_over_windows():
    scores = loss.scores(torch.tensor([10.0, 14.0], dtype=torch.float64), torch.tensor([10, 10]), 0)
    assert scores.numbers["loss"].value == pytest.approx(1.2)
    assert scores.numbers["loss"].error == pytest.approx(math.sqrt(2 * 2.0**2) / 20)
    assert "bits per byte" not in scores.numbers


def test_the_nats_are_those_of_all_logits_at_once_in_any_pieces(monkeypatch):
    config = preset.config(Sizes(width=16, layers=1, heads=2), 50, 128, 0).with_(logit_cap=3.0, logit_scale=0.5)
    model = preset.create(config, seed=2).double()
    ids = torch.randint(1, 50, (3, 12), generator=torch.Generator().manual_seed(1))
    targets = ids.roll(-1, 1).clone()
    targets[1, 4:] = -100
    plain = torch.nn.functional.cross_entropy(model(ids).float().transpose(1, 2), targets, reduction="none")
    for piece in (50, 170, 1 << 22):
        monkeypatch.setattr(loss, "PIECE", piece)
        torch.testing.assert_close(loss.nats(model, model.hidden(ids), targets), plain)


def test_measuring_never_holds_all_logits(held, monkeypatch):
    model = preset.create(preset.config(Sizes(width=16, layers=1, heads=2), 50, 128, 0), seed=2)
    real, sizes = type(model).logits, []

    def seen(self, x):
        found = real(self, x)
        sizes.append(found.numel())
        return found

    monkeypatch.setattr(type(model), "logits", seen)
    monkeypatch.setattr(loss, "PIECE", 400)
    loss.measure(model, held, loss.Settings(16))
    assert max(sizes) <= 400 < sum(sizes)


def test_groups_of_documents_share_out_the_nats_of_the_whole(held):
    model = preset.create(preset.config(Sizes(width=16, layers=1, heads=2), 50, 32, 0), seed=2).eval()
    settings, groups, sizes = loss.Settings(context=32, rows=2), [0, 1, 0, 2, 2, 1, 0, 0, 1], list(range(40, 49))
    found = loss.by_group(model, held, groups, sizes, settings)
    whole = loss.measure(model, held, settings)
    assert sum(one.items for one in found.values()) == whole.items and sorted(found) == [0, 1, 2]
    total = sum(one.numbers["loss"].value * one.items for one in found.values())
    assert total == pytest.approx(whole.numbers["loss"].value * whole.items)
    nats = [0.0] * 9
    ids = torch.from_numpy(held.read(0, len(held)).astype("int64"))
    owner = torch.searchsorted(torch.tensor(held.starts), torch.arange(len(held)), right=True) - 1
    for begin in range(0, len(held) - 1, 32):  # every token but the first, in its window and its document
        window = ids[begin : begin + 33]
        with torch.no_grad():
            logits = model(window[None, :-1], documents=(owner[begin : begin + len(window) - 1])[None].int())[0]
        for place, target in enumerate(window[1:].tolist()):
            nats[int(owner[begin + place])] -= float(logits[place].log_softmax(-1)[target])
    two = found[2]
    assert two.numbers["loss"].value * two.items == pytest.approx(nats[3] + nats[4], rel=1e-5)
    bits = (nats[3] + nats[4]) / math.log(2) / (sizes[3] + sizes[4])
    assert two.numbers["bits per byte"].value == pytest.approx(bits, rel=1e-5)
