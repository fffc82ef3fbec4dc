// conf.ts — the configuration of a run, as a person writes it.

/** The object in the text, or why it is none. */
export function parseConf(text: string): { conf?: Record<string, unknown>; error?: string } {
    if (!text.trim()) return { conf: {} };
    try {
        const value: unknown = JSON.parse(text);
        if (value === null || typeof value !== "object" || Array.isArray(value)) {
            return { error: "The configuration must be a JSON object." };
        }
        return { conf: value as Record<string, unknown> };
    } catch (error) {
        return { error: (error as Error).message };
    }
}
