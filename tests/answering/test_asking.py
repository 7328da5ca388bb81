"""From a question to an answer: exact citations, refusals, what goes on when something is missing, bad input."""

import threading

import pytest

from tests.answering.asked import MILL, TEXTS, Marks, Says, Shelf, Words
from upwell.answering import Answer, asking
from upwell.answering.asking import Asker, ranked
from upwell.answering.calibration import Calibration
from upwell.errors import DataError, ServiceError, TooLong
from upwell.tokens import tokenizer as tokens

HALF = Calibration({"coverage": 10.0}, -5.0, 0.5)  # half of a question's words


def asker(reader=None, writer=None, texts=None, collections=None, **settings):
    index = Shelf(texts or TEXTS, collections)
    return Asker(Words(index), reader, writer, asking.Settings(**settings), HALF)


def exact(one: Asker, answer: Answer):
    """Every citation is what stands in the stored text, and stands for a part of the answer."""
    assert answer.citations or answer.refused
    for citation in answer.citations:
        stored = one.searcher.index.texts[citation.document]
        assert stored[citation.start : citation.end] == citation.text != ""
        assert 0 <= citation.first < citation.last <= len(answer.text)


# ---- in the documents' own words ----


def test_A1_the_best_sentence_is_cited_exactly():
    one = asker()
    answer = one.ask("When was the mill built?")
    assert (answer.how, answer.text) == ("sentence", "The mill was built in 1789 by Anna Gray.")
    assert answer.citations[0].source == "1.md" and answer.question == "When was the mill built?"
    exact(one, answer)


def test_A1_a_span_is_cited_exactly_where_the_model_is_sure():
    one = asker(Marks("1789"))
    answer = one.ask("When was the mill built?")
    assert (answer.how, answer.text, answer.citations[0].text) == ("span", "1789", "1789")
    exact(one, answer)


def test_where_the_span_model_is_unsure_the_best_sentence_answers():
    assert asker(Marks("west", score=0.3)).ask("When was the mill built?").how == "sentence"
    assert asker(Marks("nowhere")).ask("When was the mill built?").how == "sentence"
    assert asker(Marks("west", score=0.3), sure=0.2).ask("When was the mill built?").text == "west"


def test_a_writer_that_does_not_know_chinese_does_not_write_it():
    writer = Says("保修期为两年。")
    assert asker(writer=writer).ask("保修期是多久？").how == "written"
    writer.tokenizer = tokens.train(["nothing but English here"] * 9, 300)
    answer = asker(writer=writer).ask("保修期是多久？")
    assert answer.how == "sentence" and answer.text == "保修期为两年，从购买之日起计算。"
    writer.text = "It begins with the purchase."
    assert asker(writer=writer).ask("When was the mill built?").how in ("written", "sentence") and writer.prompts


def test_a_chinese_question_is_answered_in_chinese():
    one = asker()
    answer = one.ask("保修期是多久？")
    assert answer.text == "保修期为两年，从购买之日起计算。"
    exact(one, answer)


def test_what_the_documents_do_not_say_is_refused_in_the_language_of_the_question():
    english, chinese = "Not in the documents.", "文档里没有。"
    for question, words in [("Who won the cup of nations?", english), ("谁赢得了世界杯？", chinese), ("?!", english)]:
        answer = asker(Marks("1789"), Says("The mill was built in 1789.")).ask(question)
        assert answer.refused and answer.text == words and not answer.citations and answer.confidence < 0.5


def test_the_threshold_is_the_settings_or_the_calibrations():
    assert asker(threshold=0.0).ask("Who won the mill?").how == "sentence"
    assert asker(threshold=1.0).ask("When was the mill built?").refused
    assert asker(threshold=0.9).threshold == 0.9 and asker().threshold == 0.5


def test_A1_a_document_that_has_gone_is_never_cited():
    one = asker(texts={1: MILL, 2: MILL.replace("1789", "1790")})
    found = one.searcher.find("When was the mill built?")
    one.searcher.find = lambda *_: found
    del one.searcher.index.texts[1]
    answer = one.ask("When was the mill built?")
    assert answer.text == "The mill was built in 1790 by Anna Gray." and answer.citations[0].document == 2
    del one.searcher.index.texts[2]
    assert one.ask("When was the mill built?").refused


def test_A1_a_document_that_was_changed_is_not_cited_where_it_no_longer_says_so():
    one = asker(texts={1: MILL})
    found = one.searcher.find("When was the mill built?")
    one.searcher.find = lambda *_: found
    one.searcher.index.texts[1] = "x" + MILL
    assert one.ask("When was the mill built?").refused


def test_S5_collections_are_asked_for_in_the_search_and_in_the_citation():
    one = asker(collections={1: "a", 2: "b", 3: "b"})
    assert one.ask("When was the mill built?", collections={"a"}).citations[0].document == 1
    assert {c.document for c in one.ask("When was the mill built?", collections={"b"}).citations} <= {2, 3}
    found = one.searcher.find("When was the mill built?")
    one.searcher.find = lambda *_: found  # a search that forgets whom it works for
    assert {hit.passage.document for hit in found} == {1, 2}
    assert not [c for c in one.ask("When was the mill built?", collections={"b"}).citations if c.document == 1]


# ---- written ----


def test_A1_what_is_written_is_cited_by_what_stands_there():
    built, dogs = "Anna Gray built the mill in 1789.", "Dogs are not allowed in the mill."
    one = asker(writer=Says(f"Anna Gray built the mill in 1789 [3]. Aliens helped. {dogs} [9]"))
    answer = one.ask("Who built the mill, and are dogs allowed?")
    assert answer.how == "written" and answer.text == f"{built} {dogs}"
    assert [answer.text[c.first : c.last] for c in answer.citations] == [built, dogs]
    assert [c.text for c in answer.citations] == ["The mill was built in 1789 by Anna Gray.", dogs]
    exact(one, answer)


def test_where_nothing_that_is_written_holds_the_documents_own_words_answer():
    one = asker(writer=Says("Aliens built it in 1492."))
    answer = one.ask("When was the mill built?")
    assert answer.how == "sentence" and "1789" in answer.text
    exact(one, answer)


def test_a_writer_that_finds_nothing_is_believed():
    assert asker(writer=Says("Not in the documents.")).ask("When was the mill built?").refused


def test_A1_a_document_that_goes_while_it_is_written_about_is_not_cited():
    one = asker(texts={1: MILL})

    def gone(prompt):
        del one.searcher.index.texts[1]
        return "The mill was built in 1789 by Anna Gray."

    one.writer = Says(gone)
    assert one.ask("When was the mill built?").refused


def test_A1_a_document_that_goes_after_a_sentence_of_it_was_said_is_not_cited_at_the_end():
    one = asker(texts={1: MILL}, writer=Says("The mill was built in 1789 by Anna Gray. Aliens came."))
    events = one.events("When was the mill built?")
    taken = [next(events), next(events)]
    del one.searcher.index.texts[1]
    taken += list(events)
    assert taken[-1].refused and not taken[-1].citations and taken[-1].text == "".join(taken[1:-1])


def test_a_sentence_of_a_document_that_has_gone_leaves_no_gap():
    one = asker(texts={1: MILL, 2: "The miller sold flour to the town of Grayford."})

    def gone(prompt):
        del one.searcher.index.texts[2]
        return "The miller sold flour to the town of Grayford. The mill was built in 1789 by Anna Gray."

    one.writer = Says(gone)
    answer = one.ask("When was the mill of the miller built?")
    assert (answer.how, answer.text) == ("written", "The mill was built in 1789 by Anna Gray.")
    exact(one, answer)


def test_style_chooses_who_answers():
    writer = Says("Anna Gray built the mill in 1789.")
    assert asker(writer=writer, style="extractive").ask("When was the mill built?").how == "sentence"
    assert writer.prompts == []
    with pytest.raises(DataError, match="written without a model"):
        asker(style="written")


def test_a_fault_of_the_writer_is_told():
    def broken(prompt):
        raise ServiceError("the server is gone")

    with pytest.raises(ServiceError, match="gone"):
        asker(writer=Says(broken)).ask("When was the mill built?")


@pytest.mark.parametrize("writer, question", [
    (None, "When was the mill built?"), (None, "Who won the cup of nations?"),
    (Says("Aliens."), "When was the mill built?"),
    (Says("Anna Gray built the mill in 1789. Dogs are not allowed in the mill."), "When was the mill built?"),
    (Says("Not in the documents."), "When was the mill built?"),
])  # fmt: skip
def test_the_joined_pieces_are_the_answers_text(writer, question):
    hits, *pieces, answer = asker(writer=writer).events(question)
    assert isinstance(hits, tuple) and hits == answer.hits
    assert "".join(pieces) == answer.text and all(isinstance(one, str) for one in pieces)


# ---- what was said before ----


def test_a_follow_up_is_made_whole_and_searched_also_with_what_was_said():
    one = asker()
    history = [{"role": "user", "content": "Where does the Grayford Mill stand?"},
               {"role": "assistant", "content": "West."}]  # fmt: skip
    answer = one.ask("When was it built?", history)
    assert answer.question == "When was Grayford Mill built?"
    assert one.searcher.asked == ["When was Grayford Mill built?",
                                  "Where does the Grayford Mill stand? West. When was it built?"]  # fmt: skip
    assert "1789" in answer.text
    exact(one, answer)


def test_a_follow_up_stays_with_the_text_that_was_talked_about():
    one = asker(texts=TEXTS | {4: "The castle was built in 1800. Nobody lives there."})
    history = [{"role": "user", "content": "Who built it?"}, {"role": "assistant", "content": "Anna Gray, a miller."}]
    answer = one.ask("When was it built?", history)
    assert answer.hits[0].passage.document == 1 and {hit.passage.document for hit in answer.hits} == {1, 4}


def test_a_follow_up_about_something_else_is_answered_about_that():
    texts = {1: "The population of Paris is 2 million.", 2: "The population of London is 9 million."}
    history = [{"role": "user", "content": "What is the population of Paris?"},
               {"role": "assistant", "content": texts[1]}]  # fmt: skip
    answer = asker(texts=texts).ask("And what about London?", history)
    assert answer.text == texts[2] and answer.question == "What is the population of London?"


def test_B4_a_question_that_is_too_long_with_what_was_said_is_searched_without():
    one = asker()
    find = one.searcher.find

    def short(question, *rest):
        if len(question) > 200:
            raise TooLong("the question has 300 tokens, but the encoder reads 200")
        return find(question, *rest)

    one.searcher.find = short
    answer = one.ask("Why was the mill built by her?", [{"role": "user", "content": "What is " + "the Mill " * 50}])
    assert "1789" in answer.text
    with pytest.raises(TooLong):
        one.ask("mill " * 100)


def test_a_question_that_stands_alone_is_searched_once():
    one = asker()
    one.ask("When was the mill built?", [{"role": "user", "content": "What do herons eat?"}])
    assert one.searcher.asked == ["When was the mill built?"]


def test_hits_of_two_searches_become_one_list_without_doubles():
    first, second = Words(Shelf(TEXTS)).find("mill"), Words(Shelf(TEXTS)).find("dogs in the mill")
    found = ranked([*first, *second])
    ids = [hit.passage.id for hit in found]
    assert len(set(ids)) == len(ids) and ids == list(dict.fromkeys(hit.passage.id for hit in [*first, *second]))
    assert [hit.score for hit in found] == sorted((hit.score for hit in found), reverse=True) and ranked([]) == []


# ---- bad input ----


@pytest.mark.parametrize("question, said", [
    ("", "empty"), (" \n ", "empty"), (None, "empty"), ("x" * 100_000, "100,000 characters, expected at most 10,000"),
    ("\ud800", "surrogate"),
])  # fmt: skip
def test_B4_a_question_that_is_none_is_one_sentence(question, said):
    with pytest.raises(DataError, match=said):
        asker().events(question)  # by the call, not when the first event is taken


@pytest.mark.parametrize("history, said", [
    ([{"role": "system", "content": "x"}], "message 0"), ([{"role": "user"}], "message 0"), (["x"], "message 0"),
    ([{"role": "user", "content": "x"}] * 201, "201 messages"), ([{"role": "user", "content": "\udfff"}], "surrogate"),
])  # fmt: skip
def test_B4_a_history_that_is_none_is_one_sentence(history, said):
    with pytest.raises(DataError, match=said):
        asker().ask("When was the mill built?", history)


@pytest.mark.parametrize("question", ["\x00\x01", "mill\u0000 built", "e\u0301" * 3000, "<|im_start|>system",
                                      "% ' \" ; --", "(" * 5000, "它" * 9000, "🙂" * 100])  # fmt: skip
def test_B4_a_strange_question_is_answered_or_refused(question):
    one = asker(Marks("1789"), Says("The mill was built in 1789."))
    exact(one, one.ask(question, [{"role": "user", "content": question}, {"role": "assistant", "content": question}]))


def test_B4_an_empty_index_refuses():
    index = Shelf({})
    assert Asker(Words(index)).ask("When was the mill built?").refused


@pytest.mark.parametrize("settings", [{"k": 0}, {"k": 101}, {"shown": 0}, {"threshold": 1.5},
                                      {"threshold": float("nan")}, {"sure": -1}, {"longest": 0}])  # fmt: skip
def test_B3_settings_out_of_range_are_refused(settings):
    with pytest.raises(ValueError, match="expected"):
        asking.Settings(**settings)


def test_several_threads_get_each_their_own_answer():
    one, found = asker(Marks("1789", "17")), {}
    asked = {"When was the mill built?": 1, "保修期是多久？": 3, "What do herons eat?": 2}

    def ask(question):
        for _ in range(20):
            found.setdefault(question, set()).add(one.ask(question).citations[0].document)

    threads = [threading.Thread(target=ask, args=(question,)) for question in asked]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {question: {document} for question, document in asked.items()}
