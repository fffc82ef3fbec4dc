// problem.tsx — one file that could not be read: where, what, and what was probably meant.
import type { ImportErrors } from "../api";
import { links } from "../routes";
import { Ago, Icon } from "../ui";

type Item = ImportErrors["errors"][number];

export function ProblemCard({ item, open = false }: { item: Item; open?: boolean }) {
    const first = item.problems[0];
    const where = first?.line ? `:${first.line}${first.col ? `:${first.col}` : ""}` : "";
    return (
        <details class="problem" open={open} data-testid={`import-error-${item.file}`}>
            <summary>
                <Icon name="alert" />
                <strong>
                    {item.file}
                    {where}
                </strong>
                <span class="problem-text">
                    {first?.msg}
                    {first?.hint ? <em> – {first.hint}</em> : null}
                </span>
                {item.problems.length > 1 ? (
                    <span class="count bad">{item.problems.length} problems</span>
                ) : null}
                <span class="muted">
                    <Ago ms={item.at} />
                </span>
            </summary>
            {item.excerpt.length ? (
                <pre class="code excerpt">
                    {item.excerpt.map(([line, text]) => (
                        <span key={line} class={line === first?.line ? "hit" : ""}>
                            <i>{line}</i>
                            {text}
                            {"\n"}
                        </span>
                    ))}
                </pre>
            ) : null}
            <ul>
                {item.problems.map((problem, i) => (
                    <li key={i}>
                        <code>{problem.code}</code>{" "}
                        {problem.line ? <span class="num">line {problem.line}</span> : null}{" "}
                        {problem.ptr ? <code class="muted">{problem.ptr}</code> : null} {problem.msg}
                        {problem.hint ? <em> – {problem.hint}</em> : null}
                    </li>
                ))}
            </ul>
            {item.dag ? (
                <p class="muted">
                    The last good version of <a href={links.dag(item.dag)}>{item.dag}</a> stays in force.
                </p>
            ) : null}
        </details>
    );
}
