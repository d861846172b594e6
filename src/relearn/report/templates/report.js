"use strict";
(() => {
  const byId = (id) => document.getElementById(id);
  const read = (id) => JSON.parse(byId(id).textContent);

  /** Make an element whose content is text, never markup. */
  function element(tag, className, text) {
    const made = document.createElement(tag);
    if (className) made.className = className;
    if (text !== undefined) made.textContent = text;
    return made;
  }

  const { config, panels } = read("chart-data");
  const style = getComputedStyle(document.body);
  const size = parseFloat(style.fontSize) * 0.75;
  const fontSize = { guideLabel: size, guideTitle: size, groupTitle: size, text: size };
  const options = {
    config: { ...config, font: style.fontFamily, fontSize }, mode: "vega-lite",
    renderer: "svg", actions: false,
    // The page's policy lets no text be run as script: expressions are interpreted.
    ast: true, defaultStyle: false, tooltip: { disableDefaultStyle: true },
  };
  for (const [id, specifications] of Object.entries(panels)) {
    for (const specification of specifications) {
      const panel = byId(`chart-${id}`).appendChild(element("div", "panel"));
      vegaEmbed(panel, specification, options);
    }
  }

  const PAGE = 6;
  const data = read("example-data");
  if (!data.rows.length) return;
  for (const row of data.rows) {
    const answers = Object.values(row.answers).map((answer) => answer.text);
    row.haystack = [row.id, row.question, row.reference, ...answers].join("\n").toLowerCase();
  }

  /** Forgotten or remembered, retained or lost; the target is no success and no failure. */
  function badge(model, forgets, good) {
    const word = forgets ? (good ? "forgotten" : "remembered") : good ? "retained" : "lost";
    const kind = model.key === "target" ? "neutral" : good ? "good" : "bad";
    return element("span", `badge ${kind}`, word);
  }

  function textOf(text) {
    const made = element("p", text ? "text" : "text empty", text || "(empty answer)");
    made.dir = "auto";
    made.tabIndex = 0;
    return made;
  }

  function answerOf(model, answer, forgets) {
    const box = element("section", `answer ${model.key === "unlearned" ? "unlearned" : ""}`);
    const head = element("h4", "", model.label);
    if (answer.good !== null) head.append(" ", badge(model, forgets, answer.good));
    box.append(head);
    if (answer.text !== null) box.append(textOf(answer.text));
    if (answer.scores) box.append(element("p", "small", answer.scores));
    return box;
  }

  function exampleOf(row) {
    const card = element("article", "example");
    const where = [data.sets[row.set] || row.set, row.id].filter(Boolean).join(" · ");
    card.append(element("p", "small where", where));
    if (row.question !== null) {
      const question = element("h3", "question", row.question);
      question.dir = "auto";
      card.append(question);
    }
    const answers = element("div", "answers");
    if (row.reference !== null) {
      const box = element("section", "answer reference");
      box.append(element("h4", "", "True answer"), textOf(row.reference));
      answers.append(box);
    }
    for (const model of data.models) {
      const answer = row.answers[model.key];
      if (answer) answers.append(answerOf(model, answer, row.set.startsWith("forget")));
    }
    card.append(answers);
    return card;
  }

  for (const name of new Set(data.rows.map((row) => row.set))) {
    const option = element("option", "", data.sets[name] || name);
    option.value = name;
    byId("filter-set").append(option);
  }

  let found = [];
  let shown = 0;

  /** Only what is looked at is made: a run may have hundreds of rows. */
  function show(count) {
    const next = found.slice(shown, shown + count);
    byId("rows").append(...next.map(exampleOf));
    shown += next.length;
    byId("shown").value = `${shown} of ${found.length} shown`;
    byId("more").hidden = byId("all").hidden = shown >= found.length;
  }

  function filter() {
    const set = byId("filter-set").value;
    const words = byId("filter-text").value.toLowerCase().split(/\s+/).filter(Boolean);
    const failures = byId("filter-failures").checked;
    found = data.rows.filter(
      (row) =>
        (!set || row.set === set) &&
        (!failures || row.answers.unlearned?.good === false) &&
        words.every((word) => row.haystack.includes(word)),
    );
    shown = 0;
    byId("rows").replaceChildren();
    show(PAGE);
  }

  byId("filters").addEventListener("input", filter);
  byId("filters").addEventListener("submit", (event) => event.preventDefault());
  byId("more").addEventListener("click", () => show(PAGE));
  byId("all").addEventListener("click", () => show(Infinity));
  filter();
})();
