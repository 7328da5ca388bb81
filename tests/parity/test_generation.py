"""Ours and transformers': the same filters, the same greedy ids, the same scores, from folders that it saved."""

import pytest
import torch

from upwell.generation import filters
from upwell.generation.backend import Local, Settings
from upwell.generation.engine import run
from upwell.generation.scoring import logprobs_from
from upwell.generation.session import Session
from upwell.generation.stop import Stop
from upwell.generation.strategies import greedy, sample
from upwell.model import hub
from upwell.tokens.tokenizer import train

transformers = pytest.importorskip("transformers")
from transformers.generation import logits_process as theirs  # noqa: E402

VOCAB, END, NEW = 300, 0, 24
SHAPE = dict(vocab_size=VOCAB, bos_token_id=END, eos_token_id=END, pad_token_id=END)
LLAMA = SHAPE | dict(hidden_size=48, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
                     num_key_value_heads=2, head_dim=12, max_position_embeddings=64, tie_word_embeddings=False)
KINDS = {
    "gpt2": lambda: transformers.GPT2LMHeadModel(transformers.GPT2Config(
        n_embd=48, n_layer=2, n_head=4, n_positions=64, **SHAPE)),
    "llama": lambda: transformers.LlamaForCausalLM(transformers.LlamaConfig(**LLAMA)),
    "qwen3": lambda: transformers.Qwen3ForCausalLM(transformers.Qwen3Config(**LLAMA)),
}  # fmt: skip


@pytest.fixture(scope="module")
def tokenizer():
    return train(["The river flows to the sea. 你好，世界。 😀"] * 10, VOCAB)


@pytest.fixture(scope="module", params=list(KINDS))
def pair(request, tmp_path_factory, tokenizer):
    """Their model and the folder that they wrote; noise makes every weight count."""
    torch.manual_seed(3)
    model = KINDS[request.param]().eval()
    for weight in model.parameters():
        weight.data += 0.3 * torch.randn_like(weight)
    folder = tmp_path_factory.mktemp(request.param)
    model.save_pretrained(folder)
    tokenizer.save(folder)
    return model, folder


def their_greedy(model, prompt, **options):
    ids = torch.tensor([prompt])
    with torch.inference_mode():
        out = model.generate(ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=NEW, **options)
    return out[0, len(prompt) :].tolist()


PROMPTS = [[END, 5, 9, 100], [END], [END, *range(40, 60)]]


def test_greedy_ids_are_those_of_generate_alone_and_in_a_batch(pair):
    model, folder = pair
    local = Local(hub.load(folder))
    try:
        answers = [local.generate(prompt, Settings(max_new=NEW, temperature=0)) for prompt in PROMPTS]
        ours = [[token for piece in answer for token in piece.tokens] for answer in answers]
    finally:
        local.close()
    assert ours == [their_greedy(model, prompt) for prompt in PROMPTS]


def test_greedy_ids_under_penalties_bans_and_a_minimum_are_those_of_generate(pair):
    model, folder = pair
    checkpoint = hub.load(folder)
    settings = Settings(max_new=NEW, min_new=9, repetition_penalty=1.3, banned=(7, 8), strategy="greedy")
    for prompt in PROMPTS:
        session = Session(checkpoint.model, [prompt], NEW)
        chain = filters.compose(settings, prompt, [END], VOCAB)
        search = greedy.search(session.logits, chain, Stop(frozenset([END]), NEW), greedy.Settings())
        ours = [token.id for token in run(search, session)[0].tokens]
        assert ours == their_greedy(model, prompt, repetition_penalty=1.3, min_new_tokens=9, suppress_tokens=[7, 8])


def test_scores_are_those_of_their_log_softmax(pair):
    model, folder = pair
    ids = [END, 9, 33, 100, 250, 7]
    with torch.inference_mode():
        logprobs = model(torch.tensor([ids])).logits[0].log_softmax(-1)
    expected = [logprobs[at - 1, ids[at]].item() for at in range(2, len(ids))]
    assert logprobs_from(hub.load(folder).model, ids, 2) == pytest.approx(expected, abs=1e-3)


PAIRS = {
    "temperature": (filters.temperature(0.7), lambda: theirs.TemperatureLogitsWarper(0.7)),
    "top_k": (filters.top_k(5), lambda: theirs.TopKLogitsWarper(5)),
    "top_k_all": (filters.top_k(999), lambda: theirs.TopKLogitsWarper(999)),
    "top_p": (filters.top_p(0.8), lambda: theirs.TopPLogitsWarper(0.8)),
    "top_p_low": (filters.top_p(0.01), lambda: theirs.TopPLogitsWarper(0.01)),
    "penalty": (filters.repetition_penalty(1.4), lambda: theirs.RepetitionPenaltyLogitsProcessor(1.4)),
    "banned": (filters.banned([1, 8]), lambda: theirs.SuppressTokensLogitsProcessor([1, 8])),
    "min_p": (filters.min_p(0.1), lambda: theirs.MinPLogitsWarper(0.1)),
    "min_p_high": (filters.min_p(1.0), lambda: theirs.MinPLogitsWarper(1.0)),
    "typical": (filters.typical(0.6), lambda: theirs.TypicalLogitsWarper(0.6)),
    "typical_low": (filters.typical(0.01), lambda: theirs.TypicalLogitsWarper(0.01)),
    "no_repeat_1": (filters.no_repeat(1), lambda: theirs.NoRepeatNGramLogitsProcessor(1)),
    "no_repeat_2": (filters.no_repeat(2), lambda: theirs.NoRepeatNGramLogitsProcessor(2)),
    "no_repeat_9": (filters.no_repeat(9), lambda: theirs.NoRepeatNGramLogitsProcessor(9)),
    "sequences": (filters.banned_sequences([[3, 1], [2], [4, 4], [0, 1, 2]]),
                  lambda: theirs.NoBadWordsLogitsProcessor([[3, 1], [2], [4, 4], [0, 1, 2]])),
    "bias": (filters.bias(((3, 2.5), (9, -1.0))),
             lambda: theirs.SequenceBiasLogitsProcessor([[[3], 2.5], [[9], -1.0]])),
    "minimum": (filters.minimum_length(9, [3]), lambda: theirs.MinLengthLogitsProcessor(9, 3)),
    "minimum_reached": (filters.minimum_length(4, [3]), lambda: theirs.MinLengthLogitsProcessor(4, 3)),
}


@pytest.mark.parametrize("name", list(PAIRS))
@pytest.mark.parametrize("spread", [0.1, 1.0, 10.0])
def test_a_filter_gives_the_numbers_of_their_processor(name, spread):
    ours, their = PAIRS[name]
    generator = torch.Generator().manual_seed(11)
    for _ in range(20):
        logits = spread * torch.randn(4, 50, generator=generator)
        tokens = torch.randint(0, 5, (4, 8), generator=generator)
        assert torch.equal(ours(tokens, logits.clone()), their()(tokens, logits.clone()))


def test_all_filters_together_give_what_their_processors_give_one_after_the_other():
    settings = Settings(temperature=0.6, top_k=20, top_p=0.9, min_p=0.05, typical=0.9, repetition_penalty=1.2,
                        no_repeat=2, banned=(4,), min_new=5, logit_bias=((8, 1.5),))  # fmt: skip
    generator = torch.Generator().manual_seed(12)
    prompt, written = [1, 2, 3], torch.randint(0, 50, (1, 3), generator=generator)
    logits = 3 * torch.randn(1, 50, generator=generator)
    tokens = torch.cat([torch.tensor([prompt]), written], 1)
    expected = logits
    for processor in (theirs.SequenceBiasLogitsProcessor([[[8], 1.5]]), theirs.RepetitionPenaltyLogitsProcessor(1.2),
                      theirs.NoRepeatNGramLogitsProcessor(2), theirs.SuppressTokensLogitsProcessor([4]),
                      theirs.MinNewTokensLengthLogitsProcessor(3, 5, 0), theirs.TemperatureLogitsWarper(0.6),
                      theirs.TopKLogitsWarper(20), theirs.TopPLogitsWarper(0.9), theirs.MinPLogitsWarper(0.05),
                      theirs.TypicalLogitsWarper(0.9)):
        expected = processor(tokens, expected)
    assert torch.equal(filters.compose(settings, prompt, [0], 50)(written, logits), expected)


def test_draws_follow_the_distribution_of_their_processors(pair):
    """Chi-square of first tokens at fixed seeds against what transformers' processors leave of its own logits."""
    model, folder = pair
    settings = Settings(temperature=0.9, top_k=8, top_p=0.95, min_p=0.02)
    checkpoint, prompt, count = hub.load(folder), PROMPTS[0], 1500
    logits = Session(checkpoint.model, [prompt], 1).logits
    chain = filters.compose(settings, prompt, [END], VOCAB)
    drawn = torch.zeros(VOCAB)
    for seed in range(count):
        search = sample.search(logits, chain, Stop(frozenset([END]), 1), sample.Settings(seed))
        with pytest.raises(StopIteration) as end:
            next(search)
        drawn[end.value.value[0].tokens[0].id] += 1
    ids = torch.tensor([prompt])
    with torch.inference_mode():
        expected = model(ids).logits[:, -1]
    for processor in (theirs.TemperatureLogitsWarper(0.9), theirs.TopKLogitsWarper(8), theirs.TopPLogitsWarper(0.95),
                      theirs.MinPLogitsWarper(0.02)):
        expected = processor(ids, expected)
    wanted = count * expected[0].softmax(-1)
    assert drawn[wanted == 0].sum() == 0 and (wanted > 0).sum() > 1
    assert ((drawn - wanted) ** 2 / wanted)[wanted > 0].sum() < 24.3    # 7 degrees of freedom, one in a thousand
