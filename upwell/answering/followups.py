"""A question that leans on what was said before, as one that stands by itself. English and Chinese.

    standalone("How high is it?", history)              # "How high is the Eiffel Tower?"
    standalone("它有多高？", history, writer)            # by a chat model, if it brings in no words of its own
    together("How high is it?", history)                # what was said lately and the question: what is searched for

history: what was said, oldest first, {"role": "user" or "assistant", "content"}. Without a model a pronoun becomes what
the last question was about, "what about X?" the last question with X in it, and where that cannot be told the last
question stands in brackets behind it. A question that stands by itself stays as it is. It knows no index.
"""

import re
from collections.abc import Sequence

from ..errors import DataError, TooLong
from ..generation.backend import Backend
from ..generation.settings import Settings as Writing
from .spans import chinese, content
from .written import defused, harmless

TURNS = 6  # messages that are looked back at
SAID = 1000  # characters of each
TOGETHER = 300  # characters of each, where they are searched for with the question
LONGEST = 300  # characters of what a model makes of a question

PRONOUN = re.compile(
    r"\b(it(?!\s+(?:true|possible|allowed|safe|necessary)\b)|its|they|them|their|theirs|he|him|his|she|her|hers)\b(?!['’])|"
    r"(?<=\b(?:is|do|of|in|to) )(this|that|these|those)\b|(?<=\b(?:are|was|did|for|can) )(this|that|these|those)\b|"
    r"(?<=\b(?:were|does|with|will) )(this|that|these|those)\b|(?<=\babout )(this|that|these|those)\b",
    re.IGNORECASE,
)
POSSESSIVE = {"its", "their", "theirs", "his", "hers"}
ABOUT = re.compile(
    r"^\s*(?:(?:and|but|so|ok(?:ay)?)\b[,\s]*)?(?:what|how)\s+about\s+(.+?)[\s?.!]*$|"
    r"^\s*and\s+(?!(?:wh\w+|how|is|are|do|does|did|can|could|will|was|were|has|have)\b)"
    r"(?:(for|in|of|with|on|at|to|by)\s+)?(.+?)[\s?.!]*$",
    re.IGNORECASE,
)
VERB = re.compile(r"\b(?:is|are|am|was|were|do|does|did|can|could|will|would|shall|should|may|must|has|have|had)\b",
                  re.IGNORECASE)  # fmt: skip
THING = re.compile(r"^.*\b(?:of|on|for|about|with|in|at|from|the|an?|my|your|our)\s+(?=\w)", re.IGNORECASE | re.DOTALL)
DEMONSTRATIVE = {"this", "that", "these", "those"}
PERSON = {"he", "him", "his", "she", "her", "hers", "they", "them", "their", "theirs"}
WHO = re.compile(r"^\s*who(?:se|m)?\b", re.IGNORECASE)
NAME = re.compile(r"\b[A-Z][\w.'’-]*(?:\s+(?:of|the|de|von|van|and)(?=\s+[A-Z])|\s+[A-Z0-9][\w.'’-]*)*")
OPENING = re.compile(
    r"^\s*(?:what|who|whom|whose|when|where|why|which|how|is|are|was|were|do|does|did|can|could|has|have|had|will|would|"
    r"should|may|must|in|on|at|tell|please|and|the|a|an)\b",
    re.IGNORECASE,
)
THIRD = re.compile(
    "它们|他们|她们|它|(?<![其吉])他|她|其(?!他|它|实|中|余)|这(?:个|种|些|款|位|项|本|部)?(?!样|里|么|时)|"
    "那(?:个|种|些|款|位|项|本|部)(?!样|里|么|时)|该"
)
ABOUT_ZH = re.compile(r"^\s*(?:那么|那|还有|至于)?[，,]?\s*(.+?)\s*(?:呢|又如何|怎么样)\s*[？?。]*\s*$")
ASKING_ZH = re.compile(
    "是?(?:什么时候|什么|多少|多大|多长|多高|多久|多远|多快|哪里|哪儿|哪个|哪些|哪一?年?|谁|几.?)|为什么|怎么样|怎么|怎样|如何|在哪.?|"
    "有没有|是不是|能不能|可以|可不可以|请问|请|能否|吗|呢|有多.|[？?。，,]"
)

ASK = (
    "Rewrite the last question so that it can be understood without the conversation. Use only words of the "
    "conversation. Write the question alone."
)
ASK_ZH = "把最后一个问题改写成不看对话也能懂的问题。只用对话中的词。只写问题本身。"


def standalone(question: str, history: Sequence[dict], writer: Backend | None = None) -> str:
    """The question with what it leaves out filled in; the question itself where it leaves out nothing."""
    before = [one for one in history if one.get("content", "").strip()][-TURNS:]
    if not before or not leans(question):
        return question
    by_rule = _chinese(question, before) if chinese(question) else _english(question, before)
    if writer is None:
        return by_rule
    return _written(question, before, writer) or by_rule


def together(question: str, history: Sequence[dict]) -> str:
    """What was said lately, and the question: passages about what the talk is about are found by all of it."""
    said = [one["content"][:TOGETHER] for one in history if one.get("content", "").strip()][-TURNS:]
    return " ".join([*said, question])


def leans(question: str) -> bool:
    """Whether it cannot be understood without what was said before."""
    if chinese(question):
        return bool(THIRD.search(question) or ABOUT_ZH.match(question) or len(_topic_zh(question)) < 2)
    pronoun = PRONOUN.search(question)
    if pronoun and not _name(question[: pronoun.start()]) or ABOUT.match(question):
        return True
    words = len(content(question))
    return words < 2 and not _name(question) and not (words and VERB.search(question))


def _last(before: Sequence[dict], role: str) -> str:
    return next((one["content"][:SAID] for one in reversed(before) if one["role"] == role), "")


def _asked(before: Sequence[dict]) -> str:
    """The last question, made whole by those before it."""
    places = [at for at, one in enumerate(before) if one["role"] == "user"]
    if not places:
        return ""
    last = before[places[-1]]["content"][:SAID]
    return standalone(last, before[: places[-1]]) if places[-1] else last


# ---- English ----


def _english(question: str, before: Sequence[dict]) -> str:
    last = _asked(before)
    found, said = PRONOUN.search(question), _name(_last(before, "assistant"))
    about = ABOUT.match(question)
    if about and found is None and last:
        return _instead(last, about.group(2) or "", about.group(1) or about.group(3))
    person = found and found.group().lower() in PERSON and WHO.match(last)
    topic = (said if person else "") or _name(last) or (said if not content(last) else "")
    behind = question[found.end() :] if found else ""
    noun = bool(re.match(r"\s+[a-z]{3,}", behind))
    if not topic or found is None or found.group().lower() in DEMONSTRATIVE and noun:
        about = re.sub(r"[()]", "", topic or (_thing(last) if found else last.strip(" ?!.")))[:LONGEST]
        return f"{question.rstrip()} ({about})" if about else question  # "this engine": its own noun stays
    own = found.group().lower() in POSSESSIVE or found.group().lower() == "her" and noun
    return question[: found.start()] + (f"{topic}'s" if own else topic) + behind


def _thing(last: str) -> str:
    """What a question without a name is about: what stands behind its last little word, else all of it."""
    whole = last.strip(" ?!.")
    behind = THING.sub("", whole)
    return behind if content(behind) and len(content(behind)) < len(content(whole)) else whole


def _instead(last: str, small: str, other: str) -> str:
    """The last question about something else. small: the little word before it, as in "and for racing bikes?"."""
    place = last.rfind(f" {small} ") if small else -1
    if place >= 0:
        return f"{last[:place]} {small} {other}?"
    name = _name(last)
    return last.replace(name, other, 1) if name else f"{last} {other}"


def _name(text: str) -> str:
    """The last longest name in a text, its first word left out where that only opens a question."""
    opening = OPENING.match(text)
    found = [one.group() for one in NAME.finditer(text, opening.end() if opening else 0)]
    found = [re.sub(r"['’]s$", "", one.rstrip(".'’-")) for one in found if content(one)]
    return max(found, key=lambda one: len(one.split()), default="")


# ---- Chinese ----


def _chinese(question: str, before: Sequence[dict]) -> str:
    last = _asked(before)
    whole = _topic_zh(last)
    topic = whole.partition("的")[0] or whole
    if not topic:
        return question
    found = THIRD.search(question)
    if found:
        behind = question[found.end() :]
        same = next((size for size in range(len(behind), 0, -1) if topic.endswith(behind[:size])), 0)
        return question[: found.start()] + topic + behind[same:]
    about = ABOUT_ZH.match(question)
    if about and topic in last:
        return last.replace(topic, about.group(1), 1)
    return f"{topic}{question}" if _topic_zh(question) else f"{last}{question}"


def _topic_zh(text: str) -> str:
    """What a Chinese question is about: it without the words that ask."""
    return ASKING_ZH.sub(" ", text).strip().split(" ")[0]


# ---- by a model ----


def _written(question: str, before: Sequence[dict], writer: Backend) -> str:
    """The question as the model writes it; "" where it brings in words that nobody said."""
    told = "\n".join(f"{one['role']}: {defused(one['content'][:SAID])}" for one in before)
    ask = ASK_ZH if chinese(question) else ASK
    messages = [{"role": "user", "content": f"{ask}\n\n{told}\nuser: {defused(question)}"}]
    try:
        answer = writer.generate(messages, Writing(max_new=100, temperature=0.0))
        said = "".join(piece.text for piece in answer).strip().partition("\n")[0]
    except (DataError, TooLong):
        return ""
    words = content(said)
    fits = 0 < len(said) <= LONGEST and said == harmless(said) and words <= content(f"{told}\n{question}")
    return said if fits and words else ""
