"""The same bulk prediction over Ray Data: on this machine, or on the cluster that it belongs to.

One task on this machine reads the rows in batches, as many workers as there are processors predict them, and their
answers come back in order, so the output is the local run's to the byte. The model travels with the run; a worker that
is killed is started again, and what it had under way is predicted again.
"""

from __future__ import annotations

import logging
import os
import pickle
import socket
import sys
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from inference.bulk import Answers, rows_after
from inference.errors import RasdError
from inference.predictor import Predictor
from inference.reading import BadRow, Row
from inference.records import Answered, answer, batches

# A worker may be lost to an eviction; one that dies at the same rows each time must not go on forever.
RETRIES = 4
_ANSWER_SECONDS = 10.0
_BLOCK_BYTES = 256 * 1024
_PICKLED = "pickled"


@contextmanager
def on_ray(predictor: Predictor, *, address: str | None = None) -> Iterator[Answers]:
    """Give what predicts on Ray, for :func:`inference.bulk.predict_file`.

    Args:
        predictor: the loaded model.
        address: ``HOST:PORT`` of a cluster that this machine is part of; ``RAY_ADDRESS`` of the environment where
            None, and where that is not set a Ray of its own on this machine.

    Raises:
        RasdError: where Ray is not installed, or no cluster answers.
    """
    ray = _import_ray()
    address = address or os.environ.get("RAY_ADDRESS") or "local"
    if address.startswith("ray://"):
        raise RasdError(f"{address}: a client cannot hand the cluster its files; run on one of its machines, HOST:PORT")
    own = not ray.is_initialized()
    if own:
        _connect(ray, address)
    try:
        yield lambda source, skip: _answers(ray, predictor, source, skip)
    finally:
        if own:
            ray.shutdown()


def _import_ray() -> Any:
    # Rasd sends nothing anywhere; and Ray's core would write to the terminal past Python's logging.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise RasdError(f"--engine ray needs Ray ({error}): pip install 'rasd[ray]'") from None
    return ray


def _connect(ray: Any, address: str) -> None:
    for name in ("ray", "ray.data"):
        logging.getLogger(name).setLevel(logging.ERROR)
    host, _, port = address.rpartition(":")
    if host and port.isdecimal():
        # Ray itself would try for minutes.
        try:
            socket.create_connection((host, int(port)), timeout=_ANSWER_SECONDS).close()
        except OSError as error:
            raise RasdError(f"Ray at {address}: {error.strerror or error}; does it run there?") from None
    own: dict[str, Any] = {"include_dashboard": False, "_node_ip_address": "127.0.0.1"}
    # A cluster's machines need Rasd's libraries; its code comes from here, so that all run the same.
    ours: dict[str, Any] = {"runtime_env": {"py_modules": [str(Path(__file__).parent)]}}
    try:
        ray.init(
            address=address, log_to_driver=False, logging_level=logging.ERROR, **(own if address == "local" else ours)
        )
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        raise RasdError(
            f"Ray at {address}: {_first_line(error)}; is it running, and this machine part of it?"
        ) from None


def _answers(ray: Any, predictor: Predictor, source: Path, skip: int) -> Iterator[Answered]:
    from ray.data import ActorPoolStrategy, DataContext, from_items

    context = DataContext.get_current().copy()
    context.execution_options.preserve_order = True
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    # A batch of rows or two: small enough that every worker has some, and few are in memory at a time.
    context.target_max_block_size = _BLOCK_BYTES
    files = {name: ray.put(content) for name, content in _contents(predictor)}
    workers, share = _share(ray, predictor)
    here = {"ray.io/node-id": ray.get_runtime_context().get_node_id()}
    with DataContext.current(context), warnings.catch_warnings():
        # Ray is renaming the way in which retries are asked for.
        warnings.simplefilter("ignore")
        read = from_items([{"source": str(source.resolve()), "named": str(source), "skip": skip}]).map_batches(
            _read, batch_size=None, num_cpus=0, label_selector=here
        )
        found = read.map_batches(
            _Worker,
            fn_constructor_args=(files,),
            batch_size=None,
            compute=ActorPoolStrategy(size=workers),
            max_restarts=RETRIES,
            max_task_retries=RETRIES,
            **share,
        )
        with _told(ray, source):
            for row in found.iter_rows():
                answered = pickle.loads(row[_PICKLED])  # noqa: S301
                if isinstance(answered, Exception):
                    raise answered
                yield answered


def _contents(predictor: Predictor) -> Iterator[tuple[str, bytes]]:
    """Give the files of the model one after another, as each may be large."""
    for name in predictor.manifest.whole:
        yield name, (predictor.folder / name).read_bytes()


def _share(ray: Any, predictor: Predictor) -> tuple[int, Mapping[str, Any]]:
    """Say how many workers there are to be, and what each asks for."""
    has = ray.cluster_resources()
    gpus = int(has.get("GPU", 0))
    if gpus and predictor.on_gpu:
        usable = ray.remote(num_gpus=1)(_sees_gpu).remote()
        if ray.get(usable):
            return gpus, {"num_gpus": 1, "num_cpus": 1}
        print(
            f"rasd: the cluster has {gpus} GPU(s), but ONNX Runtime there cannot use them; predicting on its "
            "processors (pip install onnxruntime-gpu on its machines would change that)",
            file=sys.stderr,
        )
    return max(1, int(has.get("CPU", 1))), {"num_cpus": 1}


def _sees_gpu() -> bool:
    from inference.processor import GPU_PROVIDER, onnx_providers

    return GPU_PROVIDER in onnx_providers("fp32")


def _read(block: Mapping[str, Any]) -> Iterator[dict[str, list[bytes]]]:
    for source, named, skip in zip(block["source"], block["named"], block["skip"], strict=True):
        try:
            for batch in batches(rows_after(Path(str(source)), int(skip))):
                yield {_PICKLED: [pickle.dumps([_as_named(row, str(source), str(named)) for row in batch])]}
        except RasdError as error:
            # As a result: what Ray makes of an exception does not tell any more what it was.
            yield {_PICKLED: [pickle.dumps(type(error)(str(error).replace(str(source), str(named), 1)))]}


def _as_named(row: Row | BadRow, source: str, named: str) -> Row | BadRow:
    # The task works in another folder than the one in which the input was named.
    return replace(row, place=named + row.place.removeprefix(source)) if row.place.startswith(source) else row


class _Worker:
    """Predicts batches; one of many, each with a model of its own."""

    def __init__(self, files: Mapping[str, Any]) -> None:
        import ray

        # There is a worker for every processor; threads would only stand in each other's way.
        os.environ["RASD_THREADS"] = "1"
        with tempfile.TemporaryDirectory(prefix="rasd-model-") as name:
            for path, content in files.items():
                target = Path(name) / path
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(ray.get(content))
            self._predictor: Predictor | RasdError
            try:
                self._predictor = Predictor(name)
            except RasdError as error:
                # Raised here it would be taken for a worker that died.
                self._predictor = type(error)(str(error).replace(name, "a worker's copy of the model"))

    def __call__(self, block: Mapping[str, Any]) -> dict[str, list[bytes]]:
        return {_PICKLED: [pickle.dumps(self._answer(pickle.loads(batch))) for batch in block[_PICKLED]]}  # noqa: S301

    def _answer(self, batch: list[Row | BadRow] | RasdError) -> Answered | Exception:
        if isinstance(batch, RasdError):
            return batch
        if isinstance(self._predictor, RasdError):
            return self._predictor
        try:
            return answer(self._predictor, batch)
        except (RasdError, MemoryError) as error:
            return error


@contextmanager
def _told(ray: Any, source: Path) -> Iterator[None]:
    """Turn what Ray raises into what a person can mend."""
    try:
        yield
    except (MemoryError, ray.exceptions.OutOfMemoryError):
        told = "a worker ran out of memory; give Ray fewer processors (ray start --num-cpus), or more memory"
        raise RasdError(f"{source}: {told}") from None
    except (ray.exceptions.ActorDiedError, ray.exceptions.WorkerCrashedError) as error:
        told = f"a worker died {RETRIES + 1} times in a row, most likely for want of memory"
        raise RasdError(f"{source}: {told}") from error
    except ray.exceptions.RayError as error:
        raise RasdError(f"{source}: Ray stopped: {type(error).__name__}: {_first_line(error)}") from error


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0]
