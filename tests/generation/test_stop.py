from upwell.generation.stop import stopping

WORDS = {1: b"the", 2: b" en", 3: b"d", 4: "世".encode()[:1], 5: "世".encode()[1:], 6: b" end of all"}


def stop(strings=(), max_new=9, ends=(0,)):
    return stopping(ends, max_new, strings, WORDS.get)


def test_an_end_id_stops_and_the_length_does():
    assert stop()([1, 0]) == "stop"
    assert stop()([1, 2]) is None
    assert stop(max_new=2)([1, 2]) == "length"
    assert stop(max_new=2)([1, 0]) == "stop"


def test_a_string_across_token_borders_stops_with_the_token_that_completes_it():
    assert stop(["he end"])([1, 2]) is None
    assert stop(["he end"])([1, 2, 3]) == "stop"
    assert stop(["xyz", " end"])([1, 2, 3]) == "stop"


def test_a_string_inside_of_one_token_stops():
    assert stop(["of"])([1, 6]) == "stop"


def test_a_character_that_is_cut_between_two_tokens_is_found():
    assert stop(["世"])([1, 4]) is None
    assert stop(["世"])([1, 4, 5]) == "stop"


def test_only_the_last_token_is_asked_so_that_older_text_costs_nothing():
    read = []
    asked = stopping([0], 10**9, ["end"], lambda token: read.append(token) or b"abc")
    assert asked([1] * 1000) is None
    assert len(read) <= 2
