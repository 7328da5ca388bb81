"""Our encoder-decoders beside transformers': the same numbers, the same generated ids, both ways."""

import pytest
import torch
import transformers as hf

from tests.parity.test_families import far
from upwell.errors import CheckpointError, SettingsError
from upwell.generation.engine import run
from upwell.generation.session import Session
from upwell.generation.stop import Stop
from upwell.generation.strategies import beam, greedy
from upwell.model import hub
from upwell.model.cache import Cache

T5 = {"vocab_size": 97, "d_model": 48, "d_ff": 80, "num_layers": 2, "num_decoder_layers": 3, "decoder_start_token_id":
      0, "relative_attention_num_buckets": 8, "relative_attention_max_distance": 12}  # fmt: skip
BART = {"vocab_size": 97, "d_model": 48, "encoder_layers": 2, "decoder_layers": 3, "encoder_ffn_dim": 80,
        "decoder_ffn_dim": 80, "max_position_embeddings": 40, "pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2,
        "decoder_start_token_id": 2, "forced_eos_token_id": None}  # fmt: skip
SHAPES = {
    "t5": lambda: hf.T5Config(**T5, num_heads=3, d_kv=10),
    "t5-gated-unscaled": lambda: hf.T5Config(**T5, num_heads=4, d_kv=12, feed_forward_proj="gated-gelu",
                                             tie_word_embeddings=False),
    "mt5": lambda: hf.MT5Config(**T5, num_heads=4, d_kv=8),
    "bart": lambda: hf.BartConfig(**BART, encoder_attention_heads=4, decoder_attention_heads=4),
    "bart-odd-scaled": lambda: hf.BartConfig(**BART, encoder_attention_heads=3, decoder_attention_heads=3,
                                             scale_embedding=True, activation_function="relu"),
    "mbart": lambda: hf.MBartConfig(**BART, encoder_attention_heads=4, decoder_attention_heads=4),
    "marian": lambda: hf.MarianConfig(**BART, encoder_attention_heads=4, decoder_attention_heads=4,
                                      activation_function="swish", scale_embedding=True),
}  # fmt: skip


def noised(shape: str, folder):
    """transformers' model of a shape with N(0, 0.3) added to every weight, saved in a folder."""
    torch.manual_seed(1)
    theirs = hf.AutoModelForSeq2SeqLM.from_config(SHAPES[shape]()).eval()
    with torch.no_grad():
        for p in (p for p in theirs.parameters() if p.requires_grad):
            p.add_(0.3 * torch.randn_like(p))
        if hasattr(theirs, "final_logits_bias"):
            theirs.final_logits_bias.normal_()
    theirs.save_pretrained(folder)
    return theirs


@pytest.fixture(params=SHAPES)
def pair(request, tmp_path):
    theirs = noised(request.param, tmp_path / "theirs")
    return theirs, hub.load(tmp_path / "theirs"), tmp_path


def texts():
    """Sources of 11, 4 and 7 tokens with their mask, and what the decoder reads."""
    generator = torch.Generator().manual_seed(2)
    source, ids = (torch.randint(3, 97, (3, n), generator=generator) for n in (11, 9))
    real = torch.arange(11) < torch.tensor([11, 4, 7])[:, None]
    return source.masked_fill(~real, 1), real, ids


@torch.inference_mode()
def test_logits_equal_theirs_whole_and_step_by_step_with_padded_sources(pair):
    theirs, ours, _ = pair
    source, real, ids = texts()
    want = theirs(source, attention_mask=real.long(), decoder_input_ids=ids).logits
    assert far(ours.model(ids, source=source, source_mask=real), want) < 1e-4
    cache = Cache(ours.config, 3, 4)
    steps = [ours.model(part, cache=cache, source=source, source_mask=real) for part in ids.split([3, 1, 1, 4], 1)]
    assert far(torch.cat(steps, 1), want) < 1e-4


@torch.inference_mode()
def test_each_row_equals_the_row_alone_after_reordering_and_joining(pair):
    _, ours, _ = pair
    source, real, ids = texts()
    alone = [ours.model(ids[row : row + 1], source=source[row : row + 1, :n])[0, -1]
             for row, n in enumerate(real.sum(1).tolist())]  # fmt: skip
    first, second = Cache(ours.config, 2, 9), Cache(ours.config, 1, 12)  # joined, though neither doubles the other
    ours.model(ids[:2, :-1], cache=first, source=source[:2], source_mask=real[:2])
    ours.model(ids[2:, :-1], cache=second, source=source[2:, :7])
    first.join(second)
    order = [2, 0, 0, 1]
    first.reorder(torch.tensor(order))
    got = ours.model(ids[order, -1:], cache=first)[:, -1]
    for row, parent in enumerate(order):
        assert far(got[row], alone[parent]) < 1e-4


@torch.inference_mode()
def test_rows_of_a_text_share_its_keys_whatever_their_order_and_number(pair):
    """The way of a beam search: rows double, change places, read several tokens, and texts come to an end."""
    _, ours, _ = pair
    source, real, ids = texts()
    cache, about = Cache(ours.config, 3, 4), torch.arange(3)
    ours.model(ids[:, :2], cache=cache, source=source, source_mask=real)
    read = ids[:, :2]
    for parents, T in (([0, 1, 2], 1), ([2, 0, 0, 1, 2, 2], 1), ([4, 1, 2, 3, 0, 0], 2), ([5, 3, 0], 1), ([1], 2)):
        parents = torch.tensor(parents)
        cache.reorder(parents)
        about, more = about[parents], ids[[0, 1, 2] * 2, 3 : 3 + T][: len(parents)]
        read = torch.cat([read[parents], more], 1)
        got = ours.model(more, cache=cache)
        want = ours.model(read, source=source[about], source_mask=real[about])[:, -T:]
        assert far(got, want) < 1e-4
        assert len(cache.other[0][0]) == len(about.unique())


@torch.inference_mode()
def test_padding_of_the_source_on_the_left_changes_nothing(pair):
    _, ours, _ = pair
    source, real, ids = texts()
    left = torch.stack([row.roll(int((~keep).sum())) for row, keep in zip(source, real, strict=True)])
    got = ours.model(ids, source=left, source_mask=real.flip(1))
    assert far(got, ours.model(ids, source=source, source_mask=real)) < 1e-4


def test_what_is_loaded_is_saved_bit_for_bit_and_opens_in_transformers(pair):
    theirs, ours, folder = pair
    hub.save(ours, folder / "ours")
    again = hf.AutoModelForSeq2SeqLM.from_pretrained(folder / "ours").eval()
    assert type(again) is type(theirs)
    for (name, a), (_, b) in zip(theirs.state_dict().items(), again.state_dict().items(), strict=True):
        assert torch.equal(a, b), name
    source, real, ids = texts()
    given = {"attention_mask": real.long(), "decoder_input_ids": ids}
    with torch.inference_mode():
        assert torch.equal(theirs(source, **given).logits, again(source, **given).logits)
    assert hub.read_config(folder / "ours") == hub.load(folder / "theirs").config.with_(head=hub.read_config(
        folder / "theirs").head)  # fmt: skip


@pytest.mark.parametrize("beams", [1, 4])
@torch.inference_mode()
def test_generated_ids_equal_theirs(pair, beams):
    theirs, ours, _ = pair
    source, real, _ = texts()
    stop = Stop(ours.config.ends, 12)
    for row, n in enumerate(real.sum(1).tolist()):
        text = source[row : row + 1, :n]
        want = theirs.generate(text, num_beams=beams, do_sample=False, max_new_tokens=12, early_stopping=False,
                               length_penalty=1.0, use_cache=False)[0, 1:].tolist()  # fmt: skip
        session = Session(ours.model, None, sources=text.tolist())
        plain = lambda tokens, logits: logits  # noqa: E731
        if beams == 1:
            search = greedy.search(session.logits, plain, stop, greedy.Settings())
        else:
            search = beam.search(session.logits, plain, stop, beam.Settings(beams=beams))
        got = [token.id for token in run(search, session)[0].tokens]
        assert got == want[: len(got)] and not set(want[len(got) :]) - {ours.config.pad, *ours.config.ends}


FAULTS = {
    "t5": lambda m: setattr(m.decoder.bias, "both_ways", True),
    "bart": lambda m: setattr(m.decoder, "config", m.config.with_(position_offset=1)),
    "marian": lambda m: setattr(m, "config", m.config.with_(embed_scale=1.0)),
}


@pytest.mark.parametrize("shape", FAULTS)
@torch.inference_mode()
def test_a_planted_fault_is_seen(shape, tmp_path):
    theirs, ours = noised(shape, tmp_path), hub.load(tmp_path)
    FAULTS[shape](ours.model)
    source, real, ids = texts()
    want = theirs(source, attention_mask=real.long(), decoder_input_ids=ids).logits
    assert far(ours.model(ids, source=source, source_mask=real), want) > 1e-3


def test_what_would_be_passed_over_in_silence_is_refused(tmp_path):
    noised("bart", tmp_path)
    model, (source, _, ids) = hub.load(tmp_path).model, texts()
    with pytest.raises(SettingsError, match="found no source"):
        model(ids)
    with pytest.raises(SettingsError, match="a cache takes `lengths`"):
        model(ids, source=source, cache=Cache(model.config, 3, 4), mask=torch.ones_like(ids, dtype=torch.bool))
    with pytest.raises(CheckpointError, match="shape encoder-decoder"):
        model.config.check_next_token()


def test_what_a_folder_says_of_writing_is_kept(tmp_path):
    theirs = noised("bart", tmp_path / "theirs")
    theirs.generation_config.update(forced_bos_token_id=7, bad_words_ids=[[5]], eos_token_id=[2, 9])
    theirs.generation_config.save_pretrained(tmp_path / "theirs")
    hub.save(hub.load(tmp_path / "theirs"), tmp_path / "ours")
    again = hf.GenerationConfig.from_pretrained(tmp_path / "ours")
    assert (again.forced_bos_token_id, again.bad_words_ids, again.eos_token_id) == (7, [[5]], [2, 9])
    assert again.decoder_start_token_id == 2
