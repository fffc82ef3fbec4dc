#!/usr/bin/env python3
"""Puts one-line bugs into the scheduler core, one at a time, and sees that the simulator or the
reference interpreter finds each within its budget of `make test`.

    tests/sim/mutations.py            all of them, in a copy of the sources under build/mutations
    tests/sim/mutations.py NAME...    only these

Ends with "N passed, N failed"; a bug that nobody finds, or that no longer applies, is a failure.
"""
import pathlib
import resource
import shutil
import signal
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
COPY = ROOT / "build" / "mutations"

SOUND = COPY / "build" / "sound"  # stands there while the copy without bugs is known to be sound

# What ends needs about 70 seconds of a core. Only seconds of work count: neither a slow nor a stopped machine finds a bug.
CPU_SECONDS = 300

# The same runs as the tests of tests/sim/CMakeLists.txt with fixed seeds.
CHECKS = [
    ("reference", ["build/dev/tests/sim/sluice-reference", "--seed", "1", "--runs", "10000"]),
    *[
        ("simulator", ["build/dev/tests/sim/sluice-sim", "--seed", seed, "--steps", "40000", "--all", "--quiet"])
        for seed in ("1", "2")
    ],
]

# name: (file of daemon/core, what stands there, the bug). The text must occur exactly once.
MUTATIONS = {
    "what a branch did not choose runs": (
        "judging.cpp",
        "if (!run.choices.empty() && skipped_by_branch(run, key)) {",
        "if (run.choices.empty() && skipped_by_branch(run, key)) {",
    ),
    "too few past runs set a deadline": (
        "deadlines.cpp",
        "count == 0 || count < deadline.min_runs",
        "count == 0",
    ),
    "a restart forgets deadlines": (
        "deadlines.cpp",
        "if (row.at && !row.missed_at)",
        "if (row.at && row.missed_at)",
    ),
    "a task goes on without the run before": (
        "judging.cpp",
        "planned.needs_past() && past_block(run, key.task)",
        "planned.needs_past() && past_block(run, key.task) && run.row.backfill",
    ),
    "what a shorter list no longer has counts": (
        "trigger_rules.cpp",
        "if (nested && to == TaskState::removed)",
        "if (!nested && to == TaskState::removed)",
    ),
    "what is mapped inside a group sees the group's first": (
        "run_state.hpp",
        "kin == Kin::outer ? outer : index",
        "kin == Kin::outer ? 0 : index",
    ),
    "a place in the queue outlives its run": (
        "dispatching.cpp",
        "family.one.ready && family.one.ticket == task.ticket",
        "family.one.ready",
    ),
    "what is left of a mapping of before counts": (
        "turn.cpp",
        "key.map_index == unmapped ? !family.is_expanded() : key.map_index < family.length();",
        "key.map_index < family.size();",
    ),
    "a teardown runs without its setup": (
        "trigger_rules.cpp",
        "if (up.setups == 0 || up.setups_success > 0) return run;",
        "if (up.setups >= 0) return run;",
    ),
    "a poke of before counts": (
        "waits.cpp",
        "if (wait.poke != result.key.poke) return Taken::yes;",
        "",
    ),
    "a rule forgets failed upstreams": (
        "trigger_rules.cpp",
        "if (up.success > 0 || any_failed) return skip;",
        "if (up.success > 0) return skip;",
    ),
    "upstream_failed counts as failed for one_done": (
        "trigger_rules.cpp",
        "if (up.success + up.failed > 0) return run;",
        "if (up.success + up.failed + up.upstream_failed > 0) return run;",
    ),
    "one try too few": (
        "results.cpp",
        "row.try_number > row.max_tries)",
        "row.try_number >= row.max_tries)",
    ),
    "a lost attempt uses up a retry": ("results.cpp", "    ++row.max_tries;\n", "\n"),
    "a late report of an older attempt counts": (
        "results.cpp",
        "if (result.key.start != instance.row.starts) return Taken::yes;",
        "if (result.key.start > instance.row.starts) return Taken::yes;",
    ),
    "a permanent failure is tried again": (
        "retry.cpp",
        "        case ErrorClass::permanent:\n            return false;",
        "            return false;\n        case ErrorClass::permanent:\n            return true;",
    ),
    "a limit lets one too many in": (
        "ready_queue.hpp",
        "return most && active - own >= *most;",
        "return most && active - own > *most;",
    ),
    "a pool lets one slot too many go": (
        "pools.cpp",
        "entry.in_use() + part.amount <= entry.pool.slots;",
        "entry.in_use() + part.amount <= entry.pool.slots + 1;",
    ),
    "slots are not given back": ("dispatching.cpp", "    pools_.give(queue_.demand(plan.lane));\n", "\n"),
    "a restart forgets who holds slots": (
        "restore.cpp",
        "if (holds_slots(instance.row.state)) occupy(*run, instance);",
        "if (instance.row.state == TaskState::restarting) occupy(*run, instance);",
    ),
    "one run too many is active": (
        "runs.cpp",
        "return dag.running_runs < dag.current->dag->max_active_runs;",
        "return dag.running_runs <= dag.current->dag->max_active_runs;",
    ),
    "the end of a run makes no room": (
        "runs.cpp",
        "                --run.dag->running_runs;\n",
        "                void();\n",
    ),
    "an automated run is made twice": (
        "schedules.cpp",
        "    dag.state.last_automated = next->interval;\n",
        "\n",
    ),
    "counts of a cleared upstream stay": (
        "turn.cpp",
        "run.family(down).up.move(from, to, 1, run.family(key.task).nest != nullptr);",
        "run.family(down).up.add(to, 1);",
    ),
    "a failed leaf is no failure": (
        "run_state.cpp",
        "if (family.count(TaskState::failed) + family.count(TaskState::upstream_failed) > 0)",
        "if (family.count(TaskState::upstream_failed) > 0)",
    ),
    "a cleared run starts where its tasks ended": (
        "clearing.cpp",
        "    row.max_tries = row.try_number + run.task(row.key.task).retries;\n",
        "\n",
    ),
    "why forgets pools": ("why.cpp", "    why_pools(run, key, add);\n", "\n"),
    "why forgets setups further up": ("why.cpp", "    why_setups(run, key, reasons);\n", "\n"),
    "an event of an asset makes runs again and again": (
        "assets.cpp",
        "        put_mark(dag, event.asset, event.id);\n",
        "        void();\n",
    ),
    "a backfill of some tasks runs all": (
        "subsets.cpp",
        "if (subset == subsets_.end()) return plan_of(dag, entry);",
        "if (row.backfill || subset == subsets_.end()) return plan_of(dag, entry);",
    ),
    "a retry tells nobody": (
        "callbacks.cpp",
        "            return CallbackOn::retry;\n",
        "            return std::nullopt;\n",
    ),
    "fail_fast lets what waits go on": (
        "endings.cpp",
        "                [](TaskState state) { return !is_finished(state); },\n                [&](const MapRange& range) {\n                    change_range(*run",
        "                [](TaskState state) { return holds_slots(state); },\n                [&](const MapRange& range) {\n                    change_range(*run",
    ),
}


def run(command: list[str], **options) -> subprocess.CompletedProcess:
    return subprocess.run(command, cwd=COPY, capture_output=True, text=True, **options)


def build() -> str:
    """What the compiler complains of, "" = it builds."""
    done = run(["ninja", "-C", "build/dev", "sluice_sim", "sluice_reference"])
    return done.stdout[-3000:] if done.returncode != 0 else ""


def limit_cpu() -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS + 1))


def find() -> str:
    """Who finds the bug that is in the sources now, "" = nobody."""
    for who, command in CHECKS:
        status = run(command, preexec_fn=limit_cpu).returncode
        if status == -signal.SIGXCPU:
            return f"{who} (does not end)"
        if status != 0:
            return who
    return ""


def prepare() -> None:
    COPY.mkdir(parents=True, exist_ok=True)
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    names = listed.stdout.rstrip("\0").split("\0")
    for gone in [path for top in ("daemon", "operators", "tests") for path in (COPY / top).rglob("*.?pp")
                 if str(path.relative_to(COPY)) not in names]:
        gone.unlink()
    for name in names:
        source, target = ROOT / name, COPY / name
        # What did not change keeps its time, so that only what changed is built again.
        if not source.is_file() or (target.is_file() and target.read_bytes() == source.read_bytes()):
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, target)
        SOUND.unlink(missing_ok=True)
    modules = COPY / "web" / "node_modules"
    if not modules.exists() and (ROOT / "web" / "node_modules").exists():
        modules.symlink_to(ROOT / "web" / "node_modules")
    if run(["cmake", "--preset", "dev"]).returncode != 0:
        raise SystemExit("cmake failed in the copy")
    if SOUND.exists():
        return
    if complaint := build():
        raise SystemExit(f"without any bug the core does not build:\n{complaint}")
    if found := find():
        raise SystemExit(f"without any bug the {found} complains: mend that first")
    SOUND.touch()


def main() -> int:
    names = sys.argv[1:] or list(MUTATIONS)
    prepare()
    missed = 0
    for name in names:
        file, old, new = MUTATIONS[name]
        path = COPY / "daemon" / "core" / file
        text = path.read_text()
        begin = time.monotonic()
        if text.count(old) != 1:
            verdict = f"NO LONGER APPLIES: its text stands {text.count(old)} times in {file}"
            missed += 1
        else:
            path.write_text(text.replace(old, new))
            if complaint := build():
                found, verdict = "", f"DOES NOT BUILD:\n{complaint}"
            else:
                found = find()
                verdict = f"found by the {found}" if found else "FOUND BY NOBODY"
            missed += not found
            path.write_text(text)
        print(f"{name:48} {verdict} ({time.monotonic() - begin:.0f} s)", flush=True)
    print(f"{len(names) - missed} passed, {missed} failed")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
