"use strict";

const LOST = "-", SAME = "=", WON = "+";

// Characters that show nothing, or turn the direction of text, as escapes.
const HIDDEN = /[\0-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g;
const escaped = (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`;
const visible = (told) => told.replaceAll("\r\n", "\n").replace(HIDDEN, escaped);

// The examples of one eval, as packing.py packs them: which of them are asked for, and in which
// order. A row is the place of an example in the gold set.
class Examples {
  #told;
  #lower = [];
  #order = [];

  constructor(told) {
    this.#told = told;
    this.size = told.ids.length;
    this.binary = told.binary;
    this.models = told.models;
    this.pairs = told.pairs;
    this.slices = told.slices;
    this.pair = undefined; // who is held against whom
  }

  static async unpacked(packed) {
    const raw = atob(packed);
    const bytes = new Uint8Array(raw.length);
    for (let i = 0; i < raw.length; i++) bytes[i] = raw.charCodeAt(i);
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Examples(JSON.parse(await new Response(stream).text()));
  }

  id(row) {
    return visible(this.#told.ids[row]);
  }
  input(row) {
    return this.#text(0, row);
  }
  target(row) {
    return this.#text(1, row);
  }
  answer(model, row) {
    return this.#text(2 + model, row);
  }
  #text(column, row) {
    return visible(this.#raw(column, row));
  }
  #raw(column, row) {
    const told = this.#told.texts[column][row]; // a number is the column of the same text
    return typeof told === "number" ? this.#told.texts[told][row] : told;
  }

  score(model, row) {
    const told = this.#told.scores[model][row];
    return typeof told === "number" ? told.toFixed(4) : told;
  }
  right(model, row) {
    return this.#told.scores[model][row] === (this.#told.higher ? 1 : 0);
  }
  slicesOf(row) {
    return Object.entries(this.slices)
      .map(([field, { values, at }]) => [field, values[at[row]]])
      .filter(([, value]) => value !== "");
  }

  // How the model of the pair fares on an example: "both ..." only where each is right or wrong.
  outcome(row) {
    const sign = this.pair.signs[row];
    if (sign !== SAME) return sign === LOST ? "lost" : "won";
    if (!this.binary) return "as good";
    return this.right(this.pair.model, row) ? "both right" : "both wrong";
  }

  // Sorts by outcome (what was lost most first), id (as in the gold set), input, target, or by the
  // scores of a model, whose place `by` is then.
  sort(by, down) {
    const keys = this.#keys(by);
    const ranks = by === "outcome" && this.pair ? this.#ranks() : null;
    const way = down ? -1 : 1;
    this.#order = new Uint32Array(this.size).map((_, row) => row).sort((a, b) => {
      if (ranks && ranks[a] !== ranks[b]) return way * (ranks[a] - ranks[b]);
      return keys[a] < keys[b] ? -way : keys[a] > keys[b] ? way : a - b;
    });
  }
  #keys(by) {
    const rows = Array.from({ length: this.size }, (_, row) => row);
    if (by === "id") return rows;
    if (by === "input") return rows.map((row) => this.#raw(0, row));
    if (by === "target") return rows.map((row) => this.#raw(1, row));
    if (by !== "outcome") return this.#numbers(by);
    if (!this.pair) return rows.map(() => 0);
    const mine = this.#numbers(this.pair.model), its = this.#numbers(this.pair.other);
    const sign = this.#told.higher ? 1 : -1;
    return rows.map((row) => sign * (mine[row] - its[row]) || 0);
  }
  #numbers(model) {
    const infinite = (told) => (told.startsWith("minus") ? -Infinity : Infinity);
    return this.#told.scores[model].map((told) => (typeof told === "number" ? told : infinite(told)));
  }
  #ranks() {
    const ranks = { [LOST]: 0, [SAME]: 1, [WON]: 2 };
    return Array.from(this.pair.signs, (sign) => ranks[sign]);
  }

  // Returns the rows, sorted, that hold `query` somewhere and have all values of slices, given as
  // pairs of a field and the place of its value.
  matching(query, values) {
    const lower = query.trim().toLowerCase();
    const wanted = values.map(([field, value]) => [this.slices[field].at, value]);
    return Array.from(this.#order).filter(
      (row) =>
        wanted.every(([at, value]) => at[row] === value) &&
        (!lower || this.#searched(row).includes(lower)),
    );
  }
  #searched(row) {
    if (this.#lower[row] === undefined) {
      const told = [this.#told.ids[row], ...this.#told.texts.map((column) => column[row])];
      const texts = told.filter((text) => typeof text === "string");
      this.#lower[row] = texts.join("\n").toLowerCase();
    }
    return this.#lower[row];
  }

  // Makes what is searched, a few thousand rows at a time: so the first search is quick too.
  prepare(from = 0) {
    const to = Math.min(from + 4000, this.size);
    for (let row = from; row < to; row++) this.#searched(row);
    if (to < this.size) setTimeout(() => this.prepare(to));
  }
}
