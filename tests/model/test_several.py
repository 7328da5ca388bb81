"""Several adapters over one model: each row gets what the model with its adapter alone would give."""

import pytest
import torch

from tests.generation.tiny import tiny_model
from upwell.errors import CheckpointError
from upwell.model import lora, several
from upwell.model.laid import joined, lay_out
from upwell.model.lora_settings import Lora
from upwell.model.preset import create
from upwell.model.quantize import Scheme, quantize

VOCAB = 40


def adapter(model, folder, seed, targets=(), rank=3):
    """A folder of an adapter that says something, and the model that it makes when it is merged."""
    wrapped = lora.wrap(model.twin(), Lora(rank=rank, targets=targets), seed)
    generator = torch.Generator().manual_seed(seed)
    for part in lora.adapters(wrapped).values():
        part.b.data = torch.randn(part.b.shape, generator=generator) * 0.3
    lora.save(wrapped, folder)
    return folder, wrapped


@pytest.fixture
def model():
    return tiny_model(VOCAB).requires_grad_(False)


@pytest.mark.parametrize("joint", [False, True])
def test_each_row_reads_as_the_model_with_its_adapter_alone(model, tmp_path, joint):
    one, alone1 = adapter(model, tmp_path / "one", 1)
    two, alone2 = adapter(model, tmp_path / "two", 2, ("q", "v", "up"), rank=5)
    base, thin = model.twin(), [several.read(model, folder) for folder in (one, two)]
    both = several.attach(joined(base) if joint else base, thin)
    ids = torch.randint(VOCAB, (4, 9), generator=torch.Generator().manual_seed(3))
    both.choice.rows = torch.tensor([2, 0, 1, 2])
    found = both(ids)
    wanted = torch.stack([each(ids[row][None])[0] for row, each in enumerate((alone2, model, alone1, alone2))])
    torch.testing.assert_close(found, wanted, atol=2e-4, rtol=1e-4)
    both.choice.rows = None
    torch.testing.assert_close(both(ids), model(ids), atol=2e-4, rtol=1e-4)
    assert (found - both(ids))[[0, 2, 3]].abs().amax() > 0.1, "the adapters must say something"


def test_the_model_that_was_read_for_stays_as_it_is(model, tmp_path):
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    folder, _ = adapter(model, tmp_path / "one", 1)
    several.attach(model.twin(), [several.read(model, folder)])
    assert not hasattr(model, "choice") and not lora.adapters(model)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


@torch.inference_mode()
def test_rounded_and_laid_out_matrices_take_adapters_too(model, tmp_path):
    folder, _ = adapter(model, tmp_path / "one", 1)
    ids = torch.arange(8)[None] % VOCAB
    for base in (quantize(model, Scheme(8)), model.twin().to(torch.bfloat16)):
        thin = several.read(base, folder)
        alone = lora.load(base.twin(), folder)(ids).float()
        held = several.attach(lay_out(base.twin()), [thin])
        held.choice.rows = torch.tensor([1])
        assert (held(ids).float() - alone).abs().max() < 0.05 * alone.abs().max()
        held.choice.rows = torch.tensor([0])
        assert (held(ids).float() - alone).abs().max() > 0.05 * alone.abs().max()


def test_an_adapter_that_is_more_than_thin_matrices_is_refused(model, tmp_path):
    wrapped = lora.wrap(model.twin(), Lora(rank=2, whole=("embed",)))
    lora.save(wrapped, tmp_path / "whole")
    with pytest.raises(CheckpointError, match="embed.* as a whole"):
        several.read(model, tmp_path / "whole")


def test_an_adapter_of_another_model_is_refused(model, tmp_path):
    folder, _ = adapter(tiny_model(VOCAB, width=48), tmp_path / "one", 1)
    with pytest.raises(CheckpointError, match="does not fit"):
        several.read(model, folder)


def test_a_model_with_an_encoder_takes_none(tmp_path):
    from upwell.model import preset
    from upwell.model.sizes import Sizes

    config = preset.config(Sizes("t5", 32, 2, 2), VOCAB, 64, 1, {"pad": 0})
    with pytest.raises(CheckpointError, match="a decoder"):
        several.read(create(config, 1), tmp_path)
