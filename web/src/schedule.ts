// schedule.ts — a schedule in words: what a person would say, else the text as written.
import type { DagRow } from "./api";

const presets: Record<string, string> = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@quarterly": "0 0 1 */3 *",
    "@yearly": "0 0 1 1 *",
};
const days = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

const two = (text: string) => text.padStart(2, "0");
const isNumber = (text: string) => /^\d+$/.test(text);

export function cronWords(cron: string): string {
    const fields = (presets[cron] ?? cron).trim().split(/\s+/);
    if (fields.length !== 5) return cron;
    const [minute, hour, day, month, weekday] = fields as [string, string, string, string, string];
    const every = /^\*\/(\d+)$/;
    if (day === "*" && month === "*" && weekday === "*") {
        const step = every.exec(minute);
        if (minute === "*" && hour === "*") return "every minute";
        if (step && hour === "*") return `every ${step[1]} min`;
        const hours = every.exec(hour);
        if (isNumber(minute) && hours) return `every ${hours[1]} h at :${two(minute)}`;
        if (isNumber(minute) && hour === "*") {
            return minute === "0" ? "hourly" : `hourly at :${two(minute)}`;
        }
        if (isNumber(minute) && isNumber(hour)) return `daily ${two(hour)}:${two(minute)}`;
    }
    if (isNumber(minute) && isNumber(hour) && month === "*") {
        const at = `${two(hour)}:${two(minute)}`;
        if (day === "*" && isNumber(weekday)) return `${days[Number(weekday) % 7]}s ${at}`;
        if (day === "*" && (weekday === "1-5" || weekday.toLowerCase() === "mon-fri")) {
            return `weekdays ${at}`;
        }
        if (isNumber(day) && weekday === "*") return `monthly, day ${day} ${at}`;
    }
    return cron;
}

type Condition = string | { all?: Condition[]; any?: Condition[] };

/** ["a", {"any": ["b", "c"]}] is "a and (b or c)". */
function assetWords(condition: Condition): string {
    if (typeof condition === "string") return condition;
    const parts = (condition.any ?? condition.all ?? []).map((part) =>
        typeof part === "string" ? part : `(${assetWords(part)})`);
    return parts.join(condition.any ? " or " : " and ");
}

/** The object forms of a schedule: {"cron_interval": "@daily", "delay": "2h"} is "daily 00:00, 2h later". */
function objectWords(text: string): string {
    const form = JSON.parse(text) as Record<string, unknown>;
    if (form["assets"] !== undefined) {
        const words = `after ${assetWords(form["assets"] as Condition)}`;
        return typeof form["or_cron"] === "string" ? `${words}; ${cronWords(form["or_cron"])}` : words;
    }
    const cron = form["cron"] ?? form["cron_interval"];
    const delta = form["delta"] ?? form["delta_interval"];
    const words =
        typeof cron === "string" ? cronWords(cron)
        : Array.isArray(cron) ? cron.map((one) => cronWords(String(one))).join(" and ")
        : typeof delta === "string" ? `every ${delta}`
        : text;
    return typeof form["delay"] === "string" ? `${words}, ${form["delay"]} later` : words;
}

/** With the zone unless it is UTC. */
export function scheduleWords(dag: Pick<DagRow, "schedule" | "kind" | "tz">): string {
    const text = dag.schedule;
    if (text.startsWith("[")) return `after ${assetWords({ all: JSON.parse(text) as Condition[] })}`;
    if ((dag.kind === "none" && !text.startsWith("{")) || !text) return "manual only";
    if (dag.kind === "once" || text === "@once") return "once";
    if (dag.kind === "continuous" || text === "@continuous") return "continuous";
    const words = text.startsWith("{") ? objectWords(text) : dag.kind === "cron" ? cronWords(text) : text;
    return dag.tz === "UTC" ? words : `${words} ${dag.tz}`;
}
