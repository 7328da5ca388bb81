import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from upwell.generation.stream import Stream

TEXTS = st.text(alphabet=st.sampled_from("ab 世界你😀👩‍👧é\n"), max_size=30)


def streamed(pieces, stops=()):
    """The texts that come out when pieces of bytes go in as tokens."""
    stream = Stream(lambda index: pieces[index], stops)
    return [stream.push([index]) for index in range(len(pieces))] + [stream.close()], stream.stopped


@given(TEXTS, st.lists(st.integers(0, 60), max_size=10))
@settings(max_examples=200, deadline=None)
def test_however_bytes_are_cut_the_pieces_are_whole_characters_and_join_to_the_text(text, cuts):
    data = text.encode()
    borders = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    pieces, _ = streamed([data[a:b] for a, b in zip(borders, borders[1:], strict=False)])
    assert "".join(pieces) == text
    assert "\ufffd" not in "".join(pieces)


@given(st.lists(st.binary(max_size=4), max_size=12))
@settings(max_examples=200, deadline=None)
def test_bytes_that_are_no_text_stream_to_the_same_replacements_as_at_once(tokens):
    assert "".join(streamed(tokens)[0]) == b"".join(tokens).decode("utf-8", "replace")


@given(TEXTS, st.lists(st.text(alphabet="ab 世", min_size=1, max_size=3), min_size=1, max_size=3), st.integers(1, 4))
@settings(max_examples=300, deadline=None)
def test_the_text_is_cut_before_the_first_stop_string_and_no_part_of_it_was_shown(text, stops, size):
    data = text.encode()
    pieces, stopped = streamed([data[i : i + size] for i in range(0, len(data), size)], stops)
    ends = [text.find(stop) for stop in stops if stop in text]
    joined = "".join(pieces)
    assert stopped == bool(ends)
    if not ends:
        assert joined == text
    else:
        # Of strings that end later but begin earlier the one that is complete first counts.
        assert text.startswith(joined) and any(text.startswith(stop, len(joined)) for stop in stops)
        assert not any(stop in joined for stop in stops)


def test_what_could_begin_a_stop_string_is_held_back_until_it_is_sure():
    stream = Stream({1: b"The en", 2: b"d is", 3: b" near, the end.", 4: b"!"}.get, ["end.", "END"])
    assert [stream.push([token]) for token in (1, 2, 3, 4)] == ["The ", "end is", " near, the ", ""]
    assert stream.stopped and stream.close() == ""


def test_half_a_character_at_the_end_becomes_one_replacement():
    assert streamed(["世".encode()[:2]])[0] == ["", "\ufffd"]


@pytest.mark.parametrize("text", ["你好，世界", "👩‍👧 😀", "naïve café"])
def test_a_character_comes_out_with_its_last_byte(text):
    pieces, _ = streamed([bytes([byte]) for byte in text.encode()])
    assert [piece for piece in pieces if piece] == list(text)


def test_of_two_stop_strings_in_one_token_the_first_in_the_text_cuts():
    assert streamed([b"one STOP two END three"], ["END", "STOP"]) == (["one ", ""], True)
