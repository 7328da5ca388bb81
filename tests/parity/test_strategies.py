"""Our strategies beside transformers' generate, beside plain recomputation where it has none: three shapes."""

from dataclasses import replace

import pytest
import torch

from upwell.generation.backend import Local, Settings
from upwell.model import hub, quantize, rounded
from upwell.tokens.tokenizer import train

hf = pytest.importorskip("transformers")

VOCAB, END, NEW = 300, 0, 12
IDS = dict(vocab_size=VOCAB, bos_token_id=END, eos_token_id=END, pad_token_id=1)
KINDS = {
    "gpt2": lambda: hf.GPT2LMHeadModel(hf.GPT2Config(n_embd=48, n_layer=2, n_head=4, n_positions=64, **IDS)),
    "qwen3": lambda: hf.Qwen3ForCausalLM(hf.Qwen3Config(
        hidden_size=48, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
        head_dim=12, max_position_embeddings=64, tie_word_embeddings=False, **IDS)),
    "bart": lambda: hf.BartForConditionalGeneration(hf.BartConfig(
        d_model=48, encoder_layers=1, decoder_layers=2, encoder_attention_heads=4, decoder_attention_heads=4,
        encoder_ffn_dim=64, decoder_ffn_dim=64, max_position_embeddings=64, decoder_start_token_id=2,
        forced_eos_token_id=None, **IDS)),
}  # fmt: skip
PROMPTS = [[END, 5, 9, 100], [END, *range(40, 56)]]


@pytest.fixture(scope="module", params=list(KINDS))
def pair(request, tmp_path_factory):
    """Their model and our backend on its folder; noise makes every weight count, and ends likely."""
    torch.manual_seed(3)
    model = KINDS[request.param]().eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight += 0.3 * torch.randn_like(weight)
        if request.param == "bart":
            model.final_logits_bias[0, END] += 6.0
    folder = tmp_path_factory.mktemp(request.param)
    model.save_pretrained(folder)
    train(["The river flows to the sea. 你好，世界。 😀"] * 10, VOCAB).save(folder)
    backend = Local(hub.load(folder), rows=32)
    yield model, backend
    backend.close()


def theirs(model, prompt, **options) -> list[list[int]]:
    """What generate writes behind the prompt, up to the first end: one list for each text it returns."""
    ids = torch.tensor([prompt])
    with torch.inference_mode():
        out = model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=NEW, do_sample=False, **options)
    begin = 1 if model.config.is_encoder_decoder else len(prompt)
    return [cut(row[begin:]) for row in out.tolist()]


def cut(ids: list[int]) -> list[int]:
    return ids[: ids.index(END) + 1] if END in ids else ids


def ours(backend, prompt, **asked) -> list[list[int]]:
    """The texts of one request: its ranking where more than one was asked for."""
    pieces = list(backend.generate(prompt, Settings(max_new=NEW, **asked)))
    first = [id for piece in pieces for id in piece.tokens]
    ranking = [list(one.tokens) for one in pieces[-1].ranking]
    assert not ranking or ranking[0] == first
    return ranking or [first]


EARLY = {"heuristic": False, "full": True, "never": "never"}


@pytest.mark.parametrize("beams, power", [(2, 1.0), (5, 1.0), (5, 0.0), (3, -1.0), (4, 2.5)])
@pytest.mark.parametrize("early", list(EARLY))
def test_beam_search_ranks_the_texts_that_generate_ranks(pair, beams, power, early):
    model, backend = pair
    for prompt in PROMPTS:
        want = theirs(model, prompt, num_beams=beams, length_penalty=power, early_stopping=EARLY[early],
                      num_return_sequences=beams)  # fmt: skip
        assert ours(backend, prompt, strategy="beam", beams=beams, length_power=power, early_stopping=early,
                    best=beams) == want  # fmt: skip


FILTERS = {
    "repetition penalty": (dict(repetition_penalty=1.4), dict(repetition_penalty=1.4)),
    "no repeat": (dict(no_repeat=2), dict(no_repeat_ngram_size=2)),
    "minimum length": (dict(min_new=7), dict(min_new_tokens=7)),
    "bias": (dict(logit_bias=((7, 4.0), (END, -3.0))), dict(sequence_bias=[[[7], 4.0], [[END], -3.0]])),
    "banned": (dict(banned=(5, 8)), dict(suppress_tokens=[5, 8])),
    "all": (dict(repetition_penalty=1.2, no_repeat=3, min_new=5, banned=(9,), logit_bias=((7, 2.0),)),
            dict(repetition_penalty=1.2, no_repeat_ngram_size=3, min_new_tokens=5, suppress_tokens=[9],
                 sequence_bias=[[[7], 2.0]])),
}  # fmt: skip


@pytest.mark.parametrize("strategy", ["greedy", "beam"])
@pytest.mark.parametrize("name", list(FILTERS))
def test_filters_change_the_ids_as_they_change_those_of_generate(pair, name, strategy):
    model, backend = pair
    mine, their = FILTERS[name]
    for prompt in PROMPTS:
        want = theirs(model, prompt, num_beams=1 if strategy == "greedy" else 4, **their)
        assert ours(backend, prompt, strategy=strategy, **mine) == want


def test_sequences_that_a_folder_bans_are_those_that_generate_leaves_out(pair):
    model, backend = pair
    for prompt in PROMPTS:
        first = theirs(model, prompt)[0]
        bad = [first[1:3], first[:1]]
        want = theirs(model, prompt, bad_words_ids=[*bad, [first[0], first[1]]])
        habits, backend.habits = backend.habits, backend.habits.__class__(
            backend.habits.ends, backend.habits.start, None, tuple(bad[1]), (tuple(bad[0]), (first[0], first[1])))
        try:
            assert ours(backend, prompt, strategy="greedy") == want != [first]
        finally:
            backend.habits = habits


@torch.inference_mode()
def read(model, prompt, written):
    """(logits after the text, the last vectors of all of it): everything computed anew by transformers."""
    if model.config.is_encoder_decoder:
        ids = torch.tensor([[model.generation_config.decoder_start_token_id, *written]])
        out = model(torch.tensor([prompt]), decoder_input_ids=ids, output_hidden_states=True)
        return out.logits[0, -1], out.decoder_hidden_states[-1][0]
    out = model(torch.tensor([[*prompt, *written]]), output_hidden_states=True)
    return out.logits[0, -1], out.hidden_states[-1][0]


@pytest.mark.parametrize("k, alpha", [(4, 0.6), (3, 0.2), (6, 0.9)])
def test_contrastive_search_follows_the_formula_of_its_paper(pair, k, alpha):
    model, backend = pair
    for prompt in PROMPTS:
        written = []
        while len(written) < NEW and (not written or written[-1] != END):
            logits, before = read(model, prompt, written)
            shares, ids = logits.softmax(-1).topk(k)
            scores = []
            for share, id in zip(shares, ids.tolist(), strict=True):
                vector = read(model, prompt, [*written, id])[1][-1]
                scores.append((1 - alpha) * share - alpha * torch.cosine_similarity(vector[None], before).max())
            written.append(int(ids[torch.stack(scores).argmax()]))
        assert ours(backend, prompt, strategy="contrastive", candidates=k, unlikeness=alpha) == [written]


def plain_diverse(model, prompt, width, groups, diversity):
    """Equation 4 of Vijayakumar and others by whole readings: texts of each group, the best first."""
    kept = [[(0.0, [])] for _ in range(groups)]
    done = [[] for _ in range(groups)]
    over = [False] * groups
    for n in range(1, NEW + 1):
        chosen = []
        for g in range(groups):
            if over[g]:
                continue
            found = []
            for score, text in kept[g]:
                logp = read(model, prompt, text)[0].log_softmax(-1)
                wanted = logp.clone()
                for id in chosen:
                    wanted[id] -= diversity
                for id in wanted.topk(4 * width).indices.tolist():
                    found.append((score + logp[id].item(), [*text, id], diversity * chosen.count(id)))
            found.sort(key=lambda one: -(one[0] - one[2]))
            kept[g], mine = [], []
            for rank, (score, text, _) in enumerate(found[: 2 * width]):
                if text[-1] == END or n == NEW:
                    if rank < width:
                        done[g].append((score / n, text))
                        mine.append(text[-1])
                elif len(kept[g]) < width:
                    kept[g].append((score, text))
                    mine.append(text[-1])
            chosen += mine
            done[g] = sorted(done[g], reverse=True)[:width]
            over[g] = not kept[g] or (len(done[g]) == width and max(kept[g])[0] / n <= done[g][-1][0])
    return done


@pytest.mark.parametrize("beams, groups, diversity", [(4, 2, 1.5), (6, 3, 0.7), (3, 3, 4.0)])
def test_diverse_beam_search_follows_the_formula_of_its_paper(pair, beams, groups, diversity):
    model, backend = pair
    prompt = PROMPTS[1]
    done = plain_diverse(model, prompt, beams // groups, groups, diversity)
    want = {tuple(text) for group in done for _, text in group}
    got = ours(backend, prompt, strategy="diverse", beams=beams, groups=groups, diversity=diversity, best=beams)
    assert {tuple(text) for text in got} == want
    assert got[0] == max((group[0] for group in done if group), key=lambda one: one[0])[1]


@pytest.mark.parametrize("asked", [dict(guesses=4, ngram=1), dict(guesses=8, ngram=2)], ids=str)
def test_guesses_change_neither_greedy_texts_nor_drawn_ones(pair, asked):
    _, backend = pair
    for prompt in [*PROMPTS, [END, *([7, 8, 9] * 5)]]:
        greedy = ours(backend, prompt, strategy="greedy", repetition_penalty=1.1)
        assert ours(backend, prompt, strategy="speculative", temperature=0, repetition_penalty=1.1, **asked) == greedy
        drawn = ours(backend, prompt, temperature=0.3, top_p=0.9, seed=5)
        assert ours(backend, prompt, strategy="speculative", temperature=0.3, top_p=0.9, seed=5, **asked) == drawn


@pytest.mark.parametrize("itself", [True, False], ids=["itself", "another"])
def test_a_draft_changes_no_greedy_text(pair, itself):
    _, backend = pair
    own = backend.engine.model
    if itself:
        backend.draft = own
    else:
        torch.manual_seed(9)
        backend.draft = hub.load(backend.folder).model
        with torch.no_grad():
            for weight in backend.draft.parameters():
                weight += 0.05 * torch.randn_like(weight)
    try:
        for prompt in PROMPTS:
            assert ours(backend, prompt, strategy="speculative", temperature=0) == ours(backend, prompt,
                                                                                       strategy="greedy")
    finally:
        backend.draft = None


def test_all_strategies_together_write_what_each_writes_alone(pair):
    _, backend = pair
    asked = [dict(strategy="greedy"), dict(seed=3), dict(strategy="beam", beams=3), dict(strategy="diverse"),
             dict(strategy="contrastive"), dict(strategy="speculative", temperature=0, ngram=1),
             dict(strategy="speculative", seed=4, ngram=1), dict(strategy="constrained", must=("river",))]
    jobs = [(prompt, one) for prompt in PROMPTS for one in asked]
    alone = [ours(backend, prompt, **one) for prompt, one in jobs]
    answers = [backend.generate(prompt, Settings(max_new=NEW, **one)) for prompt, one in jobs]
    together = [[[id for piece in answer for id in piece.tokens]] for answer in answers]
    assert together == alone


def test_a_text_that_is_nearly_full_and_one_that_guesses_stand_side_by_side(pair):
    _, backend = pair
    full = list(range(10, 10 + 64 - NEW)) if not backend.has_source else PROMPTS[0]
    guessing = [END, *([7, 8, 9] * 8)]
    alone = [ours(backend, full, strategy="greedy"), ours(backend, guessing, strategy="greedy")]
    answers = [backend.generate(full, Settings(max_new=NEW, strategy="greedy")),
               backend.generate(guessing, Settings(max_new=NEW, strategy="speculative", temperature=0, guesses=20))]
    assert [[[id for piece in answer for id in piece.tokens]] for answer in answers] == alone


def test_a_quantised_model_agrees_with_itself_cached_and_not_alone_and_together(pair, monkeypatch):
    """In float32: torch's int8 product, taken up to 16 rows, rounds to bfloat16, so that the count of rows shows."""
    monkeypatch.setattr(rounded, "FEW_ROWS", 0)
    model, backend = pair
    whole = hub.load(backend.folder)
    small = Local(replace(whole, model=quantize.quantize(whole.model, quantize.Scheme(8))), rows=32)
    try:
        alone = [ours(small, prompt, strategy=name, temperature=0, guesses=3, ngram=1)[0]
                 for prompt in PROMPTS for name in ("greedy", "speculative", "beam", "contrastive")]
        answers = [small.generate(prompt, Settings(max_new=NEW, strategy=name, temperature=0, guesses=3, ngram=1))
                   for prompt in PROMPTS for name in ("greedy", "speculative", "beam", "contrastive")]
        assert [[id for piece in answer for id in piece.tokens] for answer in answers] == alone
        assert alone[0] == alone[1] and alone[4] == alone[5]
        anew = []
        while len(anew) < len(alone[0]):
            ids = [*small.start, *anew] if small.has_source else [*PROMPTS[0], *anew]
            about = dict(source=torch.tensor([PROMPTS[0]])) if small.has_source else {}
            with torch.inference_mode():
                anew.append(int(small.engine.model(torch.tensor([ids]), **about)[0, -1].argmax()))
        assert anew == alone[0]
    finally:
        small.close()
