/** Why is this stale? The way from a message to an answer, each step with its age beside what it may be. */
import type { Freshness as Found, Step } from "../api/types";
import { span } from "../format";
import { AsOf, Badge, Loaded, SkeletonRows, type Answer } from "../parts/states";
import { Words } from "../parts/Words";

export function Freshness({ answer }: { answer: Answer<Found> }) {
  return (
    <section className="panel" aria-labelledby="freshness-title">
      <header className="panel-head">
        <h2 id="freshness-title">Why is this stale?</h2>
        {answer.data && <AsOf time={answer.data.as_of} degraded={answer.data.degraded} />}
      </header>
      <Loaded answer={answer} skeleton={<SkeletonRows rows={7} kind="line" />}>
        {(found) => (
          <>
            <p className={`verdict ${found.late ? "verdict-late" : "verdict-good"}`}><Words>{found.sentence}</Words></p>
            <ol className="steps">
              {found.steps.map((step) => (
                <StepRow key={step.step} step={step} />
              ))}
            </ol>
          </>
        )}
      </Loaded>
    </section>
  );
}

function StepRow({ step }: { step: Step }) {
  const age = step.age_seconds ?? null;
  const filled = age === null ? 100 : Math.min(100, (age / step.allowed_seconds) * 100);
  return (
    <li className={`step ${step.late ? "step-late" : ""}`}>
      <span className="step-name">{step.step}</span>
      <svg className="amount" viewBox="0 0 100 4" preserveAspectRatio="none" aria-hidden="true" focusable="false">
        <rect className="amount-track" width="100" height="4" />
        <rect className="amount-bar" width={filled} height="4" />
      </svg>
      <span className="step-age">
        {age === null ? "not there yet" : span(age)} <span className="quiet">of {span(step.allowed_seconds)}</span>
      </span>
      <Badge tone={step.late ? "late" : "good"}>{step.late ? "late" : "in time"}</Badge>
      {step.late && <p className="step-why"><Words>{step.sentence}</Words></p>}
    </li>
  );
}
