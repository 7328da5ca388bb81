"""Three kinds of tokenizers, each learnt from texts by the same call, each as files that transformers opens.

    bpe         byte-level merges (GPT): every text comes back exactly; for decoders and everything else
    unigram     the likeliest pieces (SentencePiece), bytes for unknown characters: every text comes back exactly but
                for the sign U+2581, which stands for a space; for encoder-decoders
    wordpiece   whole words and ## pieces (BERT): white space is lost, rare signs become [UNK]; for encoders

All cut Chinese characters from other letters and keep words apart; bpe and unigram cut numbers into pairs of digits and
keep the white space that leads a line (code) in one piece. The same texts give the same tokenizer, in any order.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import tokenizers
from tokenizers import AddedToken, Regex, decoders, models, normalizers, pre_tokenizers, processors, trainers

from upwell.errors import DataError
from upwell.tokens import markers, unigram
from upwell.tokens import tokenizer as bpe
from upwell.tokens.rules import SPACE, UNIGRAM_PIECES
from upwell.tokens.tokenizer import Tokenizer, beside
from upwell.tokens.words import counted, letters

KINDS = ("bpe", "wordpiece", "unigram")
NORMAL_FORMS = ("", "nfc", "nfkc")
BERT = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
SENTENCEPIECE = ("<unk>", "<s>", "</s>", "<pad>")
BYTES = tuple(f"<0x{byte:02X}>" for byte in range(256))
COVERED = 0.9995    # share of all characters that are pieces of their own; SentencePiece's usual one
SEEDS = 4           # times as many pieces to begin with as are wanted
LONGEST_PIECE = 16
NO_PIECE = -10_000.0    # the score of what no text may turn into: special tokens, bytes
PRINTED = "".join(map(chr, range(33, 127)))


@dataclass(frozen=True)
class Wanted:
    """What kind of tokenizer."""

    vocab_size: int = 4096
    """How many tokens, special ones and bytes included."""
    kind: str = "bpe"
    """One of KINDS."""
    special: tuple[str, ...] = ()
    """Special tokens beside those that the kind has anyway."""
    lowercase: bool = False
    """Capital letters become small ones (wordpiece: accents go too); they do not come back."""
    normal_form: str = ""
    """nfc or nfkc: one spelling for characters that have several; nfkc also makes full-width signs plain."""

    def __post_init__(self):
        for name, value, known in (("kind", self.kind, KINDS), ("normal_form", self.normal_form, NORMAL_FORMS)):
            if value not in known:
                raise DataError(f"{name} is {value!r}; expected {', '.join(filter(None, known))}.")


def train(texts: Sequence[str], wanted: Wanted) -> Tokenizer:
    """A tokenizer of the wanted kind; a corpus too small for the size gives fewer tokens (see `.vocab_size`).

    Raises DataError for a size that cannot hold what must be there, and for strings that cannot be special tokens.
    """
    own = {"bpe": (bpe.END,), "wordpiece": BERT, "unigram": SENTENCEPIECE}[wanted.kind]
    markers.check(wanted.special, own)
    if wanted.kind == "bpe":
        return bpe.train(texts, wanted.vocab_size, special=wanted.special, normalizer=_normalizer(wanted))
    return (wordpiece if wanted.kind == "wordpiece" else sentencepiece)(texts, wanted)


def wordpiece(texts: Sequence[str], wanted: Wanted) -> Tokenizer:
    """BERT's kind (Schuster and Nakajima 2012; Devlin et al. 2019): text is cut at spaces and signs, each Chinese
    character is a word, and a word is the longest pieces from left to right, all but the first with ## before them."""
    special, cut = [*BERT, *wanted.special], pre_tokenizers.BertPreTokenizer()
    normalizer = normalizers.BertNormalizer(lowercase=wanted.lowercase)
    if wanted.normal_form:
        normalizer = normalizers.Sequence([_form(wanted), normalizer])
    words = counted(texts, normalizer, cut)
    alphabet = letters(words, most=wanted.vocab_size // 2)
    following = sorted({letter for word, _ in words for letter in word[1:]} & set(alphabet))
    needed = len(special) + len(alphabet) + len(following)
    if needed > wanted.vocab_size:
        raise DataError(f"A vocabulary of {wanted.vocab_size} cannot hold {len(special)} special tokens and the "
                        f"{len(alphabet)} characters of the text, alone and behind others; ask for {needed} or more.")
    inner = tokenizers.Tokenizer(models.WordPiece({}, unk_token="[UNK]"))
    inner.normalizer, inner.pre_tokenizer = normalizer, cut
    trainer = trainers.WordPieceTrainer(  # characters are named, since the library would number them by chance
        vocab_size=wanted.vocab_size, special_tokens=[*special, *(f"##{letter}" for letter in following)],
        initial_alphabet=alphabet, limit_alphabet=len(alphabet), min_frequency=2, show_progress=False,
    )  # fmt: skip
    inner.train_from_iterator(texts, trainer)
    made = tokenizers.Tokenizer(models.WordPiece(inner.get_vocab(), unk_token="[UNK]"))
    made.normalizer, made.pre_tokenizer, made.decoder = normalizer, cut, decoders.WordPiece(cleanup=False)
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    made.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in special])
    named = {"pad": "[PAD]", "unk": "[UNK]", "cls": "[CLS]", "sep": "[SEP]", "mask": "[MASK]"}
    return Tokenizer(made.to_str(pretty=True), beside(named))


def sentencepiece(texts: Sequence[str], wanted: Wanted) -> Tokenizer:
    """SentencePiece's Unigram (Kudo 2018), without its normalisation and its space before the first word, so that
    every text comes back; a character that is no piece becomes its UTF-8 bytes."""
    special, normalizer = [*SENTENCEPIECE, *wanted.special], _normalizer(wanted)
    fixed = len(special) + len(BYTES)
    if wanted.vocab_size < fixed + len(PRINTED) + 1:
        raise DataError(f"A vocabulary of {wanted.vocab_size} cannot hold {len(special)} special tokens, 256 bytes and "
                        f"the {len(PRINTED) + 1} plain signs; ask for {fixed + len(PRINTED) + 1} or more.")
    spaces = pre_tokenizers.Metaspace(replacement=SPACE, prepend_scheme="never", split=False)
    cut = pre_tokenizers.Sequence([spaces, pre_tokenizers.Split(Regex(UNIGRAM_PIECES), behavior="isolated")])
    words, size = counted(texts, normalizer, cut), wanted.vocab_size - fixed
    alphabet = dict.fromkeys([SPACE, *PRINTED, *letters(words, COVERED)])
    alphabet = list(alphabet)[: max(size // 2, len(PRINTED) + 1)]
    pieces = unigram.learn(words, [*alphabet, *_seeds(texts, normalizer, cut, alphabet, SEEDS * size)], size)
    vocabulary = [(token, NO_PIECE) for token in (*special, *BYTES)] + pieces
    made = tokenizers.Tokenizer(models.Unigram(vocabulary, unk_id=0, byte_fallback=True))
    made.pre_tokenizer = cut
    if normalizer is not None:
        made.normalizer = normalizer
    made.decoder = decoders.Sequence([decoders.Replace(SPACE, " "), decoders.ByteFallback(), decoders.Fuse()])
    made.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in special])
    named = {"bos": "<s>", "eos": "</s>", "unk": "<unk>", "pad": "<pad>"}
    return Tokenizer(made.to_str(pretty=True), beside(named), "</s>")


def _seeds(texts: Sequence[str], normalizer, cut, alphabet: Sequence[str], count: int) -> list[str]:
    """Pieces that byte-pair merging finds over characters, by age."""
    inner = tokenizers.Tokenizer(models.BPE())
    inner.pre_tokenizer = cut
    if normalizer is not None:
        inner.normalizer = normalizer
    inner.train_from_iterator(texts, trainers.BpeTrainer(
        vocab_size=len(alphabet) + count, initial_alphabet=list(alphabet), limit_alphabet=len(alphabet),
        min_frequency=2, max_token_length=LONGEST_PIECE, show_progress=False,
    ))  # fmt: skip
    return sorted(inner.get_vocab(), key=inner.get_vocab().get)


def _normalizer(wanted: Wanted) -> normalizers.Normalizer | None:
    steps = [_form(wanted)] if wanted.normal_form else []
    steps += [normalizers.Lowercase()] if wanted.lowercase else []
    return None if not steps else steps[0] if len(steps) == 1 else normalizers.Sequence(steps)


def _form(wanted: Wanted) -> normalizers.Normalizer:
    return normalizers.NFC() if wanted.normal_form == "nfc" else normalizers.NFKC()
