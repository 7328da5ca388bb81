"""How upwell's own tokenizers cut text into words, and how bytes are spelled in the files of byte-level ones.

Regular expressions in the spelling of the `tokenizers` library (Oniguruma). Files keep the rules that they were made
with; a change here changes new tokenizers only.
"""

SPACE = "\u2581"  # Unigram's spelling of a space

# Merges never cross these borders. Han characters are words of their own beside other letters, because a
# Chinese sentence that holds a Latin name has no spaces around it; at most two digits, so that numbers are
# cut alike everywhere and do not fill a small vocabulary; white space that leads a line (code) stays in one
# piece.
PIECES = "|".join(
    (
        r"'(?:[sdmtSDMT]|ll|LL|ve|VE|re|RE)(?!\p{L})",  # English endings: 's, 'll
        r"\p{Han}+",
        r"[^\r\n\p{L}\p{N}]?[\p{L}\p{M}&&[^\p{Han}]]+",  # a word with the space or sign before it
        r" ?\p{N}{1,2}",
        r" ?[^\s\p{L}\p{N}]+[\r\n]*",  # signs, with the line's end after them
        r"\s*[\r\n]+",
        r"\s+(?!\S)",
        r"\s+",
    )
)

# As PIECES, in the spelling in which spaces are U+2581.
UNIGRAM_PIECES = "|".join(
    (
        r"\p{Han}+",
        rf"{SPACE}?[\p{{L}}\p{{M}}&&[^\p{{Han}}]]+",
        rf"{SPACE}?\p{{N}}{{1,2}}",
        rf"{SPACE}?[^\s{SPACE}\p{{L}}\p{{M}}\p{{N}}]+",
        rf"{SPACE}+(?={SPACE}[^\s{SPACE}])",  # leading white space; the last space goes with what follows
        rf"{SPACE}+",
        r"[\r\n]+",
        r"\s+",
    )
)


def byte_alphabet() -> dict[str, int]:
    """GPT-2's spelling of bytes as visible characters: Latin-1's own where visible, else 256 and onward."""
    visible = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    hidden = [byte for byte in range(256) if byte not in visible]
    return {chr(byte): byte for byte in visible} | {chr(256 + n): byte for n, byte in enumerate(hidden)}
