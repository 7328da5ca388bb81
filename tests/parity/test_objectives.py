"""Our losses beside transformers', on equal weights: theirs of each text alone and padded, ours of packed rows."""

import pytest
import torch
import transformers as hf

from tests.objectives import corpora
from tests.objectives.test_denoise import apart
from tests.objectives.test_masked import restored
from upwell.model import hub
from upwell.objectives import causal, denoise, masked, masked_next

CONTEXT = 64
BERT = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48,
        "max_position_embeddings": CONTEXT}  # fmt: skip
T5 = {"d_model": 32, "d_kv": 8, "d_ff": 48, "num_layers": 2, "num_heads": 4, "decoder_start_token_id": 0,
      "relative_attention_num_buckets": 8, "relative_attention_max_distance": 16}  # fmt: skip
BART = {"d_model": 32, "encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 4, "eos_token_id": 2,
        "decoder_attention_heads": 4, "encoder_ffn_dim": 48, "decoder_ffn_dim": 48, "max_position_embeddings": CONTEXT,
        "decoder_start_token_id": 2, "pad_token_id": 1, "bos_token_id": 0, "forced_eos_token_id": None}  # fmt: skip
GPT2 = {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": CONTEXT, "bos_token_id": 0, "eos_token_id": 0}


def both(kind, config, folder):
    """Their model and ours on the same weights, in float64 and without dropout."""
    torch.manual_seed(1)
    theirs = kind(config).eval()
    with torch.no_grad():
        for p in theirs.parameters():
            p.add_(0.2 * torch.randn_like(p))
    theirs.save_pretrained(folder)
    return theirs.double(), hub.load(folder).model.double().eval()


def part(tokenizer, tmp_path, texts=None, **more):
    return corpora.part(tmp_path / "s", tokenizer, texts or corpora.texts(60), CONTEXT, **more)


def labelled(batch, row: int) -> torch.Tensor:
    labels = torch.full_like(batch.ids[row], -100)
    asked = batch.targets[row] != -100
    labels[batch.places[row][asked]] = batch.targets[row][asked]
    return labels


def close(ours, theirs: list[float], precision: float = 1e-9) -> None:
    assert ours.tolist() == pytest.approx(theirs, rel=precision)


def test_masked_words_cost_what_berts_cost(tmp_path):
    tokenizer = corpora.wordpiece()
    theirs, ours = both(hf.BertForMaskedLM, hf.BertConfig(vocab_size=tokenizer.vocab_size, **BERT), tmp_path / "m")
    batch, total = masked.samples(part(tokenizer, tmp_path), 4, 1, masked.Settings()).batch(0, 4), 0.0
    for row in range(4):
        labels = labelled(batch, row)
        for document in range(int(batch.documents[row].max()) + 1):
            own = batch.documents[row] == document
            if count := int((labels[own] != -100).sum()):
                found = theirs(input_ids=batch.ids[row][own][None], labels=labels[own][None])
                total += found.loss.item() * count
    close(masked.loss(ours, batch, masked.Settings()), [total])


def test_words_and_next_sentences_cost_what_berts_cost(tmp_path):
    tokenizer = corpora.wordpiece()
    config = hf.BertConfig(vocab_size=tokenizer.vocab_size, **BERT)
    theirs, ours = both(hf.BertForPreTraining, config, tmp_path / "m")
    batch = masked_next.samples(part(tokenizer, tmp_path), 4, 1, masked_next.Settings()).batch(0, 4)
    words = pairs = 0.0
    for row in range(4):
        labels = labelled(batch, row)
        for number, answer in enumerate(batch.answers[row][batch.answers[row] != -100]):
            own = batch.documents[row] == number
            given = {"input_ids": batch.ids[row][own][None], "token_type_ids": batch.types[row][own][None]}
            found = theirs(**given)
            pairs += torch.nn.functional.cross_entropy(found.seq_relationship_logits, answer[None]).item()
            if count := int((labels[own] != -100).sum()):
                together = theirs(**given, labels=labels[own][None], next_sentence_label=answer[None]).loss
                alone = torch.nn.functional.cross_entropy(found.seq_relationship_logits, answer[None])
                words += (together - alone).item() * count
    close(masked_next.loss(ours, batch, masked_next.Settings()), [words, pairs])
    assert (restored(batch) == tokenizer.special["[MASK]"]).sum() == 0


@pytest.mark.parametrize("kind", ["spans", "infill"])
@pytest.mark.parametrize("family", ["t5", "bart"])
def test_denoising_costs_what_t5s_and_barts_costs(family, kind, tmp_path):
    tokenizer = corpora.unigram()
    config = (hf.T5Config(vocab_size=tokenizer.vocab_size, **T5) if family == "t5" else
              hf.BartConfig(vocab_size=tokenizer.vocab_size, **BART))  # fmt: skip
    theirs, ours = both(hf.AutoModelForSeq2SeqLM.from_config, config, tmp_path / "m")
    settings = denoise.Settings(kind=kind)
    made = denoise.samples(part(tokenizer, tmp_path)._replace(config=ours.config), 4, 1, settings)
    batch, total = made.batch(0, 4), 0.0
    for read, ids, targets in apart(batch):
        found = theirs(input_ids=read[None], labels=targets[None])  # they make the decoder's ids of the labels
        assert ids[0] == theirs.config.decoder_start_token_id
        total += found.loss.item() * len(targets)
    close(denoise.loss(ours, batch, settings), [total], 1e-7)  # their T5 takes norms in float32


@pytest.mark.parametrize("settings", [{}, {"packing": "fit", "middle": 0.7}])
def test_the_next_token_costs_what_gpt2s_costs(settings, tmp_path):
    tokenizer, settings = corpora.bpe(), causal.Settings(**settings)
    theirs, ours = both(hf.GPT2LMHeadModel, hf.GPT2Config(vocab_size=tokenizer.vocab_size, **GPT2), tmp_path / "m")
    made = causal.samples(part(tokenizer, tmp_path, corpora.code(), kind="code"), 4, 1, settings)
    batch, total = made.batch(0, 4), 0.0
    for row in range(4):
        for document in range(int(batch.documents[row].max()) + 1):
            own = batch.documents[row] == document
            targets = batch.targets[row][own]
            if (targets != -100).any():  # they shift labels by one themselves
                ids = torch.cat([batch.ids[row][own], targets[-1:]])
                if len(ids) <= CONTEXT:
                    total += theirs(input_ids=ids[None], labels=ids[None]).loss.item() * len(targets)
                else:
                    logits = theirs(input_ids=ids[None, :-1]).logits[0]
                    total += torch.nn.functional.cross_entropy(logits, targets, reduction="sum").item()
    close(causal.loss(ours, batch, settings), [total], 1e-7)  # theirs is summed in float32
