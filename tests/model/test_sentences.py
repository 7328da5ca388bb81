"""What a folder declares behind the Transformer: read, written, refused by name. Their library: tests/parity."""

import json

import pytest
import torch

from upwell.errors import CheckpointError
from upwell.model import hub, sentences
from upwell.model.config import Head

NORMAL = [("Transformer", ""), ("Pooling", "1_Pooling"), ("Normalize", "2_Normalize")]


def declared(folder, steps, pooling):
    rows = [{"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{kind}"}
            for i, (kind, path) in enumerate(steps)]  # fmt: skip
    (folder / "modules.json").write_text(json.dumps(rows), encoding="utf-8")
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling/config.json").write_text(json.dumps(pooling), encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    ("steps", "pooling", "head"),
    [
        (NORMAL, {"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}, ("first", True)),
        (NORMAL[:2], {"pooling_mode_mean_tokens": True, "word_embedding_dimension": 8}, ("mean", False)),
        (NORMAL[:2], {"pooling_mode": "max", "embedding_dimension": 8}, ("max", False)),
        (NORMAL, {"pooling_mode": ["lasttoken"]}, ("last", True)),
    ],
)
def test_pooling_and_length_are_read_in_old_and_new_words(tmp_path, steps, pooling, head):
    assert sentences.read(declared(tmp_path, steps, pooling)) == Head("embed", pool=head[0], unit=head[1])


def test_a_folder_without_the_list_has_no_such_head(tmp_path):
    assert sentences.read(tmp_path) is None


MEAN = {"pooling_mode_mean_tokens": True}


@pytest.mark.parametrize(
    ("steps", "pooling", "sentence"),
    [
        ([*NORMAL[:2], ("Dense", "2_Dense")], MEAN, "steps Transformer, Pooling, Dense; upwell knows"),
        (NORMAL[:1], MEAN, "steps Transformer; upwell knows"),
        (NORMAL, MEAN | {"pooling_mode_cls_token": True}, "poolings mean, cls; upwell knows one"),
        (NORMAL, {"pooling_mode_weightedmean_tokens": True}, "pooling_mode_weightedmean_tokens; upwell knows"),
        (NORMAL, {}, "poolings none"),
        ([NORMAL[0], ("Pooling", "../elsewhere")], MEAN, "expected a folder beside it"),
        ([NORMAL[0], ("Pooling", "9_Pooling")], MEAN, "cannot be read"),
    ],
)
def test_what_is_not_known_is_refused_by_name(tmp_path, steps, pooling, sentence):
    with pytest.raises(CheckpointError, match=sentence):
        sentences.read(declared(tmp_path, steps, pooling))


def test_a_damaged_list_is_one_sentence(tmp_path):
    (tmp_path / "modules.json").write_text('{"a": 1}', encoding="utf-8")
    with pytest.raises(CheckpointError, match="expected a list of steps"):
        sentences.read(tmp_path)
    (tmp_path / "modules.json").write_text("[", encoding="utf-8")
    with pytest.raises(CheckpointError, match="cannot be read"):
        sentences.read(tmp_path)


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    transformers = pytest.importorskip("transformers")
    config = transformers.BertConfig(vocab_size=50, hidden_size=32, num_hidden_layers=2, num_attention_heads=4,
                                     intermediate_size=64, max_position_embeddings=64)  # fmt: skip
    torch.manual_seed(1)
    model = transformers.BertModel(config).eval()
    with torch.no_grad():
        for tensor in model.parameters():
            tensor += 0.3 * torch.randn_like(tensor)
    folder = tmp_path_factory.mktemp("bert")
    model.save_pretrained(str(folder))
    return model, folder


def pooled(states, real, pool, unit):
    """The formulas, sentence by sentence."""
    rows = []
    for state, length in zip(states, real.sum(1).tolist(), strict=True):
        kept = state[:length]
        rows.append({"cls": kept[0], "mean": kept.mean(0), "max": kept.amax(0), "lasttoken": kept[-1]}[pool])
    found = torch.stack(rows)
    return found / found.norm(dim=-1, keepdim=True) if unit else found


@pytest.mark.parametrize("unit", [True, False])
@pytest.mark.parametrize("pool", ["cls", "mean", "max", "lasttoken"])
def test_a_declared_folder_gives_one_vector_a_text_and_saves_again(bert, tmp_path, pool, unit):
    theirs, source = bert
    for name in ("config.json", "model.safetensors"):
        (tmp_path / name).write_bytes((source / name).read_bytes())
    declared(tmp_path, NORMAL if unit else NORMAL[:2], {"pooling_mode": pool})
    ids = torch.randint(5, 50, (3, 7), generator=torch.Generator().manual_seed(1))
    real = torch.arange(7) < torch.tensor([[7], [3], [1]])
    checkpoint = hub.load(tmp_path)
    with torch.inference_mode():
        expected = pooled(theirs(ids, attention_mask=real.long()).last_hidden_state, real, pool, unit)
        assert (checkpoint.model(ids, mask=real) - expected).abs().max() < 1e-4
        again = hub.load(hub.save(checkpoint, tmp_path / "again"))
        assert torch.equal(again.model(ids, mask=real), checkpoint.model(ids, mask=real))
    assert again.config.head == checkpoint.config.head == Head("embed", pool=sentences.POOLS[pool], unit=unit)
    saved, first = (hub.read_tensors(folder) for folder in (tmp_path / "again", tmp_path))
    assert saved.keys() == first.keys() and all(torch.equal(saved[name], first[name]) for name in first)
