"""New models of every shape are folders that transformers opens, and compute the same there."""

import pytest
import torch
import transformers

from upwell.model import hub, preset
from upwell.model.sizes import FAMILIES, Sizes


@pytest.mark.parametrize("family", [name for names in FAMILIES.values() for name in names])
def test_a_new_model_opens_in_transformers_and_gives_the_same_logits(family, tmp_path):
    config = preset.config(Sizes(family, 32, 2, 2), 100, 16, 0, {"pad": 3})
    model = preset.create(config, 1).eval()
    hub.save(hub.Checkpoint(model, None, config), tmp_path)
    assert hub.load(tmp_path).config == config
    name = transformers.AutoConfig.from_pretrained(tmp_path).architectures[0]
    theirs = getattr(transformers, name).from_pretrained(tmp_path).eval()
    ids = torch.randint(4, 100, (2, 9), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        if config.shape == "encoder-decoder":
            pair = model(ids, source=ids), theirs(input_ids=ids, decoder_input_ids=ids).logits
        else:
            pair = model(ids), theirs(ids).logits
    assert torch.allclose(*pair, atol=1e-6)


def test_a_shape_chooses_its_family_and_another_one_is_refused():
    assert Sizes().of(("encoder",)).family == "bert" and Sizes().of(("decoder",)).family == "nanochat"
    assert Sizes("gpt2").of(("encoder", "decoder")).family == "gpt2"
    with pytest.raises(ValueError, match="learnt by t5, bart"):
        Sizes("gpt2").of(("encoder-decoder",))


def test_known_weights_are_kept_and_a_new_head_is_drawn():
    old = preset.create(preset.config(Sizes("bert", 32, 2, 2), 100, 16, 0), 1)
    from dataclasses import replace

    head = replace(old.config.head, kind="tag", labels=("a", "b"), dense=False, norm=False, activation=None)
    known = {name: p.detach() for name, p in old.named_parameters()}
    new = preset.renewed(old.config.with_(head=head), known, seed=2)
    assert torch.equal(new.embed.weight, old.embed.weight) and new.head.weight.shape == (2, 32)
    assert all(p.requires_grad for p in new.parameters())
