"use strict";
(() => {
  const MORE = 50;
  const LOST = "-", WON = "+";
  const byId = (id) => document.getElementById(`answers-${id}`);
  const count = (n) => n.toLocaleString("en");

  // What is told stands in text nodes alone: no text of an example is ever read as HTML.
  const make = (tag, given = {}, ...inside) => {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(given)) made.setAttribute(name, value);
    made.append(...inside);
    return made;
  };

  // A printed page has no folds.
  let folded = [];
  addEventListener("beforeprint", () => {
    folded = [...document.querySelectorAll("details:not([open])")];
    for (const each of folded) each.open = true;
  });
  addEventListener("afterprint", () => {
    for (const each of folded) each.open = false;
  });
  const reveal = () => {
    const found = location.hash && document.getElementById(location.hash.slice(1));
    if (found instanceof HTMLDetailsElement) found.open = true;
  };
  addEventListener("hashchange", reveal);
  reveal();

  if (!byId("body")) return;

  const packed = [...document.querySelectorAll("script.rows")];
  const unpacked = new Map();
  const unpack = async (place) => {
    if (!unpacked.has(place)) {
      const raw = atob(packed[place].textContent);
      const bytes = new Uint8Array(raw.length);
      for (let i = 0; i < raw.length; i++) bytes[i] = raw.charCodeAt(i);
      const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
      unpacked.set(place, JSON.parse(await new Response(stream).text()));
    }
    return unpacked.get(place);
  };

  let data; // the table that is shown
  let pair; // the model and whom it is held against, and how it fares on each example
  let show = "lost";
  let sort = { by: "outcome", down: false };
  let order = []; // all rows, sorted
  let found = []; // those of them that are asked for
  let shown = 0;

  const text = (column, row) => {
    const told = data.texts[column][row];
    return typeof told === "number" ? data.texts[told][row] : told; // the same as an earlier one
  };
  const answer = (model, row) => (data.models[model].answers ? text(2 + model, row) : "");
  const number = (score) =>
    typeof score === "number" ? score : score.startsWith("minus") ? -Infinity : Infinity;
  const right = (model, row) => data.scores[model][row] === (data.higher ? 1 : 0);

  const OUTCOMES = {
    lost: { name: "Lost", has: (row) => pair.signs[row] === LOST },
    won: { name: "Won", has: (row) => pair.signs[row] === WON },
    wrong: {
      name: "Both wrong",
      has: (row) => !right(pair.model, row) && !right(pair.other, row),
    },
    all: { name: "All", has: () => true },
  };
  const kinds = () =>
    !pair ? ["all"] : data.binary ? ["lost", "won", "wrong", "all"] : ["lost", "won", "all"];

  const outcome = (row) => {
    if (OUTCOMES.lost.has(row)) return ["lost", "bad"];
    if (OUTCOMES.won.has(row)) return ["won", "good"];
    if (!data.binary) return ["as good", ""];
    return OUTCOMES.wrong.has(row) ? ["both wrong", ""] : ["both right", ""];
  };

  // Sorting

  const keys = () => {
    if (sort.by === "input") return data.ids.map((_, row) => text(0, row));
    if (sort.by === "target") return data.ids.map((_, row) => text(1, row));
    if (sort.by === "id") return data.ids.map((_, row) => row);
    if (sort.by !== "outcome") return data.scores[sort.by].map(number);
    if (!pair) return data.ids.map(() => 0);
    const sign = data.higher ? 1 : -1;
    const mine = data.scores[pair.model].map(number), its = data.scores[pair.other].map(number);
    return mine.map((score, row) => sign * (score - its[row]) || 0);
  };
  const PLACES = { [LOST]: 0, "=": 1, [WON]: 2 };
  const arrange = () => {
    const key = keys();
    const rank = sort.by === "outcome" && pair ? Array.from(pair.signs, (s) => PLACES[s]) : null;
    const way = sort.down ? -1 : 1;
    order = Uint32Array.from(data.ids.keys()).sort((a, b) => {
      if (rank && rank[a] !== rank[b]) return way * (rank[a] - rank[b]);
      return key[a] < key[b] ? -way : key[a] > key[b] ? way : a - b;
    });
  };

  // Filtering

  const sought = (row) => {
    data.sought ??= [];
    return (data.sought[row] ??= [data.ids[row], ...data.texts.map((column) => column[row])]
      .filter((told) => typeof told === "string")
      .join("\n")
      .toLowerCase());
  };
  const prepare = (table, from = 0) => {
    if (table !== data || from >= table.ids.length) return;
    for (let row = from; row < Math.min(from + 4000, table.ids.length); row++) sought(row);
    setTimeout(prepare, 0, table, from + 4000);
  };
  const filter = () => {
    const query = byId("search").value.trim().toLowerCase();
    const wanted = [...byId("slices").querySelectorAll("select")]
      .filter((select) => select.value !== "")
      .map((select) => [data.slices[select.dataset.field].at, Number(select.value)]);
    const left = [];
    for (const row of order) {
      if (wanted.every(([at, value]) => at[row] === value) && (!query || sought(row).includes(query)))
        left.push(row);
    }
    const parts = Object.fromEntries(kinds().map((kind) => [kind, left.filter(OUTCOMES[kind].has)]));
    found = parts[show];
    for (const button of byId("filters").children) {
      button.lastChild.textContent = count(parts[button.value].length);
      button.setAttribute("aria-pressed", String(button.value === show));
    }
    byId("table").tBodies[0].replaceChildren();
    shown = 0;
    more();
  };

  // Drawing

  const columns = () => {
    const beside = (model, place) =>
      data.models.length <= 4 || model.role !== "student" || !pair ||
      place === pair.model || place === pair.other;
    return [...data.models.keys()].filter((place) => beside(data.models[place], place));
  };
  const called = (model) =>
    model.name === model.role ? model.name : `${model.name} (${model.role})`;
  const score = (model, row) => {
    const told = data.scores[model][row];
    if (data.binary)
      return right(model, row)
        ? make("span", { class: "score good" }, "\u2713 right")
        : make("span", { class: "score bad" }, "\u2717 wrong");
    return make("span", { class: "score" }, typeof told === "number" ? told.toFixed(4) : told);
  };
  const clip = (told, label, kind) => {
    const inside = told === ""
      ? make("span", { class: "empty" }, "empty")
      : make("span", { class: "clip", dir: "auto" }, told);
    return make("td", { class: kind, role: "cell", "data-label": label }, inside);
  };
  const rowOf = (row) => {
    const open = make("button", { type: "button", class: "open", "aria-expanded": "false" }, data.ids[row]);
    const head = make("th", { scope: "row", role: "rowheader" }, open);
    const slices = Object.entries(data.slices).map(([field, { values, at }]) => `${field}=${values[at[row]]}`);
    if (slices.length) head.append(make("span", { class: "slices" }, slices.join(", ")));
    const cells = [head];
    if (pair) {
      const [word, tone] = outcome(row);
      cells.push(make("td", { role: "cell", "data-label": "Outcome" }, make("span", { class: `outcome ${tone}` }, word)));
    }
    cells.push(clip(text(0, row), "Input", "input"), clip(text(1, row), "Target", "text"));
    for (const place of columns()) {
      const model = data.models[place];
      const cell = model.answers
        ? clip(answer(place, row), called(model), "text")
        : make("td", { class: "text", role: "cell", "data-label": called(model) });
      cell.prepend(score(place, row));
      cells.push(cell);
    }
    const line = make("tr", { role: "row" }, ...cells);
    open.addEventListener("click", () => toggle(open, line, row));
    return line;
  };
  const toggle = (open, line, row) => {
    const opened = open.getAttribute("aria-expanded") === "true";
    open.setAttribute("aria-expanded", String(!opened));
    if (opened) line.nextSibling.remove();
    else line.after(whole(row, line.children.length));
  };
  const whole = (row, width) => {
    const part = (name, told, kind, ...marks) => {
      const inside = told === "" ? make("span", { class: "empty" }, "empty") : told;
      return make("div", { class: kind }, make("dt", {}, name, " ", ...marks), make("dd", { dir: "auto", tabindex: "0" }, inside));
    };
    const parts = [part("Input", text(0, row), "input"), part("Target", text(1, row), "")];
    data.models.forEach((model, place) => {
      if (model.answers) parts.push(part(called(model), answer(place, row), "", score(place, row)));
      else parts.push(make("div", {}, make("dt", {}, called(model)), make("dd", {}, score(place, row))));
    });
    return make("tr", { class: "whole", role: "row" },
      make("td", { colspan: width, role: "cell" }, make("dl", {}, ...parts)));
  };
  const more = () => {
    const next = found.slice(shown, shown + MORE);
    byId("table").tBodies[0].append(...next.map(rowOf));
    shown += next.length;
    byId("more").hidden = shown >= found.length;
    byId("more").textContent = `Show ${Math.min(MORE, found.length - shown)} more`;
    const kind = show === "all" ? "" : ` (${OUTCOMES[show].name.toLowerCase()})`;
    byId("count").textContent =
      `${count(found.length)} of ${count(data.ids.length)} examples${kind}, ${count(shown)} shown`;
  };
  const heads = () => {
    const names = [["id", "Example"]];
    if (pair) names.push(["outcome", `${data.models[pair.model].name} against ${data.models[pair.other].name}`]);
    names.push(["input", "Input"], ["target", "Target"]);
    for (const place of columns()) names.push([place, called(data.models[place])]);
    const cells = names.map(([by, name]) => {
      const button = make("button", { type: "button" }, name);
      const head = make("th", { scope: "col", role: "columnheader" }, button);
      head.by = by;
      button.addEventListener("click", () => {
        sort = { by, down: sort.by === by && !sort.down };
        arrange();
        sorted();
        filter();
      });
      return head;
    });
    byId("table").tHead.replaceChildren(make("tr", { role: "row" }, ...cells));
    sorted();
  };
  const sorted = () => {
    for (const head of byId("table").tHead.rows[0].cells) {
      if (head.by === sort.by) head.setAttribute("aria-sort", sort.down ? "descending" : "ascending");
      else head.removeAttribute("aria-sort");
    }
  };

  // Choosing

  const choose = (select, options, chosen) => {
    select.replaceChildren(...options.map(([value, name]) => make("option", { value }, name)));
    if (chosen !== undefined) select.value = String(chosen);
    select.disabled = options.length < 2;
  };
  const withModel = (wanted) => {
    const models = [...new Set(data.pairs.map((each) => each.model))];
    const first = models.find((place) => data.models[place].name === wanted) ??
      models.find((place) => data.models[place].role === "student") ?? models[0];
    choose(byId("model"), models.map((place) => [place, called(data.models[place])]), first);
    withOther();
  };
  const withOther = () => {
    const mine = data.pairs.filter((each) => String(each.model) === byId("model").value);
    const first = mine.find((each) => data.models[each.other].role === "teacher") ?? mine[0];
    choose(byId("other"), mine.map((each) => [each.other, called(data.models[each.other])]), first?.other);
    withPair();
  };
  const withPair = () => {
    pair = data.pairs.find((each) =>
      String(each.model) === byId("model").value && String(each.other) === byId("other").value);
    if (!kinds().includes(show)) show = kinds()[0];
    if (!pair && sort.by === "outcome") sort = { by: "id", down: false };
    byId("filters").replaceChildren(...kinds().map((kind) => {
      const button = make("button", { type: "button", value: kind }, `${OUTCOMES[kind].name} `, make("span"));
      button.addEventListener("click", () => {
        show = kind;
        filter();
      });
      return button;
    }));
    arrange();
    heads();
    filter();
  };
  const withTable = async (place, wanted) => {
    data = await unpack(place);
    byId("slices").replaceChildren(...Object.entries(data.slices).map(([field, { values }], number) => {
      const id = `answers-slice-${number}`;
      const select = make("select", { id, "data-field": field });
      choose(select, [["", "all"], ...values.map((value, at) => [at, value])]);
      select.addEventListener("change", filter);
      return make("p", {}, make("label", { for: id }, field), select);
    }));
    sort = { by: "outcome", down: false };
    withModel(wanted);
    const table = data;
    setTimeout(prepare, 0, table);
  };

  const start = async () => {
    if (typeof DecompressionStream === "undefined") {
      byId("problem").textContent = "This browser is too old for the table of answers.";
      byId("problem").hidden = false;
      return;
    }
    const evals = byId("eval");
    evals.disabled = evals.options.length < 2;
    evals.value = "0";
    evals.addEventListener("change", () => withTable(Number(evals.value)));
    byId("model").addEventListener("change", withOther);
    byId("other").addEventListener("change", withPair);
    byId("search").addEventListener("input", filter);
    byId("form").addEventListener("submit", (event) => event.preventDefault());
    byId("more").addEventListener("click", () => {
      const first = shown;
      more();
      if (byId("more").hidden) byId("table").querySelectorAll(".open")[first]?.focus();
    });
    for (const link of document.querySelectorAll("[data-table]")) {
      link.addEventListener("click", async () => {
        evals.value = link.dataset.table;
        show = "lost";
        byId("search").value = "";
        await withTable(Number(link.dataset.table), link.dataset.model);
      });
    }
    await withTable(0);
    byId("body").hidden = false;
  };
  start();
})();
