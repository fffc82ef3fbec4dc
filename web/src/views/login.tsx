// login.tsx — one form; the error does not say which part was wrong.
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { ApiError, send, type Boot } from "../api";
import { navigate } from "../router";
import { safeNext, type Route } from "../routes";
import { signedIn } from "../store";

export function LoginPage({ route }: { route: Route }) {
    const busy = useSignal(false);
    const error = useSignal("");
    useEffect(() => {
        document.title = "Log in – Sluice";
        document.querySelector<HTMLInputElement>("#username")?.focus();
    }, []);

    const submit = async (event: SubmitEvent) => {
        event.preventDefault();
        const form = new FormData(event.currentTarget as HTMLFormElement);
        busy.value = true;
        error.value = "";
        try {
            signedIn(
                await send<Boot>("POST", "/ui/v1/login", {
                    username: form.get("username"),
                    password: form.get("password"),
                }),
            );
            navigate(safeNext(route.query.get("next")), true);
        } catch (reason) {
            const failure = reason as ApiError;
            error.value =
                failure.status === 401
                    ? "Wrong user name or password."
                    : failure.status === 429
                      ? "Too many attempts. Wait a little and try again."
                      : failure.message;
        } finally {
            busy.value = false;
        }
    };

    return (
        <main class="login" id="main">
            <form onSubmit={(event) => void submit(event)} aria-describedby="login-error">
                <svg width="40" height="40" viewBox="0 0 32 32" aria-hidden="true" class="logo">
                    <rect width="32" height="32" rx="7" />
                    <path d="M7 11c4 0 4 3 9 3s5-3 9-3M7 18c4 0 4 3 9 3s5-3 9-3" />
                </svg>
                <h1>Log in to Sluice</h1>
                <label for="username">User name</label>
                <input id="username" name="username" autocomplete="username" required defaultValue="admin" />
                <label for="password">Password</label>
                <input
                    id="password"
                    name="password"
                    type="password"
                    autocomplete="current-password"
                    required
                />
                <p id="login-error" class="field-error" role="alert">
                    {error.value}
                </p>
                <button type="submit" class="btn primary" disabled={busy.value}>
                    {busy.value ? "Logging in…" : "Log in"}
                </button>
                <p class="hint">
                    The password of a standalone home is in its file <code>admin.password</code>.
                </p>
            </form>
        </main>
    );
}
