"""What went and why: the manifest of a prepared folder as a page for a browser and as rows for a terminal.

    page(manifest, samples) -> str       one HTML file: nothing is loaded from anywhere, nothing of a document is run
    table(manifest) -> rows              for terminal.table("...", COLUMNS, rows)

manifest: the plain dict of manifest.json; whatever it lacks is left out of the page. samples: "step: reason" -> a few
{"source", "text", "detail"} or {"source", "before", "after", "detail"}. Everything that comes from a file (texts,
names, settings, messages) is escaped and its control and direction signs are made visible; a content policy with the
hashes of the page's own style and script forbids all others. The same manifest gives the same page.

A piece of writing is a pair (English, Chinese) of HTML; both stand in the page and a switch shows one of them.
This module reads no file of the user's and knows no step: names that stand in no table below are shown as they are.
"""

import base64
import difflib
import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from importlib import resources

from upwell.text.report_html import (
    Words,
    amount,
    both,
    characters_of,
    folded,
    joined,
    kind_name,
    language_name,
    linked,
    number_of,
    plain,
    ranked,
    reason_words,
    safe,
    settings_rows,
    share_of,
    shortened,
    size_of,
    span,
    step_about,
    step_name,
    word,
)  # fmt: skip
from upwell.text.report_pictures import GRADIENTS, LOGO, bar, mouth, spring, water_of
from upwell.text.report_words import WORDS

Rows = list[tuple[Words, int]]

COLUMNS = ("step", "documents", "left out", "share", "why, and what was changed")
CHIPS, BARS, FILES, FAULTS, QUOTED = 6, 12, 12, 12, 600
"""How many of each stand in the open; the rest is folded away."""
FILES_AT_MOST = 500

PERSONAL, REPEATED, MENDED = {"privacy", "secrets"}, {"exact", "near", "paragraphs"}, {"repair"}
"""Names of the steps that mask, of those that compare, and of those that put right."""

SCRIPT = """
const switches = document.querySelectorAll("input[name=tongue]"), zh = document.getElementById("zh");
const told = () => document.documentElement.lang = zh.checked ? "zh-Hans" : "en";
if (/^zh/i.test(navigator.language)) zh.checked = true;
for (const one of switches) one.addEventListener("change", told);
told();
addEventListener("beforeprint", () => document.querySelectorAll("details.rest").forEach(one => one.open = true));
"""


def page(manifest: Mapping, samples: Mapping[str, Sequence[Mapping]] | None = None) -> str:
    """The whole page. A manifest with missing parts gives a page without them."""
    order = [str(step.get("name")) for step in manifest.get("steps", [])]
    samples = {key: found for key, found in sorted((samples or {}).items(), key=lambda one: _place(one[0], order))
               if found}  # fmt: skip
    anchors = {key: f"sample-{number}" for number, key in enumerate(samples, 1)}
    style = resources.files("upwell.text").joinpath("report.css").read_text(encoding="utf-8")
    parts = (
        _lead(manifest), _river(manifest, anchors), _contents(manifest), _changes(manifest),
        _sentences(manifest, "faults"), _sentences(manifest, "notes"),
        _samples(manifest, samples, anchors), _inputs(manifest), _settings(manifest),
    )  # fmt: skip
    return "\n".join(
        (
            '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{_policy(style, SCRIPT)}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="referrer" content="no-referrer">\n<meta name="color-scheme" content="light dark">',
            f"<title>upwell: {' · '.join(WORDS['title'])}</title>\n<style>{style}</style>\n</head>\n<body>",
            GRADIENTS, _header(), "<main>", *filter(None, parts), "</main>", _footer(manifest),
            f"<script>{SCRIPT}</script>\n</body>\n</html>\n",
        )
    )  # fmt: skip


def table(manifest: Mapping) -> list[tuple[str, str, str, str, str]]:
    """Rows of COLUMNS: one for what was read, one for each step, one each for what is learnt and held out."""
    read = _count(manifest.get("read"), "documents")
    rows = [("read", read, 0, 0, "")]
    for step in manifest.get("steps", []):
        came, gone = step.get("in", 0), sum(step.get("dropped", {}).values())
        rows.append((str(step.get("name", "")), came - gone, gone, came, _reasons_in_words(step)))
    rows += [(name, _count(manifest[name], "documents"), 0, 0, _amounts(manifest[name]))
             for name in ("train", "heldout") if manifest.get(name)]  # fmt: skip
    wide = max(len(f"{row[1]:,}") for row in rows)
    return [
        (name, f"{left:>{wide},}", f"{gone:>{wide},}" if gone else "", share_of(gone, came) if gone else "", why)
        for name, left, gone, came, why in rows
    ]


def _place(key: str, order: Sequence[str]) -> tuple[int, str]:
    """Where the samples of "step: reason" stand: by the order of the steps."""
    step = key.partition(": ")[0]
    return order.index(step) if step in order else len(order), key


# ---- parts of the page ----


def _header() -> str:
    return (
        f'<header>{LOGO}<span class="brand">upwell</span>'
        f'<fieldset class="tongues"><legend class="hidden">{both(WORDS["language"])}</legend>'
        '<label lang="en"><input type="radio" name="tongue" id="en" autocomplete="off" checked>English</label>'
        '<label lang="zh-Hans"><input type="radio" name="tongue" id="zh" autocomplete="off">中文</label>'
        "</fieldset></header>"
    )


def _lead(manifest: Mapping) -> str:
    read, kept = _count(manifest.get("read"), "documents"), _kept(manifest)
    which = "lead all" if kept == read else "lead" if kept else "lead none"
    title = word(which, read=amount(read, "document"), kept=amount(kept, "document"))
    files, tokens = manifest.get("files"), _count(manifest.get("train"), "tokens")
    about = WORDS["about less"]
    if files and tokens:
        about = word("about", files=amount(files, "file"), tokens=amount(tokens, "token", True))
    figures = "".join(_figure(*one) for one in _figures(manifest, read, kept))
    return (
        f'<div class="lead"><h1>{both(title)}</h1><p>{both(about)}</p></div>\n<dl class="figures">{figures}</dl>'
    )


def _figures(manifest: Mapping, read: int, kept: int) -> Iterable[tuple[Words, Words, Words]]:
    """(number, what it is, what else there is to say) for the headline."""
    first, train, held = manifest.get("read", {}), manifest.get("train", {}), manifest.get("heldout", {})
    tokenizer = manifest.get("tokenizer", {})
    yield plain(f"{read:,}"), WORDS["read"], joined(characters_of(first), plain(size_of(first.get("bytes"))))
    yield plain(f"{kept:,}"), WORDS["kept"], word("kept more", share=share_of(kept, read))
    if train.get("tokens") is not None:
        yield shortened(train["tokens"]), WORDS["tokens"], amount(_count(train, "documents"), "document")
    if held:
        more = amount(held["tokens"], "token", True) if "tokens" in held else characters_of(held)
        yield plain(f"{_count(held, 'documents'):,}"), WORDS["heldout"], more
    if tokenizer.get("bytes_per_token"):
        size = f"{tokenizer.get('vocab_size', 0):,}"
        yield plain(f"{tokenizer['bytes_per_token']:.2f}"), WORDS["vocabulary"], word("vocabulary more", n=size)


def _figure(number: Words, what: Words, more: Words) -> str:
    return (
        f'<div><dt>{both(what)}</dt><dd class="number">{both(number)}</dd><dd class="more">{both(more)}</dd></div>'
    )


def _river(manifest: Mapping, anchors: Mapping[str, str]) -> str:
    steps, held = manifest.get("steps", []), _count(manifest.get("heldout"), "documents")
    read, end = _count(manifest.get("read"), "documents"), _kept(manifest)
    whole = max([1, read, end, *(step.get("in", 0) for step in steps)])
    rows = [_row("spring", spring(read, whole), WORDS["spring"], told=_told(read, manifest.get("read", {})))]
    left = read
    for step in steps:
        came, gone = step.get("in", left), sum(step.get("dropped", {}).values())
        if step is steps[-1] and held and not gone:
            break
        rows.append(_step(step, water_of(left, came, came - gone, whole), anchors))
        left = came - gone
    written = _divided(manifest) or end
    aside = end * held / written if written else 0
    if held:
        water, told = water_of(left, end, end - aside, whole, "kept"), _told(held, manifest["heldout"])
        rows.append(_row("held", water, WORDS["branch"], told=told))
    told = _told(written - held, manifest.get("train", {}))
    told += f'<p class="note">{both(WORDS["written"])}</p>' if written != end else ""
    rows.append(_row("end", mouth(end - aside, whole), WORDS["sea"], told=told))
    return _section("river", f'<ol class="river">{"".join(rows)}</ol>')


def _step(step: Mapping, water: str, anchors: Mapping[str, str]) -> str:
    name, dropped, changed = str(step.get("name", "")), step.get("dropped", {}), step.get("changed", {})
    came, gone = step.get("in", 0), sum(dropped.values())
    told = ""
    if gone:
        lost = step.get("characters_dropped", 0)
        part = joined(word("gone part", share=share_of(gone, came)),
                       word("characters gone", n=amount(lost, "character", True)) if lost else ("", ""))  # fmt: skip
        told += f'<p class="gone">{both(word("gone", n=f"{gone:,}"))} <span class="part">{both(part)}</span></p>'
    told += _chips(name, dropped, anchors, "reasons") + _chips(name, changed, anchors, "reasons changed")
    now = word("now", n=f"{came - gone:,}") if gone else ("", "")
    return _row("" if told else "calm", water, step_name(name), step_about(name), now, told)


def _row(kind: str, water: str, name: Words, about: Words = ("", ""), now: Words = ("", ""), told: str = "") -> str:
    heading = f'<h3><span class="name">{both(name)}</span>{span("why", about)}{span("now", now)}</h3>'
    return f'<li class="step {kind}"><div class="water">{water}</div><div class="told">{heading}{told}</div></li>\n'


def _told(documents: int, amounts: Mapping) -> str:
    tokens = amount(amounts["tokens"], "token", True) if amounts.get("tokens") is not None else ("", "")
    said = joined(tokens, characters_of(amounts), plain(size_of(amounts.get("bytes"))))
    note = f'<p class="note">{both(said)}</p>' if said[0] else ""
    return f'<p class="amount">{both(amount(documents, "document"))}</p>{note}'


def _chips(step: str, counts: Mapping[str, int], anchors: Mapping[str, str], kind: str) -> str:
    """Reasons with their counts, the most frequent first; each leads to its samples."""
    rows = [
        f"<li>{linked(reason_words(reason), anchors.get(f'{step}: {reason}'))} <b>{count:,}</b></li>"
        for reason, count in ranked(counts)
    ]
    return folded(rows, CHIPS, lambda part: f'<ul class="{kind}">{"".join(part)}</ul>')


def _contents(manifest: Mapping) -> str:
    cards, picture = [], _histogram(manifest.get("lengths", {}))
    names = {"languages": language_name} | dict.fromkeys(("kinds", "tasks", "formats", "encodings"), kind_name)
    for key, name in names.items():
        cards.append(_card(WORDS[key], [(name(one), count) for one, count in ranked(manifest.get(key, {}))]))
    weights = [(plain(safe(one)), weight) for one, weight in ranked(manifest.get("sources", {}))]
    cards.append(_card(WORDS["sources"], weights, "weights"))
    seconds = [(step_name(one), spent) for one, spent in ranked(manifest.get("seconds", {}))]
    cards.append(_card(WORDS["seconds"], seconds, "weights", shares=False))
    inside = picture + (f'<div class="cards">{"".join(cards)}</div>' if any(cards) else "")
    return _section("contents", inside) if inside else ""


def _changes(manifest: Mapping) -> str:
    """What was masked, what was repeated, what was put right: over all steps."""
    personal, repeated, mended = Counter(), Counter(), Counter()
    for step in manifest.get("steps", []):
        name, dropped, changed = step.get("name"), step.get("dropped", {}), step.get("changed", {})
        if name in REPEATED:
            repeated.update(dropped)
            repeated.update(changed)
        elif name in PERSONAL:
            personal.update(changed)
        elif name in MENDED:
            mended.update(changed)
    cards = [
        _card(WORDS[key], [(reason_words(one), count) for one, count in ranked(found)], kind, shares=False)
        for key, found, kind in (("personal", personal, ""), ("repeated", repeated, "repeated"), ("mended", mended, ""))
    ]
    return _section("changed", f'<div class="cards">{"".join(cards)}</div>') if any(cards) else ""


def _card(title: Words, rows: Rows, kind: str = "", shares: bool = True) -> str:
    """A heading and a bar for each row; beyond BARS they are folded. Nothing where there is no row."""
    if not rows:
        return ""
    most, whole = max(count for _, count in rows) or 1, sum(count for _, count in rows) or 1
    bars = [
        f'<li><span class="label">{both(name)}</span><span class="count">{number_of(count)}'
        f"{f' <span>{share_of(count, whole)}</span>' if shares else ''}</span>{bar(count / most)}</li>"
        for name, count in rows
    ]
    listed = folded(bars, BARS, lambda part: f'<ul class="bars {kind}">{"".join(part)}</ul>')
    return f'<div class="card"><h3>{both(title)}</h3>{listed}</div>\n'


def _histogram(lengths: Mapping) -> str:
    """Columns of equal width for the ranges, as high as there are documents."""
    counts = lengths.get("documents", [])
    if not sum(counts):
        return ""
    filled = [column for column, count in enumerate(counts) if count]
    whole = slice(filled[0], filled[-1] + 1)
    ranges, counts, most = _ranges(lengths)[whole], counts[whole], max(counts)
    columns = "".join(
        f'<rect x="{column + 0.06:.2f}" y="{100 - high:.4g}" width="0.88" height="{high:.4g}">'
        f"<title>{_ranged(ranges[column])[0]}: {counts[column]:,}</title></rect>"
        for column, high in enumerate(max(100 * count / most, 1 if count else 0) for count in counts)
    )
    rows = "".join(f"<li><span>{both(_ranged(one))}</span> <span>{count:,}</span></li>"
                   for one, count in zip(ranges, counts, strict=True))  # fmt: skip
    return (
        f'<figure class="card wide histogram"><figcaption id="lengths"><h3>{both(WORDS["lengths"])}</h3>'
        f'<p>{both(WORDS["lengths about"])}</p></figcaption>'
        f'<svg viewBox="0 0 {len(counts)} 100" preserveAspectRatio="none" role="img" aria-labelledby="lengths">'
        f'{columns}</svg><div class="ticks" aria-hidden="true">{_ticks(ranges)}</div>'
        f'<details class="rest"><summary>{both(WORDS["as numbers"])}</summary><ul class="numbers">{rows}</ul>'
        "</details></figure>\n"
    )


def _ranges(lengths: Mapping) -> list[tuple[int, int | None]]:
    """(from, below) in characters for each count: n + 1 edges enclose n ranges; a missing last one is open."""
    edges, many = list(lengths.get("edges", [])), len(lengths.get("documents", []))
    if len(edges) == many - 1:
        edges = [0, *edges]
    ends = edges[1 : many + 1] + [None] * (many + 1 - len(edges))
    return list(zip(edges[:many], ends, strict=True))


def _ranged(one: tuple[int, int | None]) -> Words:
    first, below = one
    if below is None:
        return word("characters over", a=f"{first:,}")
    return word("characters from", a=f"{first:,}", b=f"{max(first, below - 1):,}")


def _ticks(ranges: Sequence[tuple[int, int | None]]) -> str:
    """A cell under each column; powers of ten are named, or every so many columns where there are none."""
    tens = [bool(re.fullmatch("10*", str(first))) for first, _ in ranges]
    every = -(-len(ranges) // 6)
    named = tens if sum(tens) >= 2 else [column % every == 0 for column in range(len(ranges))]
    return "".join(
        f'<span class="tick">{both(shortened(first))}</span>' if name else "<span></span>"
        for (first, _), name in zip(ranges, named, strict=True)
    )


def _sentences(manifest: Mapping, key: str) -> str:
    """What could not be read, or is worth a look: one below the other."""
    rows = [f"<li>{safe(str(one))}</li>" for one in manifest.get(key, [])]
    listed = folded(rows, FAULTS, lambda part: f'<ul class="faults {key}">{"".join(part)}</ul>')
    rest = manifest.get("unreadable", 0) - len(rows) if key == "faults" else 0
    listed += f'<p class="note">{both(word("rest unreadable", n=f"{rest:,}"))}</p>' if rest > 0 else ""
    return _section(key, listed) if rows else ""


def _samples(manifest: Mapping, samples: Mapping[str, Sequence[Mapping]], anchors: Mapping[str, str]) -> str:
    counts = {f"{step.get('name')}: {reason}": count for step in manifest.get("steps", [])
              for reason, count in [*step.get("changed", {}).items(), *step.get("dropped", {}).items()]}  # fmt: skip
    groups = []
    for key, found in samples.items():
        step, _, reason = key.rpartition(": ")
        count = span("count", word("of", n=f"{counts[key]:,}")) if key in counts else ""
        quotes = "".join(_sample(one) for one in found)
        title = f"{span('step-name', step_name(step))}{span('reason', reason_words(reason))}{count}"
        groups.append(f'<details><summary>{title}</summary><div id="{anchors[key]}">{quotes}</div></details>\n')
    return _section("samples", f'<div class="samples">{"".join(groups)}</div>') if groups else ""


def _sample(one: Mapping) -> str:
    if "before" in one:
        quote = _difference(str(one["before"])[:QUOTED], str(one.get("after", ""))[:QUOTED])
    else:
        text = str(one.get("text", ""))
        quote = safe(text[:QUOTED]) + ("…" if len(text) > QUOTED else "")
    code = " code" if one.get("kind") == "code" else ""
    detail = span("detail", plain(safe(str(one.get("detail", "")))))
    return (
        f'<figure class="sample"><figcaption><bdi class="source">{safe(str(one.get("source", "")))}</bdi>{detail}'
        f'</figcaption><blockquote class="quote{code}" lang="" dir="auto">{quote}</blockquote></figure>'
    )


def _difference(before: str, after: str) -> str:
    """Both texts in one: what went is struck out, what came is marked."""
    old, new = (re.findall(r"[a-zA-Z0-9]+|\s+|.", text, re.DOTALL) for text in (before, after))
    parts = []
    for what, a, b, c, d in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if what == "equal":
            parts.append(safe("".join(old[a:b])))
            continue
        parts.append(f"<del>{safe(''.join(old[a:b]))}</del>" if b > a else "")
        parts.append(f"<ins>{safe(''.join(new[c:d]))}</ins>" if d > c else "")
    return "".join(parts)


def _inputs(manifest: Mapping) -> str:
    files = manifest.get("inputs", [])
    if not files:
        return ""
    counted = any(one.get("documents") is not None for one in files)
    rows = [_file(one, counted) for one in files[:FILES_AT_MOST]]
    digits = ' class="digits"'
    columns = [("name", ""), ("size", digits), *([("documents", digits)] if counted else []), ("licence", "")]
    names = "".join(f"<th{kind}>{both(WORDS[key])}</th>" for key, kind in columns)
    head = f"<thead><tr>{names}<th>SHA-256</th></tr></thead>"
    listed = folded(rows, FILES, lambda part: f'<table class="files">{head}<tbody>{"".join(part)}</tbody></table>')
    if len(files) > FILES_AT_MOST:
        listed += f'<p class="note">{both(word("rest in manifest", n=f"{len(files) - FILES_AT_MOST:,}"))}</p>'
    return _section("inputs", listed)


def _file(one: Mapping, counted: bool) -> str:
    licence = safe(str(one["licence"])) if one.get("licence") else both(WORDS["unknown licence"])
    documents = "" if one.get("documents") is None else both(amount(one["documents"], "document"))
    cell = f'<td class="digits">{documents}</td>' if counted else ""
    return (
        f"<tr><td><bdi>{safe(str(one.get('name', '')))}</bdi></td>"
        f'<td class="digits">{size_of(one.get("bytes"))}</td>{cell}'
        f'<td>{licence}</td><td class="hash">{safe(str(one.get("sha256", "")))}</td></tr>'
    )


def _settings(manifest: Mapping) -> str:
    """Single settings in the open, those of a step folded under its name."""
    settings = manifest.get("settings", {})
    single = {name: value for name, value in settings.items() if not isinstance(value, Mapping)}
    groups = "".join(
        f'<details class="rest"><summary>{both(step_name(str(name)))}</summary>{_knobs({name: value})}</details>'
        for name, value in settings.items()
        if value and isinstance(value, Mapping)
    )
    return _section("settings", _knobs(single) + groups) if settings else ""


def _knobs(settings: Mapping) -> str:
    rows = "".join(f"<div><dt>{safe(name)}</dt><dd>{safe(value)}</dd></div>" for name, value in settings_rows(settings))
    return f'<dl class="knobs">{rows}</dl>' if rows else ""


def _footer(manifest: Mapping) -> str:
    version = f" {safe(str(manifest['upwell']))}" if manifest.get("upwell") else ""
    made = word("foot time", time=safe(str(manifest["made"]))) if manifest.get("made") else ("", "")
    return f"<footer>{both(word('foot', version=version, made=made))}</footer>"


def _section(name: str, inside: str) -> str:
    about = WORDS.get(f"{name} about")
    more = f"<p>{both(about)}</p>" if about else ""
    return f'<section aria-labelledby="{name}"><h2 id="{name}">{both(WORDS[name])}</h2>{more}\n{inside}</section>\n'


# ---- counts ----


def _count(amounts: Mapping | None, name: str) -> int:
    return (amounts or {}).get(name) or 0


def _kept(manifest: Mapping) -> int:
    """Documents that came out: what the last step left; what is divided or drawn twice after it counts once."""
    for step in reversed(manifest.get("steps", [])):
        return step.get("in", 0) - sum(step.get("dropped", {}).values())
    return _divided(manifest) or _count(manifest.get("read"), "documents")


def _divided(manifest: Mapping) -> int:
    """Documents to learn from and held out, as they were written."""
    return _count(manifest.get("train"), "documents") + _count(manifest.get("heldout"), "documents")


def _policy(style: str, script: str) -> str:
    """Nothing but this style and this script: no other code, no picture, no request, no form."""
    style_hash, script_hash = (
        base64.b64encode(hashlib.sha256(part.encode()).digest()).decode() for part in (style, script)
    )
    return (
        f"default-src 'none'; style-src 'sha256-{style_hash}'; script-src 'sha256-{script_hash}'; "
        "base-uri 'none'; form-action 'none'"
    )


# ---- the terminal's words ----


def _reasons_in_words(step: Mapping) -> str:
    dropped, changed = ranked(step.get("dropped", {})), ranked(step.get("changed", {}))
    parts = [f"{reason} {count:,}" for reason, count in dropped[:CHIPS]]
    parts += [f"{len(dropped) - CHIPS} more reasons"] if len(dropped) > CHIPS else []
    parts += ["changed: " + ", ".join(f"{reason} {count:,}" for reason, count in changed[:CHIPS])] if changed else []
    return " · ".join(parts)


def _amounts(amounts: Mapping) -> str:
    return ", ".join(f"{amounts[name]:,} {name}" for name in ("tokens", "characters") if amounts.get(name) is not None)
