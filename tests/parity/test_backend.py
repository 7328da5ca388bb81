"""Our backend on folders that transformers saved: decoders and encoder-decoders, greedy and beams, its own ids."""

import json

import pytest
import torch
from starlette.testclient import TestClient
from tokenizers.processors import TemplateProcessing

from tests.text import chats
from upwell import cli
from upwell.errors import UpwellError
from upwell.generation.backend import Local, Settings
from upwell.model import hub
from upwell.serving.api import app
from upwell.text.chat import Template

hf = pytest.importorskip("transformers")

NEW = 14
PROMPTS = ["Where does the river flow?", "你好，世界。", "wide", "The sea is wide, and the river flows to it. " * 2]
ASKED = [Settings(max_new=NEW, strategy="greedy"), Settings(max_new=NEW, strategy="beam", beams=4),
         Settings(max_new=NEW, strategy="beam", beams=3, length_power=0.5),
         Settings(max_new=NEW, temperature=1.2, seed=7)]  # fmt: skip


def config(tokenizer, **shape):
    """What all models have; small, and long enough."""
    ids = tokenizer.special
    return dict(vocab_size=tokenizer.vocab_size, bos_token_id=ids["<s>"], eos_token_id=ids["<|im_end|>"],
                pad_token_id=ids["</s>"]) | shape  # fmt: skip


def llama(t):
    return hf.LlamaForCausalLM(hf.LlamaConfig(**config(
        t, hidden_size=48, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
        max_position_embeddings=128, tie_word_embeddings=False)))  # fmt: skip


def bart(t):
    return hf.BartForConditionalGeneration(hf.BartConfig(**config(
        t, d_model=48, encoder_layers=2, decoder_layers=2, encoder_ffn_dim=64, decoder_ffn_dim=64,
        encoder_attention_heads=4, decoder_attention_heads=4, max_position_embeddings=128, forced_eos_token_id=None,
        decoder_start_token_id=t.special["<|im_end|>"])))  # fmt: skip


def t5(t):
    return hf.T5ForConditionalGeneration(hf.T5Config(**config(
        t, d_model=48, d_ff=64, d_kv=12, num_layers=2, num_heads=4, decoder_start_token_id=t.special["</s>"])))


KINDS = {"llama": llama, "bart": bart, "t5": t5}


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def with_ends(folder):
    """The tokenizer of an encoder-decoder: the begin token before a text and the end token behind it."""
    import tokenizers

    path = str(folder / "tokenizer.json")
    inner = tokenizers.Tokenizer.from_file(path)
    ends = [(name, inner.token_to_id(name)) for name in ("<s>", "<|im_end|>")]
    inner.post_processor = TemplateProcessing(single="<s> $A <|im_end|>", special_tokens=ends)
    inner.save(path)


def saved(folder, kind, **generation):
    """Their noised model in a folder with its tokenizer and its generation_config.json."""
    tokenizer = chats.byte_level(folder)
    if kind != "llama":
        with_ends(folder)
    torch.manual_seed(4)
    model = KINDS[kind](tokenizer).eval()
    with torch.no_grad():
        for weight in (weight for weight in model.parameters() if weight.requires_grad):
            weight += 0.3 * torch.randn_like(weight)
    for name, value in generation.items():
        setattr(model.generation_config, name, value)
    model.save_pretrained(folder)
    return model


@pytest.fixture(scope="module", params=KINDS)
def pair(request, tmp_path_factory):
    """(their model, their tokenizer, our backend) of one folder; the encoder-decoders must begin with a given id."""
    folder = tmp_path_factory.mktemp(request.param)
    forced = {} if request.param == "llama" else {"forced_bos_token_id": 77}
    model = saved(folder, request.param, **forced)
    local = Local(hub.load(folder))
    yield model, hf.AutoTokenizer.from_pretrained(folder), local
    local.close()


def theirs(model, ids, **options):
    """What their generate writes after the start, up to its first end token."""
    given = torch.tensor([ids])
    with torch.inference_mode():
        options = {"max_new_tokens": NEW, "early_stopping": False, "do_sample": False} | options
        out = model.generate(given, attention_mask=torch.ones_like(given), **options)[0].tolist()
    out = out[1:] if model.config.is_encoder_decoder else out[len(ids) :]
    end = model.config.eos_token_id
    return out[: out.index(end) + 1] if end in out else out


def ids_of(answer):
    return [token for piece in answer for token in piece.tokens]


@pytest.mark.parametrize("prompt", PROMPTS)
def test_greedy_and_beams_write_the_ids_of_their_generate(pair, prompt):
    model, tokenizer, local = pair
    source = local.has_source
    given = tokenizer(prompt, add_special_tokens=source)["input_ids"]
    given = given if source else [local.begin, *given]
    assert local.read(prompt) == given
    assert ids_of(local.generate(prompt, ASKED[0])) == theirs(model, given)
    assert ids_of(local.generate(prompt, ASKED[1])) == theirs(model, given, num_beams=4)
    assert ids_of(local.generate(prompt, ASKED[2])) == theirs(model, given, num_beams=3, length_penalty=0.5)
    if source:
        assert ids_of(local.generate(prompt, ASKED[0]))[0] == 77


def test_penalties_and_bans_count_what_the_decoder_wrote(pair):
    model, tokenizer, local = pair
    given = local.read(PROMPTS[0])
    asked = Settings(max_new=NEW, min_new=6, strategy="beam", repetition_penalty=1.4, banned=(9, 10))
    want = theirs(model, given, num_beams=4, repetition_penalty=1.4, suppress_tokens=[9, 10], min_new_tokens=6)
    assert ids_of(local.generate(PROMPTS[0], asked)) == want


def test_requests_of_all_strategies_together_equal_each_alone(pair):
    _, _, local = pair
    cases = [(prompt, asked) for prompt in PROMPTS for asked in ASKED]
    alone = [ids_of(local.generate(prompt, asked)) for prompt, asked in cases]
    together = [local.generate(prompt, asked) for prompt, asked in cases]
    assert [ids_of(answer) for answer in together] == alone
    assert len({tuple(ids) for ids in alone}) > 8


def test_temperature_0_leaves_a_beam_search_a_beam_search(pair):
    model, _, local = pair
    cold = Settings(max_new=NEW, strategy="beam", beams=4, temperature=0, top_k=1)
    found = [ids_of(local.generate(prompt, cold)) for prompt in PROMPTS]
    assert found == [theirs(model, local.read(prompt), num_beams=4) for prompt in PROMPTS]
    assert found != [theirs(model, local.read(prompt)) for prompt in PROMPTS]


def test_the_source_is_counted_as_the_prompt_and_text_streams_whole(pair):
    _, _, local = pair
    pieces = list(local.generate(PROMPTS[0], ASKED[1]))
    assert pieces[-1].usage.prompt == len(local.read(PROMPTS[0])) > 3
    assert "".join(piece.text for piece in pieces) == local.tokenizer.decode(
        [token for token in ids_of(iter(pieces)) if token not in local.ends])  # fmt: skip


def test_scores_are_the_log_probabilities_of_a_plain_reading(pair):
    model, tokenizer, local = pair
    scored = local.score("The river flows", " to the sea")
    given, written = local.read("The river flows"), local.tokenizer.encode(" to the sea")
    with torch.inference_mode():
        if local.has_source:
            before = [*local.start, 77]
            logits = model(torch.tensor([given]), decoder_input_ids=torch.tensor([before + written])).logits[0]
        else:
            before = given
            logits = model(torch.tensor([given + written])).logits[0]
    logprobs = logits[len(before) - 1 : -1].log_softmax(-1)
    assert [value for _, value in scored] == pytest.approx(logprobs[range(len(written)), written].tolist(), abs=1e-3)


@pytest.fixture(scope="module")
def bart_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bart")
    return folder, saved(folder, "bart")


def test_the_verb_writes_what_their_generate_writes(bart_folder, capsys):
    folder, model = bart_folder
    words = ["generate", str(folder), "--prompt", PROMPTS[0], "--json", "--max-new", str(NEW)]
    source = hf.AutoTokenizer.from_pretrained(folder)(PROMPTS[0])["input_ids"]
    for more, options in (("greedy", {}), ("beam", {"num_beams": 4})):
        assert cli.main([*words, "--strategy", more]) == 0
        found = json.loads(capsys.readouterr().out)
        assert found["tokens"] == theirs(model, source, **options) and found["prompt"] == PROMPTS[0]
        assert found["usage"] == {"prompt": len(source), "known": 0, "new": len(found["tokens"])}


def test_the_server_writes_about_a_source_longer_than_the_room_of_what_it_writes(bart_folder):
    folder, model = bart_folder
    local, prompt = Local(hub.load(folder)), "The sea is wide. " * 10
    source = local.read(prompt)
    assert 60 < len(source) < 128
    try:
        with TestClient(app({"bart": local}, hosts=None)) as client:
            asked = {"prompt": prompt, "max_tokens": 100, "strategy": "greedy"}
            answer = client.post("/v1/completions", json=asked).json()
            assert answer["usage"]["prompt_tokens"] == len(source)
            assert answer["usage"]["completion_tokens"] == len(theirs(model, source, max_new_tokens=100))
            for wrong, sentence in (({"max_tokens": 128}, "context is 128"), ({"prompt": prompt * 3}, "at most 128")):
                refused = client.post("/v1/completions", json=asked | wrong)
                assert refused.status_code == 400 and sentence in refused.json()["error"]["message"]
    finally:
        local.close()


def test_what_a_folder_never_writes_is_never_written(tmp_path):
    """Marian's padding stands in bad_words_ids."""
    model = saved(tmp_path, "bart")
    free = theirs(model, [5, 6, 7])
    saved(tmp_path, "bart", bad_words_ids=[[free[0]], [free[1], free[2]]], suppress_tokens=[free[1]])
    local = Local(hub.load(tmp_path))
    try:
        found = ids_of(local.generate([5, 6, 7], ASKED[0]))
    finally:
        local.close()
    again = hf.BartForConditionalGeneration.from_pretrained(tmp_path)
    assert found == theirs(again, [5, 6, 7]) and not {free[0], free[1]} & set(found)


def test_a_chat_model_answers_in_its_template_as_their_generate_does(tmp_path):
    model = saved(tmp_path, "llama")
    Template(chats.HEADERS).save(tmp_path)
    theirs_tokenizer = hf.AutoTokenizer.from_pretrained(tmp_path)
    local = Local(hub.load(tmp_path))
    try:
        for chat in (chats.CHATS[0], chats.CHATS[1]):
            given = theirs_tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_dict=False)
            assert local.read(chat) == given
            found = ids_of(local.generate(chat, Settings(max_new=NEW, temperature=0)))
            want = theirs(model, given)
            closing = local.tokenizer.special["<|end|>"]
            assert found == (want[: want.index(closing) + 1] if closing in want else want)
    finally:
        local.close()


def test_an_encoder_alone_writes_nothing_and_says_so(tmp_path):
    tokenizer = chats.byte_level(tmp_path)
    shape = dict(hidden_size=48, num_hidden_layers=1, num_attention_heads=4, intermediate_size=64)
    hf.BertForMaskedLM(hf.BertConfig(vocab_size=tokenizer.vocab_size, **shape)).save_pretrained(tmp_path)
    local = Local(hub.load(tmp_path))
    try:
        for work in (lambda: local.generate("The river"), lambda: local.score("The", "river")):
            with pytest.raises(UpwellError, match="is an encoder and writes no text") as caught:
                work()
            assert "\n" not in str(caught.value)
    finally:
        local.close()
