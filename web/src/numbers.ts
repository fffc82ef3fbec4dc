// numbers.ts — counts and sizes as short texts.

/** 950, 12.3k, 4.5M. */
export function compact(value: number): string {
    return new Intl.NumberFormat("en", { notation: value < 10_000 ? "standard" : "compact", maximumFractionDigits: 1 }).format(value);
}

/** 900 B, 1.5 KiB, 31 MiB. */
export function bytes(value: number): string {
    let unit = 0;
    const units = ["B", "KiB", "MiB", "GiB", "TiB"];
    while (value >= 1024 && unit + 1 < units.length) {
        value /= 1024;
        unit++;
    }
    return `${value.toFixed(unit === 0 || value >= 10 ? 0 : 1)} ${units[unit]}`;
}
