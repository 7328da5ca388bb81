"""What was said before: conversations by an id of ours, bounded in number and age; and what short messages mean.

    talk = Conversations().find(id)     # a new one where the id is unknown or too old
    chosen(text, 2)                     # "the second", "2", "第二个" -> 1; NONE for "neither"; None for anything else

A conversation knows what was asked back, which entry was given last, and whether it was handed over. Knows nothing of
how questions are matched.
"""

import re
import secrets
import threading
import time
import unicodedata
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from .faq_entries import Entry, folded

MOST, AGE = 2000, 30 * 60.0  # conversations, seconds since something was last said
TURNS = 20
NONE = -1
NUMBERS = (
    ("1", "first", "1st", "one", "一", "former", "前者", "前面", "前一", "上面"),
    ("2", "second", "2nd", "two", "二", "两", "后者", "latter", "后面", "后一", "下面"),
    ("3", "third", "3rd", "three", "三"), ("4", "fourth", "4th", "four", "四"), ("5", "fifth", "5th", "five", "五"),
)  # fmt: skip
NUMBER = {word: number for number, words in enumerate(NUMBERS) for word in words}
PICKED = re.compile(
    r"(?:(?:i )?(?:mean|meant|choose|take|want) )?(?:the |number |no |option |question |answer ){0,3}"
    r"([1-5]|first|1st|one|second|2nd|two|third|3rd|three|fourth|4th|four|fifth|5th|five|former|latter|last)"
    r"(?: one| question| option){0,2}(?: please| thanks| thank you)?"
)
PICKED_HAN = re.compile(
    "我?(?:想问的?|要问的?|问的?|选择?|要)?是?第?([1-5一二三四五两]|前者|后者|前面|后面|前一|后一|上面|下面|最后)"
    "的?那?一?(?:个|条|项|种)?(?:问题)?(?:吧|谢谢)?"
)
NEITHER = frozenset(map(folded, (
    "no", "none", "none of them", "none of these", "none of those", "neither", "neither of them", "nope", "not that",
    "something else", "都不是", "都不对", "不是", "不对", "两个都不是", "都没有", "没有", "其他", "其他问题", "别的",
    "不是这个",
)))  # fmt: skip
YES = frozenset(map(folded, (
    "yes", "yeah", "yep", "yes please", "right", "correct", "exactly", "that one", "ok", "okay", "sure", "是", "是的",
    "对", "对的", "嗯", "没错", "好", "好的", "就是这个",
)))  # fmt: skip
GREETING = re.compile(
    "(?:hi|hello|hey|good (?:morning|day|afternoon|evening))(?: there)?|"
    "(?:你好|您好)呀?|在吗|你好 ?在吗|早上好|下午好|晚上好|哈喽|嗨"
)
THANKS = re.compile(
    "(?:ok(?:ay)? )?(?:many )?(?:thanks|thank you|thx|cheers)(?: so much| very much| a lot)?|bye(?: bye)?|goodbye|"
    "(?:好的)? ?(?:谢谢|多谢|感谢)[你您了啦]?|再见|拜拜"
)
PERSON = re.compile(
    r"(?:talk|speak|chat|connect|call|transfer|write|get)\b.{0,30}\b(?:human|person|someone|somebody|agent|operator|"
    r"representative|employee|staff)\b|(?:real|live|actual) (?:human|person|agent)|转?接?人工|真人|找客服|转客服"
)
PERSON_ALONE = re.compile(
    "(?:a )?(?:human|agent|operator|representative|person|人工客服|人工服务|客服)(?: please)?"
)
GOES_ON = re.compile(
    r"(?:and|or|but|also|what about|how about|same for|what if|then|only)\b|那|还有|如果|要是|换成|或者|另外"
)
POINTS = re.compile(r"\b(?:it|that|they|them|those|this|these|there)\b|它|这个|那个|这些|那些")


@dataclass
class Conversation:
    """What one visitor said so far. Hold the lock while a message is answered."""

    id: str
    touched: float
    options: tuple[Entry, ...] = ()
    """What was asked back last and not chosen yet."""
    entry: Entry | None = None
    """What was answered last."""
    question: str = ""
    """What was asked for it."""
    language: str = ""
    handed_over: bool = False
    turns: list[tuple[str, str]] = field(default_factory=list)
    """(message, answer), the last few."""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def remember(self, message: str, answer: str) -> None:
        """Keep a turn."""
        self.turns = [*self.turns, (message, answer)][-TURNS:]


class Conversations:
    """Conversations by their ids; the ones that were silent the longest go first. Thread-safe."""

    def __init__(self, most: int = MOST, age: float = AGE, clock: Callable[[], float] = time.monotonic):
        self.most, self.age, self.clock = most, age, clock
        self._kept: OrderedDict[str, Conversation] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._kept)

    def find(self, id: str | None) -> Conversation:
        """The conversation of that id, or a new one under an id that nobody can guess."""
        with self._lock:
            now = self.clock()
            while self._kept and next(iter(self._kept.values())).touched < now - self.age:
                self._kept.popitem(last=False)
            found = self._kept.get(id or "") or Conversation(secrets.token_urlsafe(18), now)
            found.touched, self._kept[found.id] = now, found
            self._kept.move_to_end(found.id)
            while len(self._kept) > self.most:
                self._kept.popitem(last=False)
            return found


def chosen(text: str, count: int) -> int | None:
    """Which of `count` options a message picks, from 0; NONE for none of them; None where it picks nothing."""
    said = plain(text)
    if folded(text) in NEITHER:
        return NONE
    if folded(text) in YES:
        return 0 if count == 1 else None
    found = PICKED.fullmatch(said) or PICKED_HAN.fullmatch(folded(text))
    if not found:
        return None
    number = count - 1 if found[1] in ("last", "最后") else NUMBER[found[1]]
    return number if number < count else None


def goes_on(text: str) -> bool:
    """Whether a message is short and leaves out what it is about: "and for two?", "那电动车呢"."""
    said = plain(text)
    han = sum("\u3400" <= sign <= "\u9fff" for sign in said)
    if len(said.split()) > 8 or han > 12:
        return False
    return bool(GOES_ON.match(said) or POINTS.search(said) or said.endswith("呢"))


def greets(text: str) -> bool:
    """Whether a message is a greeting and nothing else."""
    return bool(GREETING.fullmatch(plain(text)))


def thanks(text: str) -> bool:
    """Whether a message is thanks or a good-bye and nothing else."""
    return bool(THANKS.fullmatch(plain(text)))


def wants_person(text: str) -> bool:
    """Whether somebody wants to speak with a person."""
    said = plain(text)
    return bool(PERSON_ALONE.fullmatch(said) or len(said) <= 120 and PERSON.search(said))


def plain(text: str) -> str:
    """A message in small letters, without punctuation."""
    said = unicodedata.normalize("NFKC", text).casefold()
    return " ".join("".join(sign if unicodedata.category(sign)[0] in "LMN" else " " for sign in said).split())
