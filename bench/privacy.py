"""How surely personal data is found: precision, recall and F1 by kind, ours beside presidio's pattern recognisers.

    pip install faker presidio-analyzer && pip install --no-deps presidio-evaluator
    python bench/privacy.py            the table, as in docs/privacy.md
    python bench/privacy.py --speed FILE [--words FILE]   MB/s of the three steps on a text file
    python bench/privacy.py --misses   and up to five misses and false finds of ours by kind

presidio-analyzer brings spaCy; its recognisers run here over spaCy's blank English pipeline, with their context words
and their own regions for telephone numbers (China for Chinese sentences), each at the score threshold that is best for
it. A find counts where it shares three quarters of its length and of the planted value's, and has its kind.
"""

import argparse
import logging
import re
import time
from collections import Counter, defaultdict
from datetime import date
from pathlib import Path

import privacy_sentences as sentences

from upwell.text import Document
from upwell.text.privacy.find import found
from upwell.text.steps import privacy, secrets, toxic

SEED = 20261123
CHINESE = re.compile("[\u4e00-\u9fff]")
THRESHOLDS = (0.0, 0.1, 0.35, 0.5, 0.6, 0.85)
THEIRS = {
    "EMAIL_ADDRESS": "email", "CREDIT_CARD": "card", "IBAN_CODE": "iban", "IP_ADDRESS": "ip", "PHONE_NUMBER": "phone",
    "US_SSN": "id-us", "US_ITIN": "id-us", "UK_NHS": "id-uk", "UK_NINO": "id-uk", "DE_TAX_ID": "id-de",
    "ES_NIF": "id-es", "ES_NIE": "id-es", "IT_FISCAL_CODE": "id-it", "PL_PESEL": "id-pl", "IN_AADHAAR": "id-in",
    "SG_NRIC_FIN": "id-sg", "FI_PERSONAL_IDENTITY_CODE": "id-fi", "KR_RRN": "id-kr", "SE_PERSONNUMMER": "id-se",
    "CA_SIN": "id-ca",
}  # fmt: skip
CLASSES = (
    "EmailRecognizer CreditCardRecognizer IbanRecognizer IpRecognizer UsSsnRecognizer UsItinRecognizer NhsRecognizer "
    "UkNinoRecognizer DeTaxIdRecognizer EsNifRecognizer EsNieRecognizer ItFiscalCodeRecognizer PlPeselRecognizer "
    "InAadhaarRecognizer SgFinRecognizer FiPersonalIdentityCodeRecognizer KrRrnRecognizer SePersonnummerRecognizer "
    "CaSinRecognizer"
).split()
Found = list[tuple[str, int, int, float]]


def ours(text: str) -> Found:
    return [(span.kind, span.start, span.stop, 1.0) for span in found(text)]


def presidio(regions: list[str] | None):
    """A function text -> what presidio's recognisers find; None where it is not installed.

    regions: for telephone numbers; None: its own eight.
    """
    try:
        import spacy
        from presidio_analyzer import AnalyzerEngine, RecognizerRegistry, predefined_recognizers
        from presidio_analyzer.nlp_engine import NlpArtifacts, SpacyNlpEngine
    except ImportError:
        return None

    class Blank(SpacyNlpEngine):
        """spaCy without a model: words, and as their lemmas the words in small letters."""

        def __init__(self):
            super().__init__()
            self.nlp = {"en": spacy.blank("en")}

        def process_text(self, text, language):
            words = self.nlp["en"](text)
            lemmas = [word.text.lower() for word in words]
            return NlpArtifacts([], words, [word.idx for word in words], lemmas, self, language)

    registry = RecognizerRegistry(supported_languages=["en"])
    for name in CLASSES:
        registry.add_recognizer(getattr(predefined_recognizers, name)(supported_language="en"))
    extra = {"supported_regions": regions} if regions else {}
    registry.add_recognizer(predefined_recognizers.PhoneRecognizer(supported_language="en", **extra))
    engine = AnalyzerEngine(registry=registry, nlp_engine=Blank(), supported_languages=["en"])
    return lambda text: [(THEIRS[found.entity_type], found.start, found.end, found.score)
                         for found in engine.analyze(text, "en", entities=list(THEIRS))]  # fmt: skip


def base(kind: str) -> str:
    """A row of the table without what is said of it: "phone (zh)" and "phone, valid" are phones."""
    return kind.split(" (")[0].split(",")[0]


def same(one: tuple, other: tuple) -> bool:
    shared = min(one[2], other[2]) - max(one[1], other[1])
    return base(one[0]) == base(other[0]) and shared >= 0.75 * max(one[2] - one[1], other[2] - other[1])


def score(planted: list, finds: list[Found], threshold: float) -> tuple[Counter, Counter, Counter, dict]:
    """Hits and misses by row; false finds by row (of a sentence's own row where it has one of that kind); examples."""
    hits, misses, false, examples = Counter(), Counter(), Counter(), defaultdict(list)
    for (text, spans), all_found in zip(planted, finds, strict=True):
        all_found = [one for one in all_found if one[3] > threshold or threshold == 0]
        for span in spans:
            hit = any(same(span, one) for one in all_found)
            (hits if hit else misses)[span[0]] += 1
            examples[span[0]] += [] if hit else [f"missed {text[span[1] : span[2]]!r} in {text!r}"]
        for one in all_found:
            if not any(same(span, one) for span in spans):
                row = next((span[0] for span in spans if base(span[0]) == one[0]), one[0])
                false[row] += 1
                examples[row].append(f"false {text[one[1] : one[2]]!r} in {text!r}")
    return hits, misses, false, examples


def figures(hits: int, misses: int, false: int) -> tuple[float, float, float]:
    """Precision, recall, F1."""
    precision, recall = hits / max(1, hits + false), hits / max(1, hits + misses)
    return precision, recall, 2 * precision * recall / max(1e-9, precision + recall)


def row_of(kind: str, planted: list, finds: list[Found], thresholds: tuple[float, ...]) -> tuple[float, float, float]:
    """The figures of one row at the threshold that gives the best F1."""
    scores = [score(planted, finds, threshold) for threshold in thresholds]
    rows = [figures(hits[kind], misses[kind], false[kind]) for hits, misses, false, _ in scores]
    return max(rows, key=lambda row: row[2])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--misses", action="store_true")
    parser.add_argument("--speed", type=Path)
    parser.add_argument("--words", default="")
    arguments = parser.parse_args()
    if arguments.speed:
        return speed(arguments.speed, arguments.words)
    show = arguments.misses
    logging.getLogger("tldextract").setLevel(logging.CRITICAL)  # it tells at length that it cannot renew its list
    planted = [*sentences.english(10, SEED), *sentences.numbers(200, SEED), *sentences.chinese(200, SEED),
               *sentences.look_alikes(60, SEED)]  # fmt: skip
    begin = time.perf_counter()
    mine = [ours(text) for text, _ in planted]
    took = time.perf_counter() - begin
    peer, chinese_peer = presidio(None), presidio(["CN"])
    begin = time.perf_counter()
    theirs = [(chinese_peer if CHINESE.search(text) else peer)(text) for text, _ in planted] if peer else []
    print(f"{date.today()}, {len(planted)} sentences, {sum(not spans for _, spans in planted)} without personal data; "
          f"ours {took:.1f} s, presidio {time.perf_counter() - begin:.1f} s\n")  # fmt: skip
    table(planted, mine, theirs, show)


def table(planted: list, mine: list[Found], theirs: list[Found], show: bool) -> None:
    counts = Counter(span[0] for _, spans in planted for span in spans)
    examples = score(planted, mine, 0)[3]
    known = set(THEIRS.values())
    print("| kind | planted | ours: precision | recall | F1 | presidio: precision | recall | F1 |")
    print("|---" * 8 + "|")
    for kind in sorted(counts | Counter(examples.keys()), key=lambda kind: (kind.endswith("(zh)"), kind)):
        cells = [f"{value:.3f}" for value in row_of(kind, planted, mine, (0.0,))]
        peer = ["-"] * 3
        if theirs and base(kind) in known:
            peer = [f"{value:.3f}" for value in row_of(kind, planted, theirs, THRESHOLDS)]
        print(f"| {kind} | {counts[kind]} | {' | '.join([*cells, *peer])} |")
    for kind, lines in examples.items() if show else ():
        print(f"\n{kind}: {len(lines)}\n  " + "\n  ".join(lines[:6]))


def speed(file: Path, words: str) -> None:
    """The best of five rounds of each step over documents of 3,000 characters, in time of one core."""
    text = file.read_text(encoding="utf-8")
    documents = [Document(text[place : place + 3000], str(file)) for place in range(0, len(text), 3000)]
    size = sum(len(document.text.encode("utf-8")) for document in documents) / 1e6
    steps = [privacy.step(privacy.Settings()), secrets.step(secrets.Settings())]
    steps.append(toxic.step(toxic.Settings(words=words)))
    times = [min(seconds(step, documents) for _ in range(5)) for step in steps]
    for name, took in zip(("privacy", "secrets", "toxic", "together"), [*times, sum(times)], strict=True):
        print(f"{name:10s} {size / took:7.1f} MB/s")


def seconds(step, documents: list[Document]) -> float:
    begin = time.process_time()
    for document in documents:
        step(document)
    return time.process_time() - begin


if __name__ == "__main__":
    main()
