"""The same over real (tiny, random) models: asking, attention, typing."""

import json

import pytest
import torch

from upwell.generation.backend import Local
from upwell.model import hub, preset
from upwell.model.sizes import Sizes
from upwell.tokens import kinds
from upwell.translation import asking
from upwell.translation.aligned import Aligner, attention, looked_at, places, shared, whole
from upwell.translation.protect import lost
from upwell.translation.translator import Asked, Made, Settings, Translator
from upwell.translation.typing import Typist, Way

TEXTS = ["Open the file and close the main window.", "打开文件并关闭主窗口。", "Rivers run to the sea."] * 20


@pytest.fixture(scope="module", params=["t5", "bart"])
def backend(request):
    tokenizer = kinds.train(TEXTS, kinds.Wanted(300, "bpe"))
    config = preset.config(Sizes(family=request.param, width=32, layers=2, heads=2), 300, 128, tokenizer.end)
    model, random = preset.create(config, seed=1).eval(), torch.Generator().manual_seed(2)
    for p in model.parameters():
        p.data.copy_(torch.randn(p.shape, generator=random) * 0.3)
    local = Local(hub.Checkpoint(model, tokenizer, None, None, None), rows=8)
    yield local
    local.close()


def test_attention_is_what_a_plain_recomputation_gives(backend):
    """A6: by hand, from the vectors that go into each block's look at the source."""
    model, source, written = backend.engine.model, [5, 9, 11, 40, 7], [3, 8, 20]
    found = attention(model, source, written)
    inputs, expected = [], torch.zeros(3, 5)
    over = type(model.decoder.blocks[0].cross).over

    def watched(self, x, keys, values, mask):
        inputs.append((self, x, keys))
        return over(self, x, keys, values, mask)

    with pytest.MonkeyPatch.context() as patch, torch.inference_mode():
        patch.setattr(type(model.decoder.blocks[0].cross), "over", watched)
        model(torch.tensor([written]), source=torch.tensor([source]))
    with torch.inference_mode():
        for cross, x, keys in inputs:
            q = cross.q(x)[0].view(3, cross.heads, -1)
            for head in range(cross.heads):
                scores = q[:, head] @ keys[0, head * cross.kv_heads // cross.heads].T
                expected += (scores * (cross.scale or cross.head_dim**-0.5)).softmax(-1) / cross.heads / len(inputs)
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(found.sum(1), torch.ones(3))


def test_tokens_stand_at_their_places_in_the_text(backend):
    text = "打开 the file"
    ids = backend.tokenizer.encode_source("zh: " + text)
    for (begin, end), token in zip(places(backend, ids, text), ids, strict=True):
        piece = text[begin:end]
        assert piece.encode() in backend.tokenizer.bytes_of(token) or not piece or "\ufffd" in piece or end - begin == 1
    assert max(end for _, end in places(backend, ids, text)) == len(text)


def test_words_go_to_the_stretch_that_looks_at_them():
    weights = [((0, 3), [((0, 4), 0.9), ((4, 8), 0.1)]), ((3, 7), [((0, 4), 0.2), ((4, 8), 0.8)]),
               ((7, 9), [((0, 4), 0.1), ((4, 8), 0.9)])]  # fmt: skip
    assert looked_at(weights, 4, 8, "ab cde fg") == (3, 9)
    assert looked_at(weights, 0, 4, "ab cde fg") == (0, 2)
    assert whole(1, 4, "one two") == (0, 3) and whole(1, 5, "one two") == (0, 7) and whole(1, 2, "一二三") == (1, 2)
    assert shared(0, 3, "one two", "eins zwei") == (0, 4)


def test_parts_are_found_by_their_words_else_somewhere_within(backend):
    align = Aligner(backend)
    source, made = "Open %s in the window now", "Das %s jetzt im Fenster"
    ids = backend.tokenizer.encode_source(source)
    (same, other, everything) = align(source, made, [(5, 7), (15, 21), (0, len(source))], ids)
    assert made[slice(*same)] == "%s" and 0 <= other[0] <= other[1] <= len(made) and everything == (0, len(made))


def test_a_translation_by_a_random_model_keeps_what_is_protected(backend):
    way = asking.of(backend, None, "{target}: ", [("en", "zh"), ("zh", "en")])
    assert backend.tokenizer.encode_source("zh: Open") == way.prompt("Open", "en", "zh")
    made = Translator(backend, way, Settings(beams=2)).texts(["Open %s and 12 files."], "en", "zh")
    assert "%s" in made[0].text and "12" in made[0].text and made[0].how in ("model", "forced", "pieces")
    (several,) = Translator(backend, way, Settings(beams=3, best=3)).texts(["Open the file"], "en", "zh")
    assert len(several.best) == 3 or several.how == "pieces"


def test_a_translation_that_loops_is_asked_for_without_repetitions(backend, monkeypatch):
    one, asked = Translator(backend, asking.of(backend, None, "", [("en", "zh")]), Settings(beams=2)), []
    wrong = [Made("Open %s now", "the " * 20, "model", 0.5), Made("Open %s now", "offen", "model", 0.5)]
    monkeypatch.setattr(one, "_around", lambda asked: wrong[: len(asked)])
    real, answers = one._model, iter([wrong])
    monkeypatch.setattr(one, "_model", lambda *given: next(answers, None) or real(*given))
    monkeypatch.setattr(backend, "generate", lambda prompt, writing: asked.append(writing) or iter(()))
    one._written([Asked(made.source, "en", "zh") for made in wrong])
    assert [(writing.no_repeat, writing.must) for writing in asked] == [(3, ("%s",)), (0, ("%s",))]


@pytest.mark.parametrize("text", [f"Open https://example.org/{'x' * 300} now", "Open " + "%s %d {a} " * 30 + "now"])
def test_what_has_no_room_in_a_search_costs_no_file(backend, text):
    """A phrase that is too long to ask for, or more of them than fit: what lies between them is translated."""
    one = Translator(backend, asking.of(backend, None, "", [("en", "zh")]), Settings(beams=2))
    (made, other) = one.texts([text, "Close it"], "en", "zh")
    assert not lost(text, made.text) and made.how == "pieces" and other.text


@pytest.mark.parametrize("way", [Way(), Way(False, False), Way(True, False), Way(bound=True)])
def test_what_is_typed_begins_as_it_was_kept(backend, way):
    """A sentence that is finished stays to the sign; the open one begins with what two translations agreed about."""
    one = Translator(backend, asking.of(backend, None, "", [("en", "zh")]), Settings(beams=1))
    typist, text = Typist(one, "en", "zh", way), "Open the file. Close the main window"
    for end in range(1, len(text) + 1):
        shown = typist.typed(text[:end])
        state = typist.state
        assert shown.endswith(state.told) and state.told.startswith(state.kept) and state.last.startswith(state.kept)
        if end > 16:
            assert shown.startswith(state.finished["Open the file."])
    assert shown == typist.state.shown and 0 <= typist.flicker <= 1
    assert typist.typed(text, paused=True).startswith(typist.state.finished["Open the file."])
    assert typist.typed(text[:5]) is not None and typist.typed("") == ""


def test_tasks_of_a_t5_and_tokens_of_a_marian_are_known(backend, tmp_path):
    tasks = {"translation_en_to_de": {"prefix": "translate English to German: "}, "summarization": {"prefix": "x"}}
    (tmp_path / "config.json").write_text(json.dumps({"task_specific_params": tasks}))
    way = asking.of(backend, tmp_path)
    assert way.pairs == {("en", "de")} and way.prefix("en", "de") == "translate English to German: "
    with pytest.raises(Exception, match="it knows en to de"):
        way.check("en", "fr")
    plain = asking.of(backend, None)
    assert plain.prompt("a b", "en", "de") == backend.tokenizer.encode_source("a b")


def test_a_chat_model_is_told_in_words():
    way = asking.of(type("Server", (), {"name": "chat"})(), None)
    (message,) = way.prompt("Open.", "en", "zh")
    assert message["role"] == "user" and "from English into Chinese" in message["content"]


def test_the_languages_of_a_run_are_those_of_its_data(tmp_path):
    data = tmp_path / "prepared"
    data.mkdir()
    (data / "train.jsonl").write_text('{"text": "a", "fields": {"source_language": "en", "target_language": "zh"}}\n')
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "upwell.yaml").write_text(
        f"settings:\n  objective: pairs\n  data: {data}\n  learn: {{both: true, prefix: '{{target}}: '}}\n"
    )
    assert asking.languages(folder) == {("en", "zh"), ("zh", "en")}
    (folder / "upwell.yaml").write_text("settings:\n  objective: pairs\nlanguages: [[en, de]]\n")
    assert asking.languages(folder) == {("en", "de")} and asking.languages(None) == frozenset()
