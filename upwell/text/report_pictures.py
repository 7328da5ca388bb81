"""The pictures of the report as SVG: the river that grows narrower at each step, bars, the mark in its head.

Numbers in, markup out: nothing here knows a manifest or a word. Colours are classes of report.css.
"""

WIDE, RIVER = 300, 200
"""Units of the river's pictures: their width, and that of the river where it is widest."""

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


def spring(documents: int, whole: int) -> str:
    """Where the water begins: a wave on top."""
    wide = RIVER * documents / whole
    wave = f"M0 16C{wide / 6:.2f} 4 {wide / 3:.2f} 4 {wide / 2:.2f} 16S{5 * wide / 6:.2f} 28 {wide:.2f} 16V52H0Z"
    return _picture(52, f'<path class="body" d="{wave}"/>') + _on(wide)


def mouth(documents: float, whole: int) -> str:
    """Where the water arrives: it spreads into lines of waves."""
    wide = RIVER * documents / whole
    if not documents:
        return _picture(60, "")
    half = f"c{wide / 6:.2f} 12 {wide / 3:.2f} 12 {wide / 2:.2f} 0s{wide / 3:.2f} -12 {wide / 2:.2f} 0"
    body = f'<path class="body" d="M0 -1V38{half}V-1Z"/>'
    return _picture(78, body + "".join(f'<path class="line" d="M0 {y}{half}"/>' for y in (50, 61)))


def water_of(before: float, came: float, left: float, whole: int, kind: str = "lost") -> str:
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


def bar(share: float) -> str:
    width = f"{max(100 * share, 0.8 if share else 0):.4g}"
    return (
        '<svg viewBox="0 0 100 1" preserveAspectRatio="none" aria-hidden="true">'
        f'<rect width="{width}" height="1"/></svg>'
    )
