"""Runs programs one at a time for run.sh, and keeps what they said: time, peak memory, when each piece came."""

import datetime
import json
import os
import platform
import shlex
import statistics
import subprocess
import time


class Missing(Exception):
    """A row cannot be measured here: what is lacking."""


class Finished:
    """A program that has ended. `pieces` are (seconds since its start, bytes) as they came out of it."""

    def __init__(self, code, seconds, peak_mb, pieces):
        self.code, self.seconds, self.peak_mb, self.pieces = code, seconds, peak_mb, pieces

    @property
    def text(self):
        return b"".join(piece for _, piece in self.pieces).decode("utf-8", "replace")

    def json(self):
        return json.loads(self.text[self.text.index("{") :])

    def line_time(self, beginning):
        """When the first line came that begins so; lines are written whole."""
        for when, piece in self.pieces:
            if any(line.startswith(beginning) for line in piece.decode("utf-8", "replace").split("\n")):
                return when
        raise Missing(f"no line '{beginning}...' in the output")


class Bench:
    """What the rows share: programs, folders, settings, and the record of all that was run."""

    def __init__(self, options, repo):
        self.options, self.repo = options, repo
        self.scratch, self.out = options.scratch, options.out
        self.pairs = options.pairs or (2 if options.quick else 5)
        self.record = []

    def config(self, name):
        return os.path.join(self.repo, "configs", name + ".yaml")

    def path(self, name):
        return os.path.join(self.scratch, name)

    def run(self, command, alone=True, environment=None, core=None, timeout=1200, stderr=True, accept=(0,)):
        """Runs it to its end. alone: it is timed, so --alone stands before it, else --together. stderr: its messages
        are part of its output."""
        before = shlex.split(self.options.alone if alone else self.options.together)
        load, errors = os.getloadavg()[0], open(self.path("errors.txt"), "w+", encoding="utf-8", errors="replace")
        start = time.monotonic()
        process = subprocess.Popen(
            before + command,
            cwd=self.scratch,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT if stderr else errors,
            preexec_fn=(lambda: os.sched_setaffinity(0, {core})) if core is not None else None,
        )
        finished = self.read(process, start, timeout)
        self.record.append(
            {
                "command": [self.shown(word) for word in command],
                "environment": {name: self.shown(value) for name, value in (environment or {}).items()},
                "exit": finished.code,
                "seconds": round(finished.seconds, 3),
                "peak_mb": round(finished.peak_mb, 1),
                "load_before": round(load, 2),
            }
        )
        errors.seek(0)
        said = finished.text if stderr else errors.read()
        errors.close()
        if finished.code not in accept:
            last = said.strip().split("\n")[-1]
            raise Missing(f"{self.shown(' '.join(command[:2]))}: exit code {finished.code}: {self.shown(last)}")
        return finished

    @staticmethod
    def read(process, start, timeout):
        pieces = []
        while True:
            piece = os.read(process.stdout.fileno(), 1 << 16)
            if not piece:
                break
            pieces.append((time.monotonic() - start, piece))
            if pieces[-1][0] > timeout:
                process.terminate()
        process.stdout.close()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        return Finished(process.returncode, time.monotonic() - start, usage.ru_maxrss * 1024e-6, pieces)

    def shown(self, text):
        """What is kept names no folder of this machine."""
        for folder, name in (
            (self.scratch + "/", ""),
            (self.repo + "/", ""),
            (self.options.aurelius, "aurelius"),
            (self.options.ops, "aurelius-bench-ops"),
            (self.options.python, "python"),
            (self.options.text, os.path.basename(self.options.text)),
        ):
            text = text.replace(folder, name) if folder else text
        return text

    def alternate(self, candidates):
        """A B A B ...: {name: [what each call of its function returned]}."""
        results = {name: [] for name in candidates}
        for _ in range(self.pairs):
            for name, call in candidates.items():
                results[name].append(call())
        return results


def median_of(results, key):
    return statistics.median(result[key] for result in results)


def machine(bench):
    """The machine and what was measured on it."""

    def first(command):
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=bench.repo, check=False)
            return done.stdout.strip().split("\n")
        except (OSError, subprocess.TimeoutExpired):
            return [""]

    processor = ""
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        for line in file:
            if line.startswith("model name"):
                processor = line.split(":", 1)[1].strip()
                break
    changed = [line for line in first(["git", "status", "--porcelain"]) if line and "benchmarks/results" not in line]
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "processor": processor,
        "cores": len(os.sched_getaffinity(0)),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") * 1e-9, 1),
        "system": platform.platform(),
        "aurelius": " ".join(first([bench.options.aurelius, "--version"])),
        "commit": first(["git", "rev-parse", "HEAD"])[0],
        "files_changed_since_commit": len(changed),
        "pairs": bench.pairs,
    }


def result(what, asked, seen, met, **detail):
    """A line of the table; `detail` is kept beside it."""
    return {"what": what, "asked": asked, "seen": seen, "met": met, **detail}


def write_json(path, value):
    with open(path, "w", encoding="utf-8") as file:
        json.dump(value, file, indent=1)
        file.write("\n")
