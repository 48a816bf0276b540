"""``report.html``: a run on one page that needs nothing else, from MLflow's viewer or from disk."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from inference.taxonomy import STANCES, Taxonomy
from training.analysis import Analysis
from training.bootstrap import Interval
from training.evaluation import Scored
from training.report_page import SCRIPT, STYLE

COLUMNS = {"topics.macro_f1": "topics", "stance.macro_f1": "stance", "joint.macro_f1": "joint"}
_SUGGESTIONS = 8
_KINDS = (
    ("", "all paragraphs"),
    ("error", "any error"),
    ("missed", "missed topic"),
    ("false", "false topic"),
    ("stance", "wrong stance"),
    ("right", "all right"),
)


@dataclass(frozen=True)
class Picture:
    """A picture of the report.

    Args:
        file: its file's name among the artifacts.
        title: what it shows, for people.
        alt: what it says, for those who do not see it.
        png: its bytes.
    """

    file: str
    title: str
    alt: str
    png: bytes


def build_report(
    *,
    title: str,
    facts: Mapping[str, str],
    taxonomy: Taxonomy,
    models: Sequence[Scored],
    records: Sequence[Sequence[Mapping[str, Any]]],
    pictures: Sequence[Picture] = (),
    analysis: Analysis | None = None,
    selected: int = -1,
) -> str:
    """Write the report.

    Args:
        title: the run, for people.
        facts: what is to be known of the run, name to value.
        taxonomy: the topics.
        models: the models that were scored.
        records: for each model its records, from :func:`training.evaluation.to_records`.
        pictures: in the order of showing.
        analysis: of the labelling functions.
        selected: the model that the error browser opens with.

    Returns:
        one HTML file, with nothing to be fetched from anywhere.
    """
    data = _data(taxonomy, models, records, selected)
    known = "".join(f"<dt>{_text(k)}</dt><dd>{_text(v)}</dd>" for k, v in facts.items())
    # The policy lets nothing run but our own script, whatever a text may hold.
    digest = base64.b64encode(hashlib.sha256(SCRIPT.encode("utf-8")).digest()).decode("ascii")
    policy = f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{escape(policy)}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{_text(title)}</title>
<style>{STYLE}</style>
</head>
<body>
<a class="skip" href="#browser">Skip to the paragraphs</a>
<header><h1>{_text(title)}</h1>
<nav aria-label="Sections"><ul><li><a href="#comparison">Comparison</a></li><li><a href="#pictures">Pictures</a></li>
<li><a href="#functions">Labelling functions</a></li><li><a href="#browser">Paragraphs</a></li></ul></nav></header>
<main>
<section aria-label="The run"><dl>{known}</dl></section>
<section id="comparison" aria-labelledby="h-comparison"><h2 id="h-comparison">Comparison</h2>
{_comparison(taxonomy, models)}</section>
<section id="pictures" aria-labelledby="h-pictures"><h2 id="h-pictures">Pictures</h2>
{"".join(_picture(p) for p in pictures)}</section>
<section id="functions" aria-labelledby="h-functions"><h2 id="h-functions">Labelling functions</h2>
{_functions(analysis)}</section>
<section id="browser" aria-labelledby="h-browser"><h2 id="h-browser">Paragraphs of gold</h2>
{_browser()}</section>
</main>
<script type="application/json" id="data">{embed_json(data)}</script>
<script>{SCRIPT}</script>
</body>
</html>
"""


def embed_json(data: Any) -> str:
    """Write JSON that can stand inside a ``script`` element: nothing in it can end the element or the line."""
    text = json.dumps(data, ensure_ascii=True, separators=(",", ":"))
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _text(value: object) -> str:
    # A lone surrogate cannot be written as UTF-8.
    return escape(str(value).encode("utf-8", "replace").decode("utf-8"))


def _data(
    taxonomy: Taxonomy, models: Sequence[Scored], records: Sequence[Sequence[Mapping[str, Any]]], selected: int
) -> dict[str, Any]:
    paragraphs: list[dict[str, Any]] = []
    for rows in zip(*records, strict=True):
        answers = [
            {
                "topics": {
                    t: [int(v["present"]), v["stance"]["label"], round(float(v["probability"]), 3)]
                    for t, v in row["topics"].items()
                },
                "evidence": [[e["topic"], e["start"], e["end"]] for e in row["evidence"]],
            }
            for row in rows
        ]
        first = rows[0]
        paragraphs.append({"id": first["id"], "text": first["text"], "gold": first["gold"], "answers": answers})
    topics = [{"id": t.id, "name_en": t.name_en, "name_ar": t.name_ar} for t in taxonomy.topics]
    names = [m.name for m in models]
    return {"topics": topics, "models": names, "selected": selected % max(len(names), 1), "paragraphs": paragraphs}


def _comparison(taxonomy: Taxonomy, models: Sequence[Scored]) -> str:
    columns = {f"{t.id}.f1": t.name_en for t in taxonomy.topics} | {k: f"{v}, macro" for k, v in COLUMNS.items()}
    best = {c: max(m.intervals[c].value for m in models) for c in columns}
    head = "".join(f'<th scope="col">{_text(name)}</th>' for name in columns.values())
    body = ""
    for model in models:
        cells = "".join(_cell(model.intervals[c], model.intervals[c].value == best[c]) for c in columns)
        body += f'<tr><th scope="row">{_text(model.name)}</th>{cells}</tr>'
    n = models[0].metrics["n"] if models else 0
    return (
        '<div class="scroll" role="region" aria-label="Comparison of the models" tabindex="0"><table>'
        f"<caption>F1 on {n} paragraphs labelled by reading, with 95 % bootstrap intervals</caption>"
        f'<thead><tr><th scope="col">model</th>{head}</tr></thead><tbody>{body}</tbody></table></div>'
    )


def _cell(v: Interval, best: bool) -> str:
    mark = ' class="best"' if best else ""
    return f"<td{mark}>{v.value:.3f}<small>{v.lower:.2f} to {v.upper:.2f}</small></td>"


def _picture(picture: Picture) -> str:
    source = base64.b64encode(picture.png).decode("ascii")
    return (
        f"<figure><figcaption>{_text(picture.title)}</figcaption>"
        f'<img alt="{_text(picture.alt)}" src="data:image/png;base64,{source}"></figure>'
    )


def _functions(analysis: Analysis | None) -> str:
    if analysis is None:
        return "<p>No analysis was made.</p>"
    head = "".join(
        f'<th scope="col">{h}</th>'
        for h in ("function", "topic", "votes", "coverage", "overlap", "conflict", "est. accuracy", "on gold")
    )
    body = ""
    for f in analysis.functions:
        votes = ", ".join(f"{k} {n}" for k, n in f.votes.items())
        gold = "" if f.gold_accuracy is None else f"{f.gold_accuracy:.2f} of {f.gold_votes}"
        cells = [f.topic, votes, *(f"{v:.1%}" for v in (f.coverage, f.overlap, f.conflict))]
        cells += [f"{f.estimated_accuracy:.2f}", gold]
        body += f'<tr><th scope="row">{_text(f.name)}</th>{"".join(f"<td>{_text(c)}</td>" for c in cells)}</tr>'
    return (
        _suggestions(analysis.suggestions)
        + f"<details><summary>All {len(analysis.functions)} functions</summary>"
        + '<div class="scroll" role="region" aria-label="Labelling functions" tabindex="0"><table>'
        + f"<caption>On {analysis.rows} paragraphs of the corpus</caption>"
        + f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div></details>"
    )


def _suggestions(found: Sequence[str]) -> str:
    rows = [f"<li><bdi>{_text(s)}</bdi></li>" for s in found]
    if not rows:
        return ""
    shown = f"<h3>Worth a look</h3><ul>{''.join(rows[:_SUGGESTIONS])}</ul>"
    rest = rows[_SUGGESTIONS:]
    return shown + (f"<details><summary>{len(rest)} more</summary><ul>{''.join(rest)}</ul></details>" if rest else "")


def _browser() -> str:
    stances = "".join(f'<option value="{s}">{s}</option>' for s in STANCES)
    kinds = "".join(f'<option value="{k}">{name}</option>' for k, name in _KINDS)
    return f"""<noscript><p>The paragraphs are shown by a script, and scripts are switched off here.</p></noscript>
<form id="filters" aria-label="Filters">
<div><label for="model">Model</label><select id="model"></select></div>
<div><label for="topic">Topic</label><select id="topic"><option value="">any topic</option></select></div>
<div><label for="stance">Stance, in gold or predicted</label><select id="stance"><option value="">any stance</option>
{stances}</select></div>
<div><label for="kind">Kind of error</label><select id="kind">{kinds}</select></div>
<div><label for="query">Words or id</label><input id="query" type="search" dir="auto" autocomplete="off"></div>
<div><button type="reset">Reset the filters</button></div>
</form>
<p id="count" role="status" aria-live="polite"></p>
<div id="paragraphs"></div>
<button id="more" type="button" hidden>Show more</button>"""
