"""The split depends on a document's text and the seed alone."""

from upwell.text import Document
from upwell.text.split import held_out

DOCUMENTS = [Document(f"text number {number}", f"file:{number}") for number in range(4000)]


def test_the_share_is_about_what_was_asked():
    kept = sum(held_out(document, 0.05, 0) for document in DOCUMENTS)
    assert 150 <= kept <= 250  # 200 expected, standard deviation 14


def test_place_and_order_do_not_matter_and_equal_texts_stay_together():
    for document in DOCUMENTS[:200]:
        assert held_out(document, 0.3, 1) == held_out(Document(document.text, "elsewhere", "title"), 0.3, 1)


def test_a_larger_share_keeps_what_a_smaller_one_kept():
    assert all(held_out(document, 0.2, 7) for document in DOCUMENTS if held_out(document, 0.1, 7))


def test_another_seed_holds_out_others():
    one, other = ([held_out(document, 0.5, seed) for document in DOCUMENTS] for seed in (0, 1))
    assert 0.4 < sum(a == b for a, b in zip(one, other, strict=True)) / 4000 < 0.6


def test_nothing_and_everything():
    assert not any(held_out(document, 0.0, 0) for document in DOCUMENTS)
    assert all(held_out(document, 1.0, 0) for document in DOCUMENTS)


def test_the_same_documents_are_held_out_for_ever():
    assert [n for n, document in enumerate(DOCUMENTS[:60]) if held_out(document, 0.1, 0)] == [5, 21, 22, 26, 44, 58]
