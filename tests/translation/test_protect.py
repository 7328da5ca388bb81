"""What no model may touch is found, counted, and comes through whatever a model does."""

import time

import pytest

from tests.translation.fake import forgetful, translator
from upwell.translation.protect import kept, lost, pieces

SAMPLES = {
    "Set $EDITOR and ${HOME} now": ["$EDITOR", "${HOME}"],
    "Open %s at https://x.org/a?b=1&c=2#d now.": ["%s", "https://x.org/a?b=1&c=2#d"],
    "Write to a.b+c@example.co.uk, or use `ls -l`.": ["a.b+c@example.co.uk", "`ls -l`"],
    "%(name)s has {count} files of ${total} in {{ folder }}.": ["%(name)s", "{count}", "${total}", "{{ folder }}"],
    "Press <b>OK</b> &amp; wait 1,000.5 s.": ["<b>", "</b>", "&amp;", "10005"],
    "%1$s of %2$d (%d%%)": ["%1$s", "%2$d", "%d"],
    "打开 https://例.org/x，然后按 3 次。": ["3"],
    "100 % sure, 50% off": ["100", "50"],
    "Saved in settings.xml (see readme-2.de.txt), e.g. by x.tar.gz.": ["settings.xml", "readme-2.de.txt", "x.tar.gz"],
}


@pytest.mark.parametrize("text", SAMPLES)
def test_protected_parts_are_found(text):
    assert set(SAMPLES[text]) <= set(kept(text))
    assert "".join(piece for piece, _ in pieces(text)) == text


def test_what_only_looks_like_the_name_of_a_file_is_none():
    assert set(kept("It ends.Then comes e.g. an item, i.e. one.jsx or a.b.")) == set()


def test_what_a_translation_lost_or_doubled_is_named():
    assert lost("%s has {n} files", "{n} Dateien hat %s") == []
    assert lost("%s has {n} files", "%s hat Dateien") == ["{n}"]
    assert lost("%s", "%s %s") == ["%s"]
    assert lost("1,000 files", "1.000 Dateien") == [] and lost("1,000 files", "100 Dateien") == ["100", "1000"]


@pytest.mark.parametrize("say", [forgetful, lambda text: "", lambda text: "la " * 50, lambda text: text[::-1]])
@pytest.mark.parametrize("text", SAMPLES)
def test_a_model_that_loses_everything_loses_nothing(text, say):
    (made,) = translator(say).texts([text], "en", "de")
    assert lost(text, made.text) == []
    assert made.how in ("pieces", "copied")


@pytest.mark.parametrize("sign", "{%<`&@:/.a1 ")
def test_no_text_takes_long(sign):
    begin = time.perf_counter()
    for text in (sign * 100_000, (sign + "a") * 50_000, ("<a " + sign) * 30_000, ("http://" + sign) * 14_000):
        kept(text)
    assert time.perf_counter() - begin < 20  # a hang, not a speed: each takes some milliseconds
