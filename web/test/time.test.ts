import assert from "node:assert/strict";
import { test } from "node:test";
import { clock, date, dateTime, duration, inputValue, lastWeek, logical, parseLocal, relative, shortTime } from "../src/time";

const noon = Date.UTC(2026, 10, 21, 12, 0, 5, 42);

test("an instant is shown in the zone asked for", () => {
    assert.equal(dateTime(noon, "UTC"), "2026-11-21 12:00:05");
    assert.equal(dateTime(noon, "Europe/Berlin"), "2026-11-21 13:00:05");
    assert.equal(dateTime(noon, "UTC", true), "2026-11-21 12:00:05.042");
    assert.equal(date(Date.UTC(2026, 0, 1, 23, 30), "Asia/Tokyo"), "2026-01-02");
    assert.equal(clock(Date.UTC(2026, 0, 1), "UTC", false), "00:00");
});

test("a duration has two significant units", () => {
    const cases: [number, string][] = [
        [0, "0 ms"], [8, "8 ms"], [420, "0.42 s"], [994, "0.99 s"], [1000, "1.0 s"], [9_940, "9.9 s"],
        [9_960, "10 s"], [22_400, "22 s"], [59_700, "1 m"], [584_000, "9 m 44 s"], [3_600_000, "1 h"],
        [3_845_000, "1 h 04 m"], [86_400_000 + 7_200_000, "1 d 02 h"], [-5, "0 ms"],
    ];
    for (const [ms, text] of cases) assert.equal(duration(ms), text);
});

test("relative times count whole units, in both directions", () => {
    assert.equal(relative(noon + 240_000, noon), "in 4 m");
    assert.equal(relative(noon - 3 * 3_600_000, noon), "3 h ago");
    assert.equal(relative(noon + 10, noon), "now");
});

test("short and logical times leave out what is clear", () => {
    assert.equal(shortTime(noon, noon + 1000, "UTC"), "12:00:05");
    assert.equal(shortTime(Date.UTC(2026, 10, 20), noon, "UTC"), "2026-11-20");
    assert.equal(logical(Date.UTC(2026, 10, 20), "UTC"), "2026-11-20");
    assert.equal(logical(Date.UTC(2026, 10, 20, 2, 30), "UTC"), "2026-11-20 02:30");
});

test("wall time becomes the instant of its zone, and back", () => {
    assert.equal(parseLocal("2026-11-21T13:00:05", "Europe/Berlin"), Date.UTC(2026, 10, 21, 12, 0, 5));
    assert.equal(parseLocal("2026-07-01T00:00", "Europe/Berlin"), Date.UTC(2026, 5, 30, 22));
    assert.equal(parseLocal("2026-11-21", "UTC"), Date.UTC(2026, 10, 21));
    assert.equal(inputValue(Date.UTC(2026, 5, 30, 22), "Europe/Berlin"), "2026-07-01T00:00");
    for (const text of ["", "tomorrow", "2026-13-01", "2026-02-30T00:00"]) {
        assert.ok(Number.isNaN(parseLocal(text, "UTC")), text);
    }
});

test("daylight saving: the gap has no instant, the doubled hour has its earlier one", () => {
    assert.ok(Number.isNaN(parseLocal("2026-03-29T02:30", "Europe/Berlin")));
    assert.equal(parseLocal("2026-03-29T03:00", "Europe/Berlin"), Date.UTC(2026, 2, 29, 1));
    assert.equal(parseLocal("2026-10-25T02:30", "Europe/Berlin"), Date.UTC(2026, 9, 25, 0, 30));
});

test("a backfill is proposed for the last week that a DAG has", () => {
    const day = (month: number, number: number) => Date.UTC(2026, month - 1, number);
    assert.deepEqual(lastWeek({ start: day(1, 1), end: null }, noon), [day(11, 14), day(11, 20)]);
    assert.deepEqual(lastWeek({ start: day(11, 18), end: null }, noon), [day(11, 18), day(11, 20)]);
    assert.deepEqual(lastWeek({ start: day(1, 1), end: day(1, 10) }, noon), [day(1, 4), day(1, 10)]);
    assert.deepEqual(lastWeek({ start: day(1, 8), end: day(1, 10) }, noon), [day(1, 8), day(1, 10)]);
    assert.deepEqual(lastWeek({ start: day(12, 1), end: null }, noon), [day(11, 20), day(11, 20)]);
    assert.deepEqual(lastWeek(undefined, noon), [day(11, 14), day(11, 20)]);
});
