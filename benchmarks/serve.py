"""A server of one model: latency of one client, and throughput, tail, lost requests and memory under many.

A real server process on a free port; clients in a process of their own, each with one connection, ask for one row a
request, taken in turn from the table, and wait for the answer before they ask again. One client alone first, then
`--clients` of them for `--seconds`; throughput at fewer clients is measured for some seconds each. A request is lost
if it is not answered with status 200. Memory is the resident set of the server, read every second. `cpu_ms`: processor
time of the server for a request, which other work on the machine changes little.

    python benchmarks/serve.py runs/clicks log.parquet --clients 200 --seconds 60 --figure docs/images/serve.svg
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import os
import re
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from automtl.tables.table import read_table
from common import arguments, report, run

WARM = 200  # requests before any is timed
LADDER = (1, 2, 4, 8, 16, 32, 64, 128)
STEP_SECONDS = 5.0
PAGE_MB = os.sysconf("SC_PAGE_SIZE") / 2**20  # megabytes of a page
TICK = os.sysconf("SC_CLK_TCK")
GREY = "#7f7f7f"


@dataclass
class Load:
    """Measurements of all clients: milliseconds of each answered request, how many were lost, and the seconds taken."""

    clients: int
    seconds: float = 0.0
    milliseconds: list[float] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)

    def figures(self) -> dict[str, Any]:
        """The figures of a report."""
        cuts = statistics.quantiles(self.milliseconds, n=1000) if len(self.milliseconds) > 1 else [float("nan")] * 999
        places = {"p50_ms": 499, "p90_ms": 899, "p99_ms": 989, "p999_ms": 998}
        return {
            "clients": self.clients, "requests": len(self.milliseconds), "lost": len(self.lost),
            "requests_per_second": round(len(self.milliseconds) / self.seconds, 1),
            **{name: round(cuts[place], 3) for name, place in places.items()},
        }  # fmt: skip


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("model", help="a run folder written by fit")
    parser.add_argument("table", help="whose rows are asked for")
    parser.add_argument("--rows", type=int, default=2000, help="last rows of the table, taken in turn")
    parser.add_argument("--value", action="append", default=[], help="COLUMN=NUMBER in all rows, such as a later time")
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--requests", type=int, default=2000, help="of one client alone")
    parser.add_argument("--protocol", choices=("rows", "v2"), default="rows")
    parser.add_argument("--figure", type=Path, help="write throughput and tail by clients as SVG")
    chosen = parser.parse_args()
    with serving(chosen.model) as (process, address):
        figures = measured(process, address, chosen)
        process.send_signal(signal.SIGTERM)
        figures["exit_code"] = process.wait(60)
    if chosen.figure is not None:
        draw(figures["ladder"], chosen.figure)
    report("serve", figures, chosen.out, packages=("fastapi", "uvicorn"))


def measured(process: subprocess.Popen[str], address: str, chosen: argparse.Namespace) -> dict[str, Any]:
    """Measure one client, few, and many."""
    name = Path(chosen.model).resolve().name
    bodies = requests_of(chosen, name)
    ask(address, bodies, 1, requests=WARM)
    before = cpu_seconds(process.pid)
    alone = ask(address, bodies, 1, requests=chosen.requests)
    cpu = cpu_seconds(process.pid) - before
    print_load(alone)
    ladder = [ask(address, bodies, clients, seconds=STEP_SECONDS) for clients in LADDER if clients < chosen.clients]
    for one in ladder:
        print_load(one)
    with memory_of(process.pid) as megabytes:
        before = cpu_seconds(process.pid)
        many = ask(address, bodies, chosen.clients, seconds=chosen.seconds)
        busy = cpu_seconds(process.pid) - before
    print_load(many)
    print(f"memory: {megabytes[0]:.0f} MB at first, {max(megabytes):.0f} MB at most, {megabytes[-1]:.0f} MB at last")
    return {
        "one_client": alone.figures() | {"cpu_ms": round(1000 * cpu / len(alone.milliseconds), 3)},
        "many_clients": many.figures() | {"cpu_ms": round(1000 * busy / max(len(many.milliseconds), 1), 3)},
        "errors": sorted(set(many.lost))[:5],
        "memory_mb": [round(one) for one in megabytes[:: max(len(megabytes) // 12, 1)]],
        "ladder": [one.figures() for one in (*ladder, many)],
        "load_average": os.getloadavg(),
    }


def requests_of(chosen: argparse.Namespace, name: str) -> list[bytes]:
    """Return whole requests of one row each."""
    rows = read_table(chosen.table).tail(chosen.rows).to_dicts()
    fixed = {name: int(number) for name, _, number in (one.partition("=") for one in chosen.value)}
    rows = [row | fixed for row in rows]
    if chosen.protocol == "rows":
        return [as_request(f"/models/{name}/predict", {"rows": [row]}) for row in rows]
    return [as_request(f"/v2/models/{name}/infer", {"inputs": tensors(row)}) for row in rows]


def tensors(row: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a row as tensors of the Open Inference Protocol."""
    types = {int: "INT64", float: "FP64", str: "BYTES", bool: "BOOL"}
    return [
        {"name": name, "shape": [1], "datatype": types.get(type(value), "BYTES"), "data": [value]}
        for name, value in row.items()
    ]


def as_request(path: str, content: Any) -> bytes:
    body = orjson.dumps(content, default=str)
    head = f"POST {path} HTTP/1.1", "Host: localhost", "Content-Type: application/json", f"Content-Length: {len(body)}"
    return "\r\n".join((*head, "", "")).encode() + body


@contextmanager
def serving(model: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Start a server of a model on a free port."""
    command = [sys.executable, "-m", "automtl", "serve", model, "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        found = re.search(r"http://(\S+)", process.stdout.readline())
        assert found is not None
        yield process, found[1]
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def ask(address: str, bodies: Sequence[bytes], clients: int, *, requests: int = 0, seconds: float = 0.0) -> Load:
    """Let clients ask in a process of their own, for some requests each or some seconds."""
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()
    worker = context.Process(target=_worker, args=(theirs, address, bodies, clients, requests, seconds))
    worker.start()
    found: Load = ours.recv()
    worker.join()
    return found


def _worker(pipe: Any, address: str, bodies: Sequence[bytes], clients: int, requests: int, seconds: float) -> None:
    import uvloop

    pipe.send(uvloop.run(_clients(address, bodies, clients, requests, seconds)))


async def _clients(address: str, bodies: Sequence[bytes], clients: int, requests: int, seconds: float) -> Load:
    load, start = Load(clients), time.perf_counter()
    end = start + seconds if seconds else float("inf")
    await asyncio.gather(*(_client(address, bodies, place, requests, end, load) for place in range(clients)))
    load.seconds = time.perf_counter() - start
    return load


async def _client(address: str, bodies: Sequence[bytes], place: int, requests: int, end: float, load: Load) -> None:
    """Ask one request after another on one connection."""
    host, _, port = address.partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    asked = 0
    while time.perf_counter() < end and (not requests or asked < requests):
        body = bodies[(place * 97 + asked) % len(bodies)]
        asked += 1
        start = time.perf_counter()
        try:
            writer.write(body)
            head = await reader.readuntil(b"\r\n\r\n")
            answer = await reader.readexactly(int(re.search(rb"content-length: (\d+)", head)[1]))  # type: ignore[index]
        except (OSError, asyncio.IncompleteReadError) as error:
            load.lost.append(type(error).__name__)
            reader, writer = await asyncio.open_connection(host, int(port))
            continue
        if head.startswith(b"HTTP/1.1 200"):
            load.milliseconds.append(1000 * (time.perf_counter() - start))
        else:
            load.lost.append(answer.decode()[:200])
    writer.close()


@contextmanager
def memory_of(pid: int) -> Iterator[list[float]]:
    """Read the resident megabytes of a process every second."""
    found, stop = [resident_mb(pid)], threading.Event()

    def watch() -> None:
        while not stop.wait(1.0):
            found.append(resident_mb(pid))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield found
    finally:
        stop.set()
        thread.join()


def resident_mb(pid: int) -> float:
    """Return the resident set of a process."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_MB


def cpu_seconds(pid: int) -> float:
    """Return the processor time that a process has used."""
    values = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(values[11]) + int(values[12])) / TICK


def print_load(load: Load) -> None:
    """One line a load."""
    told = load.figures()
    print(
        f"{told['clients']:>4} clients: {told['requests_per_second']:>8,.0f} requests/s, p50 {told['p50_ms']:.2f} ms, "
        f"p90 {told['p90_ms']:.2f} ms, p99 {told['p99_ms']:.2f} ms, {told['lost']} of "
        f"{told['requests'] + told['lost']:,} lost",
        flush=True,
    )


def draw(ladder: Sequence[dict[str, Any]], path: Path) -> None:
    """Draw throughput and tail by the number of clients, the same bytes for the same figures."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot as plt

    style = {"svg.hashsalt": "automtl", "svg.fonttype": "none", "font.family": "sans-serif", "font.size": 10}
    style |= dict.fromkeys(("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), GREY)
    with matplotlib.rc_context(style):
        figure, (throughput, tail) = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
        clients = [one["clients"] for one in ladder]
        throughput.plot(clients, [one["requests_per_second"] for one in ladder], marker="o")
        throughput.set(xscale="log", ylim=(0, None), xlabel="clients", ylabel="requests a second")
        for name in ("p50", "p90", "p99"):
            tail.plot(clients, [one[f"{name}_ms"] for one in ladder], marker="o", label=name)
        tail.set(xscale="log", yscale="log", xlabel="clients", ylabel="milliseconds to the answer")
        tail.legend(frameon=False)
        for one in (throughput, tail):
            one.set_xticks(clients, [str(count) for count in clients])
            one.minorticks_off()
            one.grid(alpha=0.3)
            one.spines[["top", "right"]].set_visible(False)
        figure.savefig(path, transparent=True, metadata={"Date": None, "Creator": None})
        plt.close(figure)


if __name__ == "__main__":
    run(main)
