#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What the recorder costs, and what a replay costs, as ratios of one interleaved run.

Times differ from machine to machine and from minute to minute, so nothing here has a limit in
nanoseconds: the recorder is measured against pkcs11-spy on a module that costs nothing, the replayer
against SoftHSM2 (in lenient mode without a limit), our reader against libyaml's bare event loop. Every configuration is a process of its
own, and they take turns, round by round. Ratios are of the minima: noise only ever adds.

Exit status: 0, 1 if a limit is exceeded (not with --report), 2 if something does not work.
"""

import argparse
import glob
import os
import statistics
import subprocess
import sys
import tempfile
import time

BUILD = os.environ.get("P11TAPE_BUILD_DIR", "build/release")

# Of what pkcs11-spy adds to a call, the recorder may add so much.
RECORD_LIMITS = {"session-info": 0.45, "attributes": 0.35, "search": 0.50, "digest-1k": 0.07, "encrypt-64k": 0.07}
# Of SoftHSM2's time, matching and answering a call that has been read may take so much.
REPLAY_LIMIT = 0.15
# Calls that lenient mode can answer again, and how much more often they are made than they were recorded.
AGAIN = ("session-info", "attributes", "search", "digest-1k", "encrypt-1k")
MORE = 5
# Of libyaml's time for the events, reading the items may take so much.
READ_LIMIT = 1.15


class Broken(Exception):
    """A part that is measured does not work."""


class Block:
    """What a configuration's processes measured for one operation."""

    def __init__(self):
        self.nanoseconds = []  # per call, one number a process: its best block
        self.reading = []
        self.instructions = []
        self.bytes = 0
        self.sizes = []  # of each process

    def add(self, lines):
        net = [(ns - reading) / calls for calls, ns, _, reading, _ in lines]
        best = net.index(min(net))
        calls, _, instructions, _, size = lines[best]
        self.bytes = size / calls
        self.sizes.append(self.bytes)
        self.nanoseconds.append(net[best])
        self.reading.append(sum(line[3] for line in lines) / sum(line[0] for line in lines))
        if instructions >= 0:
            self.instructions.append(instructions / calls)

    def low(self):
        return min(self.nanoseconds)

    def median(self):
        return statistics.median(self.nanoseconds)

    def spread(self):
        """How far the processes lie apart, in percent of the lowest."""
        return 100 * (max(self.nanoseconds) - self.low()) / self.low()


class Bench:
    def __init__(self, args, directory):
        self.args = args
        self.directory = directory
        self.results = {}  # (configuration, operation): Block
        self.exceeded = []

    def path(self, name):
        return os.path.join(self.directory, name)

    def run(self, configuration, *arguments, **variables):
        """Run the driver once and keep what it measured under the configuration's name."""
        environment = {name: value for name, value in os.environ.items()
                       if name != "TZ" and not name.startswith(("P11TAPE_", "PKCS11SPY"))}
        environment.update(variables)
        done = subprocess.run([self.args.driver, *arguments], env=environment, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
        if done.returncode != 0:
            raise Broken(f"{configuration}: {' '.join(arguments)} ends with {done.returncode}: {done.stderr.strip()}")
        blocks = {}
        for line in done.stdout.splitlines():
            operation, *numbers = line.split()
            blocks.setdefault(operation, []).append([int(number) for number in numbers])
        for operation, lines in blocks.items():
            # The first block uses up what was recorded.
            lines = lines[1:] if configuration == "again" else lines
            self.results.setdefault((configuration, operation), Block()).add(lines)

    def drop(self, name):
        """Remove an output before it is written back to the disk, which would disturb the next."""
        for path in glob.glob(self.path(name) + "*"):
            os.unlink(path)

    def rounds(self, number, *turns):
        """Let the configurations take turns, in another order each round."""
        for index in range(number):
            for turn in turns[index % len(turns):] + turns[: index % len(turns)]:
                turn()

    def judge(self, name, ratio, limit):
        if limit is None:
            return ""
        if ratio <= limit:
            return "ok"
        self.exceeded.append(f"{name}: {ratio:.3f} > {limit}")
        return "EXCEEDED"

    # ---- recording ---------------------------------------------------------------------------

    def record(self):
        args = self.args

        def direct():
            self.run("direct", "stub", args.stub, args.divisor)

        def recorder():
            self.run("recorder", "stub", args.recorder, args.divisor, P11TAPE_MODULE=args.stub,
                     P11TAPE_TRACE=self.path("stub.yaml"), BENCH_OUTPUT=self.path("stub.yaml"))
            self.drop("stub.yaml")

        def spy(configuration, **variables):
            self.run(configuration, "stub", args.spy, args.divisor, PKCS11SPY=args.stub,
                     PKCS11SPY_OUTPUT=self.path("spy.log"), **variables)
            self.drop("spy.log")

        def writes():
            self.run("writes", "writes", self.path("writes"),
                     *(f"{operation}:{self.results['recorder', operation].bytes:.0f}" for operation in RECORD_LIMITS))
            self.drop("writes")

        recorder()  # tells how much there is to write
        turns = [direct, recorder, writes]
        if args.spy:
            turns += [lambda: spy("spy"), lambda: spy("spy, TZ=UTC", TZ="UTC")]
        self.rounds(args.rounds, *turns)

        print(f"\nrecording: what is added to a call of a module that costs nothing, in ns (minimum and median of "
              f"{args.rounds} processes)")
        if not args.spy:
            print("pkcs11-spy is not installed: no ratios (Debian: opensc-pkcs11)")
        print(f"{'':14}{'direct':>8}{'recorder':>17}{'2 writes':>10}{'bytes':>8}{'pkcs11-spy':>19}{'ratio':>8}"
              f"{'median':>8}{'limit':>7}  {'verdict':9}{'TZ=UTC':>8}{'spread':>8}")
        for operation, limit in RECORD_LIMITS.items():
            zero, ours = self.results["direct", operation], self.results["recorder", operation]
            added = ours.low() - zero.low(), ours.median() - zero.median()
            row = (f"{operation:14}{zero.low():8.1f}{added[0]:9.0f}{added[1]:8.0f}"
                   f"{self.results['writes', operation].low():10.0f}{ours.bytes:8.0f}")
            if args.spy:
                theirs, utc = self.results["spy", operation], self.results["spy, TZ=UTC", operation]
                base = theirs.low() - zero.low(), theirs.median() - zero.median()
                ratio = added[0] / base[0]
                row += (f"{base[0]:11.0f}{base[1]:8.0f}{ratio:8.3f}{added[1] / base[1]:8.3f}{limit:7.2f}"
                        f"  {self.judge('recording ' + operation, ratio, limit):9}"
                        f"{added[0] / (utc.low() - zero.low()):8.3f}{ours.spread():7.0f}%")
                if ours.instructions and theirs.instructions:
                    row += f"  {min(ours.instructions):.0f} of {min(theirs.instructions):.0f} instructions"
            print(row)

    # ---- replaying ---------------------------------------------------------------------------

    def make_trace(self):
        """Record every kind of operation on a new token."""
        os.mkdir(self.path("token"))
        with open(self.path("softhsm2.conf"), "w", encoding="utf-8") as file:
            file.write(f"directories.tokendir = {self.path('token')}\nlog.level = ERROR\n")
        os.environ["SOFTHSM2_CONF"] = self.path("softhsm2.conf")
        subprocess.run(["softhsm2-util", "--module", self.args.softhsm, "--init-token", "--free", "--label", "bench",
                        "--so-pin", "5678", "--pin", "1234"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                       check=True)
        self.run("setup", "setup", self.args.softhsm)
        self.run("recorded", "token", self.args.recorder, self.args.divisor, P11TAPE_MODULE=self.args.softhsm,
                 P11TAPE_TRACE=self.path("token.yaml"))

    def replay(self):
        args = self.args
        trace = self.path("token.yaml")
        progress = self.path("progress")
        if not args.replayer:
            print("\nreplaying: there is no replayer")
            return

        def direct():
            self.run("softhsm", "token", args.softhsm, args.divisor)

        def replayed():
            with open(progress, "wb") as file:
                file.write(bytes(4096))
            self.run("replay", "token", args.replayer, args.divisor, P11TAPE_REPLAY=trace,
                     P11TAPE_REPLAY_MODE="strict", P11TAPE_REPLAY_PROGRESS=progress)

        self.rounds(args.rounds, direct, replayed)
        print("\nreplaying: match and answer of a call that has been read, in ns; reading it is apart")
        print(f"{'':14}{'SoftHSM2':>10}{'recorded':>10}{'replayed':>18}{'ratio':>8}{'median':>8}{'limit':>7}"
              f"  {'verdict':9}{'reading':>9}{'spread':>8}")
        for configuration, operation in list(self.results):
            if configuration != "softhsm":
                continue
            theirs, ours = self.results["softhsm", operation], self.results["replay", operation]
            ratio = ours.low() / theirs.low()
            print(f"{operation:14}{theirs.low():10.0f}{self.results['recorded', operation].low():10.0f}"
                  f"{ours.low():9.1f}{ours.median():9.1f}{ratio:8.3f}{ours.median() / theirs.median():8.3f}"
                  f"{REPLAY_LIMIT:7.2f}  {self.judge('replaying ' + operation, ratio, REPLAY_LIMIT):9}"
                  f"{statistics.median(ours.reading):9.0f}{ours.spread():7.0f}%")

    # ---- replaying in lenient mode -----------------------------------------------------------

    def lenient(self):
        """The recorded calls, and the same again once they are used up; what a recorded call takes in memory."""
        args = self.args
        if not args.replayer:
            return
        trace, small = self.path("token.yaml"), self.path("info.yaml")
        progress = self.path("progress")
        self.run("info recorded", "token", args.recorder, args.divisor, "session-info", P11TAPE_MODULE=args.softhsm,
                 P11TAPE_TRACE=small)
        with open(small, "rb") as file:
            calls = sum(line.startswith(b"- ") and b'"call":' in line for line in file)

        def direct():
            self.run("softhsm for lenient", "token", args.softhsm, args.divisor)

        def replayed(configuration, mode, path, *arguments):
            with open(progress, "wb") as file:
                file.write(bytes(4096))
            self.run(configuration, *arguments, P11TAPE_REPLAY=path, P11TAPE_REPLAY_MODE=mode,
                     P11TAPE_REPLAY_PROGRESS=progress)

        def ordered(mode):
            replayed(mode, mode, trace, "token", args.replayer, args.divisor)

        def again():
            for operation in AGAIN:
                replayed("again", "lenient", trace, "token", args.replayer, str(float(args.divisor) / MORE), operation)

        def memory(mode):
            replayed("memory, " + mode, mode, small, "memory", args.replayer)

        self.rounds(args.rounds, direct, lambda: ordered("strict"), lambda: ordered("lenient"), again,
                    lambda: memory("strict"), lambda: memory("lenient"))
        print("\nreplaying in lenient mode, in ns a call (reading, all of it before the first call, is apart): the recorded "
              f"calls, and {MORE} times as many\nof those that may come again; ratios to SoftHSM2, and to strict mode")
        print(f"{'':14}{'SoftHSM2':>10}{'strict':>9}{'lenient':>9}{'ratio':>8}{'of strict':>10}{'again':>9}{'ratio':>8}"
              f"{'of strict':>10}{'spread':>8}")
        for configuration, operation in list(self.results):
            if configuration != "lenient":
                continue
            theirs, strict, ours = (self.results[name, operation].low()
                                    for name in ("softhsm for lenient", "strict", "lenient"))
            row = (f"{operation:14}{theirs:10.0f}{strict:9.1f}{ours:9.1f}{ours / theirs:8.3f}{ours / strict:10.1f}")
            repeated = self.results.get(("again", operation))
            if repeated:
                row += (f"{repeated.low():9.1f}{repeated.low() / theirs:8.3f}{repeated.low() / strict:10.1f}"
                        f"{repeated.spread():7.0f}%")
            print(row)
        whole, apart = (min(self.results["memory, " + mode, "memory"].sizes) for mode in ("lenient", "strict"))
        size = os.path.getsize(small) / calls
        print(f"memory: {(whole - apart) / calls:.0f} bytes for each of {calls} C_GetSessionInfo, "
              f"{(whole - apart) / calls / size:.1f} times what they take in the trace")

    # ---- reading -----------------------------------------------------------------------------

    def read(self):
        args = self.args
        small = self.path("small.yaml")
        trace = self.path("token.yaml")
        # Of the calls on the stub, those with small arguments: keys and names, hardly any hex.
        self.run("for reading", "stub", args.recorder, args.divisor, P11TAPE_MODULE=args.stub,
                 P11TAPE_TRACE=self.path("all.yaml"))
        with open(self.path("all.yaml"), "rb") as source, open(small, "wb") as target:
            for line in source:
                if len(line) < 2000:
                    target.write(line)
                if target.tell() > 20_000_000:
                    break
        self.drop("all.yaml")

        print("\nreading: a trace's items, against libyaml's bare events")
        print(f"{'':14}{'MB':>8}{'bare, MB/s':>12}{'ours, MB/s':>12}{'ratio':>8}{'median':>8}{'limit':>7}"
              f"  {'verdict':9}{'spread':>8}{'instructions':>14}")
        for name, path in ("small calls", small), ("every kind", trace):
            def items():
                self.run("items " + name, "items", path)

            def events():
                self.run("events " + name, "events", path)

            self.rounds(args.rounds, events, items)
            size = os.path.getsize(path)
            bare, ours = self.results["events " + name, "events"], self.results["items " + name, "items"]
            ratio = ours.low() / bare.low()
            row = (f"{name:14}{size / 1e6:8.1f}{size * 1e3 / bare.low():12.1f}{size * 1e3 / ours.low():12.1f}"
                   f"{ratio:8.3f}{ours.median() / bare.median():8.3f}{READ_LIMIT:7.2f}"
                   f"  {self.judge('reading ' + name, ratio, READ_LIMIT):9}{ours.spread():7.0f}%")
            if ours.instructions and bare.instructions:
                row += f"{min(ours.instructions) / min(bare.instructions):13.3f}"
            print(row)


def first(*patterns):
    for pattern in patterns:
        for path in sorted(glob.glob(pattern)):
            return path
    return None


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--report", action="store_true", help="print only: exceeded limits are not a failure")
    parser.add_argument("--smoke", action="store_true", help="a few calls of everything, to see that it works")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--only", choices=("recording", "replaying", "lenient", "reading"), help="measure one thing only")
    args = parser.parse_args()
    args.divisor = "200" if args.smoke else "1"
    if args.smoke:
        args.rounds = 1
        args.report = True
    args.driver = os.path.join(BUILD, "tests/bench")
    args.stub = os.path.join(BUILD, "tests/p11tape-stub-240.so")
    args.recorder = os.environ.get("P11TAPE_RECORDER_SO", os.path.join(BUILD, "lib/p11tape-recorder.so"))
    args.replayer = first(os.environ.get("P11TAPE_REPLAYER_SO", os.path.join(BUILD, "lib/p11tape-replayer.so")))
    args.spy = first("/usr/lib/*/pkcs11-spy.so", "/usr/lib/*/pkcs11/pkcs11-spy.so", "/usr/lib*/pkcs11-spy.so",
                     "/usr/lib*/pkcs11/pkcs11-spy.so")
    args.softhsm = first("/usr/lib/softhsm/libsofthsm2.so", "/usr/lib/*/softhsm/libsofthsm2.so",
                         "/usr/lib*/pkcs11/libsofthsm2.so")
    begin = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="p11tape-bench.") as directory:
        bench = Bench(args, directory)
        try:
            if args.only in (None, "recording"):
                bench.record()
            if not args.softhsm:
                print("\nSoftHSM2 is not installed: nothing to replay")
            else:
                bench.make_trace()
                if args.only in (None, "replaying"):
                    bench.replay()
                if args.only in (None, "lenient"):
                    bench.lenient()
                if args.only in (None, "reading"):
                    bench.read()
        except (Broken, OSError, subprocess.SubprocessError) as error:
            print(f"bench: {error}", file=sys.stderr)
            return 2
    print(f"\n{time.monotonic() - begin:.0f} s, {len(os.sched_getaffinity(0))} processors, "
          f"load {os.getloadavg()[0]:.1f}")
    for line in bench.exceeded:
        print(f"limit exceeded: {line}")
    return 1 if bench.exceeded and not args.report else 0


if __name__ == "__main__":
    sys.exit(main())
