// router.ts — the current route as a signal; links and history.
import { signal } from "@preact/signals";
import { parse, redirectOf, withQuery, type Route } from "./routes";

const here = () => location.pathname + location.search + location.hash;

export const route = signal<Route>(parse(here()));

function arrive(): void {
    const next = parse(here());
    const to = redirectOf(next);
    if (to) {
        history.replaceState(null, "", to);
        route.value = parse(to);
    } else {
        route.value = next;
    }
}

export function navigate(url: string, replace = false): void {
    if (url === here()) return;
    const before = location.pathname;
    history[replace ? "replaceState" : "pushState"](null, "", url);
    arrive();
    if (location.pathname !== before && !replace) {
        scrollTo(0, 0);
        // A new page is announced: its heading gets the focus (the shell puts it there).
        requestAnimationFrame(() => document.querySelector<HTMLElement>("h1")?.focus());
    }
}

/** Changes part of the query in place: filters and selections live in the URL. */
export function setQuery(changes: Record<string, string | null>, push = false): void {
    navigate(withQuery(here(), changes), !push);
}

/** Plain left clicks on our own links stay in the page. */
export function followLinks(root: HTMLElement): void {
    root.addEventListener("click", (event) => {
        if (event.defaultPrevented || event.button !== 0) return;
        if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
        const link = (event.target as Element).closest("a");
        if (!link || link.target || link.hasAttribute("download")) return;
        const url = new URL(link.href);
        if (url.origin !== location.origin || /^\/(api|ui|static|status)\b/.test(url.pathname)) {
            return;
        }
        event.preventDefault();
        navigate(url.pathname + url.search + url.hash);
    });
    addEventListener("popstate", arrive);
    arrive();
}
