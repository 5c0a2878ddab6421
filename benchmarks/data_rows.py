"""The rows of reading token shards."""

import os

from measuring import Missing, median_of, result

PLAIN, DEFLATE = 100e6, 20e6


def flat(report):
    return {
        **{key: report[key] for key in ("tokens_per_s", "peak_mb", "open_s")},
        **{f"waiting_{key}": value for key, value in report["waiting"].items()},
    }


def data(bench):
    """Windows of 1024 tokens, by one rank: as fast as it goes, and by steps that take a million tokens a second."""
    program = os.path.join(os.path.dirname(bench.options.aurelius), "aurelius-bench-data")
    if not os.path.exists(program):
        raise Missing("aurelius-bench-data is not beside the program")
    size = ["--tokens", "2e7" if bench.options.quick else "1e8", "--steps", "100" if bench.options.quick else "1000"]
    base = [program, "--folder", bench.path("corpus"), *size]
    for more in ([], ["--compress"]):
        bench.run([*base, *more, "--read", "1", "--steps", "1"], alone=False)

    def once(*more):
        return lambda: flat(bench.run([*base, *more], stderr=False).json())

    seen = bench.alternate(
        {"shuffle": once(), "random": once("--order", "random"), "deflate": once("--compress", "--read", "1e8")}
    )
    rows = []
    for name, asked in (("shuffle", PLAIN), ("random", PLAIN), ("deflate", DEFLATE)):
        rate = median_of(seen[name], "tokens_per_s")
        what = "deflate, shuffled in two levels" if name == "deflate" else f"plain, order {name}"
        text = f"{rate * 1e-6:.0f} million tokens/s ({median_of(seen[name], 'peak_mb'):.0f} MB)"
        rows.append(
            result(
                f"windows of 1024 tokens, one rank: {what}",
                f"{asked * 1e-6:.0f} million tokens/s",
                text,
                rate >= asked,
                raw=seen[name],
            )
        )
        share = median_of(seen[name], "waiting_share")
        longest = median_of(seen[name], "waiting_longest_s")
        rows.append(
            result(
                f"waiting for data at 1 million tokens/s: {what}",
                "below 1% of a step",
                f"{share:.2%} (the longest {longest * 1e3:.1f} ms)",
                share < 0.01,
            )
        )
    return rows
