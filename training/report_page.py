"""Style and script of the report; both are written into it, so that one file holds everything."""

from __future__ import annotations

STYLE = """
:root { color-scheme: light; --ink: #1f2933; --soft: #52606d; --line: #cbd2d9; --paper: #fff; --wash: #f5f7fa;
  --blue: #0b5394; --good: #1b6b3a; --bad: #a61b1b; }
* { box-sizing: border-box; }
body { margin: 0; color: var(--ink); background: var(--wash); line-height: 1.55;
  font-family: system-ui, "Segoe UI", Roboto, "Noto Sans", "Noto Naskh Arabic", "DejaVu Sans", sans-serif; }
header, main { max-width: 72rem; margin: 0 auto; padding: 1rem; }
section { min-width: 0; overflow-wrap: anywhere; background: var(--paper); border: 1px solid var(--line);
  border-radius: .5rem; padding: 1rem;
  margin: 0 0 1rem; }
h1 { font-size: 1.5rem; margin: .2rem 0; overflow-wrap: anywhere; }
h2 { font-size: 1.2rem; margin: 0 0 .6rem; } h3 { font-size: 1rem; margin: 0 0 .4rem; }
a { color: var(--blue); } nav ul { display: flex; flex-wrap: wrap; gap: .3rem 1rem; list-style: none;
  padding: 0; margin: .4rem 0 0; }
.skip { position: absolute; left: -100rem; } .skip:focus { left: 1rem; top: 1rem; background: #fff; padding: .5rem; }
:focus-visible { outline: 3px solid #e69f00; outline-offset: 2px; }
.scroll { overflow-x: auto; } details { margin: .3rem 0 1rem; } summary { cursor: pointer; padding: .4rem 0; }
table { border-collapse: collapse; font-size: .9rem; width: 100%; }
caption { text-align: start; color: var(--soft); padding-bottom: .4rem; }
th, td { border-bottom: 1px solid var(--line); padding: .35rem .6rem; text-align: end; white-space: nowrap; }
th:first-child, td:first-child { text-align: start; } thead th { background: var(--wash); }
td.best { font-weight: 700; } td.best small { font-weight: 400; } td small { color: var(--soft); display: block; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .15rem 1rem; margin: 0; }
dt { color: var(--soft); } dd { margin: 0; overflow-wrap: anywhere; }
figure { margin: 0 0 1.2rem; } figure img { max-width: 100%; height: auto; display: block; }
figcaption { color: var(--soft); font-size: .9rem; margin-bottom: .3rem; }
form { display: grid; grid-template-columns: repeat(auto-fit, minmax(12rem, 1fr)); gap: .6rem; margin-bottom: .8rem;
  align-items: end; }
label { display: block; font-size: .85rem; color: var(--soft); }
select, input, button { font: inherit; width: 100%; padding: .4rem; border: 1px solid var(--soft);
  border-radius: .3rem; background: #fff; color: var(--ink); min-height: 2.5rem; }
button { width: auto; padding: .4rem 1.2rem; cursor: pointer; }
article { border: 1px solid var(--line); border-inline-start: .35rem solid var(--good); border-radius: .3rem;
  padding: .7rem .9rem; margin: 0 0 .8rem; }
article.wrong { border-inline-start-color: var(--bad); }
article p.text { font-size: 1.15rem; line-height: 1.9; margin: .3rem 0 .6rem; text-align: start;
  overflow-wrap: anywhere; white-space: pre-wrap; }
mark { background: #ffe8a3; color: inherit; border-bottom: 2px solid #b7791f; padding: 0 .1em; }
article ul { list-style: none; padding: 0; margin: 0; font-size: .92rem; }
article li { padding: .1rem 0; overflow-wrap: anywhere; } .id { color: var(--soft); font-size: .85rem; }
.bad { color: var(--bad); font-weight: 600; } .good { color: var(--good); font-weight: 600; }
@media (max-width: 40rem) { header, main { padding: .6rem; } section { padding: .7rem; }
  dl { grid-template-columns: 1fr; } dd { margin-bottom: .4rem; } }
@media print { form, nav, button, .skip { display: none; } }
"""

SCRIPT = """
"use strict";
(function () {
  const data = JSON.parse(document.getElementById("data").textContent);
  const byId = function (id) { return document.getElementById(id); };
  const list = byId("paragraphs"), more = byId("more"), count = byId("count"), form = byId("filters");
  const PAGE = 25;
  let found = [], shown = 0;

  function make(name, text, attributes) {
    const node = document.createElement(name);
    // Text goes in as text, never as markup.
    if (text !== undefined && text !== null) node.textContent = text;
    Object.entries(attributes || {}).forEach(function (pair) { node.setAttribute(pair[0], pair[1]); });
    return node;
  }

  function verdicts(paragraph, answer) {
    return data.topics.map(function (topic) {
      const gold = Object.hasOwn(paragraph.gold, topic.id) ? paragraph.gold[topic.id] : null;
      const said = answer.topics[topic.id];
      const predicted = said[0] ? said[1] : null;
      let kind = "none";
      if (gold && !predicted) kind = "missed";
      else if (!gold && predicted) kind = "false";
      else if (gold && predicted) kind = gold === predicted ? "right" : "stance";
      return { topic: topic, gold: gold, predicted: predicted, stance: said[1], probability: said[2], kind: kind };
    });
  }

  const WORDS = { missed: "missed topic", "false": "false topic", stance: "wrong stance", right: "right" };
  const isWrong = function (v) { return v.kind === "missed" || v.kind === "false" || v.kind === "stance"; };

  // A word is found however it is written: vowel signs, tatweel, forms of alef, yaa and taa marbuta.
  function folded(text) {
    return text.normalize("NFKC").toLowerCase().replace(/[\\u0640\\u064b-\\u065f\\u0670]/g, "")
      .replace(/[\\u0622\\u0623\\u0625\\u0671]/g, "\\u0627").replace(/\\u0649/g, "\\u064a")
      .replace(/\\u0629/g, "\\u0647");
  }

  const nameOf = function (id) { return (data.topics.find(function (t) { return t.id === id; }) || {}).name_en || id; };

  function matches(paragraph, index) {
    const topic = byId("topic").value, stance = byId("stance").value, kind = byId("kind").value;
    const query = folded(byId("query").value.trim());
    if (query && !folded(paragraph.text).includes(query) && !folded(paragraph.id).includes(query)) return false;
    let all = verdicts(paragraph, paragraph.answers[index]);
    if (topic) all = all.filter(function (v) { return v.topic.id === topic; });
    const concerned = all.filter(function (v) { return v.kind !== "none"; });
    if (topic && !concerned.length) return false;
    const looked = concerned.filter(function (v) { return !stance || v.gold === stance || v.predicted === stance; });
    if (stance && !looked.length) return false;
    if (kind === "error") return looked.some(isWrong);
    if (kind === "right") return !looked.some(isWrong);
    return !kind || looked.some(function (v) { return v.kind === kind; });
  }

  function marked(paragraph, answer) {
    const node = make("p", null, { "class": "text", dir: "rtl", lang: "ar" });
    // Spans count code points, as Python does; JavaScript's strings count UTF-16 units.
    const characters = Array.from(paragraph.text);
    const spans = answer.evidence.slice().sort(function (a, b) { return a[1] - b[1]; });
    let at = 0;
    spans.forEach(function (span) {
      const start = Math.max(at, span[1]), end = Math.min(span[2], characters.length);
      if (start >= end) return;
      node.append(characters.slice(at, start).join(""));
      node.append(make("mark", characters.slice(start, end).join(""), { title: "evidence for " + nameOf(span[0]) }));
      at = end;
    });
    node.append(characters.slice(at).join(""));
    return node;
  }

  function draw(paragraph, index) {
    const answer = paragraph.answers[index], all = verdicts(paragraph, answer), wrong = all.some(isWrong);
    const node = make("article", null, { "class": wrong ? "wrong" : "right", "data-id": paragraph.id,
      "aria-label": (wrong ? "Wrong: " : "Right: ") + paragraph.id });
    const head = make("h3", null, {});
    head.append(make("span", wrong ? "Wrong" : "Right", { "class": wrong ? "bad" : "good" }), " ",
      make("bdi", paragraph.id, { "class": "id" }));
    node.append(head, marked(paragraph, answer));
    const lines = make("ul");
    all.filter(function (v) { return v.kind !== "none"; }).forEach(function (v) {
      const line = make("li");
      line.append(make("strong", v.topic.name_en), " ", make("bdi", v.topic.name_ar, { lang: "ar" }), ": gold ",
        make("b", v.gold || "absent"), ", predicted ", make("b", v.predicted || "absent"),
        " (" + v.probability.toFixed(2) + ") ", make("span", WORDS[v.kind], { "class": isWrong(v) ? "bad" : "good" }));
      lines.append(line);
    });
    if (!lines.childNodes.length) lines.append(make("li", "No topic, neither in gold nor predicted."));
    if (answer.evidence.length) {
      const line = make("li", "Evidence: ");
      answer.evidence.forEach(function (span, k) {
        if (k) line.append(", ");
        line.append(make("bdi", Array.from(paragraph.text).slice(span[1], span[2]).join(""), { lang: "ar" }),
          " (" + nameOf(span[0]) + ")");
      });
      lines.append(line);
    }
    const others = data.models.map(function (name, k) {
      if (k === index) return null;
      return name + (verdicts(paragraph, paragraph.answers[k]).some(isWrong) ? " wrong" : " right");
    }).filter(Boolean);
    if (others.length) lines.append(make("li", "Other models: " + others.join(", "), { "class": "id" }));
    node.append(lines);
    return node;
  }

  function page(focus) {
    const index = Number(byId("model").value), start = shown;
    found.slice(start, start + PAGE).forEach(function (p) { list.append(draw(p, index)); });
    shown = Math.min(found.length, start + PAGE);
    more.hidden = shown >= found.length;
    count.textContent = found.length + " of " + data.paragraphs.length + " paragraphs, " + shown + " shown";
    if (focus && list.children[start]) {
      list.children[start].setAttribute("tabindex", "-1");
      list.children[start].focus();
    }
  }

  function refresh() {
    const index = Number(byId("model").value);
    found = data.paragraphs.filter(function (p) { return matches(p, index); });
    shown = 0;
    list.replaceChildren();
    page(false);
  }

  data.models.forEach(function (name, k) { byId("model").append(make("option", name, { value: k })); });
  // The default is what "Reset" goes back to.
  byId("model").options[data.selected].defaultSelected = true;
  byId("model").value = String(data.selected);
  data.topics.forEach(function (t) {
    byId("topic").append(make("option", t.name_en + " \\u2014 " + t.name_ar, { value: t.id }));
  });
  form.addEventListener("input", refresh);
  // The fields have their values again only after the event.
  form.addEventListener("reset", function () { setTimeout(refresh, 0); });
  form.addEventListener("submit", function (event) { event.preventDefault(); });
  more.addEventListener("click", function () { page(true); });
  refresh();
})();
"""
