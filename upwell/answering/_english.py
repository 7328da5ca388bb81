"""What an English sentence or heading asks for; "" where no rule is sure.

    defined("A socket is an end of a connection.")   -> "What is a socket?"
    numbered("The free trial lasts 30 days.")        -> "How long does the free trial last?"
    headed("Installing a plugin")                    -> "How do I go about installing a plugin?"

Sentences and headings come without markup, in one line. Every pattern is tried at the beginning of the text alone, and
its repetitions are bounded.
"""

import re
from collections.abc import Callable

NAME = r"[^\s,;:.!?()]{1,40}(?:\.[^\s,;:.!?()]{1,40}){0,3}"
SUBJECT = rf"(?P<s>{NAME}(?: {NAME}){{0,6}}?)"
SAYS = re.compile(
    rf"{SUBJECT} (?P<v>is|are) (?=(?:an?|one of|any|used|the (?:name|part|set|process|act|way|number|place|unit)) )"
)
POINTING = frozenset(
    "it this that there he she they we you i what which who whom whose here these those one each all both such if when "
    "while as in on at for to from with by some any no not only another other its their his her our your my and or "
    "but so because since note also thus then however otherwise how why where nothing everything something anyone "
    "before after until unless although though during first second next finally instead below above most many more "
    "same every behind over under between within beside besides without about via per inside outside against across "
    "measured".split()
)
JOINING = frozenset(
    "that which who whom if when because where while there it they you we this these such is are was".split()
)
VAGUE = frozenset(
    "introduction overview summary notes note example examples contents conclusion background details description "
    "usage references appendix changelog license licence faq glossary index acknowledgements misc miscellaneous "
    "others other general more resources links abstract about new deprecated removed".split()
)
VERBS = frozenset(
    "add apply build buy call cancel change check choose clean close compare configure connect copy create cut define "
    "delete deploy download edit enable export extend fetch find fix get import install keep load log make manage "
    "move open order pay prepare print read register remove rename repair replace request reset restore return run "
    "save search sell send serve set setup share show sign start stop store submit test train translate turn uninstall "
    "update upgrade upload use view watch write".split()
)
THINGS = frozenset(
    "string thing king ring spring during nothing something anything everything morning evening wing meeting building "
    "ceiling wedding pricing billing shipping".split()
)  # end as what one does, and are none

NUMBER = re.compile(r"\d+(?:[.,:/-]\d+)*")
N = r"\d{1,3}(?:[.,]?\d{1,3}){0,4}"
ABOUT = r"(?:(?:about|around|up to|at least|at most|only|roughly|over|nearly|exactly) )?"
MONEY = rf"(?:[$€£¥] ?{N}|{N} ?(?:[€£¥]|euros?\b|dollars?\b|cents?\b|USD|EUR))"
TIME = r"(?P<t>(?:milli)?seconds?|minutes?|hours?|(?:(?:working|business|calendar) )?days?|weeks?|months?|years?)\b"
HAVE = {"has": "have"} | {
    f"{verb}s": verb for verb in "hold contain need support include offer require provide accept".split()
}
HAVE |= {verb: verb for verb in HAVE.values()}
YEAR = r"(?:1[5-9]|20)\d\d\b"
DONE = r"[a-z]{1,14}(?:ed|en|un|ought|uilt|ade)"


def _do(match: re.Match) -> str:
    """The auxiliary of the sentence's verb."""
    return "does" if match["v"].endswith("s") else "do"


def _yours(match: re.Match) -> str:
    """The sentence says "you" where the question says "I"."""
    return re.sub(r"\byour?\b", lambda word: "my" if word[0] == "your" else "me", match["s"])


RULES: tuple[tuple[re.Pattern, Callable[[re.Match], str]], ...] = (
    (re.compile(rf"{SUBJECT} (?P<v>takes?|lasts?) {ABOUT}{N} {TIME}"),
     lambda m: f"How long {_do(m)} {low(m['s'])} {m['v'].rstrip('s')}?"),
    (re.compile(rf"{SUBJECT} (?P<v>costs?) {ABOUT}{MONEY}"), lambda m: f"How much {_do(m)} {low(m['s'])} cost?"),
    (re.compile(rf"{SUBJECT} (?P<v>weighs?) {ABOUT}{N}"), lambda m: f"How much {_do(m)} {low(m['s'])} weigh?"),
    (re.compile(rf"{SUBJECT} (?P<v>{'|'.join(HAVE)}) {ABOUT}{N} (?P<o>[a-z]{{3,20}}s)\b"),
     lambda m: f"How many {m['o']} {_do(m)} {low(m['s'])} {HAVE[m['v']]}?"),
    (re.compile(rf"{SUBJECT} (?P<v>is|are) {ABOUT}{N} \w{{1,12}} (?P<o>long|wide|high|deep|old|tall|thick)\b"),
     lambda m: f"How {m['o']} {m['v']} {low(m['s'])}?"),
    (re.compile(rf"{SUBJECT} (?P<v>is|are) (?P<o>[a-z]{{3,12}}) for {ABOUT}{N} {TIME}"),
     lambda m: f"For how long {m['v']} {low(m['s'])} {m['o']}?"),
    (re.compile(rf"{SUBJECT} (?P<v>was|were) (?:first )?(?P<o>{DONE}) (?:in|on) (?:[A-Z][a-z]{{2,8}} )?{YEAR}"),
     lambda m: f"When {m['v']} {low(m['s'])} {m['o']}?"),
    (re.compile(rf"You (?P<v>can|may|must) (?P<s>[a-z][^,;:.!?()]{{3,60}}?) within {N} {TIME}"),
     lambda m: f"Within how many {m['t'].rstrip('s')}s {m['v']} I {_yours(m)}?"),
)  # fmt: skip


def defined(sentence: str) -> str:
    """The question that a definition answers."""
    match = SAYS.match(sentence)
    return f"What {match['v']} {low(match['s'])}?" if match and names(match["s"]) else ""


def numbered(sentence: str) -> str:
    """The question that the one number of a sentence answers."""
    if len(NUMBER.findall(sentence)) != 1:
        return ""
    for pattern, question in RULES:
        match = pattern.match(sentence)
        if match and (match["v"] in ("can", "may", "must") or names(match["s"])):
            return question(match)
    return ""


def headed(heading: str, above: str = "") -> str:
    """The question that what stands below a heading answers. above: the heading over it, which one word needs."""
    words = heading.split()
    first = words[0].lower()
    if heading.lower() in VAGUE:
        return ""
    if heading.lower().startswith("how to ") and len(words) > 3:
        return f"How do I {heading[7:]}?"
    if first in VERBS and len(words) > 1:
        return f"How do I {low(heading)}?"
    if first.endswith("ing") and len(first) > 4 and first not in THINGS and len(words) > 1:
        return f"How do I go about {low(heading)}?"
    if len(words) > 8 or not any(word.isalpha() for word in words) or first in POINTING or "(" in heading:
        return ""
    within = f" in {low(above)}" if len(words) == 1 and above.isascii() and above.lower() not in {"", *VAGUE} else ""
    return f"What should I know about {low(heading)}{within}?"


def names(subject: str) -> bool:
    """Whether it names something that a reader knows without the sentences before."""
    words = subject.lower().split()
    if words[0] in POINTING or JOINING & {*words} or not any(character.isalpha() for character in subject):
        return False
    if len(words) > 1 and words[0].endswith("ing") and words[0] not in THINGS:
        return False
    return words[0] != "the" or len(words) > 2


def low(text: str) -> str:
    """The text as it stands within a sentence: a small first letter where the first word is surely no name."""
    words = text.split()
    common = words[0] in ("A", "An", "The") or words[0].lower() in VERBS or len(words) > 1 and words[1].islower()
    return text[0].lower() + text[1:] if common and words[0][1:] == words[0][1:].lower() else text
