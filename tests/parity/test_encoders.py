"""Our encoders and their heads beside transformers': the same weights with noise added, the same numbers, both ways."""

import pytest
import torch
import transformers as hf

from tests.parity.heads import HEADS, numbers
from tests.parity.test_families import far
from upwell.model import hub

BERT = {"vocab_size": 97, "hidden_size": 48, "intermediate_size": 80, "num_hidden_layers": 3}
DISTIL = {"vocab_size": 97, "dim": 48, "hidden_dim": 80, "n_layers": 3}
MODERN = BERT | {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "cls_token_id": 1, "sep_token_id": 2}
SHAPES = {
    "bert": lambda: hf.BertConfig(**BERT, num_attention_heads=4, max_position_embeddings=40),
    "bert-odd-relu": lambda: hf.BertConfig(**BERT, num_attention_heads=3, max_position_embeddings=40,
                                                  hidden_act="relu", type_vocab_size=3),
    "roberta": lambda: hf.RobertaConfig(**BERT, num_attention_heads=4, max_position_embeddings=42, type_vocab_size=1),
    "xlm-roberta": lambda: hf.XLMRobertaConfig(**BERT, num_attention_heads=6, max_position_embeddings=43,
                                               type_vocab_size=1, pad_token_id=3),
    "distilbert": lambda: hf.DistilBertConfig(**DISTIL, n_heads=4, max_position_embeddings=40),
    "distilbert-untied": lambda: hf.DistilBertConfig(**DISTIL, n_heads=3, max_position_embeddings=40, activation="relu",
                                                     tie_word_embeddings=False),
    "modernbert": lambda: hf.ModernBertConfig(**MODERN, num_attention_heads=4, local_attention=6,
                                              tie_word_embeddings=False),
    "modernbert-biased": lambda: hf.ModernBertConfig(
        **MODERN, num_attention_heads=3, local_attention=4, norm_bias=True, attention_bias=True, mlp_bias=True,
        classifier_bias=True, classifier_pooling="mean", global_attn_every_n_layers=2, classifier_activation="relu"),
}  # fmt: skip


def noised(config, auto, folder):
    """transformers' model with N(0, 0.3) added to every weight, saved in a folder."""
    torch.manual_seed(1)
    theirs = auto.from_config(config).eval()
    with torch.no_grad():
        for p in theirs.parameters():
            p.add_(0.3 * torch.randn_like(p))
    theirs.save_pretrained(folder)
    return theirs


@pytest.fixture(params=[(shape, head) for shape in SHAPES for head in HEADS], ids="-".join)
def pair(request, tmp_path):
    shape, head = request.param
    config = SHAPES[shape]()
    config.num_labels = 5 if head in ("classify", "tag") else 2
    theirs = noised(config, HEADS[head], tmp_path / "theirs")
    return theirs, hub.load(tmp_path / "theirs"), tmp_path, head


def texts(pad: int, seed: int = 2):
    """Three texts of 12, 5 and 8 tokens, none of them padding: ids, and where they are real, padded on the right."""
    ids = torch.randint(4, 97, (3, 12), generator=torch.Generator().manual_seed(seed))
    real = torch.arange(12) < torch.tensor([12, 5, 8])[:, None]
    return ids.masked_fill(~real, pad), real


@torch.inference_mode()
def test_numbers_equal_theirs_whole_and_padded(pair):
    theirs, ours, _, head = pair
    ids, real = texts(theirs.config.pad_token_id)
    whole = ids[:1]
    assert far(ours.model(whole), numbers(theirs(whole))) < 1e-4
    got, want = ours.model(ids, mask=real), numbers(theirs(ids, attention_mask=real.long()))
    if head == "classify":
        assert far(got, want) < 1e-4
    else:
        assert far(got[real], want[real]) < 1e-4


@torch.inference_mode()
def test_padding_on_either_side_changes_nothing(pair):
    _, ours, _, head = pair
    ids, real = texts(ours.config.pad)
    right, left = ours.model(ids, mask=real), ours.model(ids.flip(1), mask=real.flip(1))
    for row, n in enumerate(real.sum(1).tolist()):
        alone, turned = ours.model(ids[row : row + 1, :n]), ours.model(ids[row : row + 1, :n].flip(1))
        if head == "classify":
            assert far(right[row], alone[0]) < 1e-4 and far(left[row], turned[0]) < 1e-4
        else:
            assert far(right[row, :n], alone[0]) < 1e-4 and far(left[row, -n:], turned[0]) < 1e-4


@torch.inference_mode()
def test_packed_documents_equal_each_document_alone(pair):
    _, ours, _, head = pair
    if head == "classify":
        pytest.skip("a head that pools reads one text a row")
    ids, _ = texts(0)
    documents = torch.tensor([[0] * 7 + [1] * 5] * 3)
    packed = ours.model(ids, documents=documents)
    for part in (slice(0, 7), slice(7, 12)):
        assert far(packed[:, part], ours.model(ids[:, part])) < 1e-4


@torch.inference_mode()
def test_an_encoder_takes_projected_vectors_in_place_of_ids(pair):
    theirs, ours, _, head = pair
    sounds, real = torch.randn(3, 12, 7, generator=torch.Generator().manual_seed(5)), texts(0)[1]
    torch.manual_seed(6)
    vectors = torch.nn.Linear(7, ours.config.width)(sounds)
    got, want = ours.model(vectors, mask=real), theirs(inputs_embeds=vectors, attention_mask=real.long())
    assert far(got, numbers(want)) < 1e-4 if head == "classify" else far(got[real], numbers(want)[real]) < 1e-4


def test_what_is_loaded_is_saved_bit_for_bit_and_opens_in_transformers(pair):
    theirs, ours, folder, head = pair
    hub.save(ours, folder / "ours")
    again = HEADS[head].from_pretrained(folder / "ours").eval()
    assert type(again) is type(theirs)
    for (name, a), (_, b) in zip(theirs.state_dict().items(), again.state_dict().items(), strict=True):
        assert torch.equal(a, b), name
    assert hub.read_config(folder / "ours") == ours.config


@torch.inference_mode()
def test_next_sentence_and_masked_words_of_a_pretraining_bert(tmp_path):
    theirs = noised(SHAPES["bert"](), hf.AutoModelForPreTraining, tmp_path)
    ours = hub.load(tmp_path)
    ids, real = texts(0)
    types = (torch.arange(12) > 4).long().expand(3, 12)
    want = theirs(ids, attention_mask=real.long(), token_type_ids=types)
    assert far(ours.model(ids, mask=real, types=types)[real], want.prediction_logits[real]) < 1e-4
    hidden = ours.model.hidden(ids, mask=real, types=types)
    assert far(ours.model.next_sentence(hidden, ids, real), want.seq_relationship_logits) < 1e-4


FAULTS = {
    "bert": lambda m: setattr(m.encoder.blocks[0], "place", "before"),
    "roberta": lambda m: setattr(m.encoder, "config", m.config.with_(position_offset=1)),
    "distilbert": lambda m: setattr(m.encoder.blocks[1].attn, "scale", 0.2),
    "modernbert": lambda m: setattr(m.encoder, "config", m.config.with_(window=2)),
}


@pytest.mark.parametrize("shape", FAULTS)
@torch.inference_mode()
def test_a_planted_fault_is_seen(shape, tmp_path):
    theirs, ours = noised(SHAPES[shape](), hf.AutoModelForMaskedLM, tmp_path), hub.load(tmp_path)
    FAULTS[shape](ours.model)
    ids, _ = texts(0)
    assert far(ours.model(ids[:1]), theirs(ids[:1]).logits) > 1e-3
