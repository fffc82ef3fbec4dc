// main.tsx — start: session first, then the shell.
import { render } from "preact";
import { get, type Boot } from "./api";
import { followLinks, route } from "./router";
import { App } from "./shell";
import { signedIn, toLogin, watchVisibility } from "./store";
import { startClock } from "./time";

async function start(): Promise<void> {
    const host = document.getElementById("app")!;
    followLinks(host);
    startClock();
    watchVisibility();
    try {
        signedIn(await get<Boot>("/ui/v1/boot"));
    } catch {
        // No session, or no server: the login page says which.
        if (route.value.name !== "login") toLogin();
    }
    render(<App />, host);
}

void start();
