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
import html
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from importlib import resources

from upwell.text.report_words import LANGUAGES, NAMES, NOUNS, REASONS, SECRETS, STEPS, WORDS

Words = tuple[str, str]
Rows = list[tuple[Words, int]]

COLUMNS = ("step", "documents", "left out", "share", "why, and what was changed")
WIDE, RIVER = 300, 200
"""Units of the river's pictures: their width, and that of the river where it is widest."""
CHIPS, BARS, FILES, FAULTS, QUOTED = 6, 12, 12, 12, 600
"""How many of each stand in the open; the rest is folded away."""
FILES_AT_MOST, MARKS = 500, 5

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

LOGO = (
    '<svg class="waves" viewBox="0 0 28 24" aria-hidden="true"><path d="M2 20c4 0 4-3 8-3s4 3 8 3 4-3 8-3"/>'
    '<path d="M5 13c3 0 3-2.400 6-2.400s3 2.400 6 2.400 3-2.400 6-2.400"/>'
    '<path d="M9 6c1.700 0 1.700-1.700 3.400-1.700S14 6 15.700 6s1.700-1.700 3.300-1.700"/></svg>'
)
GRADIENTS = (
    '<svg width="0" height="0" class="hidden" aria-hidden="true"><defs>'
    f'<linearGradient id="water" gradientUnits="userSpaceOnUse" x2="{RIVER}">'
    '<stop class="deep"/><stop class="shallow" offset="1"/></linearGradient>'
    '<linearGradient id="lost"><stop class="shallow"/><stop class="lost-stop" offset="0.3"/>'
    '<stop class="lost-stop" offset="1" stop-opacity="0.1"/></linearGradient>'
    '<linearGradient id="kept"><stop class="shallow"/><stop class="kept-stop" offset="0.3"/>'
    '<stop class="kept-stop" offset="1" stop-opacity="0.25"/></linearGradient></defs></svg>'
)


def page(manifest: Mapping, samples: Mapping[str, Sequence[Mapping]] | None = None) -> str:
    """The whole page. A manifest with missing parts gives a page without them."""
    samples = {key: found for key, found in (samples or {}).items() if found}
    anchors = {key: f"sample-{number}" for number, key in enumerate(samples, 1)}
    style = resources.files("upwell.text").joinpath("report.css").read_text(encoding="utf-8")
    parts = (
        _lead(manifest), _river(manifest, anchors), _contents(manifest), _changes(manifest), _faults(manifest),
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
        (name, f"{left:>{wide},}", f"{gone:>{wide},}" if gone else "", _share(gone, came) if gone else "", why)
        for name, left, gone, came, why in rows
    ]


# ---- parts of the page ----


def _header() -> str:
    return (
        f'<header>{LOGO}<span class="brand">upwell</span>'
        f'<fieldset class="tongues"><legend class="hidden">{_both(WORDS["language"])}</legend>'
        '<label lang="en"><input type="radio" name="tongue" id="en" autocomplete="off" checked>English</label>'
        '<label lang="zh-Hans"><input type="radio" name="tongue" id="zh" autocomplete="off">中文</label>'
        "</fieldset></header>"
    )


def _lead(manifest: Mapping) -> str:
    read, kept = _count(manifest.get("read"), "documents"), _kept(manifest)
    which = "lead all" if kept == read else "lead" if kept else "lead none"
    title = _word(which, read=_amount(read, "document"), kept=_amount(kept, "document"))
    files, tokens = manifest.get("files"), _count(manifest.get("train"), "tokens")
    about = WORDS["about less"]
    if files and tokens:
        about = _word("about", files=_amount(files, "file"), tokens=_amount(tokens, "token", True))
    figures = "".join(_figure(*one) for one in _figures(manifest, read, kept))
    return (
        f'<div class="lead"><h1>{_both(title)}</h1><p>{_both(about)}</p></div>\n<dl class="figures">{figures}</dl>'
    )


def _figures(manifest: Mapping, read: int, kept: int) -> Iterable[tuple[Words, Words, Words]]:
    """(number, what it is, what else there is to say) for the headline."""
    first, train, held = manifest.get("read", {}), manifest.get("train", {}), manifest.get("heldout", {})
    tokenizer = manifest.get("tokenizer", {})
    yield _plain(f"{read:,}"), WORDS["read"], _joined(_characters(first), _plain(_size(first.get("bytes"))))
    yield _plain(f"{kept:,}"), WORDS["kept"], _word("kept more", share=_share(kept, read))
    if train.get("tokens") is not None:
        yield _short(train["tokens"]), WORDS["tokens"], _amount(_count(train, "documents"), "document")
    if held:
        more = _amount(held["tokens"], "token", True) if "tokens" in held else _characters(held)
        yield _plain(f"{_count(held, 'documents'):,}"), WORDS["heldout"], more
    if tokenizer.get("bytes_per_token"):
        size = f"{tokenizer.get('vocab_size', 0):,}"
        yield _plain(f"{tokenizer['bytes_per_token']:.2f}"), WORDS["vocabulary"], _word("vocabulary more", n=size)


def _figure(number: Words, what: Words, more: Words) -> str:
    return (
        f'<div><dt>{_both(what)}</dt><dd class="number">{_both(number)}</dd><dd class="more">{_both(more)}</dd></div>'
    )


def _river(manifest: Mapping, anchors: Mapping[str, str]) -> str:
    steps, held = manifest.get("steps", []), _count(manifest.get("heldout"), "documents")
    read, end = _count(manifest.get("read"), "documents"), _kept(manifest)
    whole = max([1, read, end, *(step.get("in", 0) for step in steps)])
    rows = [_row("spring", _spring(read, whole), WORDS["spring"], told=_told(read, manifest.get("read", {})))]
    left = read
    for step in steps:
        came, gone = step.get("in", left), sum(step.get("dropped", {}).values())
        if step is steps[-1] and held and not gone:
            break
        rows.append(_step(step, _water(left, came, came - gone, whole), anchors))
        left = came - gone
    written = _divided(manifest) or end
    aside = end * held / written if written else 0
    if held:
        water, told = _water(left, end, end - aside, whole, "kept"), _told(held, manifest["heldout"])
        rows.append(_row("held", water, WORDS["branch"], told=told))
    told = _told(written - held, manifest.get("train", {}))
    told += f'<p class="note">{_both(WORDS["written"])}</p>' if written != end else ""
    rows.append(_row("end", _mouth(end - aside, whole), WORDS["sea"], told=told))
    return _section("river", f'<ol class="river">{"".join(rows)}</ol>')


def _step(step: Mapping, water: str, anchors: Mapping[str, str]) -> str:
    name, dropped, changed = str(step.get("name", "")), step.get("dropped", {}), step.get("changed", {})
    came, gone = step.get("in", 0), sum(dropped.values())
    told = ""
    if gone:
        lost = step.get("characters_dropped", 0)
        part = _joined(_word("gone part", share=_share(gone, came)),
                       _word("characters gone", n=_amount(lost, "character", True)) if lost else ("", ""))  # fmt: skip
        told += f'<p class="gone">{_both(_word("gone", n=f"{gone:,}"))} <span class="part">{_both(part)}</span></p>'
    told += _chips(name, dropped, anchors, "reasons") + _chips(name, changed, anchors, "reasons changed")
    now = _word("now", n=f"{came - gone:,}") if gone else ("", "")
    return _row("" if told else "calm", water, _step_name(name), _step_about(name), now, told)


def _row(kind: str, water: str, name: Words, about: Words = ("", ""), now: Words = ("", ""), told: str = "") -> str:
    heading = f'<h3><span class="name">{_both(name)}</span>{_span("why", about)}{_span("now", now)}</h3>'
    return f'<li class="step {kind}"><div class="water">{water}</div><div class="told">{heading}{told}</div></li>\n'


def _told(documents: int, amounts: Mapping) -> str:
    tokens = _amount(amounts["tokens"], "token", True) if amounts.get("tokens") is not None else ("", "")
    said = _joined(tokens, _characters(amounts), _plain(_size(amounts.get("bytes"))))
    note = f'<p class="note">{_both(said)}</p>' if said[0] else ""
    return f'<p class="amount">{_both(_amount(documents, "document"))}</p>{note}'


def _chips(step: str, counts: Mapping[str, int], anchors: Mapping[str, str], kind: str) -> str:
    """Reasons with their counts, the most frequent first; each leads to its samples."""
    rows = [
        f"<li>{_linked(_reason(reason), anchors.get(f'{step}: {reason}'))} <b>{count:,}</b></li>"
        for reason, count in _sorted(counts)
    ]
    return _folded(rows, CHIPS, lambda part: f'<ul class="{kind}">{"".join(part)}</ul>')


def _contents(manifest: Mapping) -> str:
    cards, picture = [], _histogram(manifest.get("lengths", {}))
    names = {"languages": _language, "kinds": _name, "tasks": _name, "formats": _name, "encodings": _name}
    for key, name in names.items():
        cards.append(_card(WORDS[key], [(name(one), count) for one, count in _sorted(manifest.get(key, {}))]))
    weights = [(_plain(_safe(one)), weight) for one, weight in _sorted(manifest.get("sources", {}))]
    cards.append(_card(WORDS["sources"], weights, "weights"))
    seconds = [(_step_name(one), spent) for one, spent in _sorted(manifest.get("seconds", {}))]
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
        _card(WORDS[key], [(_reason(one), count) for one, count in _sorted(found)], kind, shares=False)
        for key, found, kind in (("personal", personal, ""), ("repeated", repeated, "repeated"), ("mended", mended, ""))
    ]
    return _section("changed", f'<div class="cards">{"".join(cards)}</div>') if any(cards) else ""


def _card(title: Words, rows: Rows, kind: str = "", shares: bool = True) -> str:
    """A heading and a bar for each row; beyond BARS they are folded. Nothing where there is no row."""
    if not rows:
        return ""
    most, whole = max(count for _, count in rows) or 1, sum(count for _, count in rows) or 1
    bars = [
        f'<li><span class="label">{_both(name)}</span><span class="count">{_number(count)}'
        f"{f' <span>{_share(count, whole)}</span>' if shares else ''}</span>{_bar(count / most)}</li>"
        for name, count in rows
    ]
    listed = _folded(bars, BARS, lambda part: f'<ul class="bars {kind}">{"".join(part)}</ul>')
    return f'<div class="card"><h3>{_both(title)}</h3>{listed}</div>\n'


def _bar(share: float) -> str:
    width = f"{max(100 * share, 0.8 if share else 0):.4g}"
    return (
        '<svg viewBox="0 0 100 1" preserveAspectRatio="none" aria-hidden="true">'
        f'<rect width="{width}" height="1"/></svg>'
    )


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
    rows = "".join(f"<li><span>{_both(_ranged(one))}</span> <span>{count:,}</span></li>"
                   for one, count in zip(ranges, counts, strict=True))  # fmt: skip
    return (
        f'<figure class="card wide histogram"><figcaption id="lengths"><h3>{_both(WORDS["lengths"])}</h3>'
        f'<p>{_both(WORDS["lengths about"])}</p></figcaption>'
        f'<svg viewBox="0 0 {len(counts)} 100" preserveAspectRatio="none" role="img" aria-labelledby="lengths">'
        f'{columns}</svg><div class="ticks" aria-hidden="true">{_ticks(ranges)}</div>'
        f'<details class="rest"><summary>{_both(WORDS["as numbers"])}</summary><ul class="numbers">{rows}</ul>'
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
        return _word("characters over", a=f"{first:,}")
    return _word("characters from", a=f"{first:,}", b=f"{max(first, below - 1):,}")


def _ticks(ranges: Sequence[tuple[int, int | None]]) -> str:
    """A cell under each column; powers of ten are named, or every so many columns where there are none."""
    tens = [bool(re.fullmatch("10*", str(first))) for first, _ in ranges]
    every = -(-len(ranges) // 6)
    named = tens if sum(tens) >= 2 else [column % every == 0 for column in range(len(ranges))]
    return "".join(
        f'<span class="tick">{_both(_short(first))}</span>' if name else "<span></span>"
        for (first, _), name in zip(ranges, named, strict=True)
    )


def _faults(manifest: Mapping) -> str:
    rows = [f"<li>{_safe(str(fault))}</li>" for fault in manifest.get("faults", [])]
    listed = _folded(rows, FAULTS, lambda part: f'<ul class="faults">{"".join(part)}</ul>')
    return _section("faults", listed) if rows else ""


def _samples(manifest: Mapping, samples: Mapping[str, Sequence[Mapping]], anchors: Mapping[str, str]) -> str:
    counts = {f"{step.get('name')}: {reason}": count for step in manifest.get("steps", [])
              for reason, count in [*step.get("changed", {}).items(), *step.get("dropped", {}).items()]}  # fmt: skip
    groups = []
    for key, found in samples.items():
        step, _, reason = key.rpartition(": ")
        count = _span("count", _word("of", n=f"{counts[key]:,}")) if key in counts else ""
        quotes = "".join(_sample(one) for one in found)
        title = f"{_span('step-name', _step_name(step))}{_span('reason', _reason(reason))}{count}"
        groups.append(f'<details><summary>{title}</summary><div id="{anchors[key]}">{quotes}</div></details>\n')
    return _section("samples", f'<div class="samples">{"".join(groups)}</div>') if groups else ""


def _sample(one: Mapping) -> str:
    if "before" in one:
        quote = _difference(str(one["before"])[:QUOTED], str(one.get("after", ""))[:QUOTED])
    else:
        text = str(one.get("text", ""))
        quote = _safe(text[:QUOTED]) + ("…" if len(text) > QUOTED else "")
    code = " code" if one.get("kind") == "code" else ""
    detail = _span("detail", _plain(_safe(str(one.get("detail", "")))))
    return (
        f'<figure class="sample"><figcaption><bdi class="source">{_safe(str(one.get("source", "")))}</bdi>{detail}'
        f'</figcaption><blockquote class="quote{code}" lang="" dir="auto">{quote}</blockquote></figure>'
    )


def _difference(before: str, after: str) -> str:
    """Both texts in one: what went is struck out, what came is marked."""
    old, new = (re.findall(r"[a-zA-Z0-9]+|\s+|.", text, re.DOTALL) for text in (before, after))
    parts = []
    for what, a, b, c, d in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if what == "equal":
            parts.append(_safe("".join(old[a:b])))
            continue
        parts.append(f"<del>{_safe(''.join(old[a:b]))}</del>" if b > a else "")
        parts.append(f"<ins>{_safe(''.join(new[c:d]))}</ins>" if d > c else "")
    return "".join(parts)


def _inputs(manifest: Mapping) -> str:
    files = manifest.get("inputs", [])
    if not files:
        return ""
    counted = any(one.get("documents") is not None for one in files)
    rows = [_file(one, counted) for one in files[:FILES_AT_MOST]]
    digits = ' class="digits"'
    columns = [("name", ""), ("size", digits), *([("documents", digits)] if counted else []), ("licence", "")]
    names = "".join(f"<th{kind}>{_both(WORDS[key])}</th>" for key, kind in columns)
    head = f"<thead><tr>{names}<th>SHA-256</th></tr></thead>"
    listed = _folded(rows, FILES, lambda part: f'<table class="files">{head}<tbody>{"".join(part)}</tbody></table>')
    if len(files) > FILES_AT_MOST:
        listed += f'<p class="note">{_both(_word("rest in manifest", n=f"{len(files) - FILES_AT_MOST:,}"))}</p>'
    return _section("inputs", listed)


def _file(one: Mapping, counted: bool) -> str:
    licence = _safe(str(one["licence"])) if one.get("licence") else _both(WORDS["unknown licence"])
    documents = "" if one.get("documents") is None else _both(_amount(one["documents"], "document"))
    cell = f'<td class="digits">{documents}</td>' if counted else ""
    return (
        f"<tr><td><bdi>{_safe(str(one.get('name', '')))}</bdi></td>"
        f'<td class="digits">{_size(one.get("bytes"))}</td>{cell}'
        f'<td>{licence}</td><td class="hash">{_safe(str(one.get("sha256", "")))}</td></tr>'
    )


def _settings(manifest: Mapping) -> str:
    """Single settings in the open, those of a step folded under its name."""
    settings = manifest.get("settings", {})
    single = {name: value for name, value in settings.items() if not isinstance(value, Mapping)}
    groups = "".join(
        f'<details class="rest"><summary>{_both(_step_name(str(name)))}</summary>{_knobs({name: value})}</details>'
        for name, value in settings.items()
        if value and isinstance(value, Mapping)
    )
    return _section("settings", _knobs(single) + groups) if settings else ""


def _knobs(settings: Mapping) -> str:
    rows = "".join(f"<div><dt>{_safe(name)}</dt><dd>{_safe(value)}</dd></div>" for name, value in _flat(settings))
    return f'<dl class="knobs">{rows}</dl>' if rows else ""


def _footer(manifest: Mapping) -> str:
    version = f" {_safe(str(manifest['upwell']))}" if manifest.get("upwell") else ""
    made = _word("foot time", time=_safe(str(manifest["made"]))) if manifest.get("made") else ("", "")
    return f"<footer>{_both(_word('foot', version=version, made=made))}</footer>"


def _section(name: str, inside: str) -> str:
    about = WORDS.get(f"{name} about")
    more = f"<p>{_both(about)}</p>" if about else ""
    return f'<section aria-labelledby="{name}"><h2 id="{name}">{_both(WORDS[name])}</h2>{more}\n{inside}</section>\n'


# ---- the river's pictures ----


def _spring(documents: int, whole: int) -> str:
    """Where the water begins: a wave on top."""
    wide = RIVER * documents / whole
    wave = f"M0 16C{wide / 6:.2f} 4 {wide / 3:.2f} 4 {wide / 2:.2f} 16S{5 * wide / 6:.2f} 28 {wide:.2f} 16V52H0Z"
    return _picture(52, f'<path class="body" d="{wave}"/>') + _on(wide)


def _mouth(documents: float, whole: int) -> str:
    """Where the water arrives: it spreads into lines of waves."""
    wide = RIVER * documents / whole
    if not documents:
        return _picture(60, "")
    half = f"c{wide / 6:.2f} 12 {wide / 3:.2f} 12 {wide / 2:.2f} 0s{wide / 3:.2f} -12 {wide / 2:.2f} 0"
    body = f'<path class="body" d="M0 -1V38{half}V-1Z"/>'
    return _picture(78, body + "".join(f'<path class="line" d="M0 {y}{half}"/>' for y in (50, 61)))


def _water(before: float, came: float, left: float, whole: int, kind: str = "lost") -> str:
    """One stretch, as wide as `came`, then as `left`; what parts from it bends to the right and keeps its width."""
    above, top, foot = (RIVER * count / whole for count in (before, came, left))
    begin = 12 if abs(above - top) > 0.5 else 0
    thick = max(top - foot, 1.6) if came > left else 0
    middle = begin + max(8, 20 - thick / 2)
    high = max(34, middle + thick + 8)
    foot = max(foot, 1.2) if left else 0
    parts = f'<path class="body" d="M0 -1H{above:.2f}V0L{top:.2f} {begin}V{begin + 1}H0Z"/>' if begin else ""
    if thick:
        parts += _bend(foot, max(top, foot), begin, middle, thick, kind)
    parts += f'<rect class="body" y="{begin - 0.6:.2f}" width="{foot:.2f}" height="{high - begin + 1.2:.2f}"/>'
    return _picture(high, parts) + _on(foot)


def _bend(foot: float, top: float, begin: float, middle: float, thick: float, kind: str) -> str:
    """The arm from between x = foot and x = top at the height `begin` to the right edge at the height `middle`."""
    near, far = top + 0.35 * (WIDE - top), foot + 0.35 * (WIDE - foot)
    under = middle + thick
    return (
        f'<path class="{kind}" d="M{top:.2f} {begin}C{top:.2f} {middle:.2f} {near:.2f} {middle:.2f} {WIDE} {middle:.2f}'
        f'V{under:.2f}C{far:.2f} {under:.2f} {foot:.2f} {under:.2f} {foot:.2f} {begin}Z"/>'
    )


def _on(wide: float) -> str:
    """Water that goes on as far down as the words beside it need."""
    return (
        f'<svg class="on" viewBox="0 0 {WIDE} 10" preserveAspectRatio="none" aria-hidden="true">'
        f'<rect class="body" y="-0.5" width="{wide:.2f}" height="11"/></svg>'
    )


def _picture(high: float, parts: str) -> str:
    return (
        f'<svg viewBox="0 0 {WIDE} {high:.2f}" height="{high:.2f}" preserveAspectRatio="none" aria-hidden="true">'
        f"{parts}</svg>"
    )


# ---- words ----


def _word(key: str, **values: str | Words) -> Words:
    """An entry of WORDS with its places filled, each in its language."""
    english, chinese = ({name: value if isinstance(value, str) else value[which] for name, value in values.items()}
                        for which in (0, 1))  # fmt: skip
    return WORDS[key][0].format(**english), WORDS[key][1].format(**chinese)


def _both(words: Words) -> str:
    """HTML that shows one of the two, by the switch; where they are the same there is only one."""
    if words[0] == words[1]:
        return words[0]
    return f'<span class="en" lang="en">{words[0]}</span><span class="zh" lang="zh-Hans">{words[1]}</span>'


def _span(kind: str, words: Words) -> str:
    return f'<span class="{kind}">{_both(words)}</span>' if any(words) else ""


def _linked(words: Words, anchor: str | None) -> str:
    return f'<a href="#{anchor}">{_both(words)}</a>' if anchor else _both(words)


def _joined(*parts: Words) -> Words:
    """The parts that say something, with a dot between."""
    return tuple(" · ".join(part[which] for part in parts if part[which]) for which in (0, 1))


def _plain(text: str) -> Words:
    return text, text


def _amount(count: int, noun: str, short: bool = False) -> Words:
    """1 document, 2,000 documents; short: 1.2 M characters."""
    one, many, chinese = NOUNS[noun]
    english, han = _short(count) if short else _plain(f"{count:,}")
    return f"{english}\N{NO-BREAK SPACE}{one if count == 1 else many}", f"{han}\N{NO-BREAK SPACE}{chinese}"


def _characters(amounts: Mapping) -> Words:
    return _amount(amounts["characters"], "character", True) if amounts.get("characters") is not None else ("", "")


def _short(count: int) -> Words:
    """12,345,678 -> 12.3 M, 1235 万; below 10,000 in full."""
    if count < 10_000:
        return _plain(f"{count:,}")
    return _scaled(count, ((10**12, "T"), (10**9, "B"), (10**6, "M"), (10**3, "k"))), _scaled(
        count, ((10**12, "万亿"), (10**8, "亿"), (10**4, "万")))  # fmt: skip


def _scaled(count: float, units: Sequence[tuple[int, str]]) -> str:
    size, unit = next((one for one in units if count >= one[0]), (1, ""))
    value = count / size
    digits = 0 if value >= 100 else 1 if value >= 10 else 2
    number = f"{value:,.{digits}f}"
    number = number.rstrip("0").rstrip(".") if digits else number
    return f"{number}\N{NO-BREAK SPACE}{unit}" if unit else number


def _size(count: int | None) -> str:
    if count is None:
        return ""
    units = ((10**12, "TB"), (10**9, "GB"), (10**6, "MB"), (10**3, "kB"))
    return f"{count} B" if count < 1000 else _scaled(count, units)


def _share(part: float, whole: float) -> str:
    percent = 100 * part / whole if whole else 0
    if 0 < percent < 0.1:
        return "<\N{NO-BREAK SPACE}0.1\N{NO-BREAK SPACE}%"
    if 99.9 < percent < 100:
        return ">\N{NO-BREAK SPACE}99.9\N{NO-BREAK SPACE}%"
    digits = 0 if percent == int(percent) else 1
    return f"{percent:.{digits}f}\N{NO-BREAK SPACE}%"


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:,.4g}"


def _reason(reason: str) -> Words:
    name, _, secret = reason.removesuffix(" masked").rpartition(" ")
    if reason in REASONS or secret not in SECRETS or not reason.endswith(" masked"):
        return _safe(reason), REASONS.get(reason) or _safe(reason)
    return _safe(reason), f"遮盖 {_safe(name)} {SECRETS[secret]}" if name else f"遮盖{SECRETS[secret]}"


def _step_name(name: str) -> Words:
    return STEPS[name][:2] if name in STEPS else _plain(_safe(name))


def _step_about(name: str) -> Words:
    return STEPS[name][2:] if name in STEPS else ("", "")


def _name(key: str) -> Words:
    return NAMES.get(key) or _plain(_safe(key))


def _language(code: str) -> Words:
    for entry in re.split(r"[|\n]", LANGUAGES):
        if entry.startswith(f"{code} "):
            english, chinese = entry[len(code) + 1 :].rsplit(" ", 1)
            return english, chinese
    return _plain(_safe(code))


# ---- what comes from files ----


def _safe(text: str) -> str:
    """HTML of a text from outside: markup is letters, signs that act without being seen are named, marks heaped on
    one letter beyond MARKS are left out."""
    if text.isascii() and text.isprintable():
        return html.escape(text, quote=True)
    parts, heap = [], 0
    for character in text:
        heap = heap + 1 if unicodedata.category(character) in ("Mn", "Me") else 0
        if heap <= MARKS:
            parts.append(_sign(character) if _unseen(character) else html.escape(character, quote=True))
    return "".join(parts)


def _unseen(character: str) -> bool:
    """Control signs, surrogates, direction overrides, tags; not the joiners and marks that scripts need."""
    if character.isascii():
        return not (character.isprintable() or character in "\n\t")
    return unicodedata.category(character) in ("Cc", "Cs", "Cf", "Zl", "Zp") and not "\u200c" <= character <= "\u200f"


def _sign(character: str) -> str:
    return f'<span class="sign" title="{unicodedata.name(character, "")}">U+{ord(character):04X}</span>'


def _flat(value: object, name: str = "") -> list[tuple[str, str]]:
    """Nested settings as ("quality.on", "True"); names as flags have them."""
    if not isinstance(value, Mapping):
        return [(name, _said(value))]
    return [row for key, part in value.items() for row in _flat(part, f"{name}.{key}" if name else str(key))]


def _said(value: object) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(_said, value)) or "—"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "—" if value in (None, "") else str(value)


def _folded(rows: Sequence[str], open_: int, enclose) -> str:
    """The first rows in the open, the others behind "and 12 more"; one more is not worth a fold."""
    if len(rows) <= open_ + 1:
        return enclose(rows) if rows else ""
    more = _both(_word("more", n=f"{len(rows) - open_:,}"))
    return enclose(rows[:open_]) + f'<details class="rest"><summary>{more}</summary>{enclose(rows[open_:])}</details>'


def _sorted(counts: Mapping[str, float]) -> list[tuple[str, float]]:
    return sorted(((str(name), count) for name, count in counts.items() if count), key=lambda one: (-one[1], one[0]))


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
    dropped, changed = _sorted(step.get("dropped", {})), _sorted(step.get("changed", {}))
    parts = [f"{reason} {count:,}" for reason, count in dropped[:CHIPS]]
    parts += [f"{len(dropped) - CHIPS} more reasons"] if len(dropped) > CHIPS else []
    parts += ["changed: " + ", ".join(f"{reason} {count:,}" for reason, count in changed[:CHIPS])] if changed else []
    return " · ".join(parts)


def _amounts(amounts: Mapping) -> str:
    return ", ".join(f"{amounts[name]:,} {name}" for name in ("tokens", "characters") if amounts.get(name) is not None)
