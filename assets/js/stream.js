// The messages of a view in their order: numbered deltas, and a snapshot of everything where one is missing.

// What becomes of a message, given the stream and the number that were shown last ('' and -1 before any).
function fateOf(message, streamId, lastSeq) {
  const isNew = message.stream !== streamId;
  if (!message.snapshot && (isNew ? message.seq !== 0 : message.seq > lastSeq + 1)) return 'ask';
  if (!isNew && (message.snapshot ? message.seq < lastSeq : message.seq <= lastSeq)) return 'ignore';
  return isNew && streamId !== '' ? 'begin' : 'show';
}

// A component's messages. on: { show(message), alert(text), begin(), isTaken() }; begin comes before the first message of another
// stream. What is only offered is not shown where the place is taken.
export function followStream({ props, server, watch }, on) {
  let streamId = '';
  let lastSeq = -1;
  let isAsking = false;
  let refused = null; // the newest message that something before it is missing for

  function apply(message) {
    if (message.alert !== undefined) on.alert(message.alert);
    if (message.seq === undefined || (message.isOffer && on.isTaken?.())) return;
    const fate = fateOf(message, streamId, lastSeq);
    if (fate === 'ask') return askFor(message);
    if (fate === 'ignore') return;
    if (fate === 'begin') on.begin();
    if (refused && refused.stream !== message.stream) refused = null; // of the stream before
    streamId = message.stream;
    lastSeq = message.seq;
    on.show(message);
  }

  // A snapshot is as old as its asking: what came meanwhile may be the last message there is, so it is asked for again.
  async function askFor(message) {
    refused = message;
    if (isAsking) return;
    isAsking = true;
    try {
      while (refused && (refused.stream !== streamId || refused.seq > lastSeq)) {
        const { stream } = refused;
        refused = null;
        const text = await server.snapshot(stream);
        if (text) apply(JSON.parse(text));
      }
    } finally {
      isAsking = false;
    }
  }

  function receive() {
    if (typeof props.value === 'string' && props.value) apply(JSON.parse(props.value));
  }

  watch('value', receive);
  receive();
  return { apply };
}
