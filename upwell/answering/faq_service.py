"""A visitor's message -> what is said to it, over a whole conversation: the FAQ as customers meet it.

    service = Service(matcher, misses, webhook)
    reply = service.ask("How long does delivery take?")
    reply = service.ask("and abroad?", reply.conversation)

What cannot be answered is logged, every time; a person is called once in a conversation. Thread-safe. Knows nothing of
HTTP.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from . import faq_talk
from .faq import LONGEST, NOTHING, Decision, Matcher, Near, check, is_han
from .faq_entries import Entry
from .faq_handover import Webhook
from .faq_misses import Misses
from .faq_talk import Conversation, Conversations
from .followups import standalone

WORDS = {
    "en": {
        "ask": "Did you mean one of these?", "ask_one": "Did you mean this?",
        "hand_over": "I don't have an answer to that.", "called": "I have passed it on to a person.",
        "already": "It is with a person already.", "greet": "Hello! What would you like to know?",
        "thanks": "You are welcome.",
    },
    "zh": {
        "ask": "您想问的是下面哪一个？", "ask_one": "您想问的是这个吗？", "hand_over": "这个问题我回答不了。",
        "called": "已经转给人工客服。", "already": "人工客服已经收到，请稍候。", "greet": "您好！请问有什么可以帮您？",
        "thanks": "不客气。",
    },
}  # fmt: skip


@dataclass(frozen=True)
class Reply:
    """What is said to a message."""

    kind: str
    """answer, ask (back), hand_over, or greet (a greeting or thanks, which ask nothing)."""
    text: str
    entry: Entry | None
    options: tuple[Near, ...]
    """What is asked back."""
    score: float
    margin: float
    conversation: str


class Service:
    """A matcher with a memory, a log and a bell. contact: what is said beside "I don't know", as "Call 555-0100."."""

    def __init__(self, matcher: Matcher, misses: Misses | None = None, webhook: Webhook | None = None,
                 contact: str = "", conversations: Conversations | None = None):  # fmt: skip
        self.matcher, self.misses, self.webhook, self.contact = matcher, misses, webhook, contact
        self.conversations = conversations or Conversations()

    def close(self) -> None:
        """Send what waits, and give the log's file back."""
        if self.webhook is not None:
            self.webhook.close()
        if self.misses is not None:
            self.misses.close()

    def ask(self, message: str, conversation: str | None = None) -> Reply:
        """What is said to a message. An unknown or old conversation begins anew. DataError for what is no message."""
        check(message)
        talk = self.conversations.find(conversation)
        with talk.lock:
            if any(map(str.isalpha, message)) or not talk.language:
                talk.language = "zh" if is_han(message) else "en"
            reply = self._reply(message, talk)
            talk.remember(message, reply.text)
            return reply

    def _reply(self, message: str, talk: Conversation) -> Reply:
        """By what was asked back, by courtesy, by a wish for a person, else by matching."""
        picked = faq_talk.chosen(message, len(talk.options)) if talk.options else None
        if picked == faq_talk.NONE:
            return self._hand_over(talk.question, NOTHING, "none of those", talk)
        if picked is not None:
            entry = talk.options[picked]
            return self._answer(talk.question, Decision("answer", entry, (Near(entry, 1.0),), 1.0, 1.0), talk)
        for kind, said in (("greet", faq_talk.greets(message)), ("thanks", faq_talk.thanks(message))):
            if said:
                return Reply("greet", WORDS[talk.language][kind], None, (), 0.0, 0.0, talk.id)
        decision, question = self._decided(message, talk)
        if faq_talk.wants_person(message) and (decision.kind != "answer" or decision.entry == talk.entry):
            return self._hand_over(question, decision, "wants a person", talk)
        if decision.kind == "answer":
            return self._answer(question, decision, talk)
        return self._ask(question, decision, talk) if decision.kind == "ask" else \
            self._hand_over(question, decision, "no answer", talk)  # fmt: skip

    def _decided(self, message: str, talk: Conversation) -> tuple[Decision, str]:
        """The decision about a message, or about what it means after what was said, and the question that it is."""
        decision = self.matcher.match(message)
        if decision.kind == "answer":
            return decision, message
        if talk.options:
            among = self.matcher.among(message, talk.options)
            if among.kind == "answer" and among.score >= self.matcher.settings.least:
                return among, talk.question
        if talk.question and talk.entry is not None and faq_talk.goes_on(message):
            for whole in self._completed(message, talk):
                found = self.matcher.match(whole)
                if found.kind == "answer" or found.kind == "ask" and decision.kind == "hand_over":
                    return found, whole
        return decision, message

    def _completed(self, message: str, talk: Conversation) -> Sequence[str]:
        """A short message with what it leaves out, in two ways."""
        whole = standalone(message, [{"role": "user", "content": talk.question}])
        both = (whole, f"{talk.question} {message}") if whole != message else (f"{talk.question} {message}",)
        return [one for one in both if len(one) <= LONGEST]

    # ---- what becomes of it ----

    def _answer(self, question: str, decision: Decision, talk: Conversation) -> Reply:
        talk.options, talk.entry, talk.question = (), decision.entry, question
        return Reply("answer", decision.entry.answer, decision.entry, (), decision.score, decision.margin, talk.id)

    def _ask(self, question: str, decision: Decision, talk: Conversation) -> Reply:
        talk.options, talk.question = tuple(one.entry for one in decision.others), question
        text = WORDS[talk.language]["ask" if len(talk.options) > 1 else "ask_one"]
        return Reply("ask", text, None, decision.others, decision.score, decision.margin, talk.id)

    def _hand_over(self, question: str, decision: Decision, reason: str, talk: Conversation) -> Reply:
        """Log it; call a person, if that was not done before in this conversation."""
        if self.misses is not None:
            self.misses.add(question, decision, reason, talk.id)
        said = WORDS[talk.language]
        told = [said["hand_over"]]
        if talk.handed_over:
            told.append(said["already"])
        elif self.webhook is not None and self.webhook.send(self._event(question, decision, reason, talk)):
            talk.handed_over = True
            told.append(said["called"])
        text = ("" if talk.language == "zh" else " ").join([*told, *([self.contact] if self.contact else [])])
        talk.options = ()
        return Reply("hand_over", text, None, (), decision.score, decision.margin, talk.id)

    def _event(self, question: str, decision: Decision, reason: str, talk: Conversation) -> dict:
        """What the person is told. It goes to the owner alone, so nothing in it is masked."""
        nearest = [{"id": one.entry.id, "question": one.entry.question, "score": round(one.score, 4)}
                   for one in decision.others]  # fmt: skip
        return {"type": "hand_over", "conversation": talk.id, "reason": reason, "question": question,
                "language": talk.language, "score": round(decision.score, 4), "margin": round(decision.margin, 4),
                "nearest": nearest,
                "turns": [{"message": message, "answer": answer} for message, answer in talk.turns]}  # fmt: skip
