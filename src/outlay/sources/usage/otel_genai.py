"""OpenTelemetry GenAI spans become requests.

A span of a model operation (chat, embeddings ...) is a call; spans around it (agents, chains, workflows) often repeat
the usage of the calls within them and are left out. Two instrumentations over each other (a framework's and the
SDK's) give a span each for one call: the innermost one with usage is counted.

The traps:

- The convention's input holds cache reads and writes. Anthropic's own count leaves them out, and some emitters
  hand that on. It is told by the emitter (the scope's name), else by arithmetic, else taken as the convention says and
  remarked on as ``cache-meaning-assumed``.
- A span is sent when it ends, so an inner span comes before the outer one, which is how the outer one is known for a
  repetition. Where the outer came in an earlier batch, both are counted.
- Two instrumentations may also stand side by side (OpenLLMetry's beside the Anthropic SDK's own spans): two spans of
  two scopes with one response id that overlap in time are one call.
- No convention parts cache writes by time to live.
- Outlay's own gateway sends spans of calls that its events tell too. Such a span carries the event, and becomes the row
  that the event becomes. The caller's own span of that call, above it in the trace, is a repetition.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from outlay.errors import UsageError
from outlay.problems import Problem
from outlay.sources.facts import Fact
from outlay.sources.usage.gateway_events import GATEWAY, read_event
from outlay.sources.usage.otel_attributes import CALL_LOCAL, EMBEDDINGS, MODEL_OPERATIONS, OUTER_OPERATIONS
from outlay.sources.usage.otel_call import Said, Sayings, call_values
from outlay.sources.usage.otel_span import Span, forget_oldest, text
from outlay.sources.usage.otel_usage import compaction, put_cost, put_usage
from outlay.spool.kinds import GATEWAY_SCOPE

__all__ = ["SPANS_SOURCE", "GenAiSpans"]

SPANS_SOURCE = "otlp"
"""Source of requests from spans, by file or live, so that one span is one row however it came."""

_LONGEST_EVENT = 1 << 20
_LAST = 253_402_300_800 * 10**9
_KINDS = ((True, True), (True, False), (False, True), (False, False))

Around = tuple[str, str, bool, bool]
Answer = tuple[str, int, int]
_Known = dict[tuple[str, str], tuple[Span, str | None]]


class GenAiSpans:
    """Turns batches of spans into requests. One for each file or receiver: it remembers what was counted within what.

    ``name`` is the file or receiver that problems cite. ``ignored`` counts spans that are no calls of models,
    ``repeated`` those that repeat the usage of calls within them. ``around`` and ``answers`` are its memory, for a
    receiver to keep over its restarts.
    """

    def __init__(self, name: str) -> None:
        self.ignored = 0
        self.repeated = 0
        self._name = name
        self._said = Sayings()
        self.around: dict[Around, None] = {}
        """Spans around calls, by trace and span, whether the call generated, and whether it had usage."""
        self.answers: dict[str, Answer] = {}
        """Response id -> scope, start and end of the span that was counted for it."""

    def facts(self, spans: Iterable[Span]) -> Iterator[Fact | Problem]:
        """Requests and problems of one batch."""
        batch = [(span, self._said.of(span)) for span in spans]
        by_id: _Known = {(span.trace, span.id): (span, said.operation) for span, said in batch}
        self._look_around(batch, by_id)
        calls: list[tuple[Span, Said]] = []
        for span, said in batch:
            operation = said.operation
            if span.origin.scope == GATEWAY_SCOPE:
                yield from self._of_gateway(span)
            elif operation is None or operation in OUTER_OPERATIONS:
                self.ignored += 1
            elif operation and operation not in MODEL_OPERATIONS:
                self.ignored += 1
                if span.usage:
                    message = f"a span with usage has the operation '{operation[:60]}', which is not known"
                    yield Problem(self._name, span.line, "unknown-operation", message)
            elif self._repeats(span, operation) or _told_above(span, operation, by_id):
                self.repeated += 1
            else:
                calls.append((span, said))
        told_twice = self._told_twice(calls)
        self.repeated += len(told_twice)
        for span, said in calls:
            if not told_twice or (span.trace, span.id) not in told_twice:
                yield from self._requests(span, said)
        forget_oldest(self.around)
        forget_oldest(self.answers)

    def _look_around(self, batch: list[tuple[Span, Said]], by_id: _Known) -> None:
        """Marks the spans around calls, as far up as is known."""
        around = self.around
        for span, said in batch:
            operation = said.operation
            if not span.parent or operation in CALL_LOCAL:
                continue
            kinds = [kind for kind in _KINDS if (span.trace, span.id, *kind) in around] if around else []
            if operation is not None and (operation in MODEL_OPERATIONS or not operation):
                generates = operation not in EMBEDDINGS
                told = (True, False) if span.origin.scope == GATEWAY_SCOPE else (bool(span.usage),)
                kinds += [(generates, usage) for usage in told]
            for kind in kinds:
                parent = span.parent
                while parent and parent != span.id and (span.trace, parent, *kind) not in around:
                    around[span.trace, parent, *kind] = None
                    above, operation_above = by_id.get((span.trace, parent), (None, None))
                    parent = "" if above is None or operation_above in CALL_LOCAL else above.parent

    def _repeats(self, span: Span, operation: str) -> bool:
        """Whether a call within this one tells it already: its usage, or that it was made where neither has usage."""
        generates = operation not in EMBEDDINGS
        return (span.trace, span.id, generates, True) in self.around or (
            not span.usage and (span.trace, span.id, generates, False) in self.around
        )

    def _told_twice(self, calls: list[tuple[Span, Said]]) -> set[tuple[str, str]]:
        """Spans side by side for one call: of those with one response id, by two emitters, the shortest holds."""
        left_out: set[tuple[str, str]] = set()
        of_batch: dict[str, Span] = {}
        for span, said in calls:
            if "response_id" not in said.figures or not span.usage:
                continue
            if not (answer := text(span.figures, "response_id")):
                continue
            scope, start, end = self.answers.get(answer, ("", 0, 0))
            other = of_batch.get(answer)
            if not scope or scope == span.origin.scope or span.start > end or span.end < start:
                pass  # nothing, the same span sent again, or an id that is used again
            elif other is not None and span.end - span.start < end - start:
                left_out.add((other.trace, other.id))
            else:
                left_out.add((span.trace, span.id))
                continue
            of_batch[answer] = span
            self.answers[answer] = (span.origin.scope, span.start, span.end)
        return left_out

    def _of_gateway(self, span: Span) -> Iterator[Fact | Problem]:
        """The row of a call that Outlay's gateway tells; none where its event was left behind on the way."""
        line = text(span.figures, "gateway_event", longest=_LONGEST_EVENT)
        if line is None:
            self.ignored += 1
            return
        told = read_event(line.encode(), self._name)
        if isinstance(told, Problem):
            yield replace(told, line=span.line)
        else:
            yield from (replace(fact, line=span.line, source=GATEWAY.id) for fact in told.facts)

    def _requests(self, span: Span, said: Said) -> Iterator[Fact | Problem]:
        if flaw := _flaw(span):
            yield Problem(self._name, span.line, *flaw)
            return
        remarks = set(said.remarks)
        values = call_values(span, said)
        try:
            put_usage(span, said, values, remarks)
            inner = compaction(span, values) if "compaction_input" in said.figures else {}
        except UsageError as refused:
            code = "negative-quantity" if "negative" in str(refused) else "unparsable-amount"
            yield Problem(self._name, span.line, code, str(refused))
            return
        if "cost" in said.figures:
            put_cost(span, values, remarks)
        if remarks:
            values["x_Remarks"] = ";".join(sorted(remarks))
        tags = {**span.origin.tags, **span.tags} if span.tags else span.origin.tags
        yield Fact(f"{span.trace}/{span.id}", span.line, values, tags, SPANS_SOURCE)
        if inner:
            yield Fact(f"{span.trace}/{span.id}#compaction-1", span.line, inner, tags, SPANS_SOURCE)


def _told_above(span: Span, operation: str, by_id: _Known) -> bool:
    """Whether a call succeeded without usage within one that has it: the outer one is counted instead."""
    if span.usage or span.failed:
        return False
    seen = set()
    while span.parent and span.id not in seen:
        seen.add(span.id)
        above, around = by_id.get((span.trace, span.parent), (None, None))
        if above is None or around in CALL_LOCAL:
            return False
        if above.usage and around in MODEL_OPERATIONS and (around in EMBEDDINGS) == (operation in EMBEDDINGS):
            return True
        span = above
    return False


def _flaw(span: Span) -> tuple[str, str] | None:
    """Why a span can be no row: the problem's code and message."""
    if not span.trace or not span.id:
        return "missing-identity", "a span without a trace id or a span id"
    if not 0 < span.start < _LAST or not 0 <= span.end < _LAST:
        return "unparsable-time" if span.start else "missing-time", "a span without a start time, or with none that is"
    if span.end and span.end < span.start:
        return "period-reversed", "a span ends before it starts"
    return None
