// A text of which every letter knows who wrote it, with what the model thought at each token, and its undo steps.
// Knows no nodes and no server.

const YOU = "y", MODEL = "m";
const UNDO_STEPS = 50;

export class Sheet {
  constructor() {
    this.past = []; // what Undo brings back: {text, marks, tokens, wrote}
    this.set("");
  }

  // marks: who wrote each UTF-16 unit; tokens: {start, end, chance, others} of what the model told, in order
  set(text, marks = YOU.repeat(text.length), tokens = []) {
    Object.assign(this, { text, marks, tokens, unseen: 0 }); // unseen: units at the beginning beyond the model's sight
  }

  append(piece) {
    this.text += piece;
    this.marks += MODEL.repeat(piece.length);
  }

  // What one typed lies between the longest common beginning and end of the old and the new text.
  typed(after) {
    const before = this.text, most = Math.min(before.length, after.length);
    let start = 0, end = 0;
    while (start < most && before[start] === after[start]) start++;
    while (end < most - start && before[before.length - 1 - end] === after[after.length - 1 - end]) end++;
    const shift = after.length - before.length, border = before.length - end;
    const tokens = this.tokens.filter((token) => token.end <= start || token.start >= border)
      .map((token) => (token.end <= start ? token : { ...token, start: token.start + shift, end: token.end + shift }));
    const inserted = YOU.repeat(after.length - start - end);
    this.set(after, this.marks.slice(0, start) + inserted + this.marks.slice(border), tokens);
  }

  // Keep what is before a token, and another one in its place.
  replace(token, text) {
    this.past.push(this.kept(false));
    this.set(this.text.slice(0, token.start) + text, this.marks.slice(0, token.start) + MODEL.repeat(text.length),
      this.tokens.filter((one) => one.end <= token.start));
  }

  kept(wrote) {
    const { text, marks, tokens } = this;
    return { text, marks, tokens: [...tokens], wrote };
  }

  snapshot(wrote) {
    this.past.push(this.kept(wrote));
    if (this.past.length > UNDO_STEPS) this.past.shift();
  }

  undo() {
    const before = this.past.pop();
    if (before) this.set(before.text, before.marks, before.tokens);
    return before;
  }

  // The text from a place on as stretches of one kind: {start, text, kind, token}.
  stretches(from, withTokens) {
    const { text, marks, unseen } = this, tokens = withTokens ? this.tokens : [], made = [];
    let next = 0;
    for (let start = from; start < text.length; ) {
      while (tokens[next]?.end <= start) next++;
      const token = tokens[next]?.start <= start ? tokens[next] : null;
      const borders = [token ? token.end : tokens[next]?.start, start < unseen ? unseen : null, text.length];
      const border = Math.min(...borders.filter((one) => one !== null && one !== undefined && one > start));
      let end = start + 1;
      while (end < border && marks[end] === marks[start]) end++;
      const kind = start < unseen ? "unseen" : marks[start] === MODEL ? "model-wrote" : "you-wrote";
      made.push({ start, text: text.slice(start, end), kind, token });
      start = end;
    }
    return made;
  }

  tokenAt(place) {
    return this.tokens.find((token) => token.start <= place && place < token.end) ?? null;
  }
}

// The first place at or after `place` at which a word begins (and no character is split).
export function beginning(text, place) {
  if (place <= 0) return 0;
  const from = Math.min(Math.ceil(place), text.length - 1), space = text.slice(from, from + 40).search(/\s/);
  const start = space < 0 ? from : from + space;
  return /[\udc00-\udfff]/.test(text[start] ?? "") ? start + 1 : start;
}
