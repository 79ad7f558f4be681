"use strict";

// The table of answers. Whatever comes from data stands in text nodes: none of it is ever HTML.
{
  const MORE = 50;
  const MOST_BESIDE = 4; // models: of more, only the chosen student stands in the table
  const ALIGNED = /^(?: {2,}|\t|\|)/m; // code and tables, which letters of one width keep in shape
  const FILTERS = { lost: "Lost", won: "Won", "both wrong": "Both wrong", all: "All" };

  const byId = (id) => document.getElementById(`answers-${id}`);
  const count = (n) => n.toLocaleString("en");
  const make = (tag, given = {}, ...inside) => {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(given)) made.setAttribute(name, value);
    made.append(...inside);
    return made;
  };

  let examples;
  let show = "lost";
  let sort = { by: "outcome", down: false };
  let found = []; // the rows that are asked for
  let shown = 0; // how many of them

  // A row, and what it opens to

  const called = ({ name, role }) => visible(name === role ? name : `${name} (${role})`);
  const beside = () =>
    [...examples.models.keys()].filter((place) => {
      const chosen = !examples.pair || place === examples.pair.model;
      return examples.models.length <= MOST_BESIDE || examples.models[place].role !== "student" || chosen;
    });
  const textOf = (told) =>
    told === ""
      ? make("span", { class: "empty" }, "empty")
      : make("span", { class: "clip", dir: "auto" }, told);
  const scoreOf = (model, row) => {
    if (!examples.binary) return make("span", { class: "score" }, examples.score(model, row));
    const right = examples.right(model, row);
    return make("span", { class: right ? "score good" : "score bad" }, right ? "\u2713 right" : "\u2717 wrong");
  };
  const cell = (label, kind, ...inside) =>
    make("td", { class: kind, role: "cell", "data-label": label }, ...inside);

  const lineOf = (row) => {
    const id = make("span", { class: "clip", dir: "auto" }, examples.id(row));
    const open = make("button", { type: "button", class: "open", "aria-expanded": "false" }, id);
    const head = make("th", { scope: "row", role: "rowheader" }, open);
    const slices = examples.slicesOf(row).map(([field, value]) => visible(`${field}=${value}`));
    if (slices.length) head.append(make("span", { class: "slices clip" }, slices.join(", ")));
    const cells = [head];
    if (examples.pair) {
      const outcome = examples.outcome(row);
      const tone = { lost: "bad", won: "good" }[outcome] ?? "";
      cells.push(cell("Outcome", "", make("span", { class: `outcome ${tone}` }, outcome)));
    }
    cells.push(cell("Input", "input", textOf(examples.input(row))));
    cells.push(cell("Target", "text", textOf(examples.target(row))));
    for (const place of beside()) {
      const model = examples.models[place];
      const said = model.answers ? [textOf(examples.answer(place, row))] : [];
      cells.push(cell(called(model), "text", scoreOf(place, row), ...said));
    }
    const line = make("tr", { role: "row" }, ...cells);
    line.addEventListener("click", (event) => {
      if (event.target.closest("button") || getSelection().isCollapsed) toggle(open, line, row);
    });
    return line;
  };
  const toggle = (open, line, row) => {
    const opened = line.classList.toggle("opened");
    open.setAttribute("aria-expanded", String(opened));
    if (opened) line.after(wholeOf(row, line.children.length));
    else line.nextSibling.remove();
  };
  const wholeOf = (row, width) => {
    const part = (kind, told, ...names) => {
      const inside = told === "" ? textOf(told) : told;
      const layout = ALIGNED.test(told) ? "mono" : "";
      return make("div", { class: kind },
        make("dt", {}, ...names), make("dd", { dir: "auto", class: layout }, inside));
    };
    const answers = examples.models.map((model, place) =>
      model.answers
        ? part("", examples.answer(place, row), called(model), " ", scoreOf(place, row))
        : make("div", {}, make("dt", {}, called(model)), make("dd", {}, scoreOf(place, row))));
    const parts = [part("input", examples.input(row), "Input"), part("", examples.target(row), "Target")];
    return make("tr", { class: "whole", role: "row" },
      make("td", { colspan: width, role: "cell" }, make("dl", {}, ...parts, ...answers)));
  };

  // The table

  const heads = () => {
    const names = [["id", "Example"], ["input", "Input"], ["target", "Target"]];
    if (examples.pair) names.splice(1, 0, ["outcome", "Outcome"]);
    for (const place of beside()) names.push([place, called(examples.models[place])]);
    const cells = names.map(([by, name]) => {
      const button = make("button", { type: "button" }, name);
      button.addEventListener("click", () => {
        sort = { by, down: sort.by === by && !sort.down };
        mark();
        arrange();
      });
      return make("th", { scope: "col", role: "columnheader", "data-by": by }, button);
    });
    byId("table").tHead.replaceChildren(make("tr", { role: "row" }, ...cells));
    mark();
  };
  const mark = () => {
    for (const head of byId("table").tHead.rows[0].cells) {
      if (head.dataset.by !== String(sort.by)) head.removeAttribute("aria-sort");
      else head.setAttribute("aria-sort", sort.down ? "descending" : "ascending");
    }
  };
  const arrange = () => {
    examples.sort(sort.by, sort.down);
    filter();
  };
  const filter = () => {
    const chosen = [...byId("slices").querySelectorAll("select")].filter((each) => each.value !== "");
    const values = chosen.map((each) => [each.dataset.field, Number(each.value)]);
    const parts = { lost: [], won: [], "both wrong": [], all: examples.matching(byId("search").value, values) };
    if (examples.pair) for (const row of parts.all) parts[examples.outcome(row)]?.push(row);
    found = parts[show];
    for (const button of byId("filters").children) {
      button.lastChild.textContent = count(parts[button.value].length);
      button.setAttribute("aria-pressed", String(button.value === show));
    }
    byId("table").tBodies[0].replaceChildren();
    shown = 0;
    more();
  };
  const more = () => {
    const next = found.slice(shown, shown + MORE);
    byId("table").tBodies[0].append(...next.map(lineOf));
    shown += next.length;
    byId("more").hidden = shown >= found.length;
    byId("more").textContent = `Show ${Math.min(MORE, found.length - shown)} more`;
    const kind = show === "all" ? "" : ` (${show})`;
    byId("count").textContent =
      `${count(found.length)} of ${count(examples.size)} examples${kind}, ${count(shown)} shown`;
  };

  // What is chosen

  const choose = (select, options, chosen) => {
    const brief = (name) => visible(name.length > 80 ? `${name.slice(0, 78)}..` : name);
    select.replaceChildren(...options.map(([value, name]) => make("option", { value }, brief(name))));
    if (chosen !== undefined) select.value = String(chosen);
    select.parentNode.hidden = options.length < 2; // nothing to choose
  };
  const withPair = () => {
    const [mine, its] = [byId("model").value, byId("other").value];
    examples.pair = examples.pairs.find((each) => String(each.model) === mine && String(each.other) === its);
    const kinds = Object.keys(FILTERS).filter(
      (kind) => kind === "all" || (examples.pair && (examples.binary || kind !== "both wrong")),
    );
    if (!kinds.includes(show)) show = kinds[0];
    if (!examples.pair && sort.by === "outcome") sort = { by: "id", down: false };
    byId("filters").replaceChildren(...kinds.map((kind) => {
      const button = make("button", { type: "button", value: kind }, `${FILTERS[kind]} `, make("span"));
      button.addEventListener("click", () => {
        show = kind;
        filter();
      });
      return button;
    }));
    heads();
    arrange();
  };
  const withModel = () => {
    const mine = examples.pairs.filter((each) => String(each.model) === byId("model").value);
    const others = mine.map((each) => each.other);
    const first = others.find((place) => examples.models[place].role === "teacher") ?? others[0];
    choose(byId("other"), others.map((place) => [place, called(examples.models[place])]), first);
    withPair();
  };
  const withTable = async (place, wanted) => {
    const table = await unpack(place);
    if (byId("eval").value !== String(place)) return; // another one was chosen meanwhile
    examples = table;
    byId("slices").replaceChildren(...Object.entries(examples.slices).map(([field, { values }], number) => {
      const select = make("select", { id: `answers-slice-${number}`, "data-field": field });
      const labelled = make("p", {}, make("label", { for: select.id }, visible(field)), select);
      choose(select, [["", "all"], ...values.map((value, at) => [at, value || "(empty)"])]);
      select.addEventListener("change", filter);
      return labelled;
    }));
    show = "lost";
    sort = { by: "outcome", down: false };
    const places = [...new Set(examples.pairs.map((each) => each.model))];
    const first = places.find((each) => examples.models[each].name === wanted) ??
      places.find((each) => examples.models[each].role === "student") ?? places[0];
    choose(byId("model"), places.map((each) => [each, called(examples.models[each])]), first);
    withModel();
    if (!found.length) {
      show = "all";
      filter();
    }
    setTimeout(() => table.prepare());
  };
  const tables = new Map();
  const unpack = async (place) => {
    const packed = document.querySelectorAll("script.rows")[place];
    if (!tables.has(place)) tables.set(place, await Examples.unpacked(packed.textContent));
    return tables.get(place);
  };

  const start = async () => {
    if (typeof DecompressionStream === "undefined") {
      byId("problem").hidden = false;
      return;
    }
    const evals = byId("eval");
    evals.value = "0"; // whatever the browser kept of a former look
    evals.addEventListener("change", () => withTable(Number(evals.value)));
    byId("model").addEventListener("change", withModel);
    byId("other").addEventListener("change", withPair);
    byId("search").addEventListener("input", filter);
    byId("form").addEventListener("submit", (event) => event.preventDefault());
    byId("more").addEventListener("click", () => {
      const first = shown;
      more();
      if (byId("more").hidden) byId("table").querySelectorAll(".open")[first]?.focus();
    });
    for (const link of document.querySelectorAll("[data-table]")) {
      link.addEventListener("click", () => {
        evals.value = link.dataset.table;
        byId("search").value = "";
        withTable(Number(evals.value), link.dataset.model);
      });
    }
    await withTable(0);
    byId("body").hidden = false;
  };
  if (byId("body")) start();
}
