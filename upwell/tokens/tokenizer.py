"""Text to token ids and back, over the `tokenizers` library.

We train byte-level BPE: every string has ids, every id sequence has bytes, nothing is unknown (WordPiece and Unigram:
see kinds). We also open the tokenizer.json of others (GPT-2, LLaMA, SentencePiece style, BERT's). A folder holds
`tokenizer.json` and `tokenizer_config.json` in the layout that transformers' AutoTokenizer opens with the
same ids.

Text never turns into special tokens by itself: a user who types <|endoftext|> gets the ids of those characters,
and no begin or end token is added unless the caller asks for it.
"""

import hashlib
import json
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property, lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import tokenizers
from tokenizers import Regex, decoders, models, normalizers, pre_tokenizers, trainers

from upwell.atomic import write_file
from upwell.errors import CheckpointError, DataError
from upwell.tokens import fast
from upwell.tokens.rules import PIECES, byte_alphabet
from upwell.tokens.words import at_once

if TYPE_CHECKING:
    from upwell.text.runner import Engine

END = "<|endoftext|>"
ALPHABET = 256
BESIDE = ("tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja")
USUAL_ENDS = (END, "</s>", "<|end_of_text|>", "<eos>", "[SEP]")


class Tokenizer:
    """Text <-> ids. Made by `train` or `Tokenizer.load`; `definition` is the text of a tokenizer.json.

    .vocab_size   one more than the highest id
    .end          id of the end-of-text token, which begins every document and so ends the one before
    .hash         SHA-256 of tokenizer.json: two tokenizers with the same hash are the same
    """

    def __init__(self, definition: str, beside: dict[str, str], end: str | int | None = None):
        self.definition, self.beside = definition, beside
        self.hash = hashlib.sha256(definition.encode()).hexdigest()
        self._inner = tokenizers.Tokenizer.from_str(definition)
        self._inner.no_truncation()  # a cut that a file asks for would lose text without a word
        self._inner.no_padding()
        self._inner.encode_special_tokens = True
        vocabulary = self._inner.get_vocab(with_added_tokens=True)
        self.vocab_size = max(vocabulary.values()) + 1
        self.end = _end_id(vocabulary, end)

    def encode(self, text: str) -> list[int]:
        """Ids of a text, without begin or end tokens."""
        return self._inner.encode(text, add_special_tokens=False).ids

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """Ids of many texts, on all cores."""
        encoded = self._inner.encode_batch_fast(list(texts), add_special_tokens=False)
        return [one.ids for one in encoded]

    def encode_stream(self, texts: Iterable[str], engine: "Engine | None" = None) -> Iterator[np.ndarray]:
        """Ids (uint32) of each text, in order: on all cores, the next million characters while these are used.

        engine: several processes, each of which remembers words of its own (text.runner, text.cluster).
        """
        if engine is not None:
            for ids, borders in engine.map(partial(_coded, self.definition, self.end), at_once(texts)):
                yield from np.split(ids, borders)
            return
        quick = fast.of(self._inner)
        first, second = (quick.learnt, quick.rows) if quick else (self._encodings, _arrays)
        with ThreadPoolExecutor(1) as ahead:
            waiting: deque = deque()
            for some in at_once(texts):
                waiting.append(ahead.submit(first, some))
                if len(waiting) > 1:
                    yield from second(*waiting.popleft().result())
            for last in waiting:
                yield from second(*last.result())

    def _encodings(self, texts: Sequence[str]) -> tuple[list[tokenizers.Encoding]]:
        return (self._inner.encode_batch_fast(texts, add_special_tokens=False),)

    def encode_source(self, text: str) -> list[int]:
        """Ids of a text as an encoder reads it: with the begin and end tokens that tokenizer.json asks for."""
        return self._inner.encode(text, add_special_tokens=True).ids

    def cut(self, text: str, special: bool = False) -> list[tuple[int, int, int]]:
        """(id, first character, character behind the last) of each token, without begin or end tokens.

        special: the strings of special tokens become those tokens; only for what nobody typed (see text/chat.py).
        """
        inner = self._trusting if special else self._inner
        found = inner.encode(text, add_special_tokens=False)
        return [(id, *place) for id, place in zip(found.ids, found.offsets, strict=True)]

    def decode(self, ids: Sequence[int]) -> str:
        """The text of ids; special tokens leave nothing, bytes that are no UTF-8 become U+FFFD."""
        return self._inner.decode([int(id) for id in ids], skip_special_tokens=True)

    def bytes_of(self, id: int) -> bytes:
        """The exact bytes that a token stands for; b"" for a special token or an id without a token.

        Joined over a text's ids they are its UTF-8 bytes. SentencePiece-style tokenizers may give one space more
        at the very beginning, which `decode` takes away. WordPiece keeps no white space: each word begins with a space.
        """
        return self._bytes.get(int(id), b"")

    def save(self, folder: str | Path, said: Mapping | None = None) -> None:
        """Write tokenizer.json and what stands beside it to a folder. Raises ServiceError for a full disk.

        said: what tokenizer_config.json says besides, such as how long a text a model reads.
        """
        for name, text in ({"tokenizer.json": self.definition} | self.beside).items():
            if name == BESIDE[0] and said:
                text = json.dumps(json.loads(text) | said, indent=2) + "\n"
            write_file(Path(folder) / name, text.encode())

    @classmethod
    def load(cls, folder: str | Path) -> "Tokenizer":
        """Open a folder that upwell or transformers wrote. Raises CheckpointError naming the file."""
        folder = Path(folder)
        path = folder / "tokenizer.json"
        if not path.is_file():
            raise CheckpointError(
                f"{folder} has no tokenizer.json; name a checkpoint folder or one by `upwell tokenizer`."
            )
        beside = {name: _read_text(folder / name) for name in BESIDE if (folder / name).is_file()}
        definition = _read_text(path)
        try:
            return cls(definition, beside, _end_of(folder))
        except CheckpointError as error:
            raise CheckpointError(f"{path}: {error}") from error
        except Exception as error:  # the library raises a bare Exception for whatever it cannot read
            raise CheckpointError(f"{path} is damaged: {error}; copy it again from its source.") from error

    @property
    def inner(self) -> tokenizers.Tokenizer:
        """The library's own object, for reading only."""
        return self._inner

    @property
    def kind(self) -> str:
        """"BPE", "WordPiece" or "Unigram", and what else the library has."""
        return type(self._inner.model).__name__

    @cached_property
    def special(self) -> dict[str, int]:
        """The strings of the special tokens, and their ids."""
        return {token.content: id for id, token in self._inner.get_added_tokens_decoder().items() if token.special}

    @cached_property
    def _trusting(self) -> tokenizers.Tokenizer:
        """The same tokenizer, to which a special token's string in a text is that token; offsets keep white space."""
        inner = tokenizers.Tokenizer.from_str(json.dumps(json.loads(self.definition) | {"post_processor": None}))
        inner.no_truncation()
        inner.no_padding()
        return inner

    @cached_property
    def _bytes(self) -> dict[int, bytes]:
        """id -> bytes of every token that is no special one."""
        to_bytes = _piece_to_bytes(json.loads(self.definition))
        added = self._inner.get_added_tokens_decoder()
        table = {}
        for piece, id in self._inner.get_vocab(with_added_tokens=True).items():
            if id in added:
                table[id] = b"" if added[id].special else added[id].content.encode()
            else:
                table[id] = to_bytes(piece)
        return table


def train(texts: Iterable[str], vocab_size: int, pieces: str = PIECES, special: Sequence[str] = (),
          normalizer: normalizers.Normalizer | None = None) -> Tokenizer:  # fmt: skip
    """A byte-level BPE tokenizer with <|endoftext|> as id 0, then the special tokens, then the learnt ones.

    texts are read once and may be a generator: memory grows with the number of different words only. The same
    texts give the same tokenizer. A corpus too small for the size gives fewer tokens: see `.vocab_size`.
    normalizer: changes texts before they are cut; None changes nothing, and every text comes back exactly.
    Raises DataError for a vocab_size that cannot hold the 256 bytes. (Sennrich, Haddow, Birch 2016; the
    byte alphabet is that of GPT-2.)
    """
    if vocab_size < ALPHABET + 1 + len(special):
        others = f", the end-of-text token and {len(special)} special ones" if special else " and the end-of-text token"
        raise DataError(
            f"A vocabulary of {vocab_size} cannot hold the {ALPHABET} bytes{others}; "
            f"ask for at least {ALPHABET + 1 + len(special)}, for real text 2,000 or more."
        )
    inner = tokenizers.Tokenizer(models.BPE())
    if normalizer is not None:
        inner.normalizer = normalizer
    split = pre_tokenizers.Split(Regex(pieces), behavior="isolated")
    bytes_of_pieces = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    inner.pre_tokenizer = pre_tokenizers.Sequence([split, bytes_of_pieces])
    inner.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[END, *special],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        min_frequency=2,
        show_progress=False,
    )
    inner.train_from_iterator(texts, trainer)
    return Tokenizer(inner.to_str(pretty=True), beside({"bos": END, "eos": END, "pad": END}), END)


def beside(named: Mapping[str, str]) -> dict[str, str]:
    """tokenizer_config.json by its name. named: which special token is the "bos", "eos", "pad" ..."""
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        **{f"{name}_token": token for name, token in named.items()},
        "clean_up_tokenization_spaces": False,
        "add_prefix_space": False,
        "model_max_length": 1 << 30,
    }
    return {BESIDE[0]: json.dumps(config, indent=2) + "\n"}


def _arrays(encodings: Iterable[tokenizers.Encoding]) -> Iterator[np.ndarray]:
    return (np.array(one.ids, dtype=np.uint32) for one in encodings)


def _end_of(folder: Path) -> str | int | None:
    """What a folder says its end-of-text token is: eos_token by name, else eos_token_id by number."""
    named = _read_json(folder / "tokenizer_config.json").get("eos_token")
    named = named.get("content") if isinstance(named, dict) else named
    if named is not None:
        return named
    for name in ("generation_config.json", "config.json"):
        id = _read_json(folder / name).get("eos_token_id")
        id = id[0] if isinstance(id, list) and id else id
        if isinstance(id, int):
            return id
    return None


def _end_id(vocabulary: dict[str, int], end: str | int | None) -> int:
    if isinstance(end, int):
        return end
    for name in USUAL_ENDS if end is None else (end,):
        if name in vocabulary:
            return vocabulary[name]
    raise CheckpointError(
        f"the end-of-text token {end or 'of none of the usual names'} is not in the vocabulary; "
        "name it as eos_token in tokenizer_config.json."
    )


def _read_text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{path} cannot be read ({error}); copy it again from its source.") from error


def _read_json(path: Path) -> dict:
    if not path.is_file():
        return {}
    try:
        content = json.loads(_read_text(path))
    except ValueError as error:
        raise CheckpointError(f"{path} is no JSON ({error}); copy it again from its source.") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{path} holds no JSON object; copy it again from its source.")
    return content


def _piece_to_bytes(definition: dict):
    """The function from a vocabulary's spelling of a token to its bytes, by what the decoder says it is."""
    kinds = _kinds(definition.get("decoder")) | _kinds(definition.get("pre_tokenizer"))
    if "ByteLevel" in kinds:
        table = byte_alphabet()
        return lambda piece: bytes(table[character] for character in piece)
    if "ByteFallback" in kinds or "Metaspace" in kinds:
        return _from_sentencepiece
    if "WordPiece" in kinds:
        return _from_wordpiece
    raise CheckpointError(
        "the tokens' bytes are unknown: expected a byte-level, SentencePiece-style or WordPiece tokenizer, "
        f"found {', '.join(sorted(kinds)) or 'no decoder'}."
    )


def _from_sentencepiece(piece: str) -> bytes:
    if len(piece) == 6 and piece.startswith("<0x") and piece.endswith(">"):
        return bytes([int(piece[3:5], 16)])
    return piece.replace("\u2581", " ").encode()


def _from_wordpiece(piece: str) -> bytes:
    return piece[2:].encode() if piece.startswith("##") and len(piece) > 2 else f" {piece}".encode()


def _kinds(part: dict | None) -> set[str]:
    if not part:
        return set()
    inner = part.get("decoders", []) + part.get("pretokenizers", [])
    return {part.get("type", "")}.union(*(_kinds(one) for one in inner))


@lru_cache(1)
def _coder(definition: str, end: int) -> Callable[[Sequence[str]], list[np.ndarray]]:
    """What gives the ids of texts in a process that has this work alone."""
    tokenizer = Tokenizer(definition, {}, end)
    quick = fast.of(tokenizer.inner)
    return quick.encode if quick else lambda texts: _arrays(*tokenizer._encodings(texts))


def _coded(definition: str, end: int, texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """The ids of texts one behind the other, and where each begins but the first."""
    found = list(_coder(definition, end)(texts))
    return np.concatenate(found), np.cumsum([len(ids) for ids in found[:-1]], dtype=np.int64)
