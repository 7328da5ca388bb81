"""Manifests as a prepared folder has them, for the tests of the report: a usual one, extremes, and a hostile one."""

EDGES = [0, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000, 100_000]

HOSTILE = (
    "<script>window.pwned = 1</script>", "<img src=x onerror='window.pwned = 1'>", "<svg onload=\"window.pwned = 1\">",
    "</span></details></style><script>window.pwned = 1</script>", "\"><b onmouseover='window.pwned = 1'>x</b>",
    "<a href='javascript:window.pwned = 1'>x</a>", "<iframe srcdoc='<script>parent.pwned = 1</script>'></iframe>",
    "<img src='http://192.0.2.1/leak.png'>", "<style>* { display: none }</style>", "<base href='http://192.0.2.1/'>",
    "user\u202egnp.exe\u202c", "\u2066isolated", "a\u0000b\u001b[31mred\u0007", "half a pair \ud83d",
    "{0} {n} %s", "]]>-->", "<!--", "tag\U000e0041", "e" + "\u0301" * 200,
)  # fmt: skip


def usual() -> dict:
    """10,033 introductions and 601 files of code, with everything that a manifest can have."""
    return {
        "upwell": "0.1.0",
        "made": "2026-11-23T19:40:00Z",
        "settings": {"heldout": 0.05, "seed": 0, "language": {"on": True, "keep": ["en", "zh-Hans"]},
                     "quality": {"on": True, "least": 100}, "privacy": {"mode": "mask", "map": None},
                     "near": {"on": True, "similarity": 0.8, "permutations": 128}},
        "inputs": [
            {"name": "wiki-intros/en-3c886d3c.jsonl", "bytes": 5_708_828, "documents": 10_033,
             "licence": "CC BY-SA 4.0", "sha256": "3c886d3c0fe1a2b48c6d7e5f90a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3"},
            {"name": "python/en-python3.11.jsonl", "bytes": 11_419_392, "documents": 601, "licence": "PSF-2.0",
             "sha256": "9a01b2c3d4e5f60718293a4b5c6d7e8f90a1b2c33c886d3c0fe1a2b48c6d7e5f"},
            {"name": "notes/中文笔记.txt", "bytes": 48_112, "documents": 212, "licence": "",
             "sha256": "00b2c3d4e5f60718293a4b5c6d7e8f90a1b2c33c886d3c0fe1a2b48c6d7e5f9a"},
        ],
        "files": 3,
        "read": {"documents": 10_846, "characters": 16_482_101, "bytes": 17_176_332},
        "steps": [
            {"name": "repair", "in": 10_846, "dropped": {}, "characters_dropped": 0,
             "changed": {"mojibake repaired": 41, "cleaned": 388, "compatibility forms folded": 97}},
            {"name": "language", "in": 10_846, "dropped": {"another language": 402, "language unknown": 31},
             "changed": {}, "characters_dropped": 181_004},
            {"name": "quality", "in": 10_413, "characters_dropped": 1_204_331, "changed": {},
             "dropped": {"too short": 318, "mostly symbols": 87, "repeated phrases": 41, "few letters": 22,
                         "a menu": 19, "no sentences": 14, "generated code": 12, "mostly numbers": 6}},
            {"name": "toxic", "in": 9_894, "dropped": {"toxic words": 3}, "changed": {}, "characters_dropped": 1_822},
            {"name": "secrets", "in": 9_891, "dropped": {}, "changed": {"AWS key masked": 9, "GitHub token masked": 4}},
            {"name": "privacy", "in": 9_891, "dropped": {}, "changed": {
                "e-mail masked": 612, "IP address masked": 204, "phone masked": 79, "card masked": 3,
                "national id masked": 2, "IBAN masked": 1, "URL credentials masked": 5}},
            {"name": "exact", "in": 9_891, "dropped": {"repetition": 214}, "changed": {},
             "characters_dropped": 402_113},
            {"name": "near", "in": 9_677, "dropped": {"near repetition": 586}, "changed": {},
             "characters_dropped": 911_552},
            {"name": "paragraphs", "in": 9_091, "dropped": {},
             "changed": {"repeated line or paragraph removed": 1_322}},
            {"name": "split", "in": 9_091, "dropped": {}, "changed": {}},
        ],
        "kinds": {"prose": 8_702, "code": 377, "dialogue": 12},
        "languages": {"en": 8_851, "zh-Hans": 194, "de": 21, "fr": 14, "la": 6, "und": 5},
        "encodings": {"utf-8": 9_072, "gb18030": 19},
        "formats": {"jsonl": 8_892, "txt": 199},
        "tasks": {},
        "lengths": {"edges": EDGES, "documents": [0, 0, 0, 12, 904, 4_311, 2_618, 742, 233, 131, 82, 42, 14, 2]},
        "faults": [
            "notes/中文笔记.txt:77: a line of 12 bytes that no encoding gives, expected text",
            "python/en-python3.11.jsonl:402: no \"text\" and no layout that is known; found keys id, url",
        ],
        "sources": {"wiki-intros": 1.0, "python": 0.5},
        "train": {"documents": 8_640, "characters": 13_104_220, "tokens": 3_211_904},
        "heldout": {"documents": 451, "characters": 688_377, "tokens": 168_330},
        "tokenizer": {"vocab_size": 8192, "bytes_per_token": 4.21},
    }  # fmt: skip


def usual_samples() -> dict[str, list[dict]]:
    """A few for some of the reasons above."""
    return {
        "language: another language": [
            {"source": "wiki-intros/en-3c886d3c.jsonl:811", "detail": "ro",
             "text": "Comuna Vadu Izei este situată în partea de nord a județului Maramureș, pe valea râului Iza."},
        ],
        "quality: mostly symbols": [
            {"source": "python/en-python3.11.jsonl:188", "detail": "0.61 are symbols, at most 0.4", "kind": "code",
             "text": "_tables = (\n    b'\\x00\\x01\\x02\\x03\\x04\\x05'\n    b'\\x08\\t\\n\\x0b\\x0c\\r'\n)"},
            {"source": "wiki-intros/en-3c886d3c.jsonl:4410", "detail": "0.44 are symbols, at most 0.4",
             "text": "{| class=\"wikitable\" |- ! !! !! || || || ==== == === | --- | --- | ***"},
        ],
        "quality: too short": [
            {"source": "wiki-intros/en-3c886d3c.jsonl:93", "detail": "41 characters, at least 100",
             "text": "Kaszewy Dworne is a village in Poland."},
        ],
        "near: near repetition": [
            {"source": "wiki-intros/en-3c886d3c.jsonl:5120", "detail": "like wiki-intros/en-3c886d3c.jsonl:512, 0.91",
             "text": "Aphonopelma is a genus of tarantulas native to the Americas. It includes many species that are "
                     "kept as pets, and they are found from the southern United States to Central America."},
        ],
        "privacy: e-mail masked": [
            {"source": "python/en-python3.11.jsonl:9", "before": "Written by Ann Example <ann@example.org>, 1998.",
             "after": "Written by Ann Example <<EMAIL>>, 1998."},
        ],
        "repair: mojibake repaired": [
            {"source": "notes/中文笔记.txt:12", "before": "The cafÃ© opens at 9 â€” \u202ecome early.",
             "after": "The café opens at 9 — come early."},
        ],
    }  # fmt: skip


def untouched() -> dict:
    """Nothing left out, nothing changed."""
    steps = [{"name": name, "in": 420, "dropped": {}, "changed": {}} for name in ("quality", "exact", "near", "split")]
    return {"upwell": "0.1.0", "files": 1, "read": {"documents": 420, "characters": 90_000, "bytes": 90_500},
            "steps": steps, "languages": {"en": 420}, "train": {"documents": 400, "tokens": 20_000},
            "heldout": {"documents": 20, "tokens": 1_000}}  # fmt: skip


def single() -> dict:
    """One document, of one character."""
    return {"files": 1, "read": {"documents": 1, "characters": 1, "bytes": 1}, "kinds": {"prose": 1},
            "steps": [{"name": "split", "in": 1, "dropped": {}, "changed": {}}],
            "lengths": {"edges": [1, 10], "documents": [1]}, "train": {"documents": 1, "tokens": 1}}  # fmt: skip


def vast() -> dict:
    """40 reasons, 60 languages, thousands of files, counts of millions and billions."""
    languages = ("en zh-Hans zh-Hant de fr es it pt nl ru uk be bg sr hr bs sl mk pl cs sk hu ro el tr sv da no fi et "
                 "lv lt is ga cy eu ca gl sq la eo af sw so yo am ar he fa ur hi bn pa gu mr ne ta te ja ko").split()
    reasons = {f"reason number {n} with a name that is long": 9_000_000 // n**2 for n in range(1, 41)}
    gone = sum(reasons.values())
    left = 48_211_907 - gone
    return {
        "upwell": "0.1.0", "files": 3_000,
        "read": {"documents": 48_211_907, "characters": 10**12, "bytes": 14 * 10**11},
        "steps": [{"name": "quality", "in": 48_211_907, "dropped": reasons, "characters_dropped": 10**11},
                  {"name": "near", "in": left, "dropped": {"near repetition": left - 1_000_001}, "changed": {}},
                  {"name": "split", "in": 1_000_001, "dropped": {}, "changed": {}}],
        "languages": {name: 7_000_000 // n**2 for n, name in enumerate(languages, 1)},
        "formats": {f"a-format-with-a-name-of-forty-letters-{n:02d}": 10**n for n in range(9)},
        "inputs": [{"name": f"crawl/2026/part-{n:05d}.warc.zst", "bytes": 10**9 + n, "documents": n, "licence": "",
                    "sha256": f"{n:064x}"} for n in range(3_000)],
        "lengths": {"edges": [2**n for n in range(4, 30)],
                    "documents": [1 + 10**6 // (1 + abs(n - 8)) for n in range(25)]},
        "faults": [f"crawl/part-{n:05d}.warc.zst:{n}: a record that breaks off" for n in range(400)],
        "train": {"documents": 999_999, "characters": 10**11, "tokens": 24_000_000_000},
        "heldout": {"documents": 2, "characters": 900, "tokens": 210},
    }  # fmt: skip


def hostile() -> tuple[dict, dict[str, list[dict]]]:
    """Every string that comes from a file is an attack."""
    counts = {text: number for number, text in enumerate(HOSTILE, 1)}
    manifest = {
        "upwell": HOSTILE[0], "made": HOSTILE[1], "settings": {text: {text: [text]} for text in HOSTILE}, "files": 1,
        "inputs": [{"name": text, "bytes": 1, "documents": 1, "licence": text, "sha256": text} for text in HOSTILE],
        "read": {"documents": 1000, "characters": 1000, "bytes": 1000},
        "steps": [{"name": text, "in": 1000, "dropped": counts, "changed": counts} for text in HOSTILE],
        "faults": list(HOSTILE), "sources": counts, "seconds": counts, "train": {"documents": 810, "tokens": 10},
    }  # fmt: skip
    manifest |= {key: counts for key in ("kinds", "languages", "encodings", "formats", "tasks")}
    samples = {f"{text}: {text}": [{"source": text, "text": text * 3, "detail": text},
                                   {"source": text, "before": text, "after": text[::-1], "detail": text}]
               for text in HOSTILE}  # fmt: skip
    return manifest, samples
