"""All faults at once: the first in full, the rest counted, thousands by kind."""

import pytest

from upwell.errors import DataError
from upwell.text import Document, Fault
from upwell.text.faults import Faults, collect, kind_of, sifted


def faults(count):
    return [Fault(f"a.jsonl:{line}", f"expected messages[{line}].role to be user, found 'x{line}'")
            for line in range(1, count + 1)]  # fmt: skip


def test_without_a_fault_there_is_no_error():
    assert collect([]) is None


def test_one_fault_is_one_sentence_and_its_line():
    assert str(collect(faults(1))) == (
        "1 file or line cannot be read; mend it, take it out, or pass over it with --skip-unreadable:\n"
        "  a.jsonl:1: expected messages[1].role to be user, found 'x1'"
    )


def test_the_first_are_listed_and_the_rest_is_counted():
    told = str(collect(faults(30), most=3)).splitlines()
    assert told[0].startswith("30 files or lines cannot be read; mend them")
    assert [line.split(":")[1] for line in told[1:4]] == ["1", "2", "3"]
    assert told[4:] == ["  and 27 more; --max-errors 30 lists all"]


def test_all_are_listed_where_that_many_are_asked_for():
    told = str(collect(faults(2500), most=2500)).splitlines()
    assert len(told) == 2501 and not any("more" in line for line in told)


def test_thousands_are_grouped_by_kind_with_the_most_frequent_first():
    many = faults(1500)
    many[700:700] = [Fault("b.jsonl:9", "expected UTF-8, found byte 0xff")] * 2
    told = str(collect(many, most=2)).splitlines()
    assert told[3:] == [
        "  and 1,500 more; --max-errors 1502 lists all",
        "All of them by kind:",
        "  1,500 times expected messages[N].role to be user (first a.jsonl:1)",
        "  2 times expected UTF-8 (first b.jsonl:9)",
    ]


def test_kinds_without_end_take_bounded_memory():
    found = Faults(5)
    letters = "abcdefghij"
    for number in range(30_000):
        word = "".join(letters[int(digit)] for digit in f"{number:05}")
        found.add(Fault(f"f:{number}", f"{word} is odd"))
    assert len(found.first) == 5 and len(found.kinds) <= 1001 and found.count == 30_000
    told = found.told().splitlines()
    assert len(told) < 25 and "29,000 times others (first f:1000)" in told[8] and "other kinds" in told[-1]


@pytest.mark.parametrize(("message", "kind"), [
    ("expected messages[31].role to be user, found 'x, found y'", "expected messages[N].role to be user"),
    ("expected 'text' at line 7, found nothing", "expected '...' at line N"),
    ("cannot be read: Permission denied", "cannot be read: Permission denied"),
])  # fmt: skip
def test_a_kind_is_a_message_without_what_differs(message, kind):
    assert kind_of(message) == kind


def test_documents_pass_and_all_faults_come_at_the_end():
    items = [Document("one", "a:1"), *faults(2), Document("two", "a:4")]
    passed = []
    with pytest.raises(DataError) as caught:
        for document in sifted(items, most=1):
            passed.append(document.text)
    assert passed == ["one", "two"] and "2 files or lines" in str(caught.value)


def test_faults_can_be_kept_instead_of_raised():
    kept = Faults(1)
    assert [one.text for one in sifted([*faults(2), Document("two", "a:4")], faults=kept)] == ["two"]
    assert kept.count == 2
