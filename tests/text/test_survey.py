"""What only a whole file shows is told; nothing is dropped for it."""

from upwell.text import Document
from upwell.text.examples import document
from upwell.text.survey import Survey


def notes(*records, file="a.jsonl"):
    survey = Survey()
    for line, record in enumerate(records, start=1):
        found = document(record, f"{file}:{line}")
        assert isinstance(found, Document), found
        survey.see(found)
    return survey.notes()


def chat(*roles):
    return {"messages": [{"role": role, "content": f"{role} {at}"} for at, role in enumerate(roles)]}


def test_files_in_order_need_no_word():
    assert notes(chat("system", "user", "assistant"), chat("user", "assistant", "user", "assistant")) == []
    assert notes({"text": "a"}, {"text": "b"}) == []
    assert notes({"question": "q", "context": "the sea", "answers": ["sea"]}, {"en": "a", "zh": "b"})[0].startswith(
        "a.jsonl mixes layouts: 1 answer (first a.jsonl:1), 1 pair")  # fmt: skip


def test_a_file_that_mixes_layouts_is_named_with_the_usual_one_first():
    assert notes({"text": "a"}, chat("user", "assistant"), chat("user", "assistant")) == [
        "a.jsonl mixes layouts: 2 chat (first a.jsonl:2), 1 plain (first a.jsonl:1)"
    ]


def test_a_role_that_speaks_twice_in_a_row_is_told_with_its_place():
    said = notes(chat("user", "assistant"), chat("user", "user", "assistant"), chat("user", "assistant", "assistant"))
    assert said == ["a.jsonl: chats in which a role speaks twice in a row: 2, first a.jsonl:2; they are kept; some "
                    "chat templates refuse them"]  # fmt: skip


def test_who_begins_and_who_ends_a_chat_is_told():
    assert [note.split(": ")[1] for note in notes(chat("system", "assistant", "user"))] == [
        "chats that the assistant begins", "chats whose last turn is not the assistant's",
    ]  # fmt: skip


def test_an_answer_that_is_no_span_of_its_context_and_none_at_all_are_told():
    asked = {"question": "q", "context": "The sea is wide."}
    said = notes(asked | {"answers": ["wide"]}, asked | {"answers": ["Wide"]}, asked | {"answers": []})
    assert said[0] == ("a.jsonl: questions with an answer that does not stand in its context: 1, first a.jsonl:2; "
                       "they are kept")  # fmt: skip
    assert said[1].startswith("a.jsonl: questions without an answer: 1, first a.jsonl:3;")


def test_a_pair_that_was_left_untranslated_is_told():
    assert "say the same" in notes({"en": "Paris ", "fr": "Paris"})[0]


def test_files_are_judged_one_by_one_and_those_in_order_are_forgotten():
    survey = Survey()
    for number in range(200):
        for line, record in enumerate((chat("user", "assistant"), {"text": "a"})[: 2 if number == 7 else 1], start=1):
            survey.see(document(record, f"{number}.jsonl:{line}"))
    assert survey.notes() == ["7.jsonl mixes layouts: 1 chat (first 7.jsonl:1), 1 plain (first 7.jsonl:2)"]
    assert survey.tasks == {"chat": 200, "plain": 1} and len(survey._here) == 1


def test_documents_that_are_whole_files_take_no_memory():
    survey = Survey()
    survey.see(Document("a", "folder/a.txt"))
    assert survey.notes() == [] and not survey.tasks
