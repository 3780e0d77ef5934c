/**
 * What the server says, in Chinese. words/sentences.zh.json has its sentences as templates, where
 * {0}, {1} … are values. A value may hold sentences in turn; one in quotes stays as it is, and so
 * does one that the Chinese marks {0!}. Of all readings of a text that one counts which knows most.
 */
const SAID = new Set(["error", "said", "why", "warnings", "notes", "fault", "faults"]); // of answers
const MARKS = [[/[.!?] /g, ""], [/; /g, "；"], [/, /g, "、"], [/ and /g, "，"]]; // between sentences
const END = /[.!?] [A-Z"]/; // of a sentence, before another
const WEAK = 8; // letters: what begins with a value and says less might be anyone's
const [LONGEST, READINGS, KEPT] = [3000, 1000, 1000]; // letters, tries a text, texts

let templates;
let left = 0; // readings
const memo = new Map();

/** @param {any} found a sentence, or an answer with sentences in it */
export async function translate(found) {
  templates ??= await load();
  return walk(found, typeof found === "string");
}

async function load() {
  const pairs = await (await fetch(new URL("words/sentences.zh.json", import.meta.url))).json();
  const made = Object.entries(pairs).map(([english, chinese]) => {
    const pieces = english.split(/\{\d\}/);
    const fixed = pieces.join("");
    const known = fixed.replace(/[^a-z]/gi, "").length;
    const verbatim = pieces.slice(1).map((piece, place) =>
      chinese.includes(`{${place}!}`) || (pieces[place].endsWith('"') && piece.startsWith('"')));
    return { pieces, chinese, known, verbatim, long: fixed.length, weak: known < WEAK && /^"?\{0/.test(english) };
  });
  return made.sort((a, b) => b.long - a.long);
}

function walk(found, said) {
  if (typeof found === "string") return said ? found.split("\n").map(inChinese).join("\n") : found;
  if (Array.isArray(found)) return found.map((each) => walk(each, said));
  if (!found || typeof found !== "object") return found;
  const each = ([key, value]) => [key, key === "lines" ? value.map(fact) : walk(value, said || SAID.has(key))];
  return Object.fromEntries(Object.entries(found).map(each));
}

const fact = ([label, text]) => [label, label === "name" ? text : inChinese(text)];

function inChinese(text) {
  if (memo.size > KEPT) memo.clear();
  left = READINGS;
  return text.length > LONGEST ? text : read(text, true).words;
}

/** @returns {{ known: number, words: string }} known: how many letters are a template's */
function read(text, first) {
  const key = first + text;
  if (!memo.has(key)) memo.set(key, inParts(text, first));
  return memo.get(key);
}

function inParts(text, first) {
  let best = whole(text, first);
  for (const [mark, joint] of first ? MARKS.slice(0, 1) : MARKS) {
    for (const { 0: found, index } of text.matchAll(mark)) {
      if (left < 0) return best;
      const head = whole(text.slice(0, index + (joint ? 0 : 1)), first);
      const rest = read(text.slice(index + found.length), first);
      const known = head.known + rest.known;
      if (known > best.known) best = { known, words: head.words + (joint || (head.known ? "" : " ")) + rest.words };
    }
  }
  return best;
}

/** As one template says it. */
function whole(text, first) {
  let best = { known: 0, words: text };
  if (left-- < 0) return best;
  for (const template of templates) {
    const values = valuesOf(template, text);
    if (!values) continue;
    const parts = values.map((value, place) => (template.verbatim[place] ? { known: 0, words: value } : read(value.trim(), false)));
    const known = parts.reduce((sum, part) => sum + part.known, template.known);
    if (first && template.weak && (known < WEAK || END.test(values[0]))) continue;
    if (known > best.known) best = { known, words: template.chinese.replace(/\{(\d)!?\}/g, (_, place) => parts[place].words) };
  }
  return best;
}

/** What stands in the places of a template, or undefined where the text is another: each value the
 * shortest that closes its quotes, without ever going back. */
function valuesOf({ pieces, verbatim }, text) {
  const last = pieces.length - 1;
  const end = text.length - pieces[last].length;
  if (!text.startsWith(pieces[0]) || !text.endsWith(pieces[last]) || (!last && end)) return undefined;
  const values = [];
  let from = pieces[0].length;
  for (let place = 1; place <= last; place++) {
    let at = place === last ? end : text.indexOf(pieces[place], from);
    const isOpen = () => !verbatim[place - 1] && text.slice(from, at).split('"').length % 2 === 0;
    while (place < last && at >= 0 && isOpen()) at = text.indexOf(pieces[place], at + 1);
    if (at < from || isOpen()) return undefined;
    values.push(text.slice(from, at));
    from = at + pieces[place].length;
  }
  return pieces[last].endsWith(".") && END.test(values.at(-1) ?? "") ? undefined : values;
}
