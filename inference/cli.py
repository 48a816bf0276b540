"""The command line. Prediction needs nothing but the model folder; the other commands load ``training`` when called."""

from __future__ import annotations

import argparse
import errno
import json
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from inference.errors import InputError, RasdError
from inference.metrics import PARTS
from inference.predictor import Predictor, load
from inference.reading import BadRow, Row, read_rows, read_stream
from inference.results import Prediction

_MODEL_HELP = "champion, encoder, cascade, fast, tfidf, weak, a model folder or an MLflow URI"
_BATCH = 64
_FAILED = 2
_INTERRUPTED = 130


def build_parser() -> argparse.ArgumentParser:
    """Give the parser of every command."""
    parser = argparse.ArgumentParser(
        prog="rasd", description="Watches Arabic news: topics, stances, and the words that say so."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    train = commands.add_parser("train", help="corpus to registered models, with a closing table")
    train.add_argument("--config", metavar="F", help="a YAML file that says what differs from configs/default.yaml")
    train.add_argument("--set", action="append", default=[], metavar="K=V", help="override a key, such as seed=7")
    train.add_argument("--resume", action="store_true", help="go on where an interrupted training stopped")
    distill = commands.add_parser("distill", help="an encoder into the fast model, on paragraphs without labels")
    distill.add_argument("--teacher", default="encoder", metavar="M", help="the encoder that is distilled")
    distill.add_argument("--input", action="append", default=[], metavar="F", help="more paragraphs; can be repeated")
    distill.add_argument("--config", metavar="F")
    distill.add_argument("--set", action="append", default=[], metavar="K=V")
    label = commands.add_parser("label", help="weak labels for any corpus, and the analysis of the functions")
    label.add_argument("--input", required=True, metavar="F", help="file or folder")
    label.add_argument("--output", required=True, metavar="F", help="a .parquet or .jsonl file")
    label.add_argument("--config", metavar="F")
    label.add_argument("--set", action="append", default=[], metavar="K=V")
    label.add_argument("--gold", metavar="F", help="gold to score the functions on")
    label.add_argument("--json", action="store_true", help="print the analysis as one JSON object")
    label.add_argument("--skip-broken", action="store_true", help="leave out a function that raises, and say so")
    evaluate = commands.add_parser("evaluate", help="a model's metrics on gold")
    evaluate.add_argument("--model", default="champion", metavar="M")
    evaluate.add_argument("--gold", required=True, metavar="F")
    evaluate.add_argument("--json", action="store_true", help="print one JSON object")
    predict = commands.add_parser("predict", help="topics, stances and evidence of texts")
    predict.add_argument("text", nargs="*", metavar="TEXT", help="paragraphs; - reads standard input")
    predict.add_argument("--input", metavar="F", help="file or folder: .txt .jsonl .csv .parquet; - reads lines")
    predict.add_argument("--output", metavar="F", help="a .jsonl, .csv or .parquet file; bad rows go to F.errors.jsonl")
    predict.add_argument("--resume", action="store_true", help="go on where a stopped run into F left off")
    predict.add_argument("--model", default="champion", metavar="M", help=_MODEL_HELP)
    predict.add_argument("--engine", choices=("local", "ray"), default="local", help="ray: over Ray Data (rasd[ray])")
    predict.add_argument(
        "--ray-address", metavar="A", help="a running Ray cluster's HOST:PORT; else one of its own here"
    )
    predict.add_argument("--format", choices=("table", "jsonl"), default=None)
    models = commands.add_parser("models", help="the registered models: list them, promote one, roll back")
    models.add_argument("action", nargs="?", choices=("list", "promote", "rollback"), default="list")
    models.add_argument("version", nargs="?", metavar="VERSION", help="for promote")
    compare = commands.add_parser("compare", help="two runs side by side: metrics, paragraphs won and lost")
    compare.add_argument("first", metavar="A", help="a run's id")
    compare.add_argument("second", metavar="B", help="another run's id")
    compare.add_argument("--model", metavar="M", help="only this one, such as encoder")
    for reader in (models, compare):
        reader.add_argument("--json", action="store_true")
    encoders = commands.add_parser("encoders", help="which encoders are available here, and how to get the others")
    encoders.add_argument("--json", action="store_true")
    dashboard = commands.add_parser("dashboard", help="the MLflow UI on this project's store")
    for reader in (models, compare, dashboard):
        reader.add_argument("--config", metavar="F")
        reader.add_argument("--set", action="append", default=[], metavar="K=V")
    serve = commands.add_parser("serve", help="REST through MLflow's scoring server")
    serve.add_argument("--model", default="models:/rasd@champion", metavar="M", help=_MODEL_HELP)
    for server, port in ((dashboard, 5000), (serve, 5001)):
        server.add_argument("--host", default="127.0.0.1")
        server.add_argument("--port", type=int, default=port)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        arguments: the command line without the program's name; that of the process where None.

    Returns:
        the exit status: 0, 2 where something a person can mend went wrong, 130 where interrupted.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            # Arabic must come out right in any locale, and a lone surrogate must not end the run.
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    options = build_parser().parse_args(arguments)
    try:
        return _run(options)
    except RasdError as error:
        print(f"rasd: error: {error}", file=sys.stderr)
        return _FAILED
    except BrokenPipeError:
        # The reader of our output has gone, as `rasd predict ... | head` does; that is no error.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        print(f"rasd: error: {_told(error)}", file=sys.stderr)
        return _FAILED
    except KeyboardInterrupt:
        print("rasd: interrupted", file=sys.stderr)
        return _INTERRUPTED


def _told(error: OSError) -> str:
    """Say what the system would not do, where, and what to do about it."""
    todo = {
        errno.ENOSPC: "; free some space there",
        errno.EDQUOT: "; free some space there",
        errno.EACCES: "; give yourself the right to, or work in another folder",
        errno.EPERM: "; give yourself the right to, or work in another folder",
        errno.EROFS: "; work in another folder",
    }
    where = f"{error.filename2 or error.filename}: " if error.filename else ""
    return f"{where}{error.strerror or error}{todo.get(error.errno or 0, '')}"


def _run(options: argparse.Namespace) -> int:
    if options.command == "predict":
        return _predict(options)
    if options.command == "evaluate":
        return _evaluate(options)
    try:
        from training import commands
    except ImportError as error:
        raise RasdError(
            f"`rasd {options.command}` needs what training needs ({error}): pip install 'rasd[train]'"
        ) from None
    return commands.run(options)


def _evaluate(options: argparse.Namespace) -> int:
    from inference.evaluate import evaluate

    metrics = evaluate(options.model, options.gold)
    if options.json:
        print(json.dumps(metrics, ensure_ascii=False))
        return 0
    print(f"{options.model} on {options.gold} ({metrics['n']} paragraphs)")
    for topic, m in metrics["topics"]["per_topic"].items():
        row = f"precision {m['precision']:.3f}  recall {m['recall']:.3f}  F1 {m['f1']:.3f}  ({m['support']} paragraphs)"
        print(f"  {topic:<14}{row}")
    for part in PARTS:
        print(f"  {part + ' macro-F1':<18}{metrics[part]['macro_f1']:.3f}")
    return 0


def _predict(options: argparse.Namespace) -> int:
    if bool(options.text) == bool(options.input):
        raise InputError("give texts as arguments (- for standard input), or --input FILE, and not both")
    from_file = options.input and options.input != "-"
    if options.resume and not (from_file and options.output):
        raise InputError("--resume goes on with a run from --input FILE into --output FILE; give both")
    if options.engine == "ray" and not (from_file and options.output):
        raise InputError("--engine ray works through --input FILE into --output FILE; give both")
    if options.ray_address and options.engine != "ray":
        raise InputError("--ray-address goes with --engine ray")
    rows: Iterable[Row | BadRow] = read_rows(options.input) if from_file else _given(options.text or ["-"])
    if options.output:
        return _predict_into_file(options, rows)
    as_json = options.format == "jsonl" if options.format else bool(from_file)
    _print_predictions(load(options.model), rows, as_json=as_json)
    return 0


def _predict_into_file(options: argparse.Namespace, rows: Iterable[Row | BadRow]) -> int:
    # Only a run over files needs what a run over files needs.
    from inference import bulk
    from inference.run_files import check_output

    source = Path(options.input) if options.input and options.input != "-" else None
    check_output(Path(options.output), source)
    if source is None:
        bulk.predict_rows(load(options.model), rows, options.output)
    elif options.engine == "ray":
        from inference.ray_engine import on_ray

        predictor = load(options.model)
        with on_ray(predictor, address=options.ray_address) as answers:
            bulk.predict_file(predictor, source, options.output, resume=options.resume, answers=answers)
    else:
        bulk.predict_file(load(options.model), source, options.output, resume=options.resume)
    return 0


def _given(texts: Sequence[str]) -> Iterator[Row | BadRow]:
    for text in texts:
        if text != "-":
            # In a locale that is not UTF-8, Python hands over the bytes that it cannot read as lone surrogates.
            yield Row(os.fsencode(text).decode("utf-8", "surrogateescape"))
        else:
            yield from read_stream(sys.stdin.buffer)


def _print_predictions(predictor: Predictor, rows: Iterable[Row | BadRow], *, as_json: bool) -> None:
    from inference.records import batches, record, to_line

    bad = 0
    # Who types a text waits for its answer before the next.
    for batch in batches(rows, most=1 if sys.stdin.isatty() else _BATCH):
        good = [row for row in batch if isinstance(row, Row)]
        for row, prediction in zip(good, predictor.predict([r.text for r in good]), strict=True):
            print(to_line(record(row.fields, prediction)) if as_json else table(prediction) + "\n", end="")
        sys.stdout.flush()
        for missing in [row for row in batch if isinstance(row, BadRow)]:
            print(f"rasd: {missing.place}: {missing.reason}; left out", file=sys.stderr)
            bad += 1
    if bad:
        print(f"rasd: {bad} bad row(s) left out", file=sys.stderr)


def table(prediction: Prediction) -> str:
    """Lay out a prediction for a person to read."""
    lines = [prediction.text if len(prediction.text) <= 300 else prediction.text[:300] + "…"]
    for name, topic in prediction.topics.items():
        mark = "●" if topic.present else "○"
        line = f"  {mark} {name:<14} {topic.probability:5.2f}"
        if topic.present:
            shares = "  ".join(f"{s} {p:.2f}" for s, p in topic.stance.probabilities.items())
            line += f"  {topic.stance.label:<8} ({shares})"
        lines.append(line + ("  (unsure)" if topic.abstained else ""))
        lines += [f"      «{e.text}»  {e.start}-{e.end}" for e in prediction.evidence if e.topic == name]
    lines += [f"  note: {note}" for note in prediction.notes]
    return "\n".join([*lines, f"  [{prediction.model}]"])


if __name__ == "__main__":
    sys.exit(main())
