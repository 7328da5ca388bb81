"""A text that is being typed, over models whose translations of its beginnings are known."""

import pytest

from tests.translation.fake import translator, words_turned
from upwell.translation.typing import Typist, Way, agreed, complete


def shown(text: str, say=str.upper, way: Way | None = None, languages=("en", "de")) -> tuple[list[str], Typist]:
    """What stands there after each keystroke, and after a pause."""
    typist = Typist(translator(say), *languages, way or Way())
    return [*(typist.typed(text[:end]) for end in range(1, len(text) + 1)), typist.typed(text, paused=True)], typist


def hesitant(text: str) -> str:
    """The last word of a beginning is a guess."""
    words = text.split()
    return " ".join([*map(str.upper, words[:-1]), f"{words[-1][::-1]}ish"]) if text[-1] != "." else text.upper()


def test_nothing_is_shown_that_is_taken_back_while_a_sentence_is_open():
    texts, typist = shown("Open the old main window now.", hesitant)
    assert all(later.startswith(before) for before, later in zip(texts, texts[1:], strict=False))
    assert "OPEN THE OLD" in texts and texts[-1] == "OPEN THE OLD MAIN WINDOW NOW." and typist.flicker == 0


def test_without_that_every_guess_is_shown_and_taken_back():
    _, typist = shown("Open the old main window now.", hesitant, Way(False, False))
    assert typist.flicker > 0.3
    assert shown("Open the old main window now.", hesitant, Way(True, False))[1].flicker < typist.flicker


def test_only_complete_words_are_translated():
    _, typist = shown("Open the file")
    assert typist.translator.backend.asked == ["Open", "Open the", "Open the file"]  # the last one after the pause
    _, typist = shown("Open the file", way=Way(False, False))
    assert len(typist.translator.backend.asked) == 11  # a keystroke that adds a space asks nothing


@pytest.mark.parametrize("text, language, whole", [
    ("Open the fi", "en", "Open the "), ("Open,", "en", "Open,"), ("don't", "en", ""), ("well-kno", "en", ""),
    ("打开文", "zh", "打开文"), ("see 文", "en", "see 文"), ("", "en", ""), ("word", "de", ""),
])  # fmt: skip
def test_a_word_is_complete_when_nothing_can_be_added(text, language, whole):
    assert complete(text, language) == whole


def test_after_a_pause_all_of_it_is_shown_and_stays_while_it_fits():
    typist = Typist(translator(str.upper), "en", "de")
    assert [typist.typed(text) for text in ("Open ", "Open the ", "Open the fi")] == ["", "OPEN", "OPEN"]
    assert typist.typed("Open the fi", paused=True) == "OPEN THE FI"
    assert typist.typed("Open the fi") == "OPEN THE FI" == typist.typed("Open the file")
    assert typist.typed("Open the file now ") == "OPEN THE FI"
    assert typist.typed("Open the file now or ") == "OPEN THE FILE NOW"


def test_words_that_are_taken_back_go_from_the_translation_too():
    typist = Typist(translator(str.upper), "en", "de")
    for text in ("Open the ", "Open the file ", "Open the file now "):
        typist.typed(text)
    assert typist.state.told == "OPEN THE FILE" and typist.typed("Open the ") == "OPEN"
    assert typist.typed("Shut ") == "" and typist.typed("Shut the ") == "SHUT"


def test_a_finished_sentence_is_translated_freely_or_begins_as_was_agreed():
    def other(text: str) -> str:
        return text.upper() if text[-1] != "." else "QUITE ANOTHER."

    for bound in (False, True):
        texts, typist = shown("One two three four.", other, Way(bound=bound))
        assert texts[-1] == "QUITE ANOTHER." and typist.state.finished == {"One two three four.": "QUITE ANOTHER."}
        assert typist.flicker > 0


@pytest.mark.parametrize("text", ["See settings.xml or version 3.5 now", "Use e.g. words or i.e. signs of it"])
def test_a_stop_within_a_sentence_takes_nothing_back(text):
    texts, typist = shown(text, words_turned)
    assert typist.flicker == 0 and texts[-1].startswith(texts[-2])


@pytest.mark.parametrize("text, finished", [
    ("One river.", 0), ("One river. ", 1), ("One river\n", 1), ("Are you? ", 1), ("一条河。", 1), ("One riv", 0),
])  # fmt: skip
def test_a_sentence_is_over_when_a_space_follows_its_stop_or_one_pauses(text, finished):
    typist = Typist(translator(words_turned), "zh" if text > "z" else "en", "en" if text > "z" else "de")
    typist.typed(text)
    assert len(typist.state.finished) == finished
    typist.typed(text, paused=True)
    assert len(typist.state.finished) == (text != "One riv")


def test_a_finished_sentence_that_loses_a_sign_is_translated_once_more():
    """What goes on from what was shown is looked at like every translation."""

    def forgets(text: str) -> str:
        return "LOST" if text.endswith("files.") else text.upper()

    texts, _ = shown("Copy now %s files.", forgets, Way(bound=True))
    assert "%s" in texts[-1]


def test_finished_sentences_stay_while_the_next_one_is_typed():
    texts, typist = shown("One river. Two streams meet here", words_turned)
    assert all(text.startswith("enO revir.") for text in texts[10:])
    assert typist.translator.backend.asked.count("One river.") == 2  # when its stop was typed, and when it was over


@pytest.mark.parametrize("last, now, kept", [
    ("Open the fi", "Open the file now", "Open the"), ("Open the", "Open the file", "Open the"),
    ("Open thefts", "Open the file", "Open"), ("打开文件", "打开文件夹", "打开文件"), ("same", "same", ""),
    ("the same", "the same", "the"), ("", "x", ""), ("a", "b", ""),
])  # fmt: skip
def test_two_translations_agree_about_whole_words(last, now, kept):
    assert agreed(last, now) == kept
