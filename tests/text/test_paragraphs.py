"""Lines that many documents share are known again, on every machine, and go without a trace."""

import subprocess
import sys
from collections import Counter

import numpy as np
import pytest

from upwell.text.paragraphs import once, signature, signatures, without

COOKIES = "We use cookies to make this page better for you."
STORY = "The mill stood where the two streams met."


def test_case_and_white_space_do_not_matter_but_words_do():
    assert signature(COOKIES) == signature("  We use  cookies to make\tthis page BETTER for you. ")
    assert signature(COOKIES) != signature(COOKIES.replace("better", "worse"))


@pytest.mark.parametrize("line", ["", "Chapter 7", "import numpy as np", "第一章", "-" * 80, "| | " * 9])
def test_short_lines_and_rules_have_no_signature(line):
    assert signature(line) is None and len(signatures(line)) == 0


def test_eight_chinese_characters_are_long_enough():
    assert signature("版权所有侵权必究") is not None and signature("版权所有") is None


def test_signatures_are_the_same_on_every_machine_and_in_every_run():
    assert signatures(f"{COOKIES}\n\n{STORY}\n{COOKIES}").tolist() == [
        2051354579358520632, 16550502136192867398, 2051354579358520632,
    ]  # fmt: skip
    code = f"from upwell.text.paragraphs import signatures; print(signatures({COOKIES!r}).tolist())"
    runs = [
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env={"PYTHONHASHSEED": seed})
        for seed in ("1", "2")
    ]
    assert {run.stdout for run in runs} == {"[2051354579358520632]\n"}


def test_boilerplate_is_counted_over_documents_and_taken_out():
    documents = [f"Story {number} of a mill and its wheel\n\n{COOKIES}\n{STORY * 2} {number}" for number in range(20)]
    counts = Counter(number for text in documents for number in set(signatures(text).tolist()))
    common = {number for number, count in counts.items() if count > 5}
    for number, text in enumerate(documents):
        rest, removed = without(text, common)
        assert removed == 1 and rest == f"Story {number} of a mill and its wheel\n\n{STORY * 2} {number}"


@pytest.mark.parametrize("as_array", [False, True])
def test_a_set_and_a_sorted_array_do_the_same(as_array):
    common = np.unique(np.concatenate([signatures(COOKIES), np.arange(1000, dtype=np.uint64)]))
    common = common if as_array else set(common.tolist())
    assert without(f"{COOKIES}\n{STORY}\n{COOKIES}\n", common) == (STORY, 2)
    assert without(f"{STORY}\n\n\n", common) == (f"{STORY}\n\n\n", 0)


def test_nothing_common_changes_nothing():
    text = f"\n\n{STORY}\n\n\n\n{STORY}  \n"
    assert without(text, set()) == without(text, np.zeros(0, dtype=np.uint64)) == without(text, {1}) == (text, 0)


def test_a_document_of_boilerplate_only_becomes_empty():
    assert without(f"{COOKIES}\n\n{COOKIES}", set(signatures(COOKIES).tolist())) == ("", 2)


def test_no_gap_of_blank_lines_is_left():
    common = set(signatures(COOKIES).tolist())
    assert without(f"a\n\n\n{COOKIES}\n\n\nb", common) == ("a\n\n\nb", 1)


def test_a_long_paragraph_stays_once_and_refrains_stay():
    long = STORY * 6
    assert once(f"{long}\n\n{STORY}\n\n{long.upper()}\n{STORY}") == (f"{long}\n\n{STORY}\n\n{STORY}", 1)
    assert once(f"{long}\n{long[::-1]}") == (f"{long}\n{long[::-1]}", 0)
